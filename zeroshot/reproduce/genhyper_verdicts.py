"""What GenHyper's results come to, in sentences that are made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from typing import Any

import numpy as np

from experts.finetune_config import FineTuneConfig
from zeroshot.finetune_starts import UNTRAINED
from zeroshot.finetune_statistics import NEAR_EXPERT, expert_target, steps_to_reach
from zeroshot.published import GENHYPER_TABLE_1
from zeroshot.reproduce.pages import NOT_MEASURED

UNLIKELY = 0.05
"""From which probability down chance alone does not explain what was found."""
ONE_SIDE = 0.025
"""Probability that a 95 % interval lies on one given side of a difference of zero."""

Record = Mapping[str, Any]
Sizes = Mapping[tuple[str, int], Record]
"""A suite and its number of training tasks to the record of Table I."""

OURS, NEAREST = "hyplatent", "nearest"
DIP = 0.1
"""Of the start's return: a fall by more counts as one."""
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
        "without learning anything, the experts bring, not the method."
    )


def chance_of(n_sure: int, n: int) -> float:
    """Probability of at least so many of n intervals above zero where there is no difference."""
    return sum(comb(n, k) * ONE_SIDE**k * (1.0 - ONE_SIDE) ** (n - k) for k in range(n_sure, n + 1))


def near_experts(found: Sizes) -> str:
    """Which methods are within 5 % of the experts, suite by suite and size by size."""
    lines = []
    for (suite, size), record in found.items():
        rows = record["methods"]
        if "expert" not in rows:
            continue
        least = float(expert_target(rows["expert"]["return"]))
        near = sorted(
            name
            for name, row in rows.items()
            if row["return"] >= least and (row["kind"] == "method" or name == NEAREST)
        )
        lines.append(f"- {suite}, {size} training tasks: {', '.join(near) or 'none'}")
    if not lines:
        return f"Within {1 - NEAR_EXPERT:.0%} of the experts' return: {NOT_MEASURED}."
    return "\n".join([f"Within {1 - NEAR_EXPERT:.0%} of the experts' return:", *lines])


def tuning_verdict(tunings: Sequence[Record]) -> str:
    """Whether fine-tuning HypLatent's policy keeps what it has, and how soon it is at the expert.

    Args:
        tunings: the small files of fine-tunings.
    """
    said = []
    for record in tunings:
        row = record["starts"].get(OURS)
        if row is None:
            continue
        steps = record["steps"][-1]
        config = FineTuneConfig.named(record["preset"], td_weight=record["td_weight"])
        label = f"{record['suite']}, {steps:,} steps, TD weight {record['td_weight']:g}"
        if record["preset"] != "default":
            label += f", preset {record['preset']}"
        words = (
            f"- {label}: {row['runs'] - row['dipped']} of {row['runs']} "
            f"run{'s' * (row['runs'] > 1)} stay within {DIP:.0%} of the start; {row['reached']} "
            f"reach {NEAR_EXPERT:.0%} of the expert{_soon(record, tunings)}"
        )
        said.append(f"{words}. {_state(config, steps)}")
    if not said:
        return f"What fine-tuning does to HypLatent's policy: {NOT_MEASURED}."
    return "\n".join(["Fine-tuning HypLatent's policy, in words:", *said])


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
    soonest, longest = min(scratch), max(other["steps"][-1] for other in others)
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
