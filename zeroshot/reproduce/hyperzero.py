"""HyperZero (Rezaei-Shoshtari et al., AAAI 2023): what its paper shows, and what it does not.

Its paper prints no numbers. Published ones are those of HyPoGen (ICLR 2025), which ran it again.
"""

from __future__ import annotations

from itertools import product

from zeroshot.published import PUBLISHED_EXPERT_MEANS, PUBLISHED_ZERO_SHOT
from zeroshot.reproduce.plan import Figure, Part, Plan, PlannedFilm, PlannedRun, Preset

SPEEDS = ("cheetah-speed", "walker-speed", "finger-speed")
BODIES = ("cheetah-torso", "walker-torso", "finger-length")
JOINT = ("cheetah-speed-torso", "walker-speed-torso", "finger-speed-length")
TRACK = (*SPEEDS, *BODIES, *JOINT)
REACH = tuple(f"{name}-reach" for name in TRACK)

LEARNED = ("hyperzero", "conditioned", "conditioned-uvfa", "maml", "pearl")
"""The paper's methods, as tuned here."""

FEW_TRAINED = ("hyperzero", "hyperdistil", *LEARNED[1:], "film", "interpolation")
"""What takes longest is not last, here and below: all workers but one would wait for it."""

MAIN = (*FEW_TRAINED, "hyperzero-without-td", "hyperzero-without-value")
BEST = ("hyperzero", "hyperdistil", "conditioned", "interpolation")
SURFACES = ("hyperzero", "hyperdistil", "conditioned")
ADAPTED = (*FEW_TRAINED, "maml-inner")
SHOTS = (1, 5, 10)
"""Numbers of episodes; 0 is always there."""

FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.85)

PUBLISHED_BY_FRACTION = {0.05: 386.0, 0.1: 558.0, 0.2: 668.0, 0.3: 813.0, 0.5: 854.0}
"""Training fraction to HyperZero's mean return on half of the cheetah's speeds (HyPoGen, Table 19).
There the other half is held out at every fraction; here all that is not trained on."""

WIDE = ("hyperzero", "conditioned", "conditioned-wide", "conditioned-uvfa-wide", "film-wide")
DISTILLED = (
    "hyperzero",
    "conditioned-distilled",
    "hyperdistil",
    "hyperdistil-without-rounds",
    "hyperdistil-without-blends",
    "hyperdistil-focused",
    "hyperdistil-without-trials",
    "hyperdistil-without-logarithm",
    "hyperdistil-one-layer",
)
RELEASED_META = (
    "maml-paper-500-updates",
    "maml",
    "pearl",
    "pearl-paper-500-updates-leaking",
    "pearl-paper-500-updates",
)
DISCOUNTS = ("hyperzero", "hyperzero-undiscounted-td")
RELEASED = (
    "hyperzero",
    "hyperzero-paper",
    "conditioned",
    "conditioned-paper",
    "conditioned-uvfa",
    "conditioned-uvfa-paper",
)


def _main(seeds: int) -> tuple[PlannedRun, ...]:
    return tuple(
        PlannedRun(
            part="main",
            suite=suite,
            methods=MAIN,
            seeds=seeds,
            published={"expert": PUBLISHED_EXPERT_MEANS[suite]} if suite in REACH else {},
        )
        for suite in (*TRACK, *REACH)
    )


def _few_trained(seeds: int) -> tuple[PlannedRun, ...]:
    return tuple(
        PlannedRun(
            part="fifth",
            suite=suite,
            split="random:0.2",
            methods=FEW_TRAINED,
            seeds=seeds,
            published={"expert": PUBLISHED_EXPERT_MEANS[suite], **PUBLISHED_ZERO_SHOT[suite]},
        )
        for suite in REACH
    )


def _fractions(seeds: int) -> tuple[PlannedRun, ...]:
    return tuple(
        PlannedRun(
            part="fractions",
            suite=suite,
            split=f"random:{fraction}",
            methods=BEST,
            seeds=seeds,
            published={"hyperzero": PUBLISHED_BY_FRACTION[fraction]}
            if suite == "cheetah-speed-reach" and fraction in PUBLISHED_BY_FRACTION
            else {},
        )
        for suite, fraction in product(("cheetah-speed", "cheetah-speed-reach"), FRACTIONS)
    )


