"""Finished runs of fine-tuning: a JSON file each, and what they say of the starts together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zeroshot.finetune_statistics import expert_target, largest_dip, steps_to_reach

RUNS = "runs"
"""Folder of the files, in the output folder."""

RETURN_VERSUS_STEPS = "return-versus-steps.png"
"""The figure, in the output folder."""

DIP = 0.1
"""Share of the start's return below which a fall is no matter."""

Record = dict[str, Any]


class Piece(NamedTuple):
    """One run: where it starts, in which context by its name, and its seed."""

    start: str
    context: str
    seed: int


def read_records(out: Path) -> list[Record]:
    """The finished runs of a folder, by start, context and seed.

    Raises:
        ValueError: naming the file, if one is not a JSON record of a run.
    """
    records = []
    for path in sorted((out / RUNS).glob("*.json")):
        try:
            record = json.loads(path.read_text())
            piece_of(record)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: not a JSON record of a run ({error!r})") from error
        records.append(record)
    return sorted(records, key=piece_of)


def piece_of(record: Record) -> Piece:
    """The run that a record is of."""
    return Piece(record["start"], record["context"], record["seed"])


def file_name(piece: Piece) -> str:
    """Name of a run's file."""
    return f"{plain_name(piece.start)}_{piece.context}_seed={piece.seed}.json"


def summarise(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """What is to be told of each start, by name, over all its runs.

    `reached` counts the runs that came to 95 % of their expert's return, `median_steps` is the
    median of the environment steps that it took, None if half of the runs never did, and
    `largest_dip` the mean of how far the runs fell below their own start at most, and `dipped` how
    many fell by more than a tenth of it.
    """
    found: dict[str, dict[str, Any]] = {}
    for start in dict.fromkeys(record["start"] for record in records):
        mine = [record for record in records if record["start"] == start]
        steps = np.array(mine[0]["steps"])
        returns = np.array([np.mean(record["returns"], axis=1) for record in mine])
        expert = np.array([record["expert_return"] for record in mine])
        reached = steps_to_reach(steps, returns, expert_target(expert))
        ordered = np.sort(reached)  # of an even number the upper one: no mean with infinity
        median = float(ordered[len(ordered) // 2])
        dips = largest_dip(returns)
        found[start] = {
            "runs": len(mine),
            "contexts": len({record["context"] for record in mine}),
            "start_return": round(float(returns[:, 0].mean()), 3),
            "end_return": round(float(returns[:, -1].mean()), 3),
            "expert_return": round(float(expert.mean()), 3),
            "reached": int(np.isfinite(reached).sum()),
            "median_steps": int(median) if np.isfinite(median) else None,
            "largest_dip": round(float(dips.mean()), 3),
            "dipped": int((dips > DIP * np.abs(returns[:, 0])).sum()),
            "seconds": round(float(np.mean([record["seconds"] for record in mine])), 1),
        }
    return found


def said_of(record: Record) -> str:
    """A finished run in a line."""
    returns = np.mean(record["returns"], axis=1)
    return (
        f"{record['start']}, {record['context']}, seed {record['seed']}: return {returns[0]:.1f} "
        f"to {returns[-1]:.1f}, expert {record['expert_return']:.1f}, dip "
        f"{largest_dip(returns):.1f}, {record['seconds']:.0f} s"
    )


def plain_name(start: str) -> str:
    """A start's name in file names; of an import path, whose colon not every disk takes, unique."""
    if start.replace("-", "").isalnum():
        return start
    return f"{start.replace(':', '-')}-{hashlib.sha256(start.encode()).hexdigest()[:6]}"
