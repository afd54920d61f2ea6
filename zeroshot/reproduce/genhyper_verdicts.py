"""What GenHyper's results come to, in sentences that are made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experts.finetune_config import FineTuneConfig
from zeroshot.comparisons import TRIVIAL
from zeroshot.finetune_results import DIP
from zeroshot.finetune_starts import UNTRAINED
from zeroshot.finetune_statistics import NEAR_EXPERT, expert_target, steps_to_reach
from zeroshot.frozen import split_of
from zeroshot.published import GENHYPER_TABLE_1
from zeroshot.reproduce.genhyper import FIGURE_6
from zeroshot.reproduce.pages import NOT_MEASURED
from zeroshot.splits import rule_of
from zeroshot.statistics import shares_of
from zeroshot.suites import suite_of

UNLIKELY = 0.05
"""From which probability down chance alone does not explain what was found."""
ONE_SIDE = 0.025
"""Probability that a 95 % interval lies on one given side of a difference of zero."""

Record = Mapping[str, Any]
Sizes = Mapping[tuple[str, int], Record]
"""A suite and its number of training tasks to the record of Table I."""

OURS, NEAREST = "hyplatent", "nearest"
FALL = 0.25
"""Of the usual return: experts that return so much less in one fit fell in an episode of it."""
SHARE_OF_SCRATCH = 0.25
"""In which share of the steps that SAC needs from scratch fine-tuning should be there."""


def ahead_of_published(found: Sizes) -> str:
    """In how many lines of Table I HypLatent and the nearest expert are ahead of the paper's."""
    said = []
    for name, label in (
        (OURS, "HypLatent"),
        (NEAREST, "the nearest training expert, left as it is"),
    ):
        ahead = [
            record["methods"][name]["return"] > GENHYPER_TABLE_1[suite][size]
            for (suite, size), record in found.items()
            if size in GENHYPER_TABLE_1.get(suite, {}) and name in record["methods"]
        ]
        if ahead:
            said.append(f"{label} in {sum(ahead)} of {len(ahead)} lines")
    if not said:
        return f"Ahead of the paper's HypLatent: {NOT_MEASURED}."
    return (
        f"Ahead of the paper's HypLatent: {', '.join(said)}. What the nearest expert reaches "
        "without learning anything, the experts bring, not the method. And these experts are "
        "chained (cheetah-vel) or one policy, turned (ant-dir), where the published are trained "
        "apart: the plan of experts that begin at one shared initialisation and never meet, the "
        "paper's setting (`PLANS` in experts/collections_build.py), was never run here."
    )


def chance_of(n_sure: int, n: int, one: float = ONE_SIDE) -> float:
    """Probability of at least so many of n findings where there is no difference.

    Args:
        n_sure: how many were found.
        n: of how many.
        one: probability of each; by default that a 95 % interval lies above zero.
    """
    return sum(comb(n, k) * one**k * (1.0 - one) ** (n - k) for k in range(n_sure, n + 1))


def distances(suite: str, size: int) -> NDArray[np.float64]:
    """From each held-out task to the nearest of the training tasks, (n_test,).

    In the feature's unit, angles in degrees and the shorter way round.
    """
    split = split_of(suite_of(suite), rule_of(f"tasks:{size}", suite_of(suite)), seed=0)
    return np.asarray(_apart(suite)[np.ix_(split.test, split.train)].min(axis=1))


def easy_choice(suite: str) -> str:
    """Which training sets have a next neighbour of every held-out task, and which drawn ones do."""
    held_out, sizes = list(suite_of(suite).test_ids), suite_of(suite).train_sizes
    apart = _apart(suite)[held_out]
    apart[:, held_out] = np.inf
    next_ones = [set(np.flatnonzero(np.isclose(row, row.min())).tolist()) for row in apart]
    n = apart.shape[1] - len(held_out)
    have = [size for size in sizes if np.allclose(distances(suite, size), apart.min(axis=1))]
    drawn = [f"{_chance_of_next(next_ones, n, size):.0%}" for size in have]
    return (
        f"On {suite} each held-out task has a neighbour on the grid among the {_listed(have)} "
        f"training tasks; of random sets of these sizes {_listed(drawn)} have that."
    )


