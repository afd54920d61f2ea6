"""A `ParamVectorEnv` as Stable-Baselines3's `VecEnv`, without copying observations."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices, VecEnvObs

from param_envs import ParamVectorEnv
from param_envs.env import TIME_LIMIT

State = dict[str, Any]
"""Of a generator, from which a start is drawn."""
FAILED = 0.5
MOST_STARTS = 1000


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
        observation, reward, terminated, truncated, info = self._step()
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

    def _step(self) -> Any:
        return self.env.step(cast(Any, self._actions))

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


class RetryingVecEnv(ParamVecEnv):
    """A `ParamVecEnv` in which starts of failed episodes come back.

    Rare starts decide whether a policy is robust, and most of them are seen once. An episode that
    reaches the time limit with less than `FAILED` of the median return of those that end with it
    (below 0: with as much less) has failed, and its start is kept. `share` of the episodes begin at
    such a start as long as there are any; one that succeeds there is not seen again.
    """

    def __init__(self, env: ParamVectorEnv, share: float, seed: int) -> None:
        """Wraps `env`.

        Args:
            env: as for `ParamVecEnv`; its contexts do not change.
            share: of the episodes, in [0, 1].
            seed: of the choice of episodes.

        Raises:
            ValueError: if `share` is out of range.
        """
        super().__init__(env)
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"`share` must be in [0, 1], got {share}")
        self._share = share
        self._rng = np.random.default_rng(seed)
        self._failed: deque[State] = deque(maxlen=MOST_STARTS)
        self._begin()

    def reset(self) -> VecEnvObs:
        """Starts episodes in all slots; observations (num_envs, observation_size)."""
        self._begin()
        return super().reset()

    @property
    def n_failed(self) -> int:
        """Starts that wait to be tried again."""
        return len(self._failed)

    def _begin(self) -> None:
        self._ages = np.zeros(self.num_envs, dtype=np.int64)
        self._returns = np.zeros(self.num_envs)
        self._starts: list[State | None] = [None] * self.num_envs

    def _step(self) -> Any:
        self._ages += 1
        ending = np.flatnonzero(self._ages == self.env.max_episode_steps)
        generators = [generator.bit_generator for generator in self.env.np_random]
        own: dict[int, State] = {i: dict(generators[i].state) for i in ending.tolist()}
        starts = {i: self._next_start() or state for i, state in own.items()}
        for i, start in starts.items():
            generators[i].state = start
        result = self.env.step(cast(Any, self._actions))
        self._returns += result[1]
        for i, start in starts.items():
            if start is not own[i]:  # the slot's own starts go on where they were
                generators[i].state = own[i]
        self._keep_failed(ending)
        for i in np.flatnonzero(result[2] | result[3]).tolist():
            self._starts[i] = starts.get(i)
            self._ages[i] = self._returns[i] = 0
        return result

    def _keep_failed(self, ending: NDArray[np.intp]) -> None:
        if not len(ending):
            return
        median = np.median(self._returns[ending])
        low = median - (1.0 - FAILED) * abs(median)
        for i in ending.tolist():
            start = self._starts[i]
            if start is not None and self._returns[i] < low:
                self._failed.append(start)

    def _next_start(self) -> State | None:
        """A failed episode's, or None for a new one."""
        if not self._failed or self._rng.random() >= self._share:
            return None
        return self._failed.popleft()
