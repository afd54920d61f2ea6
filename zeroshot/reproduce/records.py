"""What a reproduction keeps of each run: one small JSON file, and one about the whole plan."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experts.provenance import command, commit, machine, now, versions
from experts.store import write_atomically
from zeroshot.comparisons import interval_of
from zeroshot.reproduce.execution import Outcome
from zeroshot.reproduce.folders import folder_of, target_of
from zeroshot.reproduce.plan import PlannedFineTuning, PlannedRun
from zeroshot.reproduce.tuning import comparison_of, tuning_record
from zeroshot.results import ROWS, SETTINGS, SUMMARY, judged, read_rows
from zeroshot.summary import cells

RESULTS = "results"
"""Folder of the small files, a subfolder a part; what documents are made from."""

KEPT = (
    "suite", "suite_version", "split_rule", "train_fraction", "shots", "n_test", "episodes",
    "seeds", "complete", "methods", "score_ci", "best_learned", "as_good_as_learned",
    "few_shot", "few_shot_best", "command", "commit", "versions", "machine", "date",
)  # fmt: skip
"""Of a run's summary; performance profiles are left to it."""

NOT_IN_OLDER_ONES = (
    "as_good_as_learned", "best_learned", "experts", "collection", "part", "few_shot",
    "few_shot_best", "gap",
)  # fmt: skip
"""What earlier versions did not write; None there."""

UNINFORMATIVE = ("expert", "random", "zero", "from-scratch")
"""Rows that no method is compared with in pairs here."""

DIGITS = 4


def record_path(work: PlannedRun | PlannedFineTuning, out: Path) -> Path:
    """The small file of a run or a fine-tuning."""
    return out / RESULTS / f"{work.name}.json"


def write_record(work: PlannedRun, out: Path) -> dict[str, Any]:
    """Writes the small file of a finished run, and returns what it says.

    Beside what its summary says: `part` and `name`; `run_command`, the `zeroshot run` that does
    the same; the checksums of the `experts` and of their `collection`, None for no other policies
    than the experts; `gap`, None where training contexts were not played; the `commits` that
    fitted and played, where a run was gone on with more than one; each method's `returns`, a mean
    over the contexts for each of its `own_seeds`; and `vs`, method to other row to [difference of
    the ratios, lower, upper end of its 95 % interval].
    """
    folder = folder_of(work, out)
    summary = json.loads((folder / SUMMARY).read_text())
    settings = json.loads((folder / SETTINGS).read_text())
    rows = judged(read_rows(folder / ROWS))
    by_method = cells(rows)
    found: dict[str, Any] = {"part": work.part, "name": work.name}
    known = set(summary) | (set(KEPT) - set(NOT_IN_OLDER_ONES))
    found |= {name: summary[name] for name in KEPT if name in known}
    found["gap"] = summary.get("gap") or None
    found["methods"] = {
        name: {**row, **_by_seed(by_method[name])} for name, row in summary["methods"].items()
    }
    found["vs"] = {
        name: {
            other: [pair["difference"], *interval_of(pair)]
            for other, pair in pairs.items()
            if other not in UNINFORMATIVE
        }
        for name, pairs in summary["vs"].items()
    }
    found["experts"] = settings["experts"]
    found["collection"] = settings.get("collection")
    found["commits"] = sorted({row["commit"] for row in rows})
    found["run_command"] = work.command(folder)
    return _write(found, record_path(work, out))


def write_tuning(work: PlannedFineTuning, out: Path) -> dict[str, Any]:
    """Writes the small file of a finished fine-tuning, and returns what it says."""
    return _write(tuning_record(work, folder_of(work, out)), record_path(work, out))


def read_records(found: Sequence[Outcome], out: Path) -> dict[str, dict[str, Any]]:
    """The small files of finished runs, by the runs' names; written where they are not up to date.

    A file is out of date if the run's summary is newer.
    """
    return {
        outcome.work.name: _kept(outcome.work, out) or write_record(outcome.work, out)
        for outcome in found
        if isinstance(outcome.work, PlannedRun) and outcome.state == "finished"
    }


def read_tunings(found: Sequence[Outcome], out: Path) -> dict[str, dict[str, Any]]:
    """The same of finished fine-tunings."""
    return {
        outcome.work.name: _kept(outcome.work, out) or write_tuning(outcome.work, out)
        for outcome in found
        if isinstance(outcome.work, PlannedFineTuning) and outcome.state == "finished"
    }


