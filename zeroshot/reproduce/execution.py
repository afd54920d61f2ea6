"""A plan is done run by run, each by `zeroshot.run.run`; what is finished is not done again."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from experts import Experts, zoo_path
from experts.collections import find_collection
from experts.engines import Engine
from zeroshot.progress import Reporter, Silent
from zeroshot.reproduce.folders import (
    film_path,
    folder_of,
    rows_per_unit,
    settings_now,
)
from zeroshot.reproduce.plan import (
    PlannedFilm,
    PlannedFineTuning,
    PlannedRun,
    Preset,
    Work,
)
from zeroshot.reproduce.sharing import borrow_transfer, borrow_units
from zeroshot.reproduce.tuning import is_tuned, tune, tuned_starts
from zeroshot.results import REPORT, ROWS, SETTINGS, SUMMARY, Unit, read_rows, whole_units
from zeroshot.run import changed_configs, experts_of, run
from zeroshot.splits import rule_of
from zeroshot.suites import suite_of

State = Literal["finished", "unfinished", "skipped", "failed"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How far a piece of work is.

    Attributes:
        work: which.
        state: of it; `skipped` if its suite lacks experts.
        reason: why it was skipped or failed, empty otherwise.
    """

    work: Work
    state: State
    reason: str = ""


Told = Callable[[Sequence[Outcome]], object]
"""Is told how far everything is, whenever that changes."""


Zoo = Experts | str
"""A suite's experts, or why there are none."""


def zoos(works: Iterable[Work]) -> dict[str, Zoo]:
    """The experts of the works' suites by name; what is missing where a zoo is not complete."""
    found: dict[str, Zoo] = {}
    for name, folder in dict.fromkeys((work.suite, work.zoo) for work in works):
        suite = suite_of(name)
        try:
            found[name] = experts_of(suite, folder)
        except FileNotFoundError as error:
            found[name] = "no experts are shipped" if folder is None else str(error)
        except ValueError as error:
            where = folder or zoo_path(suite.zoo)
            found[name] = str(error).removeprefix(f"{where}: ")
    return found


def check_zoo(preset: Preset, folder: Path) -> None:
    """Refuses a folder of experts that has those of none of the suites.

    Raises:
        ValueError: naming it, and what is missing of each suite.
    """
    missing = {name: zoo for name, zoo in zoos(preset.works).items() if isinstance(zoo, str)}
    if len(missing) == len({work.suite for work in preset.works}):
        said = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        raise ValueError(f"`zoo` must have experts of a suite that is asked for, {folder}: {said}")


def outcomes(preset: Preset, out: Path) -> list[Outcome]:
    """How far everything is by what lies in `out`; nothing is started."""
    there = zoos(preset.works)
    return [_outcome(work, out, there[work.suite]) for work in preset.works]


def _outcome(work: Work, out: Path, zoo: Zoo) -> Outcome:
    if isinstance(work, PlannedRun):
        done = is_finished(work, out, zoo) and (folder_of(work, out) / REPORT).exists()
    elif isinstance(work, PlannedFineTuning):
        done = is_tuned(work, folder_of(work, out), zoo)
    else:
        done = film_path(work, out).exists()
    if done:
        return Outcome(work=work, state="finished")
    if isinstance(zoo, str):
        return Outcome(work=work, state="skipped", reason=zoo)
    return Outcome(work=work, state="unfinished")


def is_finished(work: PlannedRun, out: Path, zoo: Zoo) -> bool:
    """Whether all units of a run are there, made as they would be now.

    Where the suite has no experts any more, those of the results count.
    """
    try:
        summary = json.loads((folder_of(work, out) / SUMMARY).read_text())
    except FileNotFoundError:
        return False
    rule = rule_of(work.split, suite_of(work.suite))
    if not summary["complete"] or summary["split_rule"] != str(rule):
        return False
    return finished_methods(work, out, zoo) == work.methods


def finished_methods(work: PlannedRun, out: Path, zoo: Zoo) -> tuple[str, ...]:
    """Those of a run's methods all of whose units are there, made as they would be now."""
    folder = folder_of(work, out)
    try:
        settings = json.loads((folder / SETTINGS).read_text())
    except FileNotFoundError:
        return ()
    if not isinstance(zoo, str) and settings != settings_now(work, folder, zoo):
        return ()
    rows = read_rows(folder / ROWS)
    whole, changed = whole_units(rows, rows_per_unit(work)), changed_configs(rows, {}, work.methods)
    return tuple(
        name
        for name in work.methods
        if name not in changed and all(Unit(name, seed) in whole for seed in range(work.seeds))
    )


