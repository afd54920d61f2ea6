"""What several runs of a plan need is done once: transfer matrices, and units that are the same.

The main comparison and the training fraction 0.85 of a suite, for instance, ask for the same fits.
A run that also plays after some shots, or in training contexts, has all that one without has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experts import Experts
from experts.store import write_atomically
from zeroshot.fewshot import FROM_SCRATCH
from zeroshot.references import reference_names
from zeroshot.reproduce.folders import RUNS, folder_of, rows_per_unit, settings_now
from zeroshot.reproduce.plan import PlannedRun
from zeroshot.results import (
    ROWS,
    SETTINGS,
    Row,
    Unit,
    open_results,
    read_rows,
    unit_of,
    whole_units,
)
from zeroshot.run import TRANSFER, changed_configs, manifest_fingerprint
from zeroshot.splits import rule_of
from zeroshot.suites import Suite, suite_of


def known_transfer(out: Path, suite: Suite, experts: Experts) -> Path | None:
    """The transfer matrix of any run in `out` on the same experts, None if there is none yet."""
    wanted = {
        "suite": suite.name,
        "suite_version": suite.version,
        "n_steps": suite.n_steps,
        "experts": manifest_fingerprint(experts),
    }
    for file in sorted((out / RUNS).glob(f"*/*/{SETTINGS}")):
        settings, matrix = json.loads(file.read_text()), file.with_name(TRANSFER)
        if matrix.exists() and {name: settings.get(name) for name in wanted} == wanted:
            return matrix
    return None


def borrow_transfer(folder: Path, out: Path, suite: Suite, experts: Experts) -> None:
    """Gives a new run the transfer matrix of another one: it is the same, and takes long."""
    if (folder / SETTINGS).exists():
        return
    (folder / TRANSFER).unlink(missing_ok=True)
    matrix = known_transfer(out, suite, experts)
    if matrix is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / TRANSFER, matrix.read_bytes())


def asked_units(work: PlannedRun, experts: Experts) -> list[Unit]:
    """All units of a run, references first at each seed."""
    references = reference_names(suite_of(work.suite).features, experts)
    names = [*references, *([FROM_SCRATCH] if work.shots else []), *work.methods]
    return [Unit(name, seed) for seed in range(work.seeds) for name in names]


def units_left(work: PlannedRun, out: Path, experts: Experts) -> list[Unit]:
    """Units of a run that are still to be done, references first at each seed."""
    done = whole_units(read_rows(folder_of(work, out) / ROWS), rows_per_unit(work))
    done |= set(units_elsewhere(work, out, experts))
    return [unit for unit in asked_units(work, experts) if unit not in done]


def units_elsewhere(work: PlannedRun, out: Path, experts: Experts) -> dict[Unit, list[Row]]:
    """The run's units that its own folder lacks and other runs in `out` have, with their rows.

    Those are made as this run would make them: with the same settings and configs, or settings by
    which more is played, of which the rows are left out that this run does not ask for.
    """
    own = folder_of(work, out)
    missing = set(asked_units(work, experts))
    missing -= whole_units(read_rows(own / ROWS), rows_per_unit(work))
    found: dict[Unit, list[Row]] = {}
    for file in sorted((out / RUNS).glob(f"*/*/{SETTINGS}")):
        if not missing:
            break
        other, settings = file.parent, json.loads(file.read_text())
        if other == own or settings.get("suite") != work.suite:  # sooner known than the rest
            continue
        if not _serves(settings, settings_now(work, other, experts)):
            continue
        rows = _asked(read_rows(other / ROWS), work)
        changed = changed_configs(rows, {}, work.methods)
        units = {u for u in whole_units(rows, rows_per_unit(work)) if u.method not in changed}
        for unit in units & missing:
            found[unit] = [row for row in rows if unit_of(row) == unit]
        missing -= units
    return found


def serves(other: PlannedRun, work: PlannedRun) -> bool:
    """Whether a run plays all that a run of the same methods and splits plays."""
    first, second = (
        {
            "suite": run.suite,
            "split_rule": str(rule_of(run.split, suite_of(run.suite))),
            "zoo": run.zoo,
            "shots": run.shots,
            "train_rows": run.train_rows,
        }
        for run in (other, work)
    )
    return _serves(first, second)


def _serves(settings: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """The same of runs' settings: those with shots are alike, others may be asked for less."""
    if wanted.get("shots"):
        return settings == wanted
    alike = _without_extras(settings) == _without_extras(wanted)
    return alike and settings["train_rows"] >= wanted["train_rows"]


def _without_extras(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in ("shots", "train_rows")}


def _asked(rows: Sequence[Row], work: PlannedRun) -> list[Row]:
    """Those rows that the run would have."""
    if work.shots:
        return list(rows)
    return [
        {name: value for name, value in row.items() if name != "unit_rows"}
        for row in rows
        if not row.get("shots") and (work.train_rows or row["split"] == "test")
    ]


def borrow_units(work: PlannedRun, out: Path, experts: Experts) -> None:
    """Gives a run's folder the units that other runs have.

    Raises:
        ValueError: if the folder's results were made with other settings.
        FileExistsError: if another process is writing to it.
    """
    found = units_elsewhere(work, out, experts)
    if not found:
        return
    folder = folder_of(work, out)
    with open_results(folder, settings_now(work, folder, experts), resume=True) as results:
        results.keep_whole_units(rows_per_unit(work))
        for rows in found.values():
            results.append(rows)
