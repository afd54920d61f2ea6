"""One environment: a body and a reward that are set by a context."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import EzPickle
from numpy.typing import NDArray

from param_envs.context import Context
from param_envs.family import Array, Family
from param_envs.rendering import FrameRenderer, check_render_mode
from param_envs.sampling import ContextSampler
from param_envs.simulation import MAX_STATE, Simulation, checked_actions, replaced

DIVERGED = "diverged"
TIME_LIMIT = "time_limit"


class ParamEnv(gym.Env[Array, NDArray[np.float32]], EzPickle):
    """A Gymnasium environment of one family, in one context at a time.

    Observations are float64 vectors without the context (`ContextObservation` appends it);
    actions are vectors in [-1, 1], clipped if outside. `info` has the same keys at reset and at
    every step: `context`, the family's outcome (such as `velocity`), and `truncation_reason`
    (`"diverged"` where the physics broke down, else `""`). The episode's length is Gymnasium's
    `TimeLimit`, so `gym.make(..., max_episode_steps=...)` changes it.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's own type)
        "render_modes": ["rgb_array"],
        "render_fps": 50,
    }

    def __init__(
        self,
        family: Family,
        *,
        reward: str | None = None,
        sampler: ContextSampler | None = None,
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
        **features: float,
    ) -> None:
        """Makes the environment.

        Args:
            family: the family; `gym.make` fills it in.
            reward: meaning of the reward, one of `family.reward_modes`; the first by default.
            sampler: draws the context of every episode, or some of its features; without one it
                stays as it is.
            render_mode: `"rgb_array"` or None.
            width: of a frame, pixels.
            height: of a frame, pixels.
            **features: values of the context; the others take their defaults.

        Raises:
            ValueError: for an unknown feature, reward or render mode, or a value out of range.
        """
        EzPickle.__init__(
            self,
            family,
            reward=reward,
            sampler=sampler,
            render_mode=render_mode,
            width=width,
            height=height,
            **features,
        )
        self.family = family
        self.render_mode = check_render_mode(render_mode)
        self.metadata = {**self.metadata, "render_fps": render_fps(family)}
        self._sampler = sampler
        self._made_for = family.context(**features)
        self._simulation = Simulation(
            family, [self._made_for], reward=family.reward_modes[0] if reward is None else reward
        )
        self._renderer = FrameRenderer(family, width, height)
        self.observation_space = observation_space(family)
        self.action_space = action_space(family)

    @property
    def context(self) -> Context:
        """The context of the present episode."""
        return self._simulation.contexts[0]

    @property
    def reward_mode(self) -> str:
        """The meaning of the reward."""
        return self._simulation.reward_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: seeds the start, and the sampler's draws.
            options: `{"context": {...}}` changes the given features and keeps the others, until
                they are changed again or a sampler draws a new context.

        Raises:
            ValueError: for an unknown option or feature, or a value out of range.
        """
        checked = check_options(options)
        if checked.get("context") is not None:  # what is refused must not change the generator
            replaced(self.context, self.family, checked["context"])
        super().reset(seed=seed)
        context = next_context(
            self.family, self.context, self._made_for, self._sampler, self.np_random, checked
        )
        self._simulation.restart(np.array([0]), [context], [self.np_random])
        return self._simulation.observation()[0], self._info(self._simulation.resting_outcome())

    def step(self, action: NDArray[np.float32]) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """One control step.

        Raises:
            ValueError: if the action is not a finite vector of the right length.
        """
        actions = checked_actions(action, (self.family.action_size,))[None]
        transition = self._simulation.advance(actions)
        diverged = bool(transition.diverged[0])
        return (
            transition.observation[0],
            float(transition.reward[0]),
            bool(transition.terminated[0]),
            diverged,
            self._info(transition.outcome, DIVERGED if diverged else ""),
        )

    def render(self) -> NDArray[np.uint8] | None:
        """The present frame (height, width, 3), or None without a render mode."""
        if self.render_mode is None:
            gym.logger.warn("render() needs gym.make(..., render_mode='rgb_array')")
            return None
        return self._renderer.frame(self.context, self._simulation.state.qpos[0])

    def close(self) -> None:
        """Frees the renderer and the engine."""
        self._renderer.close()
        self._simulation.close()

    @property
    def simulation(self) -> Simulation:
        """The physics underneath, to read or place its state."""
        return self._simulation

    def _info(self, outcome: dict[str, Array], reason: str = "") -> dict[str, Any]:
        measured = {name: float(value[0]) for name, value in outcome.items()}
        return {"context": dict(self.context), **measured, "truncation_reason": reason}


def observation_space(family: Family) -> Any:
    """Float64 vectors (observation_size,), bounded by where a state counts as diverged."""
    return gym.spaces.Box(-MAX_STATE, MAX_STATE, (family.observation_size,), np.float64)


def action_space(family: Family) -> Any:
    """Float32 vectors (action_size,) in [-1, 1]."""
    return gym.spaces.Box(-1.0, 1.0, (family.action_size,), np.float32)


def render_fps(family: Family) -> int:
    """Frames a second at which a film plays in real time."""
    model = family.model(family.context())
    return round(1.0 / (model.opt.timestep * family.n_substeps))


def check_options(options: dict[str, Any] | None, *also: str) -> dict[str, Any]:
    """Returns the reset options.

    Raises:
        ValueError: for an unknown one.
    """
    allowed = {"context", *also}
    unknown = sorted(set(options or ()) - allowed)
    if unknown:
        raise ValueError(f"`options` may have the keys {sorted(allowed)}, got {unknown}")
    return dict(options or {})


def next_context(
    family: Family,
    current: Context,
    made_for: Context,
    sampler: ContextSampler | None,
    rng: np.random.Generator,
    options: dict[str, Any],
) -> Context:
    """The context of the next episode: the options' if given, else the sampler's, else the same.

    Options change the present context; a sampler, that with which the environment was made.
    """
    if options.get("context") is not None:
        return replaced(current, family, options["context"])
    if sampler is not None:
        return replaced(made_for, family, sampler(rng))
    return current