def finished_part(preset: Preset, out: Path) -> Preset:
    """What of a preset is there: runs with the methods that are, fine-tunings and films.

    Raises:
        ValueError: if nothing is.
    """
    there = zoos(preset.works)
    methods = {run.name: finished_methods(run, out, there[run.suite]) for run in preset.runs}
    starts = {
        work.name: tuned_starts(work, folder_of(work, out), there[work.suite])
        for work in preset.fine_tunings
    }
    found = replace(
        preset,
        runs=tuple(
            replace(run, methods=methods[run.name]) for run in preset.runs if methods[run.name]
        ),
        fine_tunings=tuple(
            replace(work, starts=starts[work.name])
            for work in preset.fine_tunings
            if starts[work.name]
        ),
        films=tuple(work for work in preset.films if film_path(work, out).exists()),
    )
    if not found.works:
        raise ValueError(f"`finished` needs results in `out`, of what is asked for {out} has none")
    return found


def perform(
    preset: Preset,
    out: Path,
    *,
    workers: int = 1,
    engine: Engine | None = None,
    reporters: Callable[[], Reporter] = Silent,
    tell: Told = lambda found: None,
) -> list[Outcome]:
    """Does what is not finished; a run that fails does not keep the others from being done.

    Killed at any moment and started again it goes on: finished runs are left alone, the one in
    flight loses at most the units in flight.

    Args:
        preset: the work, done in its order.
        out: folder of everything.
        workers: units at once, 0 to choose as `run` does.
        engine: where, this machine by default.
        reporters: makes what is told how a run goes, one each.
        tell: is told how far everything is, at the beginning and after each.

    Returns:
        What became of each, in order.
    """
    found = outcomes(preset, out)
    tell(found)
    for i, outcome in enumerate(found):
        if outcome.state != "unfinished":
            continue
        work, reporter = outcome.work, reporters()
        reporter.stage(f"{i + 1} of {len(found)}: {work.name}")
        try:
            if isinstance(work, PlannedRun):
                _run(work, out, workers=workers, engine=engine, reporter=reporter)
            elif isinstance(work, PlannedFineTuning):
                tune(work, folder_of(work, out), workers=workers, engine=engine, reporter=reporter)
            else:
                _film(work, out)
            found[i] = Outcome(work=work, state="finished")
        except Exception as error:
            text = str(error).strip() or type(error).__name__
            reporter.stage(f"{work.name} failed: {text}")
            if not isinstance(error, (ValueError, OSError, RuntimeError, ArithmeticError)):
                traceback.print_exc()
            found[i] = Outcome(work=work, state="failed", reason=text.splitlines()[-1])
        tell(found)
    return found


def _run(
    work: PlannedRun, out: Path, *, workers: int, engine: Engine | None, reporter: Reporter
) -> None:
    from zeroshot.figures import write_figures
    from zeroshot.report import write_report

    folder, suite = folder_of(work, out), suite_of(work.suite)
    experts = experts_of(suite, work.zoo)
    borrow_transfer(folder, out, suite, experts)
    borrow_units(work, out, experts)
    run(
        suite,
        work.methods,
        seeds=work.seeds,
        out=folder,
        resume=True,
        workers=workers,
        engine=engine,
        split=work.split,
        shots=work.shots,
        train_rows=work.train_rows,
        zoo=work.zoo,
        reporter=reporter,
    )
    write_figures(folder, suite, experts.returns)
    write_report([folder], folder / REPORT)  # last: without it, a run is not finished


def _film(work: PlannedFilm, out: Path) -> None:
    from zeroshot.context_words import suite_context
    from zeroshot.film import film, generate

    suite = suite_of(work.suite)
    context = suite_context(suite, work.context)
    many = find_collection(work.zoo or zoo_path(suite.zoo))
    policies = generate(suite, experts_of(suite, work.zoo), work.method, context, collection=many)
    film(suite.family, policies, context, film_path(work, out), reward=suite.reward)
