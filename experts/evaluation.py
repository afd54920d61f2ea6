"""Playing a batch of policies, each in its own context, for whole episodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from param_envs import Family, ParamVectorEnv

Array = NDArray[np.float64]


class Step(NamedTuple):
    """One control step of all episodes that are played together.

    Attributes:
        outcomes: what was measured, (n_contexts, n_episodes, n_outcomes), in the order of
            `family.outcome_names`.
        actions: (n_contexts, n_episodes, action_size).
        rewards: (n_contexts, n_episodes).
        running: whether the episode was not over before the step, (n_contexts, n_episodes).
    """

    outcomes: Array
    actions: NDArray[np.floating]
    rewards: Array
    running: NDArray[np.bool_]


Watch = Callable[[Step], None]
"""Told of every step."""


class Policies(Protocol):
    """Anything that acts for n contexts at once, `MLPPolicies` for one."""

    def act(self, observations: NDArray[np.floating]) -> NDArray[np.floating]:
        """Actions (n_contexts, n_envs, action_size) for (n_contexts, n_envs, obs_size)."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """Episodes of n_contexts policies.

    Attributes:
        returns: undiscounted, (n_contexts, n_episodes).
        lengths: control steps, (n_contexts, n_episodes).
        outcomes: mean over the episode of each measured quantity, (n_contexts, n_episodes).
    """

    returns: Array
    lengths: NDArray[np.int64]
    outcomes: dict[str, Array]


def episode_seeds(seed: int, n_contexts: int, n_episodes: int) -> list[int]:
    """Seed of every slot (n_contexts * n_episodes): a function of (seed, context, episode)."""
    return [
        int(np.random.SeedSequence([seed, i, j]).generate_state(1)[0])
        for i in range(n_contexts)
        for j in range(n_episodes)
    ]


def episodes_env(
    family: Family,
    contexts: Sequence[Mapping[str, float]],
    *,
    reward: str,
    n_episodes: int,
    n_steps: int | None = None,
    n_threads: int = 0,
) -> ParamVectorEnv:
    """One slot an episode, context by context: slot i * n_episodes + j is episode j of context i.

    An ended episode stays in its slot (auto-reset would start another one, which nobody counts).

    Raises:
        ValueError: if a number of contexts, episodes or steps is below 1.
    """
    for name, value in (("contexts", len(contexts)), ("n_episodes", n_episodes)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, got {value}")
    return ParamVectorEnv(
        family,
        len(contexts) * n_episodes,
        contexts=[context for context in contexts for _ in range(n_episodes)],
        reward=reward,
        max_episode_steps=n_steps,
        autoreset_mode=AutoresetMode.NEXT_STEP,
        n_threads=n_threads,
    )


def play(
    policies: Policies,
    family: Family,
    contexts: Sequence[Mapping[str, float]],
    *,
    reward: str,
    n_episodes: int,
    seed: int,
    starts: Sequence[int] | None = None,
    n_steps: int | None = None,
    n_threads: int = 0,
    watch: Watch | None = None,
) -> Played:
    """Plays policy i in context i, all episodes of all contexts in one batch.

    Args:
        policies: one policy a context. Policies with memory, those with `observe` and `reset`, are
            reset first and told of every step; a slot stays `done` once its episode is over.
        family: the family of the contexts.
        contexts: n_contexts contexts.
        reward: the reward's meaning, one of `family.reward_modes`.
        n_episodes: episodes a context.
        seed: episode j of context i starts from a state drawn by (seed, i, j).
        starts: seeds of the starts instead, (n_contexts * n_episodes,), context by context.
        n_steps: longest episode, the family's own by default.
        n_threads: threads to step on, 0 for all cores.
        watch: is told of every step.

    Raises:
        ValueError: for contexts or rewards that the family does not have, counts below 1, a wrong
            number of starts, or actions that are not (n_contexts, n_episodes, action_size).
    """
    env = episodes_env(
        family,
        contexts,
        reward=reward,
        n_episodes=n_episodes,
        n_steps=n_steps,
        n_threads=n_threads,
    )
    with closing(env):
        shape = (len(contexts), n_episodes)
        acting = (*shape, family.action_size)
        seeds = episode_seeds(seed, *shape) if starts is None else list(starts)
        observation, _ = env.reset(seed=seeds)
        returns = np.zeros(env.num_envs)
        lengths = np.zeros(env.num_envs, dtype=np.int64)
        sums = {name: np.zeros(env.num_envs) for name in family.outcome_names}
        running = np.ones(env.num_envs, dtype=np.bool_)
        observe = getattr(policies, "observe", None)
        if observe is not None:
            policies.reset()  # type: ignore[attr-defined]  # whatever observes can begin anew
        for _ in range(env.max_episode_steps):
            before = observation.reshape(*shape, -1)
            actions = np.asarray(policies.act(before))
            if actions.shape != acting:
                raise ValueError(
                    f"`act` must return actions {acting} for observations {before.shape}, "
                    f"got {actions.shape}"
                )
            observation, reward_now, terminated, truncated, info = env.step(
                actions.reshape(env.num_envs, -1)
            )
            returns += reward_now * running
            lengths += running
            for name, total in sums.items():
                total += info[name] * running
            if watch is not None:
                watch(
                    Step(
                        outcomes=np.stack([info[name].reshape(shape) for name in sums], axis=-1),
                        actions=actions,
                        rewards=reward_now.reshape(shape),
                        running=running.reshape(shape),
                    )
                )
            running = running & ~(terminated | truncated)  # anew: a watcher may keep the old one
            if observe is not None:
                observe(
                    before,
                    actions,
                    reward_now.reshape(shape),
                    observation.reshape(*shape, -1),
                    ~running.reshape(shape),
                )
            if not running.any():
                break
    return Played(
        returns=returns.reshape(shape),
        lengths=lengths.reshape(shape),
        outcomes={name: (total / lengths).reshape(shape) for name, total in sums.items()},
    )
