"""Runs of a reproduction as one small file each: to publish every episode, and to go on from.

A fine-tuning, of many runs, is one such file, too.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np

from experts.store import write_atomically
from zeroshot.finetune_results import RUNS as TUNED
from zeroshot.finetune_results import file_name, piece_of, read_records
from zeroshot.reproduce.folders import RUNS
from zeroshot.results import ROWS, SETTINGS, ResultsFolder, Row, lines_of, read_rows
from zeroshot.run import TRANSFER

SUFFIX = ".jsonl.xz"
DIGITS = 3
"""Decimals of what is packed."""


def pack(out: Path, folder: Path) -> list[Path]:
    """Writes a file a run, `PART/RUN.jsonl.xz`; returns their paths.

    The first line has the run's settings and its transfer matrix, the others are its rows, one an
    episode. Returns and outcomes are rounded to three decimals, which halves the files. Those of a
    fine-tuning are its finished runs; the policies that it starts from are left out. Unfinished
    ones are packed, too.

    Args:
        out: folder of a reproduction.
        folder: where the files go.

    Raises:
        FileNotFoundError: if there is no run in `out`.
        ValueError: naming the file, if a run's results are damaged.
    """
    found = []
    for settings in sorted((out / RUNS).glob(f"*/*/{SETTINGS}")):
        run = settings.parent
        first: dict[str, Any] = {"settings": json.loads(settings.read_text())}
        if (run / TRANSFER).exists():
            first["transfer"] = np.load(run / TRANSFER).round(DIGITS).tolist()
        tuned = (run / TUNED).is_dir()
        if tuned:
            first["fine_tuning"] = True
        rows = read_records(run) if tuned else [_rounded(row) for row in read_rows(run / ROWS)]
        lines = lines_of([first, *rows])
        file = folder / run.parent.name / f"{run.name}{SUFFIX}"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, lzma.compress(lines, preset=9))
        found.append(file)
    if not found:
        raise FileNotFoundError(f"no runs in {out / RUNS}")
    return found


def unpack(folder: Path, out: Path) -> list[str]:
    """Makes the runs that `pack` wrote, where they are not there yet; returns their names.

    Args:
        folder: of the files.
        out: folder of a reproduction, which then goes on from them.

    Raises:
        FileNotFoundError: if the folder has no packed run.
        ValueError: naming the file, if it is damaged; nothing is made then.
    """
    files = sorted(folder.glob(f"*/*{SUFFIX}"))
    if not files:
        raise FileNotFoundError(f"no packed runs, PART/RUN{SUFFIX}, in {folder}")
    absent = {file: run for file in files if not ((run := _run_of(file, out)) / SETTINGS).exists()}
    contents = {file: _read(file) for file in absent}
    for file, run in absent.items():
        first, *rows = contents[file]
        run.mkdir(parents=True, exist_ok=True)
        made = ResultsFolder(run)
        if "transfer" in first:
            made.write_array(TRANSFER, np.asarray(first["transfer"], dtype=np.float64))
        if first.get("fine_tuning"):
            (run / TUNED).mkdir(exist_ok=True)
            for row in rows:
                write_atomically(run / TUNED / file_name(piece_of(row)), lines_of([row]))
        else:
            write_atomically(run / ROWS, lines_of(rows))
        made.write_json(SETTINGS, first["settings"])  # last: it makes the run
    return [run.relative_to(out / RUNS).as_posix() for run in absent.values()]


def _rounded(row: Row) -> Row:
    """A row with its return, its expert's, and what it did, rounded."""
    found = dict(row)
    for name in ("return", "expert_return"):
        if name in row:
            found[name] = round(row[name], DIGITS)
    if "outcome" in row:
        found["outcome"] = {name: round(value, DIGITS) for name, value in row["outcome"].items()}
    return found


def _run_of(file: Path, out: Path) -> Path:
    return out / RUNS / file.parent.name / file.name.removesuffix(SUFFIX)


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        with lzma.open(file, "rt", encoding="utf-8") as stream:
            lines = [json.loads(line) for line in stream]
    except (lzma.LZMAError, EOFError, ValueError) as error:
        raise ValueError(f"{file}: not a packed run ({error})") from error
    if not lines or not all(isinstance(line, dict) for line in lines):
        raise ValueError(f"{file}: not a packed run (its lines must be JSON objects)")
    if "settings" not in lines[0]:
        raise ValueError(f"{file}: not a packed run (its first line has no settings)")
    return lines
