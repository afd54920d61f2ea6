"""Many environments at once, each with its own context and so its own body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from param_envs.context import Context
from param_envs.env import (
    DIVERGED,
    TIME_LIMIT,
    action_space,
    check_options,
    next_context,
    observation_space,
    render_fps,
)
from param_envs.family import Array, Family
from param_envs.rendering import FrameRenderer, check_render_mode
from param_envs.sampling import ContextSampler
from param_envs.simulation import Simulation, checked_actions, replaced
from param_envs.slots import at_least, reset_mask, slot_changes, slot_contexts, slot_seeds

REASON_DTYPE = "<U10"


class ParamVectorEnv(VectorEnv[Array, NDArray[np.float32], NDArray[Any]]):
    """A Gymnasium vector environment with one context a slot, stepped on all cores.

    Slot i behaves to the last bit as a `ParamEnv` with the same context, seed and actions, for any
    number of threads. `info["context"]` maps feature names to read-only arrays (num_envs,); the
    family's outcome and `truncation_reason` are arrays too. With `SAME_STEP`, `info["final_obs"]`
    and `info["final_info"]` hold what ended, as Gymnasium's own vector environments have it.
    """

    def __init__(
        self,
        family: Family,
        num_envs: int = 1,
        *,
        contexts: Sequence[Mapping[str, float]] | None = None,
        reward: str | None = None,
        sampler: ContextSampler | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        n_threads: int = 0,
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
        **features: ArrayLike,
    ) -> None:
        """Makes the environments.

        Args:
            family: the family; `gym.make_vec` fills it in.
            num_envs: number of slots.
            contexts: one a slot. Instead, features can be given by name.
            reward: meaning of the reward, one of `family.reward_modes`; the first by default.
            sampler: draws the context of every episode from the slot's own generator.
            max_episode_steps: control steps an episode, the family's by default.
            autoreset_mode: `NEXT_STEP`, `SAME_STEP` or `DISABLED`, as in Gymnasium.
            n_threads: threads to step on, 0 for all cores.
            render_mode: `"rgb_array"` (a frame a slot) or None.
            width: of a frame, pixels.
            height: of a frame, pixels.
            **features: values of the contexts, a number or an array (num_envs,) each.

        Raises:
            ValueError: for an unknown feature, mode or value out of range, or a wrong length.
        """
        at_least("num_envs", num_envs)
        self.family = family
        self.num_envs = num_envs
        self.render_mode = check_render_mode(render_mode)
        self.autoreset_mode = _autoreset_mode(autoreset_mode)
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": render_fps(family),
            "autoreset_mode": self.autoreset_mode,
        }
        self.max_episode_steps = at_least(
            "max_episode_steps",
            family.max_episode_steps if max_episode_steps is None else max_episode_steps,
        )
        self.single_observation_space = observation_space(family)
        self.single_action_space = action_space(family)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._sampler = sampler
        self._made_for = slot_contexts(family, num_envs, contexts, features)
        self._simulation = Simulation(
            family,
            self._made_for,
            reward=family.reward_modes[0] if reward is None else reward,
            n_threads=at_least("n_threads", n_threads, 0),
        )
        seeded = [gym.utils.seeding.np_random(None) for _ in range(num_envs)]
        self._rngs = [rng for rng, _ in seeded]
        self._seeds = [seed for _, seed in seeded]
        self._was_reset = False
        self._clock = 0
        self._deadlines = np.full(num_envs, self.max_episode_steps)
        self._next_deadline = self.max_episode_steps
        self._ended = np.zeros(num_envs, dtype=np.bool_)
        self._no_reasons = np.zeros(num_envs, dtype=REASON_DTYPE)
        self._no_reasons.flags.writeable = False
        self._renderer = FrameRenderer(family, width, height)

    @property
    def contexts(self) -> list[Context]:
        """The context of every slot."""
        return list(self._simulation.contexts)

    @property
    def reward_mode(self) -> str:
        """The meaning of the reward."""
        return self._simulation.reward_mode

    @property
    def simulation(self) -> Simulation:
        """The physics underneath, to read or place its states."""
        return self._simulation

    @property  # type: ignore[misc]
    def np_random(  # type: ignore[override]
        self,
    ) -> tuple[np.random.Generator, ...]:
        """The generator of every slot."""
        return tuple(self._rngs)

    @property
    def np_random_seed(  # type: ignore[override]
        self,
    ) -> tuple[int, ...]:
        """The seed that every slot's generator began with."""
        return tuple(self._seeds)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Array, dict[str, Any]]:
        """Starts episodes in all slots, or in those of `options["reset_mask"]`.

        Args:
            seed: slot i gets seed + i, or the i-th of a sequence.
            options: `context` maps features to a number or an array (num_envs,), or is a sequence
                of mappings, one a slot; `reset_mask` is a boolean array (num_envs,).

        Raises:
            ResetNeeded: for a part of the slots, before all were reset.
            ValueError: for unknown options or features, values out of range, wrong lengths.
        """
        checked = check_options(options, "reset_mask")
        mask = reset_mask(checked.get("reset_mask"), self.num_envs)
        if not self._was_reset and not mask.all():
            raise gym.error.ResetNeeded("all slots must be reset first, then some of them can be")
        ids, seeds = np.flatnonzero(mask), slot_seeds(seed, self.num_envs)
        changes = slot_changes(checked.get("context"), self.num_envs)
        if changes is not None:  # what is refused must not change generators
            for i in ids:
                replaced(self._simulation.contexts[i], self.family, changes[i])
        seeded = {i: gym.utils.seeding.np_random(seeds[i]) for i in ids if seeds[i] is not None}
        for i, (rng, slot_seed) in seeded.items():
            self._rngs[i], self._seeds[i] = rng, slot_seed
        self._restart(ids, changes)
        self._was_reset = True
        return self._simulation.observation(), self._info(self._simulation.resting_outcome())

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[Array, Array, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One control step of every slot.

        Raises:
            ResetNeeded: before the first `reset`.
            ValueError: if the actions are not finite with shape (num_envs, action_size), or if
                auto-reset is off and an ended slot was not reset.
        """
        if not self._was_reset:
            raise gym.error.ResetNeeded("`reset` must be called before `step`")
        checked = checked_actions(actions, (self.num_envs, self.family.action_size))
        waiting = self._ended
        resting = np.count_nonzero(waiting) > 0
        if resting and self.autoreset_mode is AutoresetMode.DISABLED:
            raise ValueError(
                f"slots {np.flatnonzero(waiting).tolist()} have ended: reset them with "
                "options={'reset_mask': ...}, or use another autoreset_mode"
            )
        running = np.flatnonzero(~waiting) if resting else None
        transition = self._simulation.advance(checked, running)
        observation, reward = transition.observation, transition.reward
        terminated = transition.terminated
        truncated = transition.diverged
        self._clock += 1
        if self._clock >= self._next_deadline:
            truncated = truncated | (self._clock >= self._deadlines)
        outcome = transition.outcome
        if resting:
            reward[waiting], terminated[waiting], truncated[waiting] = 0.0, False, False
            self._restart(np.flatnonzero(waiting))
            observation = self._simulation.observation()
            outcome = _merge(waiting, self._simulation.resting_outcome(), outcome)
        self._ended = ended = terminated | truncated
        if not np.count_nonzero(ended):
            return observation, reward, terminated, truncated, self._info(outcome)
        info = self._info(outcome, _reasons(truncated, transition.diverged))
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            observation, info = self._same_step_reset(ended, observation, info)
        return observation, reward, terminated, truncated, info

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A frame (height, width, 3) of every slot, or None without a render mode."""
        if self.render_mode is None:
            gym.logger.warn("render() needs gym.make_vec(..., render_mode='rgb_array')")
            return None
        return tuple(self.render_slot(i) for i in range(self.num_envs))

    def render_slot(self, i: int) -> NDArray[np.uint8]:
        """The present frame (height, width, 3) of slot `i`."""
        simulation = self._simulation
        return self._renderer.frame(simulation.contexts[i], simulation.state.qpos[i])

    def close_extras(self, **kwargs: Any) -> None:
        """Frees the renderer and the engine, whose threads end."""
        self._renderer.close()
        self._simulation.close()

    def _restart(
        self, ids: NDArray[np.intp], changes: Sequence[Mapping[str, float] | None] | None = None
    ) -> None:
        contexts = [
            next_context(
                self.family,
                self._simulation.contexts[i],
                self._made_for[i],
                self._sampler,
                self._rngs[i],
                {"context": changes[i]} if changes is not None else {},
            )
            for i in ids
        ]
        self._simulation.restart(ids, contexts, [self._rngs[i] for i in ids])
        self._deadlines[ids] = self._clock + self.max_episode_steps
        self._next_deadline = int(self._deadlines.min())
        self._ended = self._ended.copy()  # callers still hold the old flags
        self._ended[ids] = False

    def _same_step_reset(
        self, ended: NDArray[np.bool_], observation: Array, info: dict[str, Any]
    ) -> tuple[Array, dict[str, Any]]:
        final_obs = np.full(self.num_envs, None, dtype=object)
        for i in np.flatnonzero(ended):
            final_obs[i] = observation[i]
        self._restart(np.flatnonzero(ended))
        outcome = {name: info[name] for name in self.family.outcome_names}
        fresh = self._info(_merge(ended, self._simulation.resting_outcome(), outcome))
        fresh.update(
            final_obs=final_obs, _final_obs=ended.copy(), final_info=info, _final_info=ended.copy()
        )
        return self._simulation.observation(), fresh

    def _info(
        self, outcome: dict[str, Array], reasons: NDArray[np.str_] | None = None
    ) -> dict[str, Any]:
        if reasons is None:
            reasons = self._no_reasons
        return {"context": dict(self._simulation.columns), **outcome, "truncation_reason": reasons}


def _autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    if isinstance(mode, str) and mode in AutoresetMode.__members__:
        return AutoresetMode[mode]
    try:
        return AutoresetMode(mode)
    except ValueError:
        allowed = [*AutoresetMode.__members__, *(m.value for m in AutoresetMode)]
        raise ValueError(f"`autoreset_mode` must be one of {allowed}, got {mode!r}") from None


def _merge(
    rows: NDArray[np.bool_], new: dict[str, Array], old: dict[str, Array]
) -> dict[str, Array]:
    return {name: np.where(rows, new[name], old[name]) for name in old}


def _reasons(truncated: NDArray[np.bool_], diverged: NDArray[np.bool_]) -> NDArray[np.str_]:
    reasons = np.zeros(len(truncated), dtype=REASON_DTYPE)
    reasons[truncated] = TIME_LIMIT
    reasons[truncated & diverged] = DIVERGED
    return reasons
