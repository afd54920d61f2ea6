"""The tables of a reproduction as values, for whatever writes them down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroshot.finetune_results import RETURN_VERSUS_STEPS
from zeroshot.report import REPORT
from zeroshot.reproduce.execution import Outcome
from zeroshot.reproduce.folders import RUNS, film_path, target_of
from zeroshot.reproduce.plan import Figure, Plan, PlannedFilm, PlannedFineTuning, PlannedRun
from zeroshot.reproduce.split_returns import common_ratios, common_returns

REFERENCES = ("expert", "nearest", "best-single", "best-of-direction")
"""Columns before those of the methods."""

TUNING_HEADER = (
    "suite", "start", "runs", "return at first", "at last", "expert",
    "runs that reach 95 %", "median steps to it", "mean dip", "runs that dip by 10 %",
)  # fmt: skip

LACKING = {
    "skipped": "not run as the zoo is not complete",
    "failed": "failed",
    "unfinished": "still to be done",
}
"""States of an outcome that is not finished, in words."""

Records = Mapping[str, Mapping[str, Any]]
"""Run's name to its record."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Of a table.

    Attributes:
        text: what it says.
        links: files of the reproduction that it leads to, text to path; instead of `text`.
        bold: whether it stands out.
        code: whether it is a command.
    """

    text: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    bold: bool = False
    code: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a heading.

    Attributes:
        title: the heading.
        note: what has to be known to read it.
        header: names of the columns.
        rows: a cell a column each.
        group: what its title begins with, as do those of the tables that it belongs to.
    """

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    group: str = ""


def headline(found: Sequence[Outcome], records: Records) -> str:
    """What has to be known before any table is read: in how many runs nothing has to be learned.

    And how many runs and films of the plan there are not, where some are lacking.
    """
    n = sum(bool(record["as_good_as_learned"]) for record in records.values())
    said = (
        f"In {n} of {len(records)} finished runs a row that learns nothing (an expert of a "
        "training context, or a mean of them) is as good as the best learned method, or "
        "better, by the 95 % interval of their difference"
        + ("; these runs do not show that learning pays." if n else ".")
        if records
        else "No run is finished."
    )
    states = {state: sum(outcome.state == state for outcome in found) for state in LACKING}
    lacking = [f"{number} {LACKING[state]}" for state, number in states.items() if number]
    return f"{said} Of {len(found)} runs and films: {', '.join(lacking)}." if lacking else said


def run_by_run(found: Sequence[Outcome], records: Records) -> list[str]:
    """What the headline counts, a sentence each."""
    said = []
    for run, rows in ((run, record["as_good_as_learned"]) for run, record in records.items()):
        if rows:
            names = ", ".join(
                f"{row['row']} ({'better' if row['ci'][1] < 0.0 else 'as good'})" for row in rows
            )
            said.append(f"{run}: {names}, against {rows[0]['learned']}.")
    for state, words in (("skipped", "Not run, the zoo is not complete"), ("failed", "Failed")):
        of_state = {
            (outcome.work.suite if state == "skipped" else outcome.work.name): outcome.reason
            for outcome in found
            if outcome.state == state
        }
        said += [f"{words}: {name} ({reason})." for name, reason in of_state.items()]
    return said


def part_tables(plan: Plan, found: Sequence[Outcome], records: Records) -> list[Table]:
    """Per part: returns, ratios, and where there are any, few-shot ratios.

    Titles tell which are of how many episodes of the test context where a part has both.
    """
    tables = []
    for part in plan.parts:
        runs = [
            o.work for o in found if isinstance(o.work, PlannedRun) and o.work.part == part.name
        ]
        there = [run for run in runs if run.name in records]
        if not there:
            continue
        spread = (
            "Mean return over splits, contexts and episodes ± its standard deviation over splits, "
            "the splits that all of a line were played on; the highest but the experts' is bold."
        )
        few_shot = any(records[run.name]["few_shot"] for run in there)
        title = f"{part.title}: return at k = 0" if few_shot else part.title
        of_part = [
            _by_run(title, f"{part.note} {spread}", there, records, _return, "return"),
            _by_run(
                f"{part.title}: ratio to the experts{' at k = 0' if few_shot else ''}",
                "1 plus the difference to the experts' mean return there, over its size.",
                there,
                records,
                _ratio,
                "ratio",
            ),
        ]
        if few_shot:
            title = f"{part.title}: ratio to the experts after k episodes"
            of_part.append(_few_shot(title, there, records))
        tables += [replace(table, group=part.title) for table in of_part]
    return tables


def tuning_tables(plan: Plan, found: Sequence[Outcome], tunings: Records) -> list[Table]:
    """Per part with fine-tunings: a line a start; the title says so where a part has runs, too.

    Args:
        plan: of the paper.
        found: how far everything is.
        tunings: the records of finished fine-tunings.
    """
    tables = []
    for part in plan.parts:
        works = [
            outcome.work
            for outcome in found
            if isinstance(outcome.work, PlannedFineTuning) and outcome.work.part == part.name
        ]
        rows = []
        for work in works:
            if work.name not in tunings:
                continue
            said = [work.suite] if work.split == "random" else [work.suite, work.split]
            said.append(f"{work.n_steps:,} steps")
            if work.preset != "default":
                said.append(f"preset {work.preset}")
            if work.td_weight is not None:
                said.append(f"td weight {work.td_weight:g}")
            label = ", ".join(said)
            link = Cell(links={label: f"{RUNS}/{work.name}/{RETURN_VERSUS_STEPS}"})
            for start, row in tunings[work.name]["starts"].items():
                words = tuning_words(row)
                rows.append((link, Cell(text=start), *(Cell(text=word) for word in words)))
        if rows:
            runs = any(isinstance(o.work, PlannedRun) and o.work.part == part.name for o in found)
            title = f"{part.title}: fine-tuning" if runs else part.title
            tables.append(
                Table(title=title, note=part.note, header=TUNING_HEADER, rows=tuple(rows))
            )
    return tables


