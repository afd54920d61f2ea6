"""The table that a run ends with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from zeroshot.comparisons import WITHIN_CONTEXTS, interval_of

PLAIN_WIDTH = 100
"""Columns where the output is no terminal, whatever a wrapper claims."""


def leaderboard(summary: Mapping[str, Any]) -> Table:
    """The summary as a table, best score first, references dimmed."""
    seeds = len(summary["seeds"])
    partial = "" if summary["complete"] else ", unfinished"
    intervals = summary.get("score_ci", {})
    redrawn = "splits and contexts" if intervals else "contexts"
    if set(summary.get("resampling", {}).values()) == {WITHIN_CONTEXTS}:
        redrawn = "fits within each context"
    elif seeds == 1:
        redrawn = "contexts alone, of one fit"
    rule = f" ({summary['split_rule']})" if "split_rule" in summary else ""
    table = Table(
        title=f"{summary['suite']} v{summary['suite_version']}: return on "
        f"{summary['n_test']} held-out contexts x {summary['episodes']} episodes x "
        f"{seeds} split{'s' if seeds != 1 else ''}{rule}{partial}",
        caption="score: interquartile mean, 0 = best single training expert (more where one policy "
        "nearly solves a context), 1 = each context's own expert; ratio: 1 + (return - experts') / "
        f"|experts'|; intervals redraw {redrawn}",
    )
    table.add_column("method", no_wrap=True)
    table.add_column("kind")
    for name in ("return", "ratio", "score", "95 % interval", "fit (s)"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in summary["methods"].items():
        method = row["kind"] == "method"
        low, high = intervals.get(name, row["ci"])
        table.add_row(
            name,
            row["kind"],
            f"{row['return']:.1f}",
            f"{row['ratio']:.3f}",
            _number(row["score"]),
            f"[{_number(low)}, {_number(high)}]",
            f"{row['fit_seconds']:.1f}" if method else "",
            style="bold" if method else "dim",
        )
    return table


def warnings(summary: Mapping[str, Any]) -> list[str]:
    """What has to be known before the table is read: a line a row that needs no learning."""
    lines = []
    for found in summary.get("as_good_as_learned", ()):
        pair = summary.get("vs", {}).get(found["learned"], {}).get(found["row"], found)
        lines.append(_warning(found, *interval_of(pair)))
    for protocol, records in summary.get("few_shot_best", {}).items():
        for found in records:
            low, high = interval_of(found)
            if low <= 0.0:
                k = found["shots"]
                after = f", after {k} episode{'s' * (k > 1)} of {protocol}"
                lines.append(_warning(found, low, high, after))
    return lines


def few_shot_table(summary: Mapping[str, Any], protocol: str) -> Table:
    """Ratio against the number of episodes in the test context, a line a method."""
    curves = summary["few_shot"][protocol]
    shots = [0, *summary["shots"]]
    table = Table(
        title=f"ratio after k episodes in the test context: {protocol}",
        caption="95 % interval of the last one; a method without numbers cannot use them",
    )
    table.add_column("method", no_wrap=True)
    for k in shots:
        table.add_column(f"k = {k}", justify="right")
    table.add_column("95 % interval", justify="right", no_wrap=True)
    for name, points in curves.items():
        found = {point["shots"]: point for point in points}
        low, high = points[-1]["ci"]
        ratios = [f"{found[k]['ratio']:.3f}" if k in found else "" for k in shots]
        table.add_row(name, *ratios, f"[{low:.3f}, {high:.3f}]")
    return table


def print_leaderboard(summary: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints what a reader has to know first, the leaderboard, and few-shot tables if any."""
    target = _wide_enough(console)
    for line in warnings(summary):
        target.print(line, highlight=False, markup=False, style="bold")
    target.print(leaderboard(summary))
    for protocol in summary.get("few_shot", ()):
        target.print(few_shot_table(summary, protocol))


def print_table(table: Table, console: Console | None = None) -> None:
    """Prints a table; without colours and wide enough where there is no terminal."""
    _wide_enough(console).print(table)


def _warning(found: Mapping[str, Any], low: float, high: float, after: str = "") -> str:
    """A row that learns nothing against the best learned method, in the interval's words.

    Args:
        found: `row`, `learned`, and `difference`, the ratio of `learned` less that of `row`.
        low: lower end of the difference's interval, infinite where none can be had.
        high: upper end.
        after: which episodes of the test context both have had, if any.
    """
    row, learned, difference = found["row"], found["learned"], found["difference"]
    if high < 0.0:
        return (
            f"{row}, which learns nothing, is better than {learned}, the best learned method{after}"
            f": {learned}'s ratio is lower by {-difference:.3f}, 95 % interval "
            f"[{-high:.3f}, {-low:.3f}]"
        )
    interval = f", 95 % interval [{low:+.3f}, {high:+.3f}]" if np.isfinite(low) else ""
    return (
        f"{row}, which learns nothing, is not told apart from {learned}, the best learned method"
        f"{after}: difference of the ratios {difference:+.3f} for {learned}{interval}"
    )


def _wide_enough(console: Console | None) -> Console:
    target = console or Console()
    if target.is_terminal:
        return target
    return Console(file=target.file, width=max(PLAIN_WIDTH, target.width), color_system=None)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
