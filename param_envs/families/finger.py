"""Finger and spinner: dm_control's bodies, a desired spin, and links of any length."""

from __future__ import annotations

import threading
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

_HINGE_DAMPING = 0.03
"""N m s/rad: dm_control's spin task sets it at every reset, here it belongs to the model."""
_MAX_DRAWS = 1000
"""Starts drawn before giving up on one without a collision."""

# The published model at length 0.16 m, as distances to that length.
_TIP_START = -0.03
"""m, where the fingertip's capsule begins, beyond the end of the distal link."""
_TIP_END = 0.001
"""m, where it ends."""
_TOUCH = 0.01
"""m, the touch sites beyond the end of the distal link."""
_SPINNER_GAP = 0.04
"""m, by which the spinner's axis is further from the middle than the link is long."""
_CAP_SHORTER = 0.07
"""m, by which the half-length of the spinner's two caps is shorter than the link."""
_SPINNER_HEIGHT = 0.4
_TOUCH_X = 0.01
_CAP_RADIUS = 0.04
"""m, unchanged by the length, as are all other dimensions."""

_TIP, _SPINNER, _TOUCH_SENSORS = slice(5, 8, 2), slice(11, 14, 2), slice(14, 16)
"""Where sensordata holds x and z of the spinner's tip and axis, and the two touch sensors."""


class Finger(Family):
    """dm_control's finger (Tassa et al. 2018) that spins a body, with HyperZero's two parameters.

    Observation (9): angles of the two joints, x and z of the spinner's tip from its axis, three
    velocities, log(1 + force) of the two touch sensors. The measured speed is the spinner's
    angular velocity, in rad/s.
    """

    env_id = "ParamFinger-v0"
    features = (
        Feature(
            name="speed",
            kind="reward",
            default=-15.0,
            low=-15.0,
            high=15.0,
            unit="rad/s",
            doc="desired angular velocity of the spinner",
            encoding="signed",
        ),
        Feature(
            name="length",
            kind="dynamics",
            default=0.16,
            low=0.1,
            high=0.4,
            unit="m",
            doc="length of the distal link; the spinner's distance and size follow it",
        ),
    )
    reward_modes: ClassVar[tuple[str, ...]] = (TRACK, REACH)
    outcome_names = ("velocity",)
    observation_size = 9
    action_size = 2
    n_substeps = 2
    max_episode_steps = 1000
    camera = "cam0"

    def spec(self, context: Mapping[str, float]) -> mujoco.MjSpec:
        """Moves all that HyperZero's length moves, and also the touch sites and the tip."""
        length = context["length"]
        spec = published_model("dm_control", "suite/finger.xml")
        spec.geom("distal").fromto = [0, 0, 0, 0, 0, -length]
        spec.geom("fingertip").fromto = [0, 0, -(length + _TIP_START), 0, 0, -(length + _TIP_END)]
        spec.site("touchtop").pos = [_TOUCH_X, 0, -(length + _TOUCH)]
        spec.site("touchbottom").pos = [-_TOUCH_X, 0, -(length + _TOUCH)]
        half_cap = length - _CAP_SHORTER
        spec.body("spinner").pos = [length + _SPINNER_GAP, 0, _SPINNER_HEIGHT]
        for cap in ("cap1", "cap2"):
            spec.geom(cap).size = [_CAP_RADIUS, half_cap, 0]
        spec.site("tip").pos = [0, 0, half_cap + _CAP_RADIUS]
        spec.joint("hinge").damping = _with_linear(spec.joint("hinge").damping, _HINGE_DAMPING)
        return spec

    def initial_state(self, rng: np.random.Generator, model: mujoco.MjModel) -> tuple[Array, Array]:
        """Uniform angles in which no two bodies of this very model collide.

        Raises:
            RuntimeError: if none is found.
        """
        data = _scratch_data(model)
        for _ in range(_MAX_DRAWS):
            qpos = uniform_joints(rng, model)
            data.qpos[:] = qpos
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            mujoco.mj_collision(model, data)
            if data.ncon == 0:
                return qpos, np.zeros(model.nv)
        raise RuntimeError(f"no collision-free start of the finger in {_MAX_DRAWS} draws")

    def observation(self, state: State) -> Array:
        """Angles, tip, velocities and touch: (n, 9)."""
        sensors = state.sensors
        observation = np.empty((len(sensors), self.observation_size))
        observation[:, 0:2] = state.qpos[:, :2]
        np.subtract(sensors[:, _TIP], sensors[:, _SPINNER], out=observation[:, 2:4])
        observation[:, 4:7] = state.qvel
        observation[:, 7:9] = np.log1p(np.ascontiguousarray(sensors[:, _TOUCH_SENSORS]))
        return observation

    def outcome(self, before: State, after: State) -> dict[str, Array]:
        """`velocity` (n,) of the spinner's hinge, rad/s."""
        return {"velocity": after.qvel[:, 2].copy()}

    def reward(
        self, outcome: Mapping[str, Array], action: Array, context: ContextColumns, mode: str
    ) -> Array:
        """The speed reward (`families.speed_reward`), (n,)."""
        return speed_reward(outcome["velocity"], context["speed"], mode)


_scratch = threading.local()


def _scratch_data(model: mujoco.MjModel) -> mujoco.MjData:
    """This thread's data for collision checks; all fingers have one layout, so it is shared."""
    if not hasattr(_scratch, "data"):
        _scratch.data = mujoco.MjData(model)
    return _scratch.data


def _with_linear(damping: float | Array, value: float) -> float | Array:
    """`damping` with its linear part set: MuJoCo 4 has coefficients of a polynomial here."""
    if np.ndim(damping) == 0:
        return value
    changed = np.array(damping)
    changed[0] = value
    return changed