def tuning_words(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What a fine-tuning says of one start, in the order of `TUNING_HEADER`'s last columns."""
    return (
        f"{row['runs']}",
        f"{row['start_return']:.1f}",
        f"{row['end_return']:.1f}",
        f"{row['expert_return']:.1f}",
        f"{row['reached']}",
        "never" if row["median_steps"] is None else f"{row['median_steps']:,}",
        f"{row['largest_dip']:.1f}",
        f"{row['dipped']}",
    )


def figure_table(plan: Plan, found: Sequence[Outcome], out: Path) -> Table:
    """Which figure or table of the paper is where."""
    rows = []
    for figure in plan.figures:
        of_figure = [outcome for outcome in found if _shows(figure, outcome)]
        if not of_figure:
            continue
        done = {o.work.name: _file(figure, o, out) for o in of_figure if o.state == "finished"}
        rows.append(
            (
                Cell(text=figure.label),
                Cell(text=figure.shows),
                Cell(text=f"{len(done)} of {len(of_figure)}"),
                Cell(links=done),
            )
        )
    return Table(
        title="Figures and tables of the paper",
        note="Where the counterpart of each is.",
        header=("in the paper", "shows", "done", "here"),
        rows=tuple(rows),
    )


def command_table(found: Sequence[Outcome], out: Path) -> Table:
    """The command of every run and film."""
    rows = []
    for outcome in found:
        work = outcome.work
        target = target_of(work, out)
        rows.append(
            (
                Cell(text=work.name),
                Cell(text=outcome.state),
                Cell(text=work.command(target), code=True),
            )
        )
    return Table(
        title="Commands",
        note="Each does one run alone, or goes on with it.",
        header=("run", "state", "command"),
        rows=tuple(rows),
    )


def _by_run(
    title: str,
    note: str,
    runs: Sequence[PlannedRun],
    records: Records,
    said: Callable[[float, NDArray[np.float64]], str],
    key: str,
) -> Table:
    """A line a run, a column a method; others' numbers in brackets beside the returns."""
    names = [name for run in runs for name in run.methods]
    if key == "return":
        names += [name for run in runs for name in run.published]
    known = {name for run in runs for name in records[run.name]["methods"]}
    columns = [name for name in dict.fromkeys((*REFERENCES, *names)) if name in {*known, *names}]
    rows = []
    for run in runs:
        record = records[run.name]
        returns, _ = common_returns(record, columns)
        ratios, _ = common_ratios(record, columns)
        value = ratios if key == "ratio" else {n: float(own.mean()) for n, own in returns.items()}
        best = max((name for name in value if name != "expert"), key=lambda name: value[name])
        cells = []
        for name in columns:
            words = [] if name not in value else [said(value[name], returns[name])]
            if key == "return" and name in run.published:
                words.append(f"({run.published[name]:.1f})")
            cells.append(Cell(text=" ".join(words), bold=name == best))
        rows.append((_report_cell(run), *cells))
    return Table(title=title, note=note, header=("run", *columns), rows=tuple(rows))


def _return(value: float, returns: NDArray[np.float64]) -> str:
    digits = 1 if abs(value) < 100.0 else 0
    spread = f" ± {np.std(returns, ddof=1):.{digits}f}" if len(returns) > 1 else ""
    return f"{value:.{digits}f}{spread}"


def _ratio(value: float, _: NDArray[np.float64]) -> str:
    return f"{value:.3f}"


def _few_shot(title: str, runs: Sequence[PlannedRun], records: Records) -> Table:
    shots = sorted({k for run in runs for k in (0, *run.shots)})
    rows = []
    for run in runs:
        for protocol, curves in records[run.name]["few_shot"].items():
            for method, points in curves.items():
                ratios = {point["shots"]: f"{point['ratio']:.3f}" for point in points}
                cells = [Cell(text=ratios.get(k, "")) for k in shots]
                rows.append((_report_cell(run), Cell(text=protocol), Cell(text=method), *cells))
    return Table(
        title=title,
        note="An empty cell: the method cannot use such episodes.",
        header=("run", "protocol", "method", *(f"k = {k}" for k in shots)),
        rows=tuple(rows),
    )


def _report_cell(run: PlannedRun) -> Cell:
    label = run.suite if run.split == "random" else f"{run.suite}, {run.split}"
    return Cell(links={label: f"{RUNS}/{run.name}/{REPORT}"})


def _shows(figure: Figure, outcome: Outcome) -> bool:
    return outcome.work.part == figure.part and outcome.work.suite in figure.suites


def _file(figure: Figure, outcome: Outcome, out: Path) -> str:
    work = outcome.work
    if isinstance(work, PlannedFilm):
        return film_path(work, out).relative_to(out).as_posix()
    return f"{RUNS}/{work.name}/{figure.file}"
