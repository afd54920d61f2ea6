"""Fine-tuning in held-out contexts, from several starts: a file a run, safe against kills.

The starts are the policy that a method generates, the nearest training expert, and random weights.
All runs of a context are evaluated from the same initial states, as its expert is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experts import Experts, MLPPolicies, play, zoo_path
from experts.collections import collection_fingerprint, find_collection
from experts.engines import Engine
from experts.evaluation import episode_seeds
from experts.finetune import fine_tune
from experts.finetune_config import FineTuneConfig
from experts.provenance import command, commit, machine, now, versions
from experts.store import expert_name, write_atomically
from param_envs import Context
from zeroshot.bench import TEST_STARTS
from zeroshot.finetune_results import (
    RUNS,
    Piece,
    Record,
    file_name,
    piece_of,
    read_records,
    said_of,
    summarise,
)
from zeroshot.finetune_starts import (
    NEAREST,
    SCRATCH,
    STANDARDISED,
    UNTRAINED,
    check_start,
    start_policies,
)
from zeroshot.frozen import split_of
from zeroshot.protocol import Progress
from zeroshot.results import SUMMARY, ResultsFolder, open_results
from zeroshot.run import default_workers, experts_of, manifest_fingerprint
from zeroshot.splits import Split, rule_of
from zeroshot.suites import Suite
from zeroshot.workers import perform_all

STARTS = "starts"
"""Folder of the methods' policies, in the output folder."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """What is compared: which starts, where and for how long.

    Attributes:
        suite: whose contexts.
        starts: `scratch`, `scratch-standardised`, `nearest`, and names of methods, distinct.
        contexts: to fine-tune in, all that the split holds out if empty.
        n_steps: environment steps of a run.
        seeds: runs from each start in each context, of seeds 0, 1, ...
        every: environment steps between evaluations.
        n_episodes: of an evaluation.
        config: of the fine-tuning; those from random weights have its `plain()`.
        split: which contexts are held out, as in `zeroshot.run.run`.
        split_seed: of the split, and of the methods' fits.

    Raises:
        ValueError: for an unknown start or split, a context that is not held out or given twice, or
            a number that makes no sense.
    """

    suite: Suite
    starts: tuple[str, ...] = (SCRATCH, NEAREST, "hyperzero")
    contexts: tuple[Context, ...] = ()
    n_steps: int = 100_000
    seeds: int = 3
    every: int = 5_000
    n_episodes: int = 10
    config: FineTuneConfig = field(default_factory=FineTuneConfig)
    split: str = "random"
    split_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_steps", "seeds", "every", "n_episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        if self.n_steps <= self.config.collect_steps:
            raise ValueError(
                f"`n_steps` must be more than the {self.config.collect_steps} that are collected "
                f"before the first update, got {self.n_steps}"
            )
        if self.split_seed < 0:
            raise ValueError(f"`split_seed` must be at least 0, got {self.split_seed}")
        if not self.starts or len(set(self.starts)) != len(self.starts):
            raise ValueError(f"`starts` must be distinct, at least one, got {list(self.starts)}")
        for start in self.starts:
            check_start(start)  # a wrong name must not surface after an hour
        if len(set(self.contexts)) != len(self.contexts):
            raise ValueError(f"`contexts` must be distinct, got {list(map(dict, self.contexts))}")
        held_out = self.held_out.values()
        for context in self.contexts:
            if context not in held_out:
                raise ValueError(
                    f"`contexts` must be held out by the split: {', '.join(self.held_out)}; "
                    f"got {expert_name(context)}"
                )

    @cached_property
    def ids(self) -> Split:
        """Which contexts of the suite are learned from and held out."""
        return split_of(self.suite, rule_of(self.split, self.suite), seed=self.split_seed)

    @cached_property
    def held_out(self) -> dict[str, Context]:
        """The contexts held out, by name."""
        contexts = [self.suite.contexts[i] for i in self.ids.test]
        return {expert_name(context): context for context in contexts}

    @property
    def pieces(self) -> list[Piece]:
        """All runs, seed by seed, so that an early end leaves all starts compared."""
        contexts = self.contexts or tuple(self.held_out.values())
        return [
            Piece(start, expert_name(context), seed)
            for seed in range(self.seeds)
            for context in contexts
            for start in self.starts
        ]

    def evaluation_starts(self, name: str) -> list[int]:
        """Seeds (n_episodes,) of the starts of a held-out context: those of its test episodes."""
        place = list(self.held_out).index(name)
        seeds = episode_seeds(TEST_STARTS + self.split_seed, place + 1, self.n_episodes)
        return seeds[-self.n_episodes :]

    def settings(self, experts: Experts, collection: Path | None) -> dict[str, Any]:
        """All that runs in one folder have in common; starts, contexts and seeds may be added."""
        return {
            "suite": self.suite.name,
            "suite_version": self.suite.version,
            "reward": self.suite.reward,
            "experts": manifest_fingerprint(experts),
            "split_rule": self.split,
            "split_seed": self.split_seed,
            "n_steps": self.n_steps,
            "every": self.every,
            "n_episodes": self.n_episodes,
            "episode_steps": self.suite.n_steps,
            "config": asdict(self.config),
            "collection": None if collection is None else collection_fingerprint(collection),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class FineTuning:
    """Performs runs; picklable, so that every process can have its own.

    Attributes:
        comparison: what is compared.
        experts: each context's own, by its name, for comparison alone.
        starts: one policy a context, by start and context; none for random weights.
    """

    comparison: Comparison
    experts: Mapping[str, MLPPolicies]
    starts: Mapping[str, Mapping[str, MLPPolicies]]

    def prepare(self) -> Callable[[Piece, Progress], Record]:
        """What performs runs in the process that calls this."""
        return self.perform

    def perform(self, piece: Piece, progress: Progress) -> Record:
        """The record of one run, on one thread: a second one costs more than it brings."""
        asked, suite = self.comparison, self.comparison.suite
        context, starts = asked.held_out[piece.context], asked.evaluation_starts(piece.context)
        scratch = piece.start in UNTRAINED
        config = asked.config.plain() if scratch else asked.config
        if piece.start == STANDARDISED:
            config = replace(config, standardise=True)
        n_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            curve = fine_tune(
                None if scratch else self.starts[piece.start][piece.context],
                suite.family,
                context,
                reward=suite.reward,
                n_steps=asked.n_steps,
                seed=piece.seed,
                config=config,
                every=asked.every,
                n_episodes=asked.n_episodes,
                evaluation_starts=starts,
                episode_steps=suite.n_steps,
                on_steps=lambda steps: progress(steps / asked.n_steps),
            )
        finally:
            torch.set_num_threads(n_threads)
        expert = play(
            self.experts[piece.context],
            suite.family,
            [context],
            reward=suite.reward,
            n_episodes=asked.n_episodes,
            seed=0,
            starts=starts,
            n_steps=suite.n_steps,
            n_threads=1,
        )
        return {
            "suite": suite.name,
            "suite_version": suite.version,
            **piece._asdict(),
            "values": dict(context),
            "steps": curve.steps.tolist(),
            "returns": np.round(curve.returns, 3).tolist(),
            "expert_return": round(float(expert.returns.mean()), 3),
            "config": asdict(config),
            "seconds": round(curve.seconds, 1),
            "date": now(),
            "commit": commit(),
            "versions": versions(),
        }


def fine_tune_suite(
    comparison: Comparison,
    *,
    out: Path,
    workers: int = 1,
    engine: Engine | None = None,
    zoo: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> dict[str, Any]:
    """Fine-tunes from every start in every held-out context; returns the summary.

    Writes a JSON file a run to `out/runs`, as soon as it is done, the methods' policies to
    `out/starts`, and `summary.json`. Killed at any moment and called again, it goes on and has lost
    at most the runs in flight; starts, contexts and seeds may be added.

    Args:
        comparison: what is compared.
        out: folder for the results.
        workers: runs at once, 0 to choose by the number of cores, or with an engine by its own
            rules. More than 1, or an engine, needs `if __name__ == "__main__":` around the script.
        engine: where runs are performed, this machine by default.
        zoo: folder of experts, the suite's shipped ones by default.
        say: told in words how it goes.
        on_progress: told which fraction of the runs is done.

    Raises:
        ValueError: for a start that is no network, or results of other settings in `out`.
        FileNotFoundError: if the suite has no experts.
        FileExistsError: if another process writes to `out`.
    """
    experts = experts_of(comparison.suite, zoo)
    many = find_collection(zoo or zoo_path(comparison.suite.zoo))
    with open_results(out, comparison.settings(experts, many), resume=True) as folder:
        for directory in (out / RUNS, out / STARTS):
            directory.mkdir(exist_ok=True)
            for torn in directory.glob(".*.part"):
                torn.unlink()
        done = {piece_of(record) for record in read_records(out)}
        waiting = [piece for piece in comparison.pieces if piece not in done]
        n_done = len(comparison.pieces) - len(waiting)
        say(f"{len(waiting)} runs to do, {n_done} were done before")
        fractions = {piece: float(piece in done) for piece in comparison.pieces}
        complete = False
        try:
            performed = perform_all(
                waiting,
                _fine_tuning(comparison, waiting, experts, many, out / STARTS, say).prepare,
                n_workers=workers or (None if engine else default_workers(len(waiting))),
                on_progress=partial(_tell, fractions, on_progress),
                engine=engine,
            )
            with closing(performed):
                for piece, record in performed:
                    payload = json.dumps(record, allow_nan=False) + "\n"
                    write_atomically(out / RUNS / file_name(piece), payload.encode())
                    _tell(fractions, on_progress, piece, 1.0)
                    say(said_of(record))
            complete = True
        finally:
            summary = _write_summary(folder, comparison.suite, complete)
    return summary


def _fine_tuning(
    comparison: Comparison,
    waiting: list[Piece],
    experts: Experts,
    collection: Path | None,
    directory: Path,
    say: Callable[[str], None],
) -> FineTuning:
    suite, ids = comparison.suite, comparison.ids
    needed = {piece.start for piece in waiting} - set(UNTRAINED)
    starts = {}
    for start in comparison.starts:
        if start in needed:
            policies = start_policies(
                start,
                suite,
                experts,
                ids,
                seed=comparison.split_seed,
                directory=directory,
                collection=collection,
                say=say,
            )
            starts[start] = {
                name: policies.select([i]) for i, name in enumerate(comparison.held_out)
            }
    return FineTuning(
        comparison=comparison,
        experts={
            name: experts.policies.select([i])
            for name, i in zip(comparison.held_out, ids.test, strict=True)
        },
        starts=starts,
    )


def _write_summary(folder: ResultsFolder, suite: Suite, complete: bool) -> dict[str, Any]:
    records = read_records(folder.path)
    summary = {
        "suite": suite.name,
        "suite_version": suite.version,
        "starts": summarise(records),
        "contexts": sorted({record["context"] for record in records}),
        "seeds": sorted({record["seed"] for record in records}),
        "complete": complete,
        "command": command(),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "date": now(),
    }
    folder.write_json(SUMMARY, summary)
    return summary


def _tell(
    fractions: dict[Piece, float],
    on_progress: Callable[[float], None],
    piece: Piece,
    fraction: float,
) -> None:
    fractions[piece] = fraction
    on_progress(sum(fractions.values()) / len(fractions))
