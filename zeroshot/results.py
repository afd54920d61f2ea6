"""Results on disk: a row an episode, appended a whole unit at a time, safe against kills."""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experts.store import write_atomically
from zeroshot.references import EXPERT

ROWS = "results.jsonl"
SUMMARY = "summary.json"
REPORT = "report.html"
SETTINGS = "run.json"
LOCK = ".lock"

Row = dict[str, Any]


class Unit(NamedTuple):
    """What is fitted, played and stored in one piece."""

    method: str
    seed: int


class ResultsFolder:
    """An output folder that this process alone writes to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Row]:
        """All whole rows; see `read_rows`."""
        return read_rows(self.path / ROWS)

    def append(self, rows: Sequence[Row]) -> None:
        """Appends the rows of one unit; returns when they are on the disk."""
        payload = lines_of(rows)
        with (self.path / ROWS).open("ab") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())

    def keep_whole_units(self, rows_per_unit: int) -> set[Unit]:
        """Drops what a kill left of the unit in flight; returns the units that are whole.

        Args:
            rows_per_unit: rows of a whole unit, of those whose rows have no `unit_rows`.
        """
        rows = self.read()
        whole = whole_units(rows, rows_per_unit)
        payload = lines_of([row for row in rows if unit_of(row) in whole])
        file = self.path / ROWS
        if file.exists() and file.read_bytes() != payload:
            write_atomically(file, payload)
        return whole

    def write_array(self, name: str, array: NDArray[np.float64]) -> None:
        """Writes an array as a .npy file, all or nothing."""
        buffer = BytesIO()
        np.save(buffer, array)
        write_atomically(self.path / name, buffer.getvalue())

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Writes a JSON file that is either whole or as it was before."""
        write_atomically(self.path / name, (json.dumps(value, indent=2) + "\n").encode())


@contextmanager
def open_results(
    path: Path, settings: Mapping[str, Any], *, resume: bool
) -> Iterator[ResultsFolder]:
    """Opens an output folder for one run, and makes it if it is absent.

    Args:
        path: the folder.
        settings: all that must not change between a run and its resumption.
        resume: go on with what an earlier run of the same settings left there.

    Raises:
        FileExistsError: if the folder is not empty and `resume` is off, or if another process
            is writing to it.
        ValueError: if the folder's results were made with other settings.
        NotADirectoryError: if there is a file of that name.
    """
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"`out` must be a folder, {path} is a file")
    path.mkdir(parents=True, exist_ok=True)
    if not resume and any(entry.name != LOCK for entry in path.iterdir()):
        raise FileExistsError(
            f"{path} is not empty: use --resume to go on with it, or another --out"
        )
    with (path / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileExistsError(f"another run is writing to {path}") from None
        folder = ResultsFolder(path)
        _check_settings(path, settings)
        folder.write_json(SETTINGS, settings)
        yield folder


def lines_of(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as a results file has them, a line of JSON each.

    Raises:
        ValueError: for a number that is not finite.
    """
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()


def read_rows(path: Path) -> list[Row]:
    """Rows of a results file; none if it does not exist.

    A last line without its end is what a kill leaves, and is left out.

    Raises:
        ValueError: naming the line, if any other line is not a JSON object.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    rows: list[Row] = []
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last newline is torn
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number}: not a JSON object")
        rows.append(row)
    return rows


def whole_units(rows: Sequence[Row], rows_per_unit: int) -> set[Unit]:
    """Units of which all rows are there.

    Args:
        rows: of a run.
        rows_per_unit: rows of a whole unit, of those whose rows have no `unit_rows`.
    """
    counts = Counter(unit_of(row) for row in rows)
    needed = {unit_of(row): row.get("unit_rows", rows_per_unit) for row in rows}
    return {unit for unit, count in counts.items() if count == needed[unit]}


def judged(rows: Sequence[Row]) -> list[Row]:
    """The rows, in a context all beside the same episodes of its expert.

    A row has its expert's return from when its unit was played. Whether an expert falls can hang on
    the last bits of its actions, which machines do not share, so units of one run may differ there.
    Where the row `expert` itself was played, its mean return in a split's context counts for all.
    """
    played: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        if row["method"] == EXPERT and not row.get("shots"):
            played.setdefault(_cell(row), []).append(row["return"])
    means = {cell: float(np.mean(returns)) for cell, returns in played.items()}
    return [{**row, "expert_return": means.get(_cell(row), row["expert_return"])} for row in rows]


def plain(value: Any) -> Any:
    """`value` as it comes back from JSON, for comparisons with what was stored."""
    return json.loads(json.dumps(value))


def unit_of(row: Row) -> Unit:
    """The unit that a row belongs to."""
    return Unit(row["method"], row["seed"])


def _cell(row: Row) -> tuple[Any, ...]:
    return (row["seed"], row["split"], *row["context"].values())


def _check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    file = path / SETTINGS
    if not file.exists():
        if (path / ROWS).exists():
            raise ValueError(f"{path} has {ROWS} but no {SETTINGS}: use another --out")
        return
    before = json.loads(file.read_text())
    for name, value in plain(settings).items():
        if before.get(name) != value:
            raise ValueError(
                f"{path} was made with another `{name}` ({before.get(name)!r}, now {value!r}): "
                "use another --out"
            )