def _apart(suite: str) -> NDArray[np.float64]:
    """Distances between all tasks of a suite with one feature, (n_tasks, n_tasks)."""
    (feature,) = suite_of(suite).family.selected(suite_of(suite).features)
    values = np.array([context[feature.name] for context in suite_of(suite).contexts])
    found = np.abs(values[:, None] - values)
    if feature.encoding == "angle":
        found = np.degrees(np.minimum(found, 2.0 * np.pi - found))
    return np.asarray(found)


def _chance_of_next(next_ones: Sequence[set[int]], n: int, size: int) -> float:
    """Probability that `size` of n tasks, drawn, have at least one of each set."""
    return sum(
        (-1) ** k * comb(n - len(set().union(*missed)), size) / comb(n, size)
        for k in range(len(next_ones) + 1)
        for missed in combinations(next_ones, k)
    )


def near_experts(found: Sizes) -> str:
    """Which methods are within 5 % of the experts, suite by suite and size by size.

    By the median over fits, which one fall, of an expert or of a method, does not decide.
    """
    lines: list[str] = []
    missing: dict[str, list[float]] = {}
    for (suite, size), record in found.items():
        rows = record["methods"]
        if "expert" not in rows:
            continue
        shares = {
            name: float(np.median(_shares(row, rows["expert"])))
            for name, row in rows.items()
            if row["kind"] == "method" or name == NEAREST
        }
        if not shares:
            continue
        near = sorted(name for name, share in shares.items() if share >= NEAR_EXPERT)
        learned = [share for name, share in shares.items() if name not in TRIVIAL]
        if learned:
            missing.setdefault(suite, []).append(NEAR_EXPERT - max(learned))
        lines.append(f"- {suite}, {size} training tasks: {', '.join(near) or _closest(shares)}")
    within = f"Within {1 - NEAR_EXPERT:.0%} of the experts' return"
    if not lines:
        return f"{within}: {NOT_MEASURED}."
    rule = (
        "by the median over fits of each fit's own ratio to the experts on the same starts (1 plus "
        "the difference of the two returns over the size of the experts'), so that no single fall "
        "decides:"
    )
    missed = []
    for suite, short in missing.items():
        points = [100.0 * one for one in short if one > 0.0]
        if points:
            ends = dict.fromkeys(f"{end:.1f}" for end in (min(points), max(points)))
            missed.append(
                f"The aim, a method that learns and is within {1 - NEAR_EXPERT:.0%}, is missed on "
                f"{suite} with {len(points)} of {len(short)} training sets: the best is "
                f"{' to '.join(ends)} percentage points below {NEAR_EXPERT:.0%}."
            )
    return "\n\n".join(["\n".join([f"{within}, {rule}", *lines]), *missed, *_falls(found)])


def _shares(row: Record, expert: Record) -> NDArray[np.float64]:
    """A method's ratio to the experts fit by fit; of the means where fits are not told apart."""
    own, theirs = (
        dict(zip(one["own_seeds"], one["returns"], strict=True)) if "returns" in one else {}
        for one in (row, expert)
    )
    pairs = [(own[seed], theirs[seed]) for seed in own if seed in theirs]
    returns, experts = np.array(pairs or [(row["return"], expert["return"])]).T
    return shares_of(returns, experts)


def _closest(shares: Mapping[str, float]) -> str:
    """Which row comes closest, and which of those that learn."""
    best = max(shares, key=shares.__getitem__)
    said = f"none; {best} comes closest, at {shares[best]:.1%}"
    learned = [name for name in shares if name not in TRIVIAL]
    if best in TRIVIAL and learned:
        first = max(learned, key=shares.__getitem__)
        said += f", without learning anything; of those that learn {first}, at {shares[first]:.1%}"
    return said


def _falls(found: Sizes) -> list[str]:
    """Where the experts of one fit return far less than those of the others: a sentence each."""
    said = []
    for (suite, _), record in found.items():
        expert = record["methods"].get("expert", {})
        returns = np.array(expert.get("returns", ()))
        for i, own in enumerate(returns if len(returns) > 1 else ()):
            others = np.delete(returns, i)
            usual = float(np.median(others))
            if usual - own >= FALL * abs(usual):
                said.append(
                    f"On {suite} an expert fell on the starts of seed {expert['own_seeds'][i]}: "
                    f"there the experts return {own:.1f}, in the median of the other fits "
                    f"{usual:.1f}. It moves their mean return in the table from "
                    f"{others.mean():.1f} to {returns.mean():.1f}."
                )
    return list(dict.fromkeys(said))


