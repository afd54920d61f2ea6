"""Wrappers that show the context to a learner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from param_envs.env import ParamEnv
from param_envs.family import Array, Family
from param_envs.vector_env import ParamVectorEnv


def _extended(space: gym.Space[Any], family: Family, features: tuple[str, ...]) -> Any:
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
        raise ValueError(f"`env` must have vectors as observations, got {space}")
    ones = np.ones(sum(feature.encoded_size for feature in family.selected(features)))
    low, high = np.concatenate([space.low, -ones]), np.concatenate([space.high, ones])
    return gym.spaces.Box(low, high, dtype=np.float64)


def _names(family: Family, features: Iterable[str] | None) -> tuple[str, ...]:
    names = tuple(feature.name for feature in family.selected(features))
    if not names:
        raise ValueError("`features` must name at least one feature, got none")
    return names


class ContextObservation(
    gym.ObservationWrapper[Array, Any, Array], gym.utils.RecordConstructorArgs
):
    """Appends the encoded context, every entry in [-1, 1], to a `ParamEnv`'s observation."""

    def __init__(self, env: gym.Env[Array, Any], features: Iterable[str] | None = None) -> None:
        """Wraps `env`.

        Args:
            env: a `ParamEnv`, possibly wrapped.
            features: names of the features to append, all by default.

        Raises:
            ValueError: if `env` is no `ParamEnv` or its observations are no vectors, for an unknown
                feature, or for none.
        """
        gym.utils.RecordConstructorArgs.__init__(self, features=features)
        gym.ObservationWrapper.__init__(self, env)
        base = env.unwrapped
        if not isinstance(base, ParamEnv):
            raise ValueError(f"`env` must be a ParamEnv, got {type(base).__name__}")
        self._base = base
        self._features = _names(base.family, features)
        self.observation_space = _extended(env.observation_space, base.family, self._features)

    def observation(self, observation: Array) -> Array:
        """Observation (observation_size + encoded size,)."""
        encoded = self._base.family.encode([self._base.context], self._features)[0]
        return np.concatenate([observation, encoded])


class ContextVectorObservation(VectorWrapper):
    """Appends every slot's encoded context to a `ParamVectorEnv`'s observations.

    Works with every auto-reset mode; Gymnasium's `VectorObservationWrapper` refuses `SAME_STEP`.
    """

    def __init__(
        self, env: VectorEnv[Any, Any, Any], features: Iterable[str] | None = None
    ) -> None:
        """Wraps `env`.

        Args:
            env: a `ParamVectorEnv`, possibly wrapped.
            features: names of the features to append, all by default.

        Raises:
            ValueError: if `env` is no `ParamVectorEnv` or its observations are no vectors, for an
                unknown feature, or for none.
        """
        super().__init__(env)
        base = env.unwrapped
        if not isinstance(base, ParamVectorEnv):
            raise ValueError(f"`env` must be a ParamVectorEnv, got {type(base).__name__}")
        self._base = base
        self._features = _names(base.family, features)
        self.single_observation_space = _extended(
            env.single_observation_space, base.family, self._features
        )
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Resets; see `ParamVectorEnv.reset`."""
        observation, info = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        return self.observations(observation), info

    def observations(self, observations: Array) -> Array:
        """Observations (num_envs, observation_size + encoded size)."""
        return np.concatenate([observations, self._encoded(self._base.simulation.columns)], axis=1)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Steps; `final_obs` gets the context of the episode that ended."""
        observation, reward, terminated, truncated, info = self.env.step(actions)
        if "final_obs" in info:
            ended = self._encoded(info["final_info"]["context"])
            for i in np.flatnonzero(info["_final_obs"]):
                info["final_obs"][i] = np.concatenate([info["final_obs"][i], ended[i]])
        return self.observations(observation), reward, terminated, truncated, info

    def _encoded(self, columns: Mapping[str, Array]) -> Array:
        return np.concatenate(
            [
                feature.encode(columns[feature.name])
                for feature in self._base.family.selected(self._features)
            ],
            axis=1,
        )
