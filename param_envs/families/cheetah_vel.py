"""Cheetah at a velocity: Gymnasium's half-cheetah, a goal velocity, and a torso of any length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco
import numpy as np

from param_envs.context import Feature
from param_envs.family import (
    Array,
    ContextColumns,
    Family,
    State,
    fix_total_mass,
    noisy_start,
    published_model,
)

_CONTROL_STEP = 0.05
"""s, five simulation steps of 0.01 s."""
_CONTROL_COST = 0.05
"""Reward lost a squared action."""
_START_NOISE = 0.1
"""Half-width of the uniform noise of positions, and deviation of the normal one of velocities."""
_HALF_TORSO = 0.5
"""m, half-length of the published torso."""
_HEAD_OFFSET = (0.1, 0.0, 0.1)
"""m, centre of the head relative to the front end of the torso."""
_TORSO_HEIGHT = 0.7
"""m, height of the torso where `rootz` is 0."""
_TOTAL_MASS = 14.0
"""kg, at every torso length; the published model sets it with `settotalmass`."""


class CheetahVel(Family):
    """Gymnasium's half-cheetah that keeps a velocity: Cheetah-Vel of the meta-RL literature.

    Observation (20): qpos without x (8), qvel (9), position of the torso (3), which includes the
    way covered. Rewards, starts and horizon are those of PEARL's and MACAW's Cheetah-Vel. An
    episode never fails.
    """

    env_id = "ParamCheetahVel-v0"
    features = (
        Feature(
            name="velocity",
            kind="reward",
            default=1.5,
            low=0.0,
            high=3.0,
            unit="m/s",
            doc="velocity to keep, forwards",
        ),
        Feature(
            name="torso",
            kind="dynamics",
            default=1.0,
            low=0.6,
            high=1.4,
            unit="1",
            doc="length of the torso over the published one; hips and head move, mass stays 14 kg",
        ),
    )
    reward_modes: ClassVar[tuple[str, ...]] = ("velocity",)
    outcome_names = ("velocity",)
    observation_size = 20
    action_size = 6
    n_substeps = 5
    max_episode_steps = 200
    fresh_sensors = False
    camera = "track"

    def spec(self, context: Mapping[str, float]) -> mujoco.MjSpec:
        """Moves both ends of the torso, and what hangs on them."""
        half = _HALF_TORSO * context["torso"]
        spec = published_model("gymnasium", "envs/mujoco/assets/half_cheetah.xml")
        spec.geom("torso").fromto = [-half, 0, 0, half, 0, 0]
        spec.geom("head").pos = [half + _HEAD_OFFSET[0], *_HEAD_OFFSET[1:]]
        spec.body("bthigh").pos = [-half, 0, 0]
        spec.body("fthigh").pos = [half, 0, 0]
        fix_total_mass(spec, _TOTAL_MASS)
        return spec

    def initial_state(self, rng: np.random.Generator, model: mujoco.MjModel) -> tuple[Array, Array]:
        """The model's pose and rest, plus noise, as in Gymnasium."""
        return noisy_start(rng, model, _START_NOISE)

    def observation(self, state: State) -> Array:
        """Pose, velocities and the torso's position: (n, 20)."""
        qpos = state.qpos
        observation = np.empty((len(qpos), self.observation_size))
        observation[:, :8] = qpos[:, 1:]
        observation[:, 8:17] = state.qvel
        observation[:, 17] = qpos[:, 0]
        observation[:, 18] = 0.0
        observation[:, 19] = _TORSO_HEIGHT + qpos[:, 1]
        return observation

    def outcome(self, before: State, after: State) -> dict[str, Array]:
        """`velocity` (n,) of the torso along x: its way in this step over 0.05 s, m/s."""
        return {"velocity": (after.qpos[:, 0] - before.qpos[:, 0]) / _CONTROL_STEP}

    def reward(
        self, outcome: Mapping[str, Array], action: Array, context: ContextColumns, mode: str
    ) -> Array:
        """Rewards -|v - velocity| - 0.05 |action|²: (n,)."""
        miss = np.abs(outcome["velocity"] - context["velocity"])
        return -miss - _CONTROL_COST * np.square(action).sum(axis=-1)
