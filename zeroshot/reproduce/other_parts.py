"""Tables that documents show of a plan's further parts: other splits, few shots, the gap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from zeroshot.reproduce.hyperzero import BEST, DISTILLED, REACH, TRACK
from zeroshot.reproduce.pages import NOT_MEASURED, folded, markdown_table
from zeroshot.reproduce.split_returns import common_ratios

Record = Mapping[str, Any]

NOTABLE = 0.02
"""Differences of ratios from which on a loss is told."""

ROWS = ("nearest", "best-of-direction", "best-single")
"""That learn nothing, beside the methods."""


def further_parts(records: Sequence[Record]) -> list[str]:
    """Tables of the parts of HyperZero's plan beside `main` and `fifth`, as far as they were run.

    Args:
        records: as `read_results` gives them, of that plan.
    """
    order = [*TRACK, *REACH]

    def of(part: str) -> list[Record]:
        own = [record for record in records if record["part"] == part]
        return sorted(own, key=lambda r: (order.index(r["suite"]), _fraction(r), r["split_rule"]))

    methods = (*BEST, *ROWS)
    tables: list[tuple[str, str, Callable[[Sequence[Record]], str]]] = [
        (
            "fractions",
            "Less for training: ratio to the experts, the best method in bold.",
            lambda own: split_table(own, methods),
        ),
        (
            "ranges",
            "What random splits do not ask for: the middle of a range held out, its end, or a "
            "quadrant of two features. The contexts are the same in every split; fits and starts "
            "differ.",
            lambda own: split_table(own, methods),
        ),
        (
            "shots",
            "After k episodes in the test context, ratios with 95 % intervals. Demonstrations are "
            "its expert's: policies are cloned on them, PEARL is shown them. In interaction there "
            "is no expert: PEARL infers the context, and of all others the policies of nearby "
            "contexts are tried, the best of which stays, so that the first episode changes "
            "nothing. A method with the numbers of another is left out.",
            lambda own: (
                f"{folded('all methods, suites and k', few_shot_table(own))}\n\n"
                f"{few_shot_words(own)}"
            ),
        ),
        (
            "surfaces",
            "How much higher ratios are in training contexts than in those held out:",
            lambda own: gap_table(own, methods),
        ),
        (
            "distilled",
            "Parts of HyperDistil left out or added, one each: ratio to the experts, the best in "
            "bold.",
            lambda own: split_table(own, (*DISTILLED, *ROWS)),
        ),
    ]
    found = []
    for part, said, table in tables:
        own = of(part)
        found += [said, table(own)] if own else [f"Part `{part}`: {NOT_MEASURED}."]
    return found


def split_table(records: Sequence[Record], columns: Sequence[str]) -> str:
    """Ratios to the experts, a line a suite and split, the highest learned one in bold.

    Args:
        records: as `read_results` gives them, in the order of the lines.
        columns: names of methods and rows; those that no record has are left out.
    """
    columns = [name for name in columns if any(name in record["methods"] for record in records)]
    rows = []
    for record in records:
        ratios, splits = common_ratios(record, columns)
        learned = [name for name in ratios if record["methods"][name]["kind"] == "method"]
        best = max(learned, key=lambda name: ratios[name], default="")
        cells = [
            "-"
            if name not in ratios
            else f"{'**' * (name == best)}{ratios[name]:.3f}{'**' * (name == best)}"
            for name in columns
        ]
        rows.append((record["suite"], record["split_rule"], *cells, str(splits)))
    return markdown_table(("suite", "split", *columns, "splits"), rows, left=2)


def few_shot_table(records: Sequence[Record]) -> str:
    """Ratios after k episodes in the test context, a line a suite, protocol and method.

    Methods that a protocol cannot adapt are left out; zero-shot they are where k is 0.

    Args:
        records: of runs with shots, as `read_results` gives them.
    """
    found: list[tuple[str, str, str, dict[int, Mapping[str, Any]]]] = []
    for record in records:
        for protocol, curves in record["few_shot"].items():
            drawn: list[Any] = []
            for name, points in curves.items():
                if len(points) > 1 and points not in drawn:
                    drawn.append(points)
                    by_shots = {point["shots"]: point for point in points}
                    found.append((record["suite"], protocol, name, by_shots))
    shots = sorted({k for *_, points in found for k in points})
    rows = []
    for suite, protocol, name, points in found:
        cells = [
            f"{points[k]['ratio']:.3f} [{points[k]['ci'][0]:.3f}, {points[k]['ci'][1]:.3f}]"
            if k in points
            else "-"
            for k in shots
        ]
        rows.append((suite, protocol, name, *cells))
    header = ("suite", "episodes", "method", *(f"k = {k}" for k in shots))
    return markdown_table(header, rows, left=3)


def few_shot_words(records: Sequence[Record]) -> str:
    """What learning is worth after k episodes, and which methods they make worse.

    Args:
        records: of runs with shots, as `read_results` gives them.
    """
    header = ("suite", "episodes", "k", "best learned", "ratio", "learns nothing", "ratio",
              "difference", "95 %")  # fmt: skip
    rows = []
    for record in records:
        for protocol, found in (record["few_shot_best"] or {}).items():
            for one in found:
                ends = ["-" if end is None else f"{end:+.3f}" for end in one["ci"]]
                numbers = (one["learned"], f"{one['learned_ratio']:.3f}", one["row"],
                           f"{one['row_ratio']:.3f}", f"{one['difference']:+.3f}")  # fmt: skip
                cells = (str(one["shots"]), *numbers, f"[{', '.join(ends)}]")
                rows.append((record["suite"], protocol, *cells))
    worse = [
        f"{name} on {record['suite']} after {last['shots']} of {protocol} "
        f"({first['ratio']:.3f} to {last['ratio']:.3f})"
        for record in records
        for protocol, curves in record["few_shot"].items()
        for name, (first, *_, last) in curves.items()
        if len(curves[name]) > 1 and last["ratio"] < first["ratio"] - NOTABLE
    ]
    said = f"Episodes can do harm: {'; '.join(worse) or 'nowhere here'}."
    if not rows:
        return said
    lead = (
        "The best learned method after k episodes beside the best row that learns nothing before "
        "(its experts are cloned on, too), in pairs:"
    )
    return f"{lead}\n\n{markdown_table(header, rows, left=4)}\n\n{said}"


def gap_table(records: Sequence[Record], columns: Sequence[str]) -> str:
    """How much higher each ratio is in contexts that were learned from than in those held out.

    Args:
        records: of runs that played both, as `read_results` gives them.
        columns: names of methods and rows; those that no record has are left out.
    """
    columns = [name for name in columns if any(name in record["gap"] for record in records)]
    rows = []
    for record in records:
        cells = [
            f"{record['gap'][name]['ratio']:+.3f}" if name in record["gap"] else "-"
            for name in columns
        ]
        rows.append((record["suite"], *cells, str(len(record["seeds"]))))
    return markdown_table(("suite", *columns, "splits"), rows)


def search_part(record: Record | None) -> list[str]:
    """What `docs/baseline_search.py` found, a line a setting; None where it found nothing."""
    if record is None:
        return [f"How the baselines' settings were chosen: {NOT_MEASURED}."]
    splits = record["splits"]
    lines = [
        f"| method and settings | {' | '.join(f'split {i}' for i in splits)} | mean | fit |",
        f"|---|{'--:|' * (len(splits) + 2)}",
    ]
    for name, row in record["found"].items():
        cells = [f"{ratio:.3f}" for ratio in (*row["ratios"], np.mean(row["ratios"]))]
        lines.append(f"| {name} | {' | '.join(cells)} | {row['fit_seconds']:.0f} s |")
    return [
        f"Settings tried on {len(splits)} splits of `{record['searched']}` that nothing else is "
        f"reported of: zero-shot ratios (`{record['command']}` at commit {record['commit'][:12]}).",
        "\n".join(lines),
    ]


def _fraction(record: Record) -> float:
    """Of the contexts, for training, where a split draws at random."""
    return float(record["train_fraction"]) if record["split_rule"].startswith("random") else 0.0
