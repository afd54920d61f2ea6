"""Planar walker: dm_control's body, a desired speed, and a torso of any length."""

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
    published_model,
    uniform_joints,
)

_TORSO_RADIUS = 0.07
"""m, of the torso's capsule."""
_TORSO_HEIGHT = 1.3
"""m, height of the torso's frame where `rootz` is 0."""
_STAND_HEIGHT = 1.2
"""m, torso height from which the walker counts as standing."""
_STAND_MARGIN = 0.6
"""m below `_STAND_HEIGHT`, where the standing term has dropped to `_STAND_VALUE_AT_MARGIN`."""
_STAND_VALUE_AT_MARGIN = 0.1

_ROOTZ, _ROOTY, _LEGS = 0, 2, slice(3, 9)
"""In qpos: the root's height and pitch; hip, knee and ankle of the right, then of the left leg."""


class Walker(Family):
    """dm_control's planar walker (Tassa et al. 2018), with HyperZero's two parameters.

    Observation (24): cosine and sine of the pitch of the 7 bodies (14), torso height (1), qvel (9).
    The measured speed is the x velocity of the whole body's centre of mass, in m/s.
    """

    env_id = "ParamWalker-v0"
    features = (
        Feature(
            name="speed",
            kind="reward",
            default=1.0,
            low=-5.0,
            high=5.0,
            unit="m/s",
            doc="desired horizontal speed of the centre of mass, negative is backwards",
            encoding="signed",
        ),
        Feature(
            name="torso",
            kind="dynamics",
            default=0.3,
            low=0.1,
            high=0.5,
            unit="m",
            doc="half-length of the torso; hips stay in place, its mass follows its volume",
        ),
    )
    reward_modes: ClassVar[tuple[str, ...]] = (TRACK, REACH)
    outcome_names = ("velocity", "height", "upright")
    observation_size = 24
    action_size = 6
    n_substeps = 10
    max_episode_steps = 1000
    camera = "side"

    def spec(self, context: Mapping[str, float]) -> mujoco.MjSpec:
        """Makes the torso's capsule `torso` long on either side of its centre."""
        spec = published_model("dm_control", "suite/walker.xml")
        spec.geom("torso").size = [_TORSO_RADIUS, context["torso"], 0.0]
        return spec

    def initial_state(self, rng: np.random.Generator, model: mujoco.MjModel) -> tuple[Array, Array]:
        """Limited joints uniform in their ranges, any pitch, at the model's height."""
        return uniform_joints(rng, model), np.zeros(model.nv)

    def observation(self, state: State) -> Array:
        """Orientations, height and velocities: (n, 24)."""
        pitch = _pitches(state.qpos)
        observation = np.empty((len(pitch), self.observation_size))
        # The first row of a body's rotation matrix, (xx, xz), body after body as in dm_control.
        observation[:, 0:14:2] = np.cos(pitch)
        observation[:, 1:14:2] = np.sin(pitch)
        observation[:, 14] = _height(state.qpos)
        observation[:, 15:] = state.qvel
        return observation

    def outcome(self, before: State, after: State) -> dict[str, Array]:
        """`velocity` (m/s) along x, torso `height` (m) and `upright`, cosine of the pitch: (n,)."""
        return {
            "velocity": after.sensors[:, 0].copy(),
            "height": _height(after.qpos),
            "upright": np.cos(after.qpos[:, _ROOTY]),
        }

    def reward(
        self, outcome: Mapping[str, Array], action: Array, context: ContextColumns, mode: str
    ) -> Array:
        """Rewards stand · (5 · move + 1) / 6, where move is the speed reward: (n,)."""
        move = speed_reward(outcome["velocity"], context["speed"], mode)
        standing = standing_reward(outcome["height"], outcome["upright"])
        return standing * (5.0 * move + 1.0) / 6.0


def standing_reward(height: Array, upright: Array) -> Array:
    """dm_control's reward for standing, in [0, 1], of torso heights (n,) and pitch cosines (n,).

    (3 · standing + (1 + upright) / 2) / 4, where standing is dm_control's Gaussian `tolerance` of
    the height: 1 from 1.2 m on, 0.1 at 0.6 m.
    """
    shortfall = np.maximum(_STAND_HEIGHT - height, 0.0) / _STAND_MARGIN
    standing = _STAND_VALUE_AT_MARGIN ** (shortfall * shortfall)
    return (3.0 * standing + (1.0 + upright) / 2.0) / 4.0


def _height(qpos: Array) -> Array:
    return _TORSO_HEIGHT + qpos[:, _ROOTZ]


def _pitches(qpos: Array) -> Array:
    """Rotation about +y of each body (n, 7): the root turns about +y, the joints about -y."""
    n = len(qpos)
    root = qpos[:, _ROOTY, None]
    legs = np.cumsum(qpos[:, _LEGS].reshape(n, 2, 3), axis=2).reshape(n, 6)
    return np.concatenate([root, root - legs], axis=1)
