"""GenHyper (Reddy et al., IROS 2025), its MuJoCo part: Table I, figures 5 and 6, and controls."""

from __future__ import annotations

from collections.abc import Mapping

from zeroshot.finetune_starts import UNTRAINED
from zeroshot.published import GENHYPER_OTHERS, GENHYPER_TABLE_1
from zeroshot.reproduce.plan import Figure, Part, Plan, PlannedFineTuning, PlannedRun, Preset

UNIFORM = ("cheetah-vel", "ant-dir")
"""GenHyper's own grids, by the labels of its figures."""
OLDER = ("cheetah-vel-macaw", "ant-dir-macaw")
"""Those of the rows that it compares with."""

SIZES = {"cheetah-vel": (10, 15, 20, 25, 35), "ant-dir": (15, 25, 35, 45)}

METHODS = (
    "hyplatent",
    "hyplatent-sample",
    "hyplatent-latents",
    "hyplatent-without-adversary",
    "weight-regression",
    "hyperzero",
    "hyperdistil",
    "conditioned",
    "interpolation",
)
CHOICES = (
    "hyplatent",
    "hyplatent-without-auxiliary",
    "hyplatent-without-span",
    "hyplatent-raw-contexts",
    "hyplatent-saturating",
    "hyplatent-limits",
)
"""HypLatent, and what the paper leaves open chosen otherwise, one thing at a time."""
FIGURE_6 = {
    "cheetah-vel": ("velocity=0.538461538", "velocity=1.769230769"),
    "ant-dir": ("direction=5.257359135", "direction=0.769369629"),
}
"""The tasks that the paper's figure 6 shows: 7 and 23, 41 and 6."""

STARTS = ("scratch", "scratch-standardised", "nearest", "hyperzero", "hyplatent")
"""The first two do not depend on the number of training tasks: they are there with the smallest."""


def _table(suites: tuple[str, ...], seeds: int) -> tuple[PlannedRun, ...]:
    return tuple(
        PlannedRun(
            part="table",
            suite=suite,
            split=f"tasks:{size}",
            methods=METHODS,
            seeds=seeds,
            published={"hyplatent": GENHYPER_TABLE_1[suite][size]}
            if size in GENHYPER_TABLE_1.get(suite, {})
            else {},
        )
        for suite in suites
        for size in SIZES[suite.removesuffix("-macaw")]
    )


def _choices(seeds: int) -> tuple[PlannedRun, ...]:
    return tuple(
        PlannedRun(part="choices", suite=suite, split="tasks:15", methods=CHOICES, seeds=seeds)
        for suite in UNIFORM
    )


def _fine_tunings(
    tasks: Mapping[str, tuple[str, ...]],
    sizes: tuple[int, ...],
    n_steps: int,
    seeds: int,
    preset: str = "default",
) -> tuple[PlannedFineTuning, ...]:
    """Every start from every size, and with the smallest HypLatent's without the TD term."""

    def planned(
        suite: str, size: int, starts: tuple[str, ...], td_weight: float | None = None
    ) -> PlannedFineTuning:
        return PlannedFineTuning(
            part="finetuning",
            suite=suite,
            split=f"tasks:{size}",
            starts=starts,
            contexts=tasks[suite],
            n_steps=n_steps,
            every=2_000,
            seeds=seeds,
            preset=preset,
            td_weight=td_weight,
        )

    return tuple(
        one
        for suite in tasks
        for one in (
            *(planned(suite, n, STARTS if n == sizes[0] else STARTS[2:]) for n in sizes),
            planned(suite, sizes[0], ("hyplatent",), td_weight=0.0),
        )
    )


def _longer(
    tasks: Mapping[str, tuple[str, ...]], size: int, n_steps: int
) -> tuple[PlannedFineTuning, ...]:
    """How far SAC comes without a start, and whether a good one lasts to the end of the ramp."""
    return tuple(
        PlannedFineTuning(
            part="finetuning",
            suite=suite,
            split=f"tasks:{size}",
            starts=(*UNTRAINED, "hyplatent"),
            contexts=contexts,
            n_steps=n_steps,
            every=4_000,
            seeds=1,
        )
        for suite, contexts in tasks.items()
    )


