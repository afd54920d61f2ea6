"""The first lines of a page of results: what they come to, made from the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zeroshot.comparisons import TRIVIAL
from zeroshot.reproduce.genhyper_verdicts import (
    Sizes,
    ahead_of_published,
    near_experts,
    tuning_verdict,
)
from zeroshot.reproduce.pages import NOT_MEASURED
from zeroshot.reproduce.split_returns import common_ratios

Record = Mapping[str, Any]

BASELINES = ("conditioned", "conditioned-uvfa", "film", "maml", "pearl")
PARTS = {"hyperzero-without-td": "TD loss", "hyperzero-without-value": "value function"}
"""Methods that lack a part of HyperZero, and which."""


def hyperzero_in_short(main: Sequence[Record], ranges: Sequence[Record]) -> str:
    """HyperZero's comparison in a few bullets.

    Args:
        main: one record a suite with 85 % of the contexts for training, as `read_results` gives
            them.
        ranges: of gaps, extrapolations and quadrants.
    """
    if not main:
        return f"- The comparison: {NOT_MEASURED}."
    ahead = [f"{name} by {_mean(main, 'hyperzero', name):.2f}" for name in _there(main, BASELINES)]
    less = [
        f"its {part} ({_mean(main, name, 'hyperzero'):+.3f} without it)"
        for name, part in PARTS.items()
        if _there(main, [name])
    ]
    fewest, most = _splits(main)
    lines = [
        f"- {len(main)} suites, 85 % of the contexts for training, "
        f"{fewest if fewest == most else f'{fewest} to {most}'} splits each; differences are of "
        "ratios to the experts' return, in the mean over suites.",
        f"- HyperZero is ahead of {', '.join(ahead) or 'nothing that was measured'}. `pearl` alone "
        "is not told the context.",
        f"- HyperZero owes little to {' or '.join(less) or 'what was not left out'}.",
    ]
    if _there(main, ["hyperdistil"]):
        better = _mean(main, "hyperdistil", "hyperzero")
        lines.append(
            f"- HyperDistil is ahead of HyperZero by {better:.2f}. It plays episodes of its own in "
            "training contexts and learns their rewards, which no other method does, and hands out "
            "a training expert, or a mix of two, where that does better there."
        )
    nearest = [
        f"{said} by {_mean(main, name, 'nearest'):+.3f}, surely on {_sure(main, name, 'nearest')}"
        for name, said in (("hyperzero", "HyperZero"), ("hyperdistil", "HyperDistil"))
        if any("nearest" in record["vs"].get(name, {}) for record in main)
    ]
    lines.append(
        "- The nearest training expert learns nothing, and is hard to beat: ahead of it are "
        f"{'; '.join(nearest) or 'none'} of {len(main)} suites."
    )
    quadrants = [_quadrant(record) for record in ranges if record["split_rule"] == "quadrant"]
    if quadrants:
        lines.append(
            "- Where a quadrant of two features is held out, the best learned method reaches "
            f"{', '.join(quadrants)}."
        )
    return "\n".join(lines)


def genhyper_in_short(table_1: Sizes, tunings: Sequence[Record], adversary: str) -> str:
    """GenHyper's in a few bullets: what its page says at length, without the tables.

    Args:
        table_1: the records of Table I.
        tunings: of fine-tunings.
        adversary: what the adversarial loss adds, in words.
    """
    near = [part for part in near_experts(table_1).split("\n\n") if part.startswith("The aim")]
    tuned = tuning_verdict(tunings).splitlines()
    said = [ahead_of_published(table_1), *near, adversary]
    said += [line for line in tuned if line.startswith("The TD term")]
    return "\n".join(f"- {one}" for one in said)


def _splits(records: Sequence[Record]) -> tuple[int, int]:
    """The fewest and the most splits that a method was played on."""
    splits = [row["splits"] for record in records for row in record["methods"].values()]
    return min(splits), max(splits)


def _there(records: Sequence[Record], names: Sequence[str]) -> list[str]:
    """The names that are compared with HyperZero anywhere."""
    return [name for name in names if any(name in r["vs"].get("hyperzero", {}) for r in records)]


def _mean(records: Sequence[Record], ours: str, other: str) -> float:
    """Mean difference of the ratios over the suites that have both."""
    found = [r["vs"][ours][other][0] for r in records if other in r["vs"].get(ours, {})]
    return float(np.mean(found)) if found else np.nan


def _sure(records: Sequence[Record], ours: str, other: str) -> int:
    """On how many suites the whole interval is above 0."""
    return sum(r["vs"].get(ours, {}).get(other, (0.0, 0.0))[1] > 0.0 for r in records)


def _quadrant(record: Record) -> str:
    learned = [
        name
        for name, row in record["methods"].items()
        if row["kind"] == "method" and name not in TRIVIAL
    ]
    ratios, _ = common_ratios(record, [*learned, "nearest"])
    best = max(learned, key=ratios.__getitem__)
    nearest = f", the nearest expert {ratios['nearest']:.2f}" if "nearest" in ratios else ""
    return f"{ratios[best]:.2f} on {record['suite']} ({best}{nearest})"