def tuning_verdict(tunings: Sequence[Record]) -> str:
    """Whether fine-tuning HypLatent's policy keeps what it has, and how soon it is at the expert.

    Args:
        tunings: the small files of fine-tunings; where their packed runs are there, with
            `episodes`, those of a point, and `errors`, a start to the standard error of a point.
    """
    ours = [record for record in tunings if OURS in record["starts"]]
    said = []
    for record in ours:
        row, steps = record["starts"][OURS], record["steps"][-1]
        config = FineTuneConfig.named(record["preset"], td_weight=record["td_weight"])
        words = (
            f"- {_label(record)}: {row['runs'] - row['dipped']} of {row['runs']} "
            f"run{'s' * (row['runs'] > 1)} stay within {DIP:.0%} of the start; {row['reached']} "
            f"reach {NEAR_EXPERT:.0%} of the expert{_soon(record, tunings)}"
        )
        said.append(f"{words}. {_state(config, steps)}")
    if not said:
        return f"What fine-tuning does to HypLatent's policy: {NOT_MEASURED}."
    parts = ["\n".join(["Fine-tuning HypLatent's policy, in words:", *said])]
    parts.append(
        "\n".join([f"How much that says: {_size(ours)}", *filter(None, map(_starts, ours))])
    )
    return "\n\n".join([*parts, td_verdict(ours)])


def _label(record: Record) -> str:
    said = f"{record['suite']}, {record['steps'][-1]:,} steps, TD weight {record['td_weight']:g}"
    return said if record["preset"] == "default" else f"{said}, preset {record['preset']}"


def _size(ours: Sequence[Record]) -> str:
    """How many tasks, runs and episodes there are."""
    tasks = {(one["suite"], c["context"]) for one in ours for c in one["curves"][OURS]}
    runs = sorted({record["starts"][OURS]["runs"] for record in ours})
    episodes = sorted({record["episodes"] for record in ours if record.get("episodes")})
    points = f" Every point is a mean of {_listed(episodes)} episodes." if episodes else ""
    return (
        f"{len(tasks)} of the {sum(map(len, FIGURE_6.values()))} tasks of figure 6, with "
        f"{_listed(runs, 'or')} runs a line.{points} The first point at the target counts. By "
        "start, the steps after which each run is there, 0 before any training:"
    )


def _starts(record: Record) -> str:
    """When other starts are at the target, and how far HypLatent's is from it at first."""
    others = {
        start: _steps(record, start)
        for start in record["starts"]
        if start not in (OURS, *UNTRAINED) and record["curves"].get(start)
    }
    if not others:
        return ""
    own = _steps(record, OURS)
    came = [f"{start} {_each(steps)}" for start, steps in {**others, OURS: own}.items()]
    said = f"- {_label(record)}: {'; '.join(came)}."
    as_soon = [start for start, steps in others.items() if max(steps) <= min(own)]
    if as_soon:
        said += (
            f" From {_listed(as_soon)} it takes no more steps in any run: to be there so soon is "
            "nothing that HypLatent brings."
        )
    below = float(
        np.mean(
            [
                expert_target(c["expert"]) - np.mean(c["returns"], axis=0)[0]
                for c in record["curves"][OURS]
            ]
        )
    )
    if OURS not in record.get("errors", {}):
        return said
    error = record["errors"][OURS]
    return (
        f"{said} HypLatent's policy begins {abs(below):.1f} {'below' if below > 0 else 'above'} "
        f"the target, where a point's standard error over its episodes is {error:.1f} in the "
        f"median{', so it may be there from the beginning' * (0 < below < 2 * error)}."
    )


def _each(steps: Sequence[float]) -> str:
    return ", ".join(f"{one:,.0f}" if np.isfinite(one) else "never" for one in sorted(steps))


