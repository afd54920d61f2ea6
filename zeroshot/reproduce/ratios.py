"""Tables of ratios to the experts' return that documents show: suites by methods, and pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from zeroshot.reproduce.pages import NOT_MEASURED, markdown_table
from zeroshot.reproduce.split_returns import common_ratios
from zeroshot.statistics import N_RESAMPLES, percentile_interval

Record = Mapping[str, Any]

YARDSTICK = "hyperzero"
"""Whose processor time the other methods are given about as much of."""


def ratio_table(
    records: Sequence[Record],
    columns: Sequence[str],
    *,
    compared: str,
    beside: Mapping[str, Callable[[Record], str]],
) -> str:
    """A line a suite, a column a method that any of the records has, and the number of splits.

    A suite's ratios are of the splits that all that it has were played on.

    Args:
        records: one a suite, as `read_results` gives them.
        columns: names of methods and rows, in order.
        compared: a method; a ratio surely below its own is marked <, one surely above >, by the
            splits that both were played on.
        beside: further columns, name to what a record has there.
    """
    columns = [name for name in columns if any(name in record["methods"] for record in records)]
    rows = []
    for record in records:
        ratios, splits = common_ratios(record, columns)
        cells = [
            f"{ratios[name]:.3f}{_mark(record, name, compared)}" if name in ratios else "-"
            for name in columns
        ]
        cells += [said(record) for said in beside.values()] + [str(splits)]
        rows.append((record["suite"], *cells))
    return markdown_table(("suite", *columns, *beside, "splits"), rows)


def against_table(records: Sequence[Record], ours: str, others: Sequence[str]) -> str:
    """A line a method that one is compared with: by how much it is ahead, and where surely.

    Args:
        records: one a suite, as `read_results` gives them.
        ours: the method.
        others: what it is compared with, left out where no record has both.
    """
    lines = [
        f"| {ours} against | suites | mean difference | 95 %, bodies redrawn | smallest | "
        "surely ahead on | surely behind on |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for other in others:
        pairs = {
            record["suite"]: record["vs"][ours][other]
            for record in records
            if other in record["vs"].get(ours, {})
        }
        if not pairs:
            continue
        values = np.array([value for value, _, _ in pairs.values()])
        low, high = interval_over_bodies({suite: value for suite, (value, _, _) in pairs.items()})
        behind = [suite for suite, (_, _, high) in pairs.items() if high < 0.0]
        ahead = sum(low > 0.0 for _, low, _ in pairs.values())
        lines.append(
            f"| {other} | {len(pairs)} | {values.mean():+.3f} | [{low:+.3f}, {high:+.3f}] | "
            f"{values.min():+.3f} | {ahead} | {', '.join(behind)} |"
        )
    return "\n".join(lines)


def interval_over_bodies(values: Mapping[str, float]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over suites, which redraws bodies with their features.

    A suite and the one with the published reward (`-reach`) have the same contexts and bodies: they
    are redrawn together.

    Args:
        values: one a suite.
    """
    bodies: dict[str, list[float]] = {}
    for suite, value in values.items():
        bodies.setdefault(suite.removesuffix("-reach"), []).append(value)
    sums = np.array([sum(own) for own in bodies.values()])
    sizes = np.array([len(own) for own in bodies.values()])
    ids = np.random.default_rng(0).integers(len(bodies), size=(N_RESAMPLES, len(bodies)))
    low, high = percentile_interval(sums[ids].sum(axis=1) / sizes[ids].sum(axis=1))
    return float(low), float(high)


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


def cost_line(records: Sequence[Record]) -> str:
    """What the fits of runs took, and each method's."""
    if not records:
        return f"Cost of the fits: {NOT_MEASURED}."
    fits: dict[str, list[float]] = {}
    for record in records:
        for name, row in record["methods"].items():
            if row["kind"] == "method":
                fits.setdefault(name, []).extend([row["fit_seconds"]] * row["splits"])
    cores = sorted({str(record["machine"]["cores"]) for record in records})
    total = sum(sum(each) for each in fits.values())
    each = ", ".join(f"{name} {np.median(found):.0f}" for name, found in sorted(fits.items()))
    shares = ", ".join(f"{name} {share:.2f}" for name, share in sorted(shares_of(records).items()))
    return (
        f"Cost of the fits of {len(records)} runs: {total / 3600:.1f} hours, one after "
        f"another, on a machine of {' or '.join(cores)} cores. Median seconds of a fit: {each}. "
        f"As shares of {YARDSTICK}'s in the same runs, medians: {shares or NOT_MEASURED}. "
        "What hyperdistil plays when it hands out policies is not among them."
    )


def shares_of(records: Sequence[Record]) -> dict[str, float]:
    """Median share of `YARDSTICK`'s seconds that a method's fits took, over runs that have both."""
    shares: dict[str, list[float]] = {}
    for record in records:
        whole = record["methods"].get(YARDSTICK, {"fit_seconds": 0.0})["fit_seconds"]
        for name, row in record["methods"].items():
            if row["kind"] == "method" and name != YARDSTICK and whole > 0.0:
                shares.setdefault(name, []).append(row["fit_seconds"] / whole)
    return {name: float(np.median(found)) for name, found in shares.items()}


def _mark(record: Record, name: str, compared: str) -> str:
    _, low, high = record["vs"].get(compared, {}).get(name, (0.0, 0.0, 0.0))
    return " <" if low > 0.0 else " >" if high < 0.0 else ""
