"""One unit of a run: fit a method on a split, play the contexts it never saw, make rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experts import Experts, MLPPolicies, Played, Rollouts, collect, play
from experts.collections import collection_in
from experts.provenance import commit, versions
from zeroshot.fewshot import (
    FROM_SCRATCH,
    FromScratch,
    adapt,
    demonstrate,
    first_episodes,
    interact,
)
from zeroshot.frozen import split_of
from zeroshot.methods import config_of, make_method
from zeroshot.protocol import Fitted, Method, Policies, Progress
from zeroshot.references import EXPERT, REFERENCES, Reference, Training
from zeroshot.results import Row, Unit
from zeroshot.splits import Split, SplitRule, rule_of
from zeroshot.suites import Suite

TEST_STARTS = 1_000_000
"""Added to the split's seed for the starts of test episodes, so that no rollout shares them.

The split of seed 3 shares some with the experts' evaluations (`experts.training.EVALUATION_SEED`),
from which nothing is learned.
"""

ROLLOUT_SEED = 0
"""Seed of the experts' rollouts: all splits slice the same ones."""

ADAPTED_REFERENCES = ("nearest", FROM_SCRATCH)
"""References with few-shot rows: a prior without learning, and none at all."""


def rollouts_of(
    suite: Suite,
    experts: Experts,
    *,
    seed: int = ROLLOUT_SEED,
    collection: Path | None = None,
    n_threads: int = 0,
) -> Rollouts:
    """What methods learn from: rollouts of experts, and the many policies of their contexts.

    The experts are among these policies.

    Args:
        suite: of the experts.
        experts: of some of its contexts.
        seed: of the starts.
        collection: folder of many policies of every context; None where there are none.
        n_threads: to play on, 0 for all cores.

    Raises:
        ValueError: if the collection is damaged or lacks a context.
    """
    played = collect(
        experts, features=suite.features, seed=seed, n_steps=suite.n_steps, n_threads=n_threads
    )
    if collection is None:
        return played
    many = collection_in(collection, experts.contexts).with_experts(experts)
    return replace(played, collection=many)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """Performs units; picklable, so that every process can have its own.

    Attributes:
        suite: what is compared on.
        experts: one a context of the suite, in its order.
        transfer: mean return (n, n) of expert i in context j.
        methods: those that are not in the registry, by name.
        rule: which contexts are held out, the suite's own random split by default.
        shots: numbers of episodes of a test context for few-shot rows, ascending, without 0.
        train_rows: also play the training contexts.
        collection: folder of many policies of every context; None where there are none.
        n_threads: to step environments on, 0 for all cores.
    """

    suite: Suite
    experts: Experts
    transfer: NDArray[np.float64]
    methods: Mapping[str, Method]
    rule: SplitRule | None = None
    shots: tuple[int, ...] = ()
    train_rows: bool = False
    collection: Path | None = None
    n_threads: int = 0
    _expert_returns: dict[tuple[str, int], NDArray[np.float64]] = field(default_factory=dict)

    def prepare(self) -> Callable[[Unit, Progress], list[Row]]:
        """What performs units in the process that calls this."""
        return self.perform

    @cached_property
    def rollouts(self) -> Rollouts:
        """Rollouts of all experts, collected when the first method needs them."""
        return rollouts_of(
            self.suite, self.experts, collection=self.collection, n_threads=self.n_threads
        )

    def split(self, seed: int) -> Split:
        """Which contexts are learned from and held out at that seed."""
        return split_of(self.suite, self.rule or rule_of("random", self.suite), seed=seed)

    @property
    def rows_per_unit(self) -> int:
        """How many rows a whole unit has without shots; with them its rows say it themselves."""
        split = self.split(0)
        n_contexts = len(split.test) + (len(split.train) if self.train_rows else 0)
        return n_contexts * self.suite.n_episodes

    def perform(self, unit: Unit, progress: Progress) -> list[Row]:
        """Rows of one unit: test contexts first, each with its episodes in order.

        Then come training contexts, and test contexts after interaction and demonstrations. A
        method is told of a test context no sooner than that.
        """
        split = self.split(unit.seed)
        fitted: Fitted
        if unit.method == EXPERT or unit.method in (*REFERENCES, FROM_SCRATCH):
            kind, config, seconds = "reference", {}, 0.0
            fitted = self._reference(unit, split)
        else:
            method = method_named(unit.method, self.methods)  # imports torch before the clock runs
            data = self.rollouts.select(split.train)
            start = time.perf_counter()
            fitted = method.fit(data, seed=unit.seed, progress=progress)
            seconds = time.perf_counter() - start
            kind, config = "method", config_of(method)
        shared = {
            "suite": self.suite.name,
            "suite_version": self.suite.version,
            "method": unit.method,
            "kind": kind,
            "seed": unit.seed,
            "split_rule": str(self.rule or rule_of("random", self.suite)),
        }
        after = {
            "fit_seconds": round(seconds, 6),
            "config": config,
            "commit": commit(),
            "versions": versions(),
        }
        rows = []
        for part, ids in {"test": split.test, "train": split.train}.items():
            if part == "test" or self.train_rows:
                policies = fitted.policies([self.suite.contexts[i] for i in ids])
                played = self._episodes(policies, part, ids, unit.seed)
                if kind == "method":
                    owners = self._owners(policies, split, len(ids))
                    for i, row in enumerate(played):
                        row["expert_of"] = owners[i // self.suite.n_episodes]
                rows += played
        if self.shots:
            if kind == "method" or unit.method in ADAPTED_REFERENCES:
                rows += self._few_shot(unit, fitted, split)
            after["unit_rows"] = len(rows)
        return [{**shared, **row, **after} for row in rows]

    def _owners(self, policies: Policies, split: Split, n: int) -> list[dict[str, float] | None]:
        """The training context whose expert each of n policies is; None where it is a new one.

        A method may hand out experts as they are, as the reference `nearest` does; the rows of a
        run tell where it did.
        """
        if not isinstance(policies, MLPPolicies):
            return [None] * n
        ids = policies.among(self.experts.policies.select(split.train))
        contexts = [self.suite.contexts[i] for i in split.train]
        return [None if i < 0 else dict(contexts[i]) for i in ids]

    def _reference(self, unit: Unit, split: Split) -> Fitted:
        if unit.method == EXPERT:
            index = {context: i for i, context in enumerate(self.suite.contexts)}
            return _Chosen(
                lambda contexts: self.experts.policies.select([index[c] for c in contexts])
            )
        if unit.method == FROM_SCRATCH:
            return FromScratch(self.experts.policies.select(split.train[:1]), seed=unit.seed)
        training = Training(
            experts=self.experts.select(split.train),
            features=self.suite.features,
            transfer=self.transfer[np.ix_(split.train, split.train)],
            seed=unit.seed,
        )
        reference: Reference = REFERENCES[unit.method]
        return _Chosen(partial(reference, training))

    def _few_shot(self, unit: Unit, fitted: Fitted, split: Split) -> list[Row]:
        contexts = [self.suite.contexts[i] for i in split.test]
        rows: list[Row] = []
        if unit.method != FROM_SCRATCH:  # whose policies do not depend on the context
            found = interact(
                fitted,
                contexts,
                [self.suite.contexts[i] for i in split.train],
                features=self.suite.family.selected(self.suite.features),
                shots=self.shots,
                seed=unit.seed,
                play=self._play_once,
            )
            for k, policies in found:
                rows += self._episodes(policies, "test", split.test, unit.seed, "interaction", k)
        demonstrations = demonstrate(
            self.experts.select(split.test),
            features=self.suite.features,
            n_episodes=self.shots[-1],
            seed=unit.seed,
            n_steps=self.suite.n_steps,
            n_threads=self.n_threads,
        )
        for k in self.shots:
            adapted = adapt(fitted, first_episodes(demonstrations, k), seed=unit.seed)
            if adapted is not None:
                rows += self._episodes(adapted, "test", split.test, unit.seed, "demonstrations", k)
        return rows

    def _episodes(
        self,
        policies: Policies,
        part: str,
        ids: Sequence[int],
        seed: int,
        protocol: str = "zero-shot",
        shots: int = 0,
    ) -> list[Row]:
        contexts = [self.suite.contexts[i] for i in ids]
        played = self._play(policies, contexts, seed)
        if (part, seed) not in self._expert_returns:
            own = self._play(self.experts.policies.select(ids), contexts, seed)
            self._expert_returns[part, seed] = own.returns.mean(axis=1)
        expert = self._expert_returns[part, seed]
        return [
            {
                "context": dict(context),
                "split": part,
                "protocol": protocol,
                "shots": shots,
                "episode": episode,
                "return": float(played.returns[i, episode]),
                "expert_return": float(expert[i]),
                "length": int(played.lengths[i, episode]),
                "outcome": {k: float(v[i, episode]) for k, v in played.outcomes.items()},
            }
            for i, context in enumerate(contexts)
            for episode in range(self.suite.n_episodes)
        ]

    def _play(
        self,
        policies: Policies,
        contexts: Sequence[Any],
        seed: int,
        n_episodes: int | None = None,
        starts: Sequence[int] | None = None,
    ) -> Played:
        return play(
            _Finite(policies, contexts),
            self.suite.family,
            contexts,
            reward=self.suite.reward,
            n_episodes=n_episodes or self.suite.n_episodes,
            seed=TEST_STARTS + seed,
            starts=starts,
            n_steps=self.suite.n_steps,
            n_threads=self.n_threads,
        )

    def _play_once(
        self, policies: Policies, contexts: Sequence[Any], starts: Sequence[int]
    ) -> Played:
        return self._play(policies, contexts, 0, n_episodes=1, starts=starts)


@dataclass(frozen=True)
class _Chosen:
    """A reference as what a fit returns."""

    policies: Callable[[Sequence[Any]], Policies]


@dataclass(frozen=True)
class _Finite:
    """Policies, with all that they have, whose actions are looked at before they are played."""

    policies: Policies
    contexts: Sequence[Mapping[str, float]]

    def act(self, observations: NDArray[np.floating]) -> NDArray[np.floating]:
        """The policies' actions.

        Raises:
            ValueError: naming the policies and the context, if one of them is not finite.
        """
        actions = np.asarray(self.policies.act(observations))
        finite = np.isfinite(actions)
        if finite.all() or len(actions) != len(self.contexts):  # `play` checks the shape
            return actions
        first = next(i for i, own in enumerate(finite) if not own.all())
        kind = type(self.policies)
        raise ValueError(
            f"`act` of {kind.__module__}.{kind.__qualname__} must return finite actions, those in "
            f"the context {dict(self.contexts[first])} are not"
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policies, name)


def method_named(name: str, own: Mapping[str, Method]) -> Method:
    """The method of that name: the caller's own, or from the registry or an import path."""
    return own[name] if name in own else make_method(name)