def td_verdict(ours: Sequence[Record]) -> str:
    """What the TD term adds: its weight against 0, by all runs of a suite.

    It is judged by the steps alone; what else is told are other sides of the same runs.

    Args:
        ours: fine-tunings from HypLatent's policy.
    """
    said, better, worse, chances = [], 0, 0, [0.0]
    for one, other in ((a, b) for a in ours for b in ours):
        alike = all(one[name] == other[name] for name in ("suite", "split_rule", "preset", "steps"))
        if not alike or other["td_weight"] or not one["td_weight"]:
            continue
        steps = [_steps(record, OURS) for record in (one, other)]
        better += max(steps[0]) < min(steps[1])
        worse += min(steps[0]) > max(steps[1])
        chances.append(1.0 / comb(len(steps[0]) + len(steps[1]), len(steps[0])))
        ends = [", ".join(f"{end:.1f}" for end in _ends(record)) for record in (one, other)]
        came = [_each(each) for each in steps]
        rows = [record["starts"][OURS] for record in (one, other)]
        dips = [f"{row['dipped']} of {row['runs']}" for row in rows]
        said.append(
            f"- {one['suite']}, {one['steps'][-1]:,} steps, weight {one['td_weight']:g} against 0: "
            f"steps to {NEAR_EXPERT:.0%} {came[0]} against {came[1]}; return at the end {ends[0]} "
            f"against {ends[1]}; {dips[0]} runs dip by {DIP:.0%} against {dips[1]}"
        )
    if not said:
        return f"Whether the TD term adds something: {NOT_MEASURED}."
    n = len(chances) - 1
    adds = "adds nothing that these runs show"
    if better > worse and chance_of(better, n, max(chances)) < UNLIKELY:
        adds = "adds something"
    return "\n".join(
        [
            f"The TD term {adds}: on {better} of {n} suites all runs with it come to "
            f"{NEAR_EXPERT:.0%} of the expert in fewer steps than all without, on {worse} in more. "
            "With so few runs that is so by chance alone with a probability of "
            f"{max(chances):.2f} a suite.",
            *said,
        ]
    )


def _ends(record: Record) -> list[float]:
    """The return at the end of each run from HypLatent's policy."""
    returns = [np.array(curve["returns"]) for curve in record["curves"][OURS]]
    return [float(end) for own in returns for end in own[:, -1]]


def _soon(record: Record, tunings: Sequence[Record]) -> str:
    """After how many steps the last run is at 95 % of the expert, beside SAC from scratch."""
    latest = max(_steps(record, OURS))
    if not np.isfinite(latest):
        return ""
    said = f", after {latest:,.0f} steps at most"
    others = [other for other in tunings if other["suite"] == record["suite"]]
    scratch = [steps for other in others for start in UNTRAINED for steps in _steps(other, start)]
    if not scratch:
        return said
    tried = [other for other in others if any(other["curves"].get(one) for one in UNTRAINED)]
    soonest, longest = min(scratch), max(other["steps"][-1] for other in tried)
    does = f"does after {soonest:,.0f}" if np.isfinite(soonest) else f"does not within {longest:,}"
    share = latest / min(soonest, longest)
    sure = "at most a quarter" if share <= SHARE_OF_SCRATCH else "more than a quarter"
    return f"{said}, {sure} of what SAC from scratch takes, which {does}"


def _steps(record: Record, start: str) -> list[float]:
    """Steps after which each run from a start is at 95 % of the expert, infinite for never."""
    return [
        float(steps)
        for curve in record["curves"].get(start, ())
        for steps in steps_to_reach(
            record["steps"], curve["returns"], expert_target(curve["expert"])
        )
    ]


def _state(config: FineTuneConfig, steps: int) -> str:
    """How free the policy is at the end: the learning rate, and the anchor to the start."""
    updates = max(0, steps - config.collect_steps) * config.updates_per_step
    done = min(1.0, updates / config.ramp_updates) if config.ramp_updates else 1.0
    said = f"At the end the ramp of the policy's learning rate is {done:.0%} through"
    if not config.anchor_weight:
        return f"{said}; nothing ties the policy to its start."
    weight = config.anchor_weight * 0.5 ** (updates / config.anchor_half_life)
    return f"{said}, the anchor's weight is {weight:.2f} of {config.anchor_weight:g} at first."


def _listed(words: Sequence[object], last: str = "and") -> str:
    """Of words a list in a sentence."""
    said = [str(word) for word in words]
    return f" {last} ".join(filter(None, [", ".join(said[:-1]), *said[-1:]]))
