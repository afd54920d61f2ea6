"""What a family of environments has to say; one subclass a file in `param_envs/families`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from param_envs.context import Context, Feature

Array = NDArray[np.float64]
ContextColumns = Mapping[str, Array]

MODEL_BANK_SIZE = 8192
"""Compiled bodies kept in memory, about 25 kB each."""
VISUAL_BANK_SIZE = 8
"""Those with textures and lights, 12 MB each."""


class State(NamedTuple):
    """A batch of simulator states: qpos (n, nq), qvel (n, nv), sensors (n, nsensordata)."""

    qpos: Array
    qvel: Array
    sensors: Array


class Relabellings(NamedTuple):
    """The m ways to label the parts of a body that its dynamics cannot tell apart.

    What is seen as `observation` and done as `action` is, in other labels, seen as
    `observations[i] @ observation` and done as `actions[i] @ action`: same state, same torques.

    Attributes:
        observations: (m, observation_size, observation_size), the identity first.
        actions: (m, action_size, action_size).
    """

    observations: Array
    actions: Array


class Family(ABC):
    """Physics, observation, reward and start of one parameterised body.

    Everything but `spec` is a pure function over a batch: the leading axis is the environment.
    The single and the batched environment call the same functions.

    Attributes:
        env_id: id under which Gymnasium knows the family.
        features: the features of its contexts, in order.
        reward_modes: names of the reward's meanings; the first is the default.
        outcome_names: keys of `outcome`, the measured quantities that the reward depends on.
        observation_size: length of an observation.
        action_size: length of an action, each entry in [-1, 1].
        n_substeps: simulation steps a control step.
        max_episode_steps: control steps an episode.
        settle_steps: simulation steps without control that follow the initial draw.
        fresh_sensors: whether sensors are evaluated at the state after the step (dm_control's
            convention). False spares the work where only qpos and qvel are used.
        camera: camera that `render` looks through.
    """

    env_id: ClassVar[str]
    features: ClassVar[tuple[Feature, ...]]
    reward_modes: ClassVar[tuple[str, ...]]
    outcome_names: ClassVar[tuple[str, ...]]
    observation_size: ClassVar[int]
    action_size: ClassVar[int]
    n_substeps: ClassVar[int]
    max_episode_steps: ClassVar[int]
    settle_steps: ClassVar[int] = 0
    fresh_sensors: ClassVar[bool] = True
    camera: ClassVar[str]

    @abstractmethod
    def spec(self, context: Mapping[str, float]) -> mujoco.MjSpec:
        """The pristine published model, edited for the dynamics features of `context`."""

    @abstractmethod
    def initial_state(self, rng: np.random.Generator, model: mujoco.MjModel) -> tuple[Array, Array]:
        """Draws one start: qpos (nq,), qvel (nv,), before `settle_steps`."""

    @abstractmethod
    def observation(self, state: State) -> Array:
        """Observations (n, observation_size) of a batch of states."""

    @abstractmethod
    def outcome(self, before: State, after: State) -> dict[str, Array]:
        """What a control step did, as `outcome_names` to values (n,).

        Together with the action and a context this determines the reward, so recorded data can be
        relabelled for any other context.
        """

    @abstractmethod
    def reward(
        self, outcome: Mapping[str, Array], action: Array, context: ContextColumns, mode: str
    ) -> Array:
        """Rewards (n,) for outcomes (n,), actions (n, action_size), contexts (n,) or scalar."""

    def terminated(self, state: State) -> NDArray[np.bool_]:
        """Which environments (n,) have failed; by default none ever does."""
        return np.zeros(len(state.qpos), dtype=np.bool_)

    def frames(
        self,
        contexts: Sequence[Mapping[str, float]],
        home: Mapping[str, float],
        *,
        seam: float | None = None,
    ) -> Array:
        """Matrices by which what is seen in `contexts` is what would be seen in `home`.

        Where dynamics have a symmetry that reward features only move along, such as the direction
        to run in, all contexts are one task seen in different frames: a policy for `home` that is
        shown `frames(contexts, home)[i] @ observation` acts for context i, with equal returns up
        to the distribution of starts. By default a family has none.

        Args:
            contexts: n contexts.
            home: the context in whose frame they are seen.
            seam: where what is seen depends on which way round a context is turned: the value of
                the feature beyond which they are turned the other way. None for the family's own.

        Returns:
            (n, observation_size, observation_size).

        Raises:
            ValueError: if the family has no such symmetry, or the contexts differ from `home` in
                more than it moves.
        """
        raise ValueError(f"`frames` needs a family whose tasks are one, turned; {self!r} is none")

    def relabellings(self) -> Relabellings:
        """All ways to label a state of the family; by default there is one."""
        return Relabellings(np.eye(self.observation_size)[None], np.eye(self.action_size)[None])

    # ------------------------------------------------------------------ shared by all families

    def context(self, **values: float) -> Context:
        """A validated context; absent features take their defaults.

        Raises:
            ValueError: for an unknown feature or a value out of range.
        """
        return Context(self.features, values)

    def encode(
        self, contexts: Sequence[Mapping[str, float]], features: Iterable[str] | None = None
    ) -> Array:
        """Encodes contexts as (n_contexts, n_inputs), entries in [-1, 1].

        Args:
            contexts: the contexts.
            features: names of the features to encode, all by default.
        """
        return np.concatenate(
            [
                feature.encode(np.array([context[feature.name] for context in contexts]))
                for feature in self.selected(features)
            ],
            axis=-1,
        )

    def raw(
        self, contexts: Sequence[Mapping[str, float]], features: Iterable[str] | None = None
    ) -> Array:
        """Unscaled feature values (n_contexts, n_features), as the papers feed them."""
        names = [feature.name for feature in self.selected(features)]
        return np.array([[context[name] for name in names] for context in contexts])

    def selected(self, features: Iterable[str] | None) -> list[Feature]:
        """The features of those names, all for None.

        Raises:
            ValueError: for an unknown name, or one word instead of several.
        """
        if features is None:
            return list(self.features)
        if isinstance(features, str):
            raise ValueError(f"`features` must be a sequence of names, got {features!r}")
        known = {feature.name: feature for feature in self.features}
        names = list(features)
        for name in names:
            if name not in known:
                raise ValueError(f"unknown feature `{name}`, allowed are {sorted(known)}")
        return [known[name] for name in names]

    def dynamics(self, context: Mapping[str, float]) -> tuple[float, ...]:
        """The values that decide the body: the key of the model bank."""
        return tuple(context[f.name] for f in self.features if f.kind == "dynamics")

    def model(self, context: Mapping[str, float]) -> mujoco.MjModel:
        """The compiled body, from the bank. It is shared: do not write to it."""
        return _compiled(self, self.dynamics(context))

    def visual_model(self, context: Mapping[str, float]) -> mujoco.MjModel:
        """The same body with textures and lights, for rendering. It is shared too."""
        return _compiled_to_be_seen(self, self.dynamics(context))

    def check_reward_mode(self, mode: str) -> str:
        """Returns `mode`.

        Raises:
            ValueError: if the family has no reward of that name.
        """
        if mode not in self.reward_modes:
            raise ValueError(f"`reward` must be one of {list(self.reward_modes)}, got {mode!r}")
        return mode

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@lru_cache(maxsize=MODEL_BANK_SIZE)
def _compiled(family: Family, dynamics: tuple[float, ...]) -> mujoco.MjModel:
    return _compile(family, dynamics, visual=False)


@lru_cache(maxsize=VISUAL_BANK_SIZE)
def _compiled_to_be_seen(family: Family, dynamics: tuple[float, ...]) -> mujoco.MjModel:
    return _compile(family, dynamics, visual=True)


def _compile(family: Family, dynamics: tuple[float, ...], *, visual: bool) -> mujoco.MjModel:
    names = [f.name for f in family.features if f.kind == "dynamics"]
    spec = family.spec(family.context(**dict(zip(names, dynamics, strict=True))))
    if not visual:
        _strip_textures(spec)
    model = spec.compile()
    # A diverged simulation must stay visible, not silently restart in the middle of an episode.
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    return model


def _strip_textures(spec: mujoco.MjSpec) -> None:
    """Removes textures: 12 MB of skybox in each of a thousand bodies would be 12 GB."""
    for material in spec.materials:
        material.textures = [""] * len(material.textures)
    for texture in spec.textures:
        if hasattr(spec, "delete"):
            spec.delete(texture)
        else:  # MuJoCo before 3.3.3
            texture.delete()


def published_model(package: str, relative_path: str) -> mujoco.MjSpec:
    """Loads a model file that another package ships, without importing that package.

    Raises:
        ModuleNotFoundError: if the package is not installed.
    """
    found = find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"the model {relative_path} needs the package `{package}`")
    return mujoco.MjSpec.from_file(str(Path(found.origin).parent / relative_path))


def fix_total_mass(spec: mujoco.MjSpec, total: float) -> None:
    """Gives every geom an explicit mass, proportional to its own, that sums to `total` kg.

    This is what the models' `settotalmass` did before MuJoCo deprecated it.
    """
    spec.compiler.settotalmass = -1
    moving = [geom for body in spec.bodies if body.name != "world" for geom in body.geoms]
    volumes = np.array([_capsule_volume(geom) for geom in moving])
    for geom, mass in zip(moving, total * volumes / volumes.sum(), strict=True):
        geom.mass = mass


def _capsule_volume(geom: mujoco.MjsGeom) -> float:
    if geom.type != mujoco.mjtGeom.mjGEOM_CAPSULE:
        raise ValueError(f"explicit masses are made for capsules, geom {geom.name!r} is not one")
    radius, length = geom.size[0], 2.0 * geom.size[1]
    if np.isfinite(geom.fromto).all():  # both ends are given instead
        length = np.linalg.norm(geom.fromto[3:] - geom.fromto[:3])
    return float(np.pi * radius**2 * length + 4.0 / 3.0 * np.pi * radius**3)


def uniform_joints(rng: np.random.Generator, model: mujoco.MjModel) -> Array:
    """Draws hinge and slide joints as dm_control does: qpos (nq,).

    Limited joints are uniform in their range, unlimited hinges in [-π, π], unlimited slides 0.
    """
    low, high = model.jnt_range.T.copy()
    free_hinge = (model.jnt_limited == 0) & (model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE)
    free_slide = (model.jnt_limited == 0) & (model.jnt_type == mujoco.mjtJoint.mjJNT_SLIDE)
    low[free_hinge], high[free_hinge] = -np.pi, np.pi
    low[free_slide], high[free_slide] = 0.0, 0.0
    return rng.uniform(low, high)


def noisy_start(
    rng: np.random.Generator, model: mujoco.MjModel, noise: float
) -> tuple[Array, Array]:
    """Draws a start as Gymnasium does, around the model's pose at rest: qpos (nq,), qvel (nv,).

    Positions get noise uniform in ±`noise`, velocities normal noise of that deviation.
    """
    qpos = model.qpos0 + rng.uniform(-noise, noise, model.nq)
    return qpos, noise * rng.standard_normal(model.nv)
