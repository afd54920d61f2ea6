"""Planar cheetah: dm_control's body, a desired speed, and a torso of any length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco
import numpy as np

from param_envs.context import Feature
from param_envs.families.speed_reward import REACH, TRACK, speed_reward
from param_envs.family import (
    Array,
    ContextColumns,
    Family,
    State,
    fix_total_mass,
    published_model,
    uniform_joints,
)

_TOTAL_MASS = 14.0
"""kg, at every torso length; the published model sets it with `settotalmass`."""
_HEAD_OFFSET = (0.1, 0.0, 0.1)
"""m, centre of the head relative to the front end of the torso."""


class Cheetah(Family):
    """dm_control's cheetah (Tassa et al. 2018), with HyperZero's two parameters.

    Observation (17): qpos without x (8), qvel (9). The measured speed is the x velocity of the
    whole body's centre of mass, in m/s, at the state after the step.
    """

    env_id = "ParamCheetah-v0"
    features = (
        Feature(
            name="speed",
            kind="reward",
            default=10.0,
            low=-10.0,
            high=10.0,
            unit="m/s",
            doc="desired horizontal speed of the centre of mass, negative is backwards",
            encoding="signed",
        ),
        Feature(
            name="torso",
            kind="dynamics",
            default=0.5,
            low=0.3,
            high=0.7,
            unit="m",
            doc="half-length of the torso; hips and head move with its ends, mass stays 14 kg",
        ),
    )
    reward_modes: ClassVar[tuple[str, ...]] = (TRACK, REACH)
    outcome_names = ("velocity",)
    observation_size = 17
    action_size = 6
    n_substeps = 1
    max_episode_steps = 1000
    settle_steps = 200
    camera = "side"

    def spec(self, context: Mapping[str, float]) -> mujoco.MjSpec:
        """Moves both ends of the torso, and what hangs on them, to ±`torso`."""
        half = context["torso"]
        spec = published_model("dm_control", "suite/cheetah.xml")
        spec.geom("torso").fromto = [-half, 0, 0, half, 0, 0]
        spec.geom("head").pos = [half + _HEAD_OFFSET[0], *_HEAD_OFFSET[1:]]
        spec.body("bthigh").pos = [-half, 0, 0]
        spec.body("fthigh").pos = [half, 0, 0]
        fix_total_mass(spec, _TOTAL_MASS)
        return spec

    def initial_state(self, rng: np.random.Generator, model: mujoco.MjModel) -> tuple[Array, Array]:
        """Limited joints uniform in their ranges, the root where the model has it."""
        qpos = uniform_joints(rng, model)
        qpos[:3] = 0.0
        return qpos, np.zeros(model.nv)

    def observation(self, state: State) -> Array:
        """Everything but the horizontal position: (n, 17)."""
        observation = np.empty((len(state.qpos), self.observation_size))
        observation[:, :8] = state.qpos[:, 1:]
        observation[:, 8:] = state.qvel
        return observation

    def outcome(self, before: State, after: State) -> dict[str, Array]:
        """`velocity` (n,) of the centre of mass along x, m/s."""
        return {"velocity": after.sensors[:, 0].copy()}

    def reward(
        self, outcome: Mapping[str, Array], action: Array, context: ContextColumns, mode: str
    ) -> Array:
        """The speed reward (`families.speed_reward`), (n,)."""
        return speed_reward(outcome["velocity"], context["speed"], mode)