def read_results(folder: Path) -> list[dict[str, Any]]:
    """All results of runs below a folder, in the form of the small files, ordered by path.

    Summaries of `zeroshot run` are among them, earlier versions' too. What those do not say is
    None, `vs` empty. Each has its `file`, relative to the folder, and each of its methods
    `own_seeds`, of the splits that it was played on, and `splits`, how many these are: those of a
    run that was gone on with may differ.

    Raises:
        ValueError: naming the file, if it is not JSON or its run is not complete.
    """
    found = []
    for path in sorted(folder.rglob("*.json")):
        try:
            record = json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path}: not JSON ({error})") from error
        if not isinstance(record, dict) or not {"suite", "methods", "seeds"} <= set(record):
            continue  # audits, and whatever else is kept there
        if not record["complete"]:
            raise ValueError(f"{path}: the run is not complete")
        if "split_rule" not in record:
            record["split_rule"] = f"random:{record['train_fraction']!r}"
        for name in NOT_IN_OLDER_ONES:
            record.setdefault(name, None)
        record.setdefault("score_ci", {})
        for row in record["methods"].values():
            row["splits"] = len(row.get("returns", record["seeds"]))
            row.setdefault("own_seeds", sorted(record["seeds"])[: row["splits"]])
            row.setdefault("copies", None)
        record["vs"] = {
            name: {
                other: pair if isinstance(pair, list) else [pair["difference"], *interval_of(pair)]
                for other, pair in pairs.items()
            }
            for name, pairs in record.get("vs", {}).items()
        }
        found.append({**record, "file": path.relative_to(folder).as_posix()})
    return found


def write_summary(
    name: str,
    preset: str,
    doc: str,
    found: Sequence[Outcome],
    records: Mapping[str, Mapping[str, Any]],
    out: Path,
) -> dict[str, Any]:
    """Writes the plan's summary.json, and returns what it says.

    Args:
        name: of the plan.
        preset: its name.
        doc: what the preset leaves out.
        found: how far everything is.
        records: of the finished runs, by name.
        out: folder of everything.
    """
    summary = {
        "plan": name,
        "preset": preset,
        "preset_doc": doc,
        "complete": all(outcome.state == "finished" for outcome in found),
        "states": {
            state: sum(outcome.state == state for outcome in found)
            for state in ("finished", "unfinished", "skipped", "failed")
        },
        "skipped_suites": {
            outcome.work.suite: outcome.reason for outcome in found if outcome.state == "skipped"
        },
        "failed": {o.work.name: o.reason for o in found if o.state == "failed"},
        "as_good_as_learned": {
            run: record["as_good_as_learned"]
            for run, record in records.items()
            if record["as_good_as_learned"]
        },
        "work": [_entry(outcome, out) for outcome in found],
        "command": command(),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "date": now(),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / SUMMARY, (json.dumps(summary, indent=1) + "\n").encode())
    return summary


def _entry(outcome: Outcome, out: Path) -> dict[str, Any]:
    work = outcome.work
    entry: dict[str, Any] = {"name": work.name, "suite": work.suite, "state": outcome.state}
    if isinstance(work, PlannedRun):
        entry |= {"split": work.split, "methods": list(work.methods), "seeds": work.seeds}
        entry["shots"] = list(work.shots)
    elif isinstance(work, PlannedFineTuning):
        entry |= {"split": work.split, "starts": list(work.starts), "seeds": work.seeds}
    else:
        entry["method"] = work.method
    return entry | {"command": work.command(target_of(work, out))}


def _by_seed(by_cell: Mapping[Any, tuple[float, float]]) -> dict[str, list[Any]]:
    """Ascending seeds, and mean returns over the contexts for each."""
    seeds = sorted({seed for seed, _ in by_cell})
    returns = [
        float(np.mean([own for (seed, _), (own, _) in by_cell.items() if seed == wanted]))
        for wanted in seeds
    ]
    return {"own_seeds": seeds, "returns": returns}


def _kept(work: PlannedRun | PlannedFineTuning, out: Path) -> dict[str, Any] | None:
    """What the small file says, None if it is absent, of less, or the summary is newer."""
    path, summary = record_path(work, out), folder_of(work, out) / SUMMARY
    if not path.exists() or path.stat().st_mtime < summary.stat().st_mtime:
        return None
    content: dict[str, Any] = json.loads(path.read_text())
    if isinstance(work, PlannedFineTuning):  # it may be of fewer starts, seeds or contexts
        runs = Counter(piece.start for piece in comparison_of(work).pieces)
        if any(content["starts"].get(start, {"runs": 0})["runs"] < n for start, n in runs.items()):
            return None
    return content


def _write(found: dict[str, Any], path: Path) -> dict[str, Any]:
    """Writes a small file, a line an entry, and returns its content."""
    rounded: dict[str, Any] = _rounded(found)
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in rounded.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
    return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value
