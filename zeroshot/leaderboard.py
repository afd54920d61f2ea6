"""The table that a run ends with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

PLAIN_WIDTH = 100
"""Columns where the output is no terminal, whatever a wrapper claims."""


def leaderboard(summary: Mapping[str, Any]) -> Table:
    """The summary as a table, best score first, references dimmed."""
    seeds = len(summary["seeds"])
    partial = "" if summary["complete"] else ", unfinished"
    table = Table(
        title=f"{summary['suite']} v{summary['suite_version']}: return on "
        f"{summary['n_test']} held-out contexts x {summary['episodes']} episodes x "
        f"{seeds} split{'s' if seeds != 1 else ''}{partial}",
        caption="score: interquartile mean, 0 = best single training expert, 1 = each context's "
        "own expert; ratio: return / expert's return",
    )
    table.add_column("method", no_wrap=True)
    table.add_column("kind")
    for name in ("return", "ratio", "score", "95 % interval", "fit (s)"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in summary["methods"].items():
        method = row["kind"] == "method"
        table.add_row(
            name,
            row["kind"],
            f"{row['return']:.1f}",
            f"{row['ratio']:.3f}",
            _number(row["score"]),
            f"[{_number(row['ci'][0])}, {_number(row['ci'][1])}]",
            f"{row['fit_seconds']:.1f}" if method else "",
            style="bold" if method else "dim",
        )
    return table


def print_leaderboard(summary: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints the leaderboard."""
    print_table(leaderboard(summary), console)


def print_table(table: Table, console: Console | None = None) -> None:
    """Prints a table; without colours and wide enough where there is no terminal."""
    target = console or Console()
    if not target.is_terminal:
        target = Console(file=target.file, width=max(PLAIN_WIDTH, target.width), color_system=None)
    target.print(table)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