def _few_shot(suites: tuple[str, ...], seeds: int) -> tuple[PlannedRun, ...]:
    return tuple(
        PlannedRun(part="shots", suite=suite, methods=ADAPTED, seeds=seeds, shots=SHOTS)
        for suite in suites
    )


def _held_out(
    single: tuple[str, ...], joint: tuple[str, ...], seeds: int
) -> tuple[PlannedRun, ...]:
    wanted = [
        *product(single, ("gap", "extrapolation")),
        *product(joint, ("gap", "extrapolation", "quadrant")),
    ]
    return tuple(
        PlannedRun(part="ranges", suite=suite, split=rule, methods=BEST, seeds=seeds)
        for suite, rule in wanted
    )


def _surfaces(seeds: int) -> tuple[PlannedRun, ...]:
    return tuple(
        PlannedRun(
            part="surfaces",
            suite=f"{suite}-reach",
            methods=SURFACES,
            seeds=seeds,
            train_rows=True,
        )
        for suite in JOINT
    )


def _controls(seeds: int) -> tuple[PlannedRun, ...]:
    return (
        *(
            PlannedRun(part="distilled", suite=suite, methods=DISTILLED, seeds=seeds)
            for suite in ("finger-speed-length", "cheetah-speed-torso")
        ),
        PlannedRun(
            part="distilled",
            suite="cheetah-speed-reach",
            split="random:0.2",
            methods=DISTILLED,
            seeds=seeds,
        ),
        PlannedRun(part="capacity", suite="cheetah-speed", methods=WIDE, seeds=seeds),
        PlannedRun(part="meta", suite="cheetah-speed-reach", methods=RELEASED_META, seeds=seeds),
        PlannedRun(part="discount", suite="cheetah-speed-reach", methods=DISCOUNTS, seeds=seeds),
    )


FILMED = tuple(
    PlannedFilm(suite=suite, context=(context,), method=method)
    for suite, contexts in (
        ("cheetah-torso-reach", ("torso=0.3", "torso=0.7")),
        ("walker-speed-reach", ("speed=-4", "speed=4")),
    )
    for context in contexts
    for method in ("hyperzero", "hyperdistil", "conditioned")
)

LAPTOP = Preset(
    doc="2 splits in the main comparison and one elsewhere, instead of 5; few-shot on the three "
    "speed suites under track instead of all 18; gap and extrapolation on the same three and "
    "quadrant on the three joint suites under track, instead of all rules on all 18; no method "
    "with the released settings and 332,500 updates. Methods, their updates, contexts, "
    "episodes and steps are those of the full set.",
    runs=(
        *_few_shot(SPEEDS, 1),  # before `main`, as are surfaces: it takes over what they have
        *_surfaces(1),
        *_main(2),
        *_few_trained(1),
        *_fractions(1),
        *_held_out(SPEEDS, (), 1),
        *(
            PlannedRun(part="ranges", suite=suite, split="quadrant", methods=BEST, seeds=1)
            for suite in JOINT
        ),
        *_controls(1),
    ),
    films=FILMED,
)

PAPER = Preset(
    doc="The full set: 5 splits everywhere, every part on all suites that it is about, and the "
    "methods with the released settings and 332,500 updates on cheetah-speed-reach, an hour a "
    "fit or more.",
    runs=(
        *_few_shot((*TRACK, *REACH), 5),
        *_surfaces(5),
        *_main(5),
        *_few_trained(5),
        *_fractions(5),
        *_held_out(
            tuple(name for name in (*TRACK, *REACH) if name.removesuffix("-reach") not in JOINT),
            tuple(name for name in (*TRACK, *REACH) if name.removesuffix("-reach") in JOINT),
            5,
        ),
        *_controls(5),
        PlannedRun(part="released", suite="cheetah-speed-reach", methods=RELEASED, seeds=5),
    ),
    films=FILMED,
)

