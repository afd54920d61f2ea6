"""Ant: Gymnasium's body, a direction to run in, and legs of any length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from param_envs.context import Feature
from param_envs.family import (
    Array,
    ContextColumns,
    Family,
    Relabellings,
    State,
    noisy_start,
    published_model,
)

_CONTROL_STEP = 0.05
"""s, five simulation steps of 0.01 s."""
_CONTROL_COST = 0.5
"""Reward lost a squared action."""
_ALIVE_BONUS = 1.0
"""Reward of every step."""
_HEALTHY_HEIGHTS = (0.2, 1.0)
"""m, torso heights between which the episode goes on."""
_START_NOISE = 0.1
"""Half-width of the uniform noise of positions, and deviation of the normal one of velocities."""

_ATTITUDE = ((1, 4), (2, 3))
"""Where the torso's quaternion is in an observation: w and z, x and y."""
_VELOCITY = (13, 14)
"""Where its horizontal velocity is; its angular velocity is in the body's own frame."""

_N_LEGS = 4
_ANKLES = (-1.0, 1.0, -1.0, 1.0)
"""Which way each leg's ankle turns, seen from the ankle of the next leg counterclockwise."""
_FIRST_ACTUATED = 3
"""The leg whose torques come first in an action; the others follow counterclockwise."""


class Ant(Family):
    """Gymnasium's ant, rewarded for its speed in a direction: Ant-Dir of the meta-RL literature.

    Observation (27): qpos without x and y (13), qvel (14). Rewards, starts and horizon are those
    of PEARL's and MACAW's Ant-Dir; their contact cost is left out, as it was always 0 there
    (MuJoCo 2 does not fill in contact forces unless it is asked to).
    """

    env_id = "ParamAnt-v0"
    features = (
        Feature(
            name="direction",
            kind="reward",
            default=0.0,
            low=0.0,
            high=2.0 * np.pi,
            unit="rad",
            doc="direction to run in, counterclockwise from +x",
            encoding="angle",
        ),
        Feature(
            name="leg",
            kind="dynamics",
            default=1.0,
            low=0.7,
            high=1.3,
            unit="1",
            doc="length of all three links of every leg over the published one, at equal density",
        ),
    )
    reward_modes: ClassVar[tuple[str, ...]] = ("direction",)
    outcome_names = ("x_velocity", "y_velocity")
    observation_size = 27
    action_size = 8
    n_substeps = 5
    max_episode_steps = 200
    fresh_sensors = False
    camera = "track"

    def spec(self, context: Mapping[str, float]) -> mujoco.MjSpec:
        """Scales every link of every leg, and with it where the next link begins."""
        scale = context["leg"]
        spec = published_model("gymnasium", "envs/mujoco/assets/ant.xml")
        for leg in spec.body("torso").bodies:  # the leg's own frame lies at the torso's centre
            link = leg
            while True:
                for geom in link.geoms:
                    geom.fromto = scale * np.asarray(geom.fromto)
                if not link.bodies:
                    break
                link = link.bodies[0]
                link.pos = scale * np.asarray(link.pos)
        return spec

    def initial_state(self, rng: np.random.Generator, model: mujoco.MjModel) -> tuple[Array, Array]:
        """The model's pose and rest, plus noise, as in Gymnasium."""
        return noisy_start(rng, model, _START_NOISE)

    def observation(self, state: State) -> Array:
        """Everything but the horizontal position: (n, 27)."""
        observation = np.empty((len(state.qpos), self.observation_size))
        observation[:, :13] = state.qpos[:, 2:]
        observation[:, 13:] = state.qvel
        return observation

    def outcome(self, before: State, after: State) -> dict[str, Array]:
        """`x_velocity`, `y_velocity` (n,) of the torso: its way in this step over 0.05 s, m/s."""
        x, y = (after.qpos[:, i] - before.qpos[:, i] for i in (0, 1))
        return {"x_velocity": x / _CONTROL_STEP, "y_velocity": y / _CONTROL_STEP}

    def reward(
        self, outcome: Mapping[str, Array], action: Array, context: ContextColumns, mode: str
    ) -> Array:
        """Rewards vx · cos(direction) + vy · sin(direction) - 0.5 |action|² + 1: (n,)."""
        direction = context["direction"]
        forward = outcome["x_velocity"] * np.cos(direction)
        forward += outcome["y_velocity"] * np.sin(direction)
        return forward - _CONTROL_COST * np.square(action).sum(axis=-1) + _ALIVE_BONUS

    def frames(
        self,
        contexts: Sequence[Mapping[str, float]],
        home: Mapping[str, float],
        *,
        seam: float | None = None,
    ) -> Array:
        """Turns about the vertical, by home's direction minus the context's: (n, 27, 27).

        The torso's attitude, a quaternion, turns by half that angle, which is not taken modulo 2π:
        directions near 0 and near 2π see attitudes of opposite sign, which are the same attitude.
        With a `seam` directions beyond it count as 2π less, so that they see those of the sign that
        directions near 0 do, and the sign changes there.
        """
        for context in contexts:
            if self.dynamics(context) != self.dynamics(home):
                raise ValueError(f"`contexts` must have the legs of `home`, {home}, got {context}")
        directions = np.array([context["direction"] for context in contexts])
        if seam is not None:
            directions = np.where(directions > seam, directions - 2.0 * np.pi, directions)
        angles = home["direction"] - directions
        frames = np.tile(np.eye(self.observation_size), (len(contexts), 1, 1))
        for a, b, turned in (*((*pair, angles / 2.0) for pair in _ATTITUDE), (*_VELOCITY, angles)):
            frames[:, a, a] = frames[:, b, b] = np.cos(turned)
            frames[:, b, a] = np.sin(turned)
            frames[:, a, b] = -frames[:, b, a]
        return frames

    def relabellings(self) -> Relabellings:
        """Any leg may be called the first: (8, 27, 27) and (8, 8, 8).

        The torso that has the next leg counterclockwise as its first is turned by 90 degrees about
        its own vertical. After four such steps legs and state are the same again, and the attitude
        has the opposite sign, which is the same attitude; hence eight ways.
        """
        size, half = self.observation_size, np.sqrt(0.5)
        seen, done = np.zeros((size, size)), np.zeros((self.action_size, self.action_size))
        seen[0, 0] = seen[13, 13] = seen[14, 14] = seen[15, 15] = 1.0
        seen[1:5, 1:5] = half * (
            np.eye(4) + np.array([[0, 0, 0, -1], [0, 0, 1, 0], [0, -1, 0, 0], [1, 0, 0, 0]])
        )
        seen[16:19, 16:19] = [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
        for leg in range(_N_LEGS):
            following = (leg + 1) % _N_LEGS
            places = [(5 + 2 * leg, 5 + 2 * following), (19 + 2 * leg, 19 + 2 * following)]
            for here, there in places:
                seen[here, there], seen[here + 1, there + 1] = 1.0, _ANKLES[leg]
            here, there = (2 * ((one - _FIRST_ACTUATED) % _N_LEGS) for one in (leg, following))
            done[here, there], done[here + 1, there + 1] = 1.0, _ANKLES[leg]
        steps = range(2 * _N_LEGS)
        return Relabellings(
            np.stack([np.linalg.matrix_power(seen, n) for n in steps]),
            np.stack([np.linalg.matrix_power(done, n) for n in steps]),
        )

    def terminated(self, state: State) -> NDArray[np.bool_]:
        """Whether the torso is lower than 0.2 m or higher than 1 m: (n,)."""
        low, high = _HEALTHY_HEIGHTS
        height = state.qpos[:, 2]
        return (height < low) | (height > high)
