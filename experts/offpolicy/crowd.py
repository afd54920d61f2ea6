"""The environments of many agents, stepped as one batch, with what a replay stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from param_envs import Family, ParamVectorEnv
from param_envs.env import TIME_LIMIT


class Crowd:
    """E parallel environments for each of K agents: slot i * E + j is environment j of agent i.

    A single agent's environments may be of other contexts, which it sees in the frame of its own.

    Attributes:
        observations: the present ones, (K, E, observation_size), float32 on the CPU.
        finished: returns (undiscounted) of the episodes that ended so far, a list an agent; the
            reader may clear it.
    """

    def __init__(
        self,
        family: Family,
        contexts: Sequence[Mapping[str, float]],
        *,
        reward: str,
        n_envs: int,
        seed: Sequence[int],
        n_threads: int = 0,
        turned: Sequence[Mapping[str, float]] | None = None,
    ) -> None:
        """Starts all episodes.

        Args:
            family: of the contexts.
            contexts: K contexts.
            reward: meaning of the reward.
            n_envs: E.
            seed: numbers that, with agent and environment, seed each slot.
            n_threads: threads to step on, 0 for all cores.
            turned: E contexts that the one agent acts in, each seen as `Family.frames` has it;
                None for its own.

        Raises:
            ValueError: for `turned` with several agents or of another number, or contexts that the
                family cannot turn.
        """
        if turned is not None and (len(contexts) != 1 or len(turned) != n_envs):
            raise ValueError(
                "`turned` must be the contexts of one agent's environments, got "
                f"{len(turned)} for {len(contexts)} agents with {n_envs} each"
            )
        frames = None if turned is None else family.frames(turned, contexts[0])
        self._frames = None if frames is None else torch.from_numpy(frames.astype(np.float32))
        self._shape = (len(contexts), n_envs)
        self._outcome_names = family.outcome_names
        self._env = ParamVectorEnv(
            family,
            len(contexts) * n_envs,
            contexts=turned or [context for context in contexts for _ in range(n_envs)],
            reward=reward,
            autoreset_mode="SameStep",
            n_threads=n_threads,
        )
        seeds = [
            int(np.random.SeedSequence([*seed, i, j]).generate_state(1)[0])
            for i in range(len(contexts))
            for j in range(n_envs)
        ]
        observations, _ = self._env.reset(seed=seeds)
        self.observations = self._seen(observations)
        self.finished: list[list[float]] = [[] for _ in contexts]
        self._returns = np.zeros(self._env.num_envs)

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Steps all environments; ended episodes begin anew in the same step.

        Args:
            actions: (K, E, action_size), on the CPU.

        Returns:
            rewards (K, E); dones (K, E), 1 where the episode failed or its physics broke down, but
            not at its time limit; the observations (K, E, observation_size) that the actions led
            to, which for ended episodes are not `observations`; and what the family measured on
            the way, (K, E, n_outcomes), in the order of its `outcome_names`.
        """
        observations, rewards, terminated, truncated, info = self._env.step(
            actions.numpy().reshape(self._env.num_envs, -1)
        )
        self._returns += rewards
        self.observations = self._seen(observations)
        ended = terminated | truncated
        if not ended.any():
            outcomes = self._outcomes(info)
            return self._tensor(rewards), torch.zeros(self._shape), self.observations, outcomes
        reasons = info["final_info"]["truncation_reason"]
        dones = terminated | (truncated & (reasons != TIME_LIMIT))
        reached, outcomes = np.array(observations), self._outcomes(info["final_info"])
        for slot in np.flatnonzero(ended):
            reached[slot] = info["final_obs"][slot]
            self.finished[slot // self._shape[1]].append(float(self._returns[slot]))
        self._returns[ended] = 0.0
        return self._tensor(rewards), self._tensor(dones), self._seen(reached), outcomes

    def close(self) -> None:
        """Closes the environments."""
        self._env.close()

    def _seen(self, observations: NDArray[np.generic]) -> Tensor:
        """(K, E, observation_size), in the agents' frames."""
        seen = self._tensor(observations)
        return seen if self._frames is None else torch.einsum("eij,kej->kei", self._frames, seen)

    def _outcomes(self, info: Mapping[str, Any]) -> Tensor:
        return self._tensor(np.stack([info[name] for name in self._outcome_names], axis=-1))

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        """(K * E, ...) as float32 (K, E, ...), copied: the environment may use its array again."""
        return torch.from_numpy(array.astype(np.float32).reshape(*self._shape, *array.shape[1:]))
