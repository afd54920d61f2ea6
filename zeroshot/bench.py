"""One unit of a run: fit a method on a split, play the contexts it never saw, make rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experts import Experts, Played, Rollouts, collect, play
from zeroshot.methods import config_of, make_method
from zeroshot.protocol import Method, Policies, Progress
from zeroshot.provenance import commit, versions
from zeroshot.references import EXPERT, REFERENCES, Training
from zeroshot.results import Row, Unit
from zeroshot.splits import Split, random_split
from zeroshot.suites import Suite

TEST_STARTS = 1_000_000
"""Added to the split's seed for the starts of test episodes, so that no rollout shares them."""

ROLLOUT_SEED = 0
"""Seed of the experts' rollouts: all splits slice the same ones."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """Performs units; picklable, so that every process can have its own.

    Attributes:
        suite: what is compared on.
        experts: one a context of the suite, in its order.
        transfer: mean return (n, n) of expert i in context j.
        methods: those that are not in the registry, by name.
        train_rows: also play the training contexts.
        n_threads: to step environments on, 0 for all cores.
    """

    suite: Suite
    experts: Experts
    transfer: NDArray[np.float64]
    methods: Mapping[str, Method]
    train_rows: bool = False
    n_threads: int = 0
    _expert_returns: dict[tuple[str, int], NDArray[np.float64]] = field(default_factory=dict)

    def prepare(self) -> Callable[[Unit, Progress], list[Row]]:
        """What performs units in the process that calls this."""
        return self.perform

    @cached_property
    def rollouts(self) -> Rollouts:
        """Rollouts of all experts, collected when the first method needs them."""
        return collect(
            self.experts,
            features=self.suite.features,
            seed=ROLLOUT_SEED,
            n_steps=self.suite.n_steps,
            n_threads=self.n_threads,
        )

    @property
    def rows_per_unit(self) -> int:
        """How many rows a whole unit has."""
        n_contexts = len(self.suite.contexts) if self.train_rows else self.suite.n_test
        return n_contexts * self.suite.n_episodes

    def perform(self, unit: Unit, progress: Progress) -> list[Row]:
        """Rows of one unit: test contexts first, each with its episodes in order."""
        split = random_split(self.suite, seed=unit.seed)
        if unit.method == EXPERT or unit.method in REFERENCES:
            kind, config, seconds = "reference", {}, 0.0
            policies = self._reference(unit, split)
        else:
            method = method_named(unit.method, self.methods)  # imports torch before the clock runs
            data = self.rollouts.select(split.train)
            start = time.perf_counter()
            fitted = method.fit(data, seed=unit.seed, progress=progress)
            seconds = time.perf_counter() - start
            kind, config, policies = "method", config_of(method), fitted.policies
        shared = {
            "suite": self.suite.name,
            "suite_version": self.suite.version,
            "method": unit.method,
            "kind": kind,
            "seed": unit.seed,
        }
        after = {
            "fit_seconds": round(seconds, 3),
            "config": config,
            "commit": commit(),
            "versions": versions(),
        }
        parts = {"test": split.test, "train": split.train if self.train_rows else ()}
        return [
            {**shared, **row, **after}
            for part, ids in parts.items()
            if ids
            for row in self._episodes(policies, part, ids, unit.seed)
        ]

    def _reference(self, unit: Unit, split: Split) -> Callable[[Sequence[Any]], Policies]:
        if unit.method == EXPERT:
            index = {context: i for i, context in enumerate(self.suite.contexts)}
            return lambda contexts: self.experts.policies.select([index[c] for c in contexts])
        training = Training(
            experts=self.experts.select(split.train),
            features=self.suite.features,
            transfer=self.transfer[np.ix_(split.train, split.train)],
            seed=unit.seed,
        )
        return lambda contexts: REFERENCES[unit.method](training, contexts)

    def _episodes(
        self,
        policies: Callable[[Sequence[Any]], Policies],
        part: str,
        ids: Sequence[int],
        seed: int,
    ) -> list[Row]:
        contexts = [self.suite.contexts[i] for i in ids]
        played = self._play(policies(contexts), contexts, seed)
        if (part, seed) not in self._expert_returns:
            own = self._play(self.experts.policies.select(ids), contexts, seed)
            self._expert_returns[part, seed] = own.returns.mean(axis=1)
        expert = self._expert_returns[part, seed]
        return [
            {
                "context": dict(context),
                "split": part,
                "episode": episode,
                "return": float(played.returns[i, episode]),
                "expert_return": float(expert[i]),
                "length": int(played.lengths[i, episode]),
                "outcome": {k: float(v[i, episode]) for k, v in played.outcomes.items()},
            }
            for i, context in enumerate(contexts)
            for episode in range(self.suite.n_episodes)
        ]

    def _play(self, policies: Policies, contexts: Sequence[Any], seed: int) -> Played:
        return play(
            policies,
            self.suite.family,
            contexts,
            reward=self.suite.reward,
            n_episodes=self.suite.n_episodes,
            seed=TEST_STARTS + seed,
            n_steps=self.suite.n_steps,
            n_threads=self.n_threads,
        )


def method_named(name: str, own: Mapping[str, Method]) -> Method:
    """The method of that name: the caller's own, or from the registry or an import path."""
    return own[name] if name in own else make_method(name)
