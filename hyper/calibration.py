"""Which policy serves a context best, found in a training context of the same body.

What a generated policy does between training contexts is a little too fast here and too slow there,
and now and then it is worse than a training expert next to it. Where a desired speed is all that
tells a context from one that was trained, the policy can be watched in that one: it moves there
exactly as it would in its own. What that is worth in its own is known from a reward function that
is learned in the training contexts (`hyper.learned_reward`). So several policies are watched: the
one generated for the context, some for slightly other speeds, the nearest training contexts'
experts, and in a single range of speeds mixes of two experts' weights (`hyper.mixes`). The best is
handed out. The context itself is not played, nor its reward asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import islice, product

import numpy as np
import torch
from numpy.typing import NDArray

from experts import MLPPolicies, Rollouts, play
from experts.evaluation import Watch, episode_seeds
from experts.neighbours import Neighbours, neighbours_around
from experts.policy import Kind
from hyper.learned_reward import LearnedReward, Recorder, speeds_of
from hyper.mixes import SpeedLines, reaches_of
from param_envs import Context

CALIBRATION_SEED = 10_000_000
"""Added to a fit's seed for the starts of the episodes that are watched."""

SHIFTS = (1.0, 0.98, 1.02, 0.94, 1.06, 0.88, 1.12, 0.8, 1.2)
"""Times a context's speeds, those that policies are generated for. Of equally good ones, the first
is taken."""

MISSES = (0.5, 0.75, 0.9, 1.0, 1.1, 1.33, 2.0)
"""Times a training context's speeds, those of the policies that the reward function is learned
from: what it costs to be as much too fast or too slow."""

EVERY = 5
"""Steps, of which one is learned from."""

ROUNDS = ((None, 1 / 3), (5, 2 / 3), (3, 2.0))
"""How many of a context's policies are watched in each round, the best ones of the rounds before,
and in how many episodes each, as multiples of `n_episodes`; None for all. Most are soon seen to be
worse (successive halving), and between the last ones a fall in twenty episodes counts."""

Generate = Callable[[Sequence[Mapping[str, float]]], MLPPolicies]
"""Makes one policy a context."""


def rounds_of(n_episodes: int) -> list[tuple[int | None, int]]:
    """How many of a context's policies are watched in each round, None for all, and how often."""
    return [(kept, max(1, round(share * n_episodes))) for kept, share in ROUNDS]


def n_candidates(features: Sequence[str]) -> int:
    """Policies among which a context's is chosen, where so many features vary, at most."""
    return len(SHIFTS) + neighbours_around(features) + len(reaches_of(features))


def n_watched(n_candidates: int, n_episodes: int) -> int:
    """Episodes that are watched to choose among so many policies of one context."""
    return sum(min(n_candidates, kept or n_candidates) * n for kept, n in rounds_of(n_episodes))


