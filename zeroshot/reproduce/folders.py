"""Where a plan's work lies, and what of it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experts import Experts, zoo_path
from experts.collections import find_collection
from zeroshot.fewshot import checked_shots
from zeroshot.frozen import split_of
from zeroshot.reproduce.plan import PlannedFilm, PlannedFineTuning, PlannedRun, Work
from zeroshot.results import plain
from zeroshot.run import settings_of
from zeroshot.splits import rule_of
from zeroshot.suites import suite_of

RUNS = "runs"
"""Folder of the runs' own folders."""


def folder_of(work: PlannedRun | PlannedFineTuning, out: Path) -> Path:
    """Where `zeroshot run` or `zeroshot finetune` writes."""
    return out / RUNS / work.name


def film_path(work: PlannedFilm, out: Path) -> Path:
    """The film's file."""
    return out / f"{work.name}.mp4"


def target_of(work: Work, out: Path) -> Path:
    """The folder or file that a piece of work makes."""
    return film_path(work, out) if isinstance(work, PlannedFilm) else folder_of(work, out)


def settings_now(work: PlannedRun, folder: Path, experts: Experts) -> dict[str, Any]:
    """Settings of the run if it were started, or gone on with, in a folder that may be absent."""
    suite = suite_of(work.suite)
    found: dict[str, Any] = plain(
        settings_of(
            suite,
            experts,
            collection=find_collection(work.zoo or zoo_path(suite.zoo)),
            rule=rule_of(work.split, suite),
            shots=checked_shots(work.shots),
            train_rows=work.train_rows,
            out=folder,
        )
    )
    return found


def rows_per_unit(work: PlannedRun) -> int:
    """How many rows a whole unit has without shots; with them its rows say it themselves."""
    suite = suite_of(work.suite)
    split = split_of(suite, rule_of(work.split, suite), seed=0)
    return (len(split.test) + (len(split.train) if work.train_rows else 0)) * suite.n_episodes
