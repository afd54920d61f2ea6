"""Every policy in every context: the matrix that tells what a fixed policy is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experts.episode_cache import EpisodeCache, key_of
from experts.evaluation import Played, episode_seeds, play
from experts.policy import MLPPolicies
from experts.store import Experts
from param_envs import Context

Array = NDArray[np.float64]

SLOTS = 1600
"""Environments stepped at once, about 100 MB of simulations."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Transfer:
    """What m policies (rows) do in n contexts (columns), means over their episodes.

    Attributes:
        returns: undiscounted, (m, n).
        outcomes: each measured quantity of the family, (m, n).
    """

    returns: Array
    outcomes: dict[str, Array]


def transfer_matrix(
    experts: Experts,
    policies: MLPPolicies | None = None,
    *,
    n_episodes: int = 1,
    seed: int = 0,
    n_steps: int | None = None,
) -> Array:
    """Mean returns (m, n) of policy i (rows) in the context of expert j (columns).

    Args:
        experts: n experts; their contexts and reward count.
        policies: m policies, the experts' own by default.
        n_episodes: episodes a pair.
        seed: of the starts.
        n_steps: longest episode, the family's own by default.
    """
    chosen = experts.policies if policies is None else policies
    return play_everywhere(
        experts, chosen, n_episodes=n_episodes, seed=seed, n_steps=n_steps
    ).returns


def play_everywhere(
    experts: Experts,
    policies: MLPPolicies,
    *,
    n_episodes: int,
    seed: int,
    n_steps: int | None = None,
    n_threads: int = 0,
    cache: EpisodeCache | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Transfer:
    """Plays m policies in the contexts of n experts.

    In one context all policies start from the same states, so that they differ by what they do
    and not by where they began.

    Args:
        experts: n experts; their contexts and reward count.
        policies: m policies.
        n_episodes: episodes a pair.
        seed: of the starts: episode e in context j begins in a state drawn by (seed, j, e).
        n_steps: longest episode, the family's own by default.
        n_threads: threads to step on, 0 for all cores.
        cache: keeps what was played, and is asked before anything is played.
        on_progress: told which fraction of the work is done.
    """
    n_contexts = len(experts)
    rows = max(1, SLOTS // (n_contexts * n_episodes))
    starts = episode_seeds(seed, n_contexts, n_episodes)
    chunks = [
        np.arange(first, min(first + rows, len(policies)))
        for first in range(0, len(policies), rows)
    ]
    clock = _Clock(n_steps or experts.family.max_episode_steps, len(chunks), on_progress)
    parts = [
        _played(
            experts,
            policies.select(ids),
            [context for _ in ids for context in experts.contexts],
            starts * len(ids),
            n_episodes=n_episodes,
            n_steps=n_steps,
            n_threads=n_threads,
            cache=cache,
            clock=clock,
        )
        for ids in chunks
    ]

    def matrix(values: Sequence[Array]) -> Array:
        return np.concatenate(values).mean(axis=1).reshape(len(policies), n_contexts)

    return Transfer(
        returns=matrix([part.returns for part in parts]),
        outcomes={
            name: matrix([part.outcomes[name] for part in parts])
            for name in experts.family.outcome_names
        },
    )


def play_pairs(
    experts: Experts,
    policies: MLPPolicies,
    columns: NDArray[np.intp],
    *,
    n_episodes: int,
    seed: int,
    n_steps: int | None = None,
    n_threads: int = 0,
    cache: EpisodeCache | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Array:
    """Returns (n_pairs, n_episodes) of policy k in the context of expert `columns[k]`.

    Policies of the same context start from the same states, as in `play_everywhere`.

    Args:
        experts: n experts; their contexts and reward count.
        policies: n_pairs policies.
        columns: positions (n_pairs,) of contexts.
        n_episodes: episodes a pair.
        seed: of the starts: episode e in context j begins in a state drawn by (seed, j, e).
        n_steps: longest episode, the family's own by default.
        n_threads: threads to step on, 0 for all cores.
        cache: keeps what was played, and is asked before anything is played.
        on_progress: told which fraction of the work is done.
    """
    pairs = max(1, SLOTS // n_episodes)
    seeds = np.reshape(episode_seeds(seed, len(experts), n_episodes), (len(experts), n_episodes))
    chunks = [
        np.arange(first, min(first + pairs, len(columns)))
        for first in range(0, len(columns), pairs)
    ]
    clock = _Clock(n_steps or experts.family.max_episode_steps, len(chunks), on_progress)
    played = [
        _played(
            experts,
            policies.select(ids),
            [experts.contexts[j] for j in columns[ids]],
            seeds[columns[ids]].ravel().tolist(),
            n_episodes=n_episodes,
            n_steps=n_steps,
            n_threads=n_threads,
            cache=cache,
            clock=clock,
        )
        for ids in chunks
    ]
    return np.concatenate([part.returns for part in played])


def _played(
    experts: Experts,
    policies: MLPPolicies,
    contexts: Sequence[Context],
    starts: Sequence[int],
    *,
    n_episodes: int,
    n_steps: int | None,
    n_threads: int,
    cache: EpisodeCache | None,
    clock: _Clock,
) -> Played:
    """What m policies do, each in its part of the contexts, played or from the cache."""

    def now() -> Played:
        return play(
            _EachEverywhere(policies, clock),
            experts.family,
            contexts,
            reward=experts.reward,
            n_episodes=n_episodes,
            seed=0,
            starts=starts,
            n_steps=n_steps,
            n_threads=n_threads,
        )

    if cache is None:
        return now()
    facts = {
        "env_id": experts.family.env_id,
        "contexts": [dict(context) for context in contexts],
        "reward": experts.reward,
        "starts": list(starts),
        "n_episodes": n_episodes,
        "n_steps": n_steps,
    }
    key = key_of(policies, facts)
    played = cache.find(key)
    if played is None:
        played = now()
        cache.keep(key, played)
    else:
        clock.skip()
    return played


class _Clock:
    """Tells how far a number of equal chunks of episodes has come."""

    def __init__(
        self, n_steps: int, n_chunks: int, on_progress: Callable[[float], None] | None
    ) -> None:
        self._chunk = n_steps
        self._total = n_steps * n_chunks
        self._done = 0
        self._on_progress = on_progress

    def tick(self) -> None:
        self._go_on(1)

    def skip(self) -> None:
        self._go_on(self._chunk)

    def _go_on(self, steps: int) -> None:
        self._done += steps
        if self._on_progress is not None:
            self._on_progress(self._done / self._total)


class _EachEverywhere:
    """m policies, each acting in as many contexts: slots are ordered (policy, context)."""

    def __init__(self, policies: MLPPolicies, clock: _Clock) -> None:
        self._policies = policies
        self._clock = clock

    def act(self, observations: NDArray[np.floating]) -> NDArray[np.floating]:
        """Actions (m * n, n_envs, action_size) for (m * n, n_envs, obs_size)."""
        self._clock.tick()
        grouped = observations.reshape(len(self._policies), -1, observations.shape[-1])
        return self._policies.act(grouped).reshape(*observations.shape[:2], -1)
