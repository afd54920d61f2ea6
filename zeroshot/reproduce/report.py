"""Writes and prints how far a reproduction is, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from zeroshot.progress import say
from zeroshot.reproduce.execution import Outcome
from zeroshot.reproduce.page import Page, write_page
from zeroshot.reproduce.plan import Plan, Preset
from zeroshot.reproduce.records import read_records, read_tunings, write_summary
from zeroshot.reproduce.tables import (
    command_table,
    figure_table,
    headline,
    part_tables,
    run_by_run,
    tuning_tables,
)


def report(
    plan: Plan, name: str, preset: Preset, found: Sequence[Outcome], out: Path
) -> list[Path]:
    """Writes the small files, summary.json and the tables; returns the tables' paths.

    Args:
        plan: of the paper.
        name: of the preset.
        preset: as it was done, perhaps less than the plan's own.
        found: how far everything is.
        out: folder of everything.
    """
    records = read_records(found, out)
    summary = write_summary(plan.name, name, preset.doc, found, records, out)
    asked = ""
    if preset != plan.preset(name):
        asked = f" Its parts, suites, methods or splits were changed: {summary['command']}."
    page = Page(
        title=f"Reproduction: {plan.name}",
        lead=(
            f"{plan.title}.",
            f"Preset {name}. {preset.doc}{asked}",
            f"Published numbers, in brackets, are of {plan.sources}",
        ),
        headline=headline(found, records),
        details=tuple(run_by_run(found, records)),
        tables=(
            figure_table(plan, found, out),
            *part_tables(plan, found, records),
            *tuning_tables(plan, found, read_tunings(found, out)),
            command_table(found, out),
        ),
    )
    return write_page(page, out)


def headlines_of(found: Sequence[Outcome], out: Path) -> list[str]:
    """What has to be known first, a sentence each."""
    records = read_records(found, out)
    return [headline(found, records), *run_by_run(found, records)]


def print_description(
    plan: Plan, preset: Preset, found: Sequence[Outcome], out: Path, console: Console
) -> None:
    """Prints what a preset leaves out, its parts, and the state of every run and film."""
    lines = [plan.title, preset.doc]
    lines += [f"part {part.name}: {part.title}" for part in plan.parts]
    for outcome in found:
        reason = f" ({outcome.reason})" if outcome.reason else ""
        lines.append(f"{outcome.state}: {outcome.work.name}{reason}")
    for line in lines:
        say(console, line)