class Calibration:
    """Chooses among policies for contexts whose bodies were trained."""

    def __init__(
        self,
        data: Rollouts,
        generated: Generate,
        of_training: Callable[[NDArray[np.intp]], MLPPolicies],
        *,
        seed: int,
        n_episodes: int,
    ) -> None:
        """Notes what is needed; nothing is played yet.

        Args:
            data: rollouts of the training contexts' experts; with these, mixes of them are
                candidates where a single feature varies, if they are of the generated kind.
            generated: makes policies of contexts.
            of_training: policies of those training contexts, alike in kind with generated ones.
            seed: of the starts, the same ones for all policies.
            n_episodes: see `ROUNDS`.
        """
        self.family, self._contexts, self._reward = data.family, data.contexts, data.reward
        self._features, self._n_steps = data.features, data.mask.shape[2]
        self._generated, self.of_training = generated, of_training
        self._experts = data.experts.policies if data.experts else None
        self._seed, self._rounds = CALIBRATION_SEED + seed, rounds_of(n_episodes)
        self._neighbours = Neighbours(data.family, data.contexts, data.features)
        self._speeds = [feature.name for feature in speeds_of(data.family, data.features)]
        bodies = [data.family.dynamics(context) for context in data.contexts]
        self._places = {body: i for i, body in reversed(list(enumerate(bodies)))}

    def knows(self, contexts: Sequence[Mapping[str, float]]) -> NDArray[np.bool_]:
        """Which of n contexts (n,) have the body of a training context, and a desired speed."""
        found = [self.family.dynamics(context) in self._places for context in contexts]
        return np.array(found, dtype=np.bool_) & bool(self._speeds)

    def best(self, contexts: Sequence[Context]) -> MLPPolicies:
        """The best policy for each of n contexts, all of which it `knows`."""
        policies = self._candidates(contexts)
        places = [self._contexts[self._places[self.family.dynamics(c)]] for c in contexts]
        starts = iter(episode_seeds(self._seed, 1, sum(n for _, n in self._rounds)))
        rows = np.arange(len(policies)).reshape(-1, len(contexts))
        returns = np.zeros(rows.shape)
        for n_policies, n_episodes in self._rounds:
            best = np.sort(np.argsort(-returns, axis=0, kind="stable")[:n_policies], axis=0)
            rows = np.take_along_axis(rows, best, axis=0)
            watched = self.reward.returns_in(list(contexts) * len(rows))
            self._play(
                policies.select(rows.ravel()), places * len(rows), watched,
                seed=self._seed, n_episodes=n_episodes,
                starts=list(islice(starts, n_episodes)) * rows.size,
            )  # fmt: skip
            returns = np.take_along_axis(returns, best, axis=0)
            returns += watched.returns.sum(axis=1).reshape(rows.shape)
        return policies.select(rows[returns.argmax(axis=0), np.arange(len(contexts))])

    def _candidates(self, contexts: Sequence[Context]) -> MLPPolicies:
        """Those of each context, one kind of them after the other."""
        around, _ = self._neighbours.shares(contexts)
        candidates = [self._generated(self.shifted(contexts, shift)) for shift in SHIFTS]
        candidates += [self.of_training(ids) for ids in around.T]
        return MLPPolicies.stack([*candidates, *self._mixes(contexts, candidates[0].kind)])

    def _mixes(self, contexts: Sequence[Context], kind: Kind) -> list[MLPPolicies]:
        """Mixes of experts, if a speed is all that varies and they are of this kind."""
        experts, reaches = self._experts, reaches_of(self._features)
        if experts is None or experts.kind != kind or not reaches:
            return []
        (name,) = self._speeds
        known, asked = (np.array([c[name] for c in cs]) for cs in (self._contexts, contexts))
        lines = SpeedLines.through(known, asked)
        return [lines.mixed(experts, reach) for reach in reaches]

    @cached_property
    def reward(self) -> LearnedReward:
        """The reward function, learned when it is first asked for.

        Generated policies play the training contexts, among them those of other speeds.
        """
        recorder = Recorder(EVERY)
        for i, miss in enumerate(MISSES):
            policies = self._generated(self.shifted(self._contexts, miss))
            self._play(policies, self._contexts, recorder, seed=self._seed + i)
        seen = recorder.outcomes()
        return LearnedReward(self.family, self._features, self._contexts, seen, seed=self._seed)

    def shifted(self, contexts: Sequence[Mapping[str, float]], times: float) -> list[Context]:
        """The contexts with their desired speeds so many times as large, at most the largest."""
        shifted = [dict(context) for context in contexts]
        for context, feature in product(shifted, self.family.selected(self._speeds)):
            wanted = context[feature.name] * times
            context[feature.name] = min(max(wanted, feature.low), feature.high)
        return [self.family.context(**context) for context in shifted]

    def _play(
        self,
        policies: MLPPolicies,
        contexts: Sequence[Context],
        watch: Watch,
        *,
        seed: int,
        n_episodes: int = 1,
        starts: Sequence[int] | None = None,
    ) -> None:
        play(
            policies,
            self.family,
            contexts,
            reward=self._reward,
            n_episodes=n_episodes,
            seed=seed,
            starts=starts,
            n_steps=self._n_steps,
            n_threads=torch.get_num_threads(),
            watch=watch,
        )
