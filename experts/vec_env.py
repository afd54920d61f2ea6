"""A `ParamVectorEnv` as Stable-Baselines3's `VecEnv`, without copying observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices, VecEnvObs

from param_envs import ParamVectorEnv
from param_envs.env import TIME_LIMIT


class ParamVecEnv(VecEnv):
    """Presents a `ParamVectorEnv` to Stable-Baselines3.

    Observations are handed over as they are. An ended episode's `info` has SB3's keys
    `terminal_observation` and `TimeLimit.truncated`, and `context`; while episodes run, all slots
    share one empty dict, since a dict a slot and step costs more than the physics.
    """

    def __init__(self, env: ParamVectorEnv) -> None:
        """Wraps `env`.

        Raises:
            ValueError: if it does not auto-reset in the same step, as SB3 expects.
        """
        if env.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ValueError(
                "`env` must be made with autoreset_mode='SameStep', "
                f"got {env.autoreset_mode.value!r}"
            )
        self.env = env
        self.render_mode = env.render_mode
        self._actions: NDArray[np.float32] | None = None
        self._seed: int | None = None
        self._quiet: list[dict[str, Any]] = [{}] * env.num_envs
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> VecEnvObs:
        """Starts episodes in all slots; observations (num_envs, observation_size)."""
        observation, _ = self.env.reset(seed=self._seed)
        self._seed = None
        self.reset_infos = list(self._quiet)
        return observation

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds slot i with seed + i at the next reset."""
        self._seed = seed
        return [None if seed is None else seed + i for i in range(self.num_envs)]

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Stores the actions (num_envs, action_size)."""
        self._actions = actions

    def step_wait(self) -> tuple[VecEnvObs, NDArray[Any], NDArray[Any], list[dict[str, Any]]]:
        """Steps with the stored actions."""
        if self._actions is None:
            raise RuntimeError("step_wait() needs step_async(actions) before it")
        observation, reward, terminated, truncated, info = self.env.step(self._actions)
        done = terminated | truncated
        if not done.any():
            return observation, reward, done, self._quiet
        final = info["final_info"]
        infos: list[dict[str, Any]] = list(self._quiet)
        for i in np.flatnonzero(done):
            infos[i] = {
                "terminal_observation": info["final_obs"][i],
                "TimeLimit.truncated": bool(
                    final["truncation_reason"][i] == TIME_LIMIT and not terminated[i]
                ),
                "context": {name: float(column[i]) for name, column in final["context"].items()},
            }
        return observation, reward, done, infos

    def close(self) -> None:
        """Closes the environments."""
        self.env.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """A frame of every slot."""
        return self.env.render() or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The batched environment's attribute, once a slot asked for."""
        return [getattr(self.env, attr_name)] * len(self._indices(indices))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Sets an attribute of the batched environment, for all slots at once.

        Raises:
            ValueError: if only some slots are asked for.
        """
        if len(self._indices(indices)) != self.num_envs:
            raise ValueError(f"`indices` must be all {self.num_envs} slots, got {indices!r}")
        setattr(self.env, attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Calls the batched environment's method once; its result, once a slot asked for."""
        result = getattr(self.env, method_name)(*args, **kwargs)
        return [result] * len(self._indices(indices))

    def env_is_wrapped(self, wrapper_class: Any, indices: VecEnvIndices = None) -> list[bool]:
        """False for every slot: a batched environment has no wrapper around a slot."""
        return [False] * len(self._indices(indices))

    def _indices(self, indices: VecEnvIndices) -> list[int]:
        return list(self._get_indices(indices))
