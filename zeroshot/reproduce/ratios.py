"""Tables of ratios to the experts' return that documents show: suites by methods, and pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from zeroshot.reproduce.pages import NOT_MEASURED

Record = Mapping[str, Any]


def ratio_table(
    records: Sequence[Record],
    columns: Sequence[str],
    *,
    compared: str,
    beside: Mapping[str, Callable[[Record], str]],
) -> str:
    """A line a suite, a column a method that any of the records has.

    Args:
        records: one a suite, as `read_results` gives them.
        columns: names of methods and rows, in order.
        compared: a method; a ratio surely below its own is marked <, one surely above >.
        beside: further columns, name to what a record has there.
    """
    columns = [name for name in columns if any(name in record["methods"] for record in records)]
    lines = [
        f"| suite | {' | '.join([*columns, *beside])} |",
        f"|---|{'--:|' * (len(columns) + len(beside))}",
    ]
    for record in records:
        cells = [_cell(record, name, compared) for name in columns]
        cells += [said(record) for said in beside.values()]
        lines.append(f"| {record['suite']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def against_table(records: Sequence[Record], ours: str, others: Sequence[str]) -> str:
    """A line a method that one is compared with: by how much it is ahead, and where surely.

    Args:
        records: one a suite, as `read_results` gives them.
        ours: the method.
        others: what it is compared with, left out where no record has both.
    """
    lines = [
        f"| {ours} against | suites | mean difference | smallest | surely ahead on | "
        "surely behind on |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for other in others:
        pairs = {
            record["suite"]: record["vs"][ours][other]
            for record in records
            if other in record["vs"].get(ours, {})
        }
        if not pairs:
            continue
        values = [value for value, _, _ in pairs.values()]
        behind = [suite for suite, (_, _, high) in pairs.items() if high < 0.0]
        ahead = sum(low > 0.0 for _, low, _ in pairs.values())
        lines.append(
            f"| {other} | {len(pairs)} | {np.mean(values):+.3f} | {min(values):+.3f} | {ahead} | "
            f"{', '.join(behind)} |"
        )
    return "\n".join(lines)


def copies_line(records: Sequence[Record]) -> str:
    """For how many contexts each method hands out a training expert, over the runs that tell."""
    shares: dict[str, list[float]] = {}
    for record in records:
        for name, row in record["methods"].items():
            if row.get("copies") is not None:
                shares.setdefault(name, []).append(row["copies"])
    told = [
        f"{name} {100.0 * np.mean(found):.0f} % in {len(found)} run{'s' * (len(found) > 1)}"
        for name, found in sorted(shares.items())
    ]
    said = "Training experts handed out as they are, the share of held-out contexts: "
    return f"{said}{', '.join(told) or NOT_MEASURED}."


def fewest_splits(record: Record) -> str:
    """The smallest number of splits that a method of a run was fitted on."""
    found = [row["splits"] for row in record["methods"].values() if row["kind"] == "method"]
    return str(min(found, default=0))


def _cell(record: Record, name: str, compared: str) -> str:
    row = record["methods"].get(name)
    if row is None:
        return "-"
    _, low, high = record["vs"].get(compared, {}).get(name, (0.0, 0.0, 0.0))
    mark = " <" if low > 0.0 else " >" if high < 0.0 else ""
    return f"{row['ratio']:.3f}{mark}"