HYPERZERO = Plan(
    name="hyperzero",
    title="Rezaei-Shoshtari et al., Hypernetworks for Zero-Shot Transfer in Reinforcement "
    "Learning, AAAI 2023 (arXiv 2211.15457)",
    parts=(
        Part(
            name="main",
            title="Main comparison and ablation: 85 % of the contexts for training",
            note="Random splits, as in the paper's figures 3, 4, 5 and 7, which print no numbers. "
            "HyperZero's rewards are those of the suites called reach.",
        ),
        Part(
            name="fifth",
            title="20 % of the contexts for training, 80 % for testing",
            note="In brackets: as run again for HyPoGen (ICLR 2025, Table 1), 5 splits, whose code "
            "keeps the checkpoint of the best test return. Only the grids of speeds are "
            "certainly the same contexts, and the experts are others.",
        ),
        Part(
            name="fractions",
            title="Training fraction",
            note="In brackets: HyPoGen, Table 19, where half of the speeds are held out at every "
            "fraction; here all that is not trained on.",
        ),
        Part(
            name="shots",
            title="Few-shot: after k episodes in the test context",
            note="Demonstrations are episodes of the test context's expert; interaction has no "
            "expert. Methods that cannot use one have k = 0 alone.",
        ),
        Part(
            name="ranges",
            title="Gap, extrapolation and quadrant",
            note="Which contexts are held out is the same for all seeds. Not in the paper, whose "
            "random splits interpolate.",
        ),
        Part(
            name="surfaces",
            title="The whole grid, training contexts too",
            note="Surfaces as in the paper's figure 5, and the generalisation gap.",
        ),
        Part(
            name="distilled",
            title="Parts of HyperDistil",
            note="A method of this package; not in the paper.",
        ),
        Part(
            name="capacity",
            title="As many parameters as HyperZero",
            note="HyperZero has several times the parameters of its baselines; the -wide ones "
            "have as many, and fewer updates (1,400 to 1,800, not 6,000), for about the same time. "
            "Not in the paper.",
        ),
        Part(
            name="meta",
            title="MAML and PEARL as trained in the release",
            note="500 outer updates, against as many as take HyperZero's processor time, or "
            "two thirds of it. `leaking` "
            "is told the answer in training.",
        ),
        Part(
            name="discount",
            title="The discount of the TD loss",
            note="1 as in the released code, against the experts' own as in equation 5.",
        ),
        Part(
            name="released",
            title="The released settings",
            note="Raw contexts, observations and values, Adam at 1e-4, 332,500 updates.",
        ),
    ),
    figures=(
        Figure(
            label="Figure 3",
            shows="return against desired speed, zero-shot",
            part="main",
            suites=tuple(f"{name}-reach" for name in SPEEDS),
            file="return-versus-context.png",
        ),
        Figure(
            label="Figures 3 to 5, meta policies",
            shows="MAML and PEARL after few shots",
            part="shots",
            suites=(*TRACK, *REACH),
            file="report.html",
        ),
        Figure(
            label="Figure 4",
            shows="return against the body's parameter, zero-shot",
            part="main",
            suites=tuple(f"{name}-reach" for name in BODIES),
            file="return-versus-context.png",
        ),
        Figure(
            label="Figure 5",
            shows="return over speed and body, zero-shot",
            part="surfaces",
            suites=tuple(f"{name}-reach" for name in JOINT),
            file="report.html",
        ),
        Figure(
            label="Figure 6",
            shows="rollouts of generated policies",
            part="films",
            suites=("cheetah-torso-reach", "walker-speed-reach"),
            file="",
        ),
        Figure(
            label="Figure 7",
            shows="ablation: without the TD loss, without the value function",
            part="main",
            suites=tuple(f"{name}-reach" for name in SPEEDS),
            file="report.html",
        ),
        Figure(
            label="HyPoGen, Table 1",
            shows="20 % for training",
            part="fifth",
            suites=REACH,
            file="report.html",
        ),
        Figure(
            label="HyPoGen, Table 19",
            shows="training fraction",
            part="fractions",
            suites=("cheetah-speed-reach",),
            file="report.html",
        ),
    ),
    presets={"laptop": LAPTOP, "paper": PAPER},
    sources="HyPoGen (ICLR 2025), which ran HyperZero and its baselines again; the paper itself "
    "prints no numbers.",
)