def _as_published(
    tasks: Mapping[str, tuple[str, ...]], size: int, n_steps: int
) -> tuple[PlannedFineTuning, ...]:
    """What the paper's own settings do to HypLatent's policy."""
    return tuple(
        PlannedFineTuning(
            part="finetuning",
            suite=suite,
            split=f"tasks:{size}",
            starts=("hyplatent",),
            contexts=contexts,
            n_steps=n_steps,
            every=2_000,
            seeds=1,
            preset="paper",
        )
        for suite, contexts in tasks.items()
    )


_LAST = {name: contexts[-1:] for name, contexts in FIGURE_6.items()}

LAPTOP = Preset(
    doc="The two uniform grids, all sizes of the training set, 5 seeds; fine-tuning from 15 "
    "training tasks alone, in one held-out task of each suite instead of two, for 20,000 steps "
    "instead of 200,000, with 2 seeds instead of 3; from scratch and from HypLatent's policy "
    "for 40,000 with one seed. It learns from the shipped experts, of which docs/genhyper.md "
    "tells, and fine-tunes with this repository's settings; with the paper's, "
    "HypLatent's policy alone, for 20,000 steps with one seed.",
    runs=(*_table(UNIFORM, 5), *_choices(5)),
    fine_tunings=(
        *_fine_tunings(_LAST, (15,), 20_000, 2),
        *_longer(_LAST, 15, 40_000),
        *_as_published(_LAST, 15, 20_000),
    ),
)

PAPER = Preset(
    doc="Both kinds of grids, all sizes of the training set, 5 seeds, from the shipped experts, "
    "one policy a task instead of 500 (`--zoo` takes a folder that has more; no experts of the "
    "older grids are shipped); fine-tuning in the tasks of "
    "the paper's figure 6, from three training sets, for 200,000 steps, with 3 seeds and the "
    "paper's settings, as far as it gives them (`FineTuneConfig.paper`).",
    runs=(*_table(UNIFORM, 5), *_table(OLDER, 5), *_choices(5)),
    fine_tunings=_fine_tunings(FIGURE_6, (15, 25, 35), 200_000, 3, "paper"),
)

GENHYPER = Plan(
    name="genhyper",
    title="Reddy et al., GenHyper: Adversarial Generative Hypernetworks for Efficient Policy "
    "Adaptation, IROS 2025",
    parts=(
        Part(
            name="table",
            title="Table I: zero-shot return against the number of training tasks",
            note="Five held-out tasks. In brackets: the paper's HypLatent, whose grids are likely "
            f"the uniform ones, without -macaw. It compares with {GENHYPER_OTHERS}.",
        ),
        Part(
            name="choices",
            title="What the paper leaves open, chosen otherwise",
            note="From 15 training tasks; one thing at a time differs from hyplatent.",
        ),
        Part(
            name="finetuning",
            title="Figure 6: fine-tuning",
            note="SAC with the TD term from every start, without it where the weight is 0; "
            "scratch is plain SAC from random weights, with the smallest training set alone, on "
            "which it does not depend. Means over runs; the median is of the environment steps to "
            "95 % of the expert's return, the dip is the largest fall below the start.",
        ),
    ),
    figures=(
        Figure(
            label="Table I",
            shows="zero-shot return, by method and number of training tasks",
            part="table",
            suites=(*UNIFORM, *OLDER),
            file="report.html",
        ),
        Figure(
            label="Figure 5",
            shows="return against the task, zero-shot",
            part="table",
            suites=(*UNIFORM, *OLDER),
            file="return-versus-context.png",
        ),
        Figure(
            label="Figure 6",
            shows="return against steps of fine-tuning",
            part="finetuning",
            suites=UNIFORM,
            file="return-versus-steps.png",
        ),
    ),
    presets={"laptop": LAPTOP, "paper": PAPER},
    sources="the paper's Table I, without intervals.",
)
