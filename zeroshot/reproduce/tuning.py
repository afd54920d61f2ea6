"""The fine-tunings of a plan: done by `zeroshot.finetune`, kept as small files, shown as tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experts import Experts, zoo_path
from experts.collections import find_collection
from experts.engines import Engine
from experts.finetune_config import FineTuneConfig
from zeroshot.finetune import Comparison, fine_tune_suite
from zeroshot.finetune_results import RETURN_VERSUS_STEPS, Record, piece_of, read_records, summarise
from zeroshot.progress import Reporter
from zeroshot.reproduce.plan import PlannedFineTuning
from zeroshot.results import SETTINGS, SUMMARY, plain
from zeroshot.suites import suite_of

DIGITS = 2
"""Decimals of the returns that small files keep."""


def comparison_of(work: PlannedFineTuning) -> Comparison:
    """What is asked of `zeroshot.finetune.fine_tune_suite`.

    Raises:
        ValueError: for an unknown start, or a context that is not held out.
    """
    from zeroshot.context_words import grid_contexts

    suite = suite_of(work.suite)
    return Comparison(
        config=FineTuneConfig.named(work.preset, td_weight=work.td_weight),
        suite=suite,
        starts=work.starts,
        contexts=grid_contexts(suite, work.contexts),
        n_steps=work.n_steps,
        seeds=work.seeds,
        every=work.every,
        split=work.split,
    )


def is_tuned(work: PlannedFineTuning, folder: Path, zoo: Experts | str) -> bool:
    """Whether all runs are there, made as they would be now, with their summary and figure.

    Where the suite has no experts any more, those of the results count.
    """
    written = all((folder / name).exists() for name in (SUMMARY, RETURN_VERSUS_STEPS))
    return written and tuned_starts(work, folder, zoo) == work.starts


def tuned_starts(work: PlannedFineTuning, folder: Path, zoo: Experts | str) -> tuple[str, ...]:
    """Those of the starts all of whose runs are there, made as they would be now."""
    try:
        settings = json.loads((folder / SETTINGS).read_text())
    except FileNotFoundError:
        return ()
    asked = comparison_of(work)
    if not isinstance(zoo, str):
        many = find_collection(work.zoo or zoo_path(asked.suite.zoo))
        if settings != plain(asked.settings(zoo, many)):
            return ()
    done = {piece_of(record) for record in read_records(folder)}
    missing = {piece.start for piece in asked.pieces if piece not in done}
    return tuple(start for start in work.starts if start not in missing)


def tune(
    work: PlannedFineTuning,
    folder: Path,
    *,
    workers: int,
    engine: Engine | None,
    reporter: Reporter,
) -> None:
    """Does the runs that the folder lacks, and draws their figure."""
    from zeroshot.finetune_figures import write_finetuning_figure

    fine_tune_suite(
        comparison_of(work),
        out=folder,
        workers=workers,
        engine=engine,
        zoo=work.zoo,
        say=reporter.stage,
    )
    write_finetuning_figure(folder)


def tuning_record(work: PlannedFineTuning, folder: Path) -> dict[str, Any]:
    """The content of the small file: what the summary says, and every start's mean curves.

    Beside what is asked, starts whose runs are all there are in it, and each start's further seeds
    that have all contexts: a command that asks for less adds to what is there.
    """
    summary = json.loads((folder / SUMMARY).read_text())
    asked = comparison_of(work)
    records = _whole(asked, read_records(folder))
    starts = tuple(dict.fromkeys(record["start"] for record in records))
    seeds = max(record["seed"] for record in records) + 1
    return {
        "part": work.part,
        "name": work.name,
        **summary,
        "split_rule": work.split,
        "preset": work.preset,
        "td_weight": asked.config.td_weight,
        "starts": summarise(records),
        "run_command": replace(work, starts=starts, seeds=seeds).command(folder),
        "commits": sorted({record["commit"] for record in records}),
        "steps": records[0]["steps"],
        "curves": {start: [_curve(own) for own in _by_context(records, start)] for start in starts},
    }


def _whole(asked: Comparison, records: Sequence[Record]) -> list[Record]:
    """The records that are of whole starts, and of seeds that have all contexts, start by start."""
    by_piece = {piece_of(record): record for record in records}
    found = []
    for start in dict.fromkeys([*asked.starts, *(piece.start for piece in by_piece)]):
        alone = replace(asked, starts=(start,))
        if not set(alone.pieces) <= set(by_piece):
            continue
        for seed in sorted({piece.seed for piece in by_piece}):
            own = [p for p in replace(alone, seeds=seed + 1).pieces if p.seed == seed]
            if set(own) <= set(by_piece):
                found += [by_piece[piece] for piece in own]
    return found


def _by_context(records: Sequence[Record], start: str) -> list[list[Record]]:
    mine = [record for record in records if record["start"] == start]
    names = dict.fromkeys(record["context"] for record in mine)
    return [[record for record in mine if record["context"] == name] for name in names]


def _curve(records: Sequence[Record]) -> dict[str, Any]:
    """Mean returns of one start in one context: a row a seed, a column an evaluation."""
    returns = [np.round(np.mean(record["returns"], axis=1), DIGITS).tolist() for record in records]
    return {
        "context": records[0]["context"],
        "expert": records[0]["expert_return"],
        "returns": returns,
    }
