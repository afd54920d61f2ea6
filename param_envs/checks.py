"""A check that every feature of a family does what it says, for tests and for new families."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import mujoco
import numpy as np

from param_envs.context import Context, Feature
from param_envs.engine import DataEngine
from param_envs.env import ParamEnv
from param_envs.families import family_of
from param_envs.family import Array, Family
from param_envs.sampling import UniformSampler
from param_envs.simulation import Simulation

MIN_REWARD_EFFECT = 0.01
"""A reward feature must change the reward of some step by more than this."""
MIN_TRAJECTORY_EFFECT = 0.01
"""A dynamics feature must change an entry of an observation by more, in the first 20 steps."""

_N_PROBES = 4
"""Values tried of a feature: the middles of the quarters of its range, so that 0 is none."""
_N_STARTS = 4
_N_STEPS = 200
_N_SHORT = 20
"""Control steps in which a body must show its effect; later, chaos makes an effect of anything."""
_HOLD = 10
"""Control steps for which the random actions of the probing trajectory are held."""
_PHYSICS = ("body_", "jnt_", "dof_", "geom_", "site_", "actuator_", "sensor_", "qpos", "opt.")
_LOOKS = ("rgba", "matid", "texid")
_DERIVED = ("0", "aabb", "rbound", "subtreemass", "dof_length")
"""Fields, by the ends of their names, that follow from others; compared, but not reported."""


class ContextCheckError(ValueError):
    """A family does not do what its features say; the message names the feature."""


@dataclass(frozen=True, kw_only=True)
class FeatureEffect:
    """What a feature did to probing trajectories: the least over neighbouring values of its range.

    Attributes:
        feature: its name.
        kind: `reward` or `dynamics`.
        reward: largest change of a step's reward, in the mode where that is least.
        trajectory: largest change of an entry of an observation, in the first 20 steps; 0 for a
            reward feature.
        fields: what it changes in the compiled model, but for what follows from that.
    """

    feature: str
    kind: str
    reward: float
    trajectory: float
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ContextReport:
    """What `check_context_env` measured; prints as a table."""

    env_id: str
    effects: tuple[FeatureEffect, ...]

    def __str__(self) -> str:
        lines = [f"{self.env_id}: feature, kind, change of reward, of observation, model fields"]
        lines += [
            f"  {e.feature:<10} {e.kind:<9} {e.reward:8.3g} {e.trajectory:8.3g}  "
            f"{', '.join(e.fields) or '-'}"
            for e in self.effects
        ]
        return "\n".join(lines)


def check_context_env(env: str | Family) -> ContextReport:
    """Checks that every feature acts, acts alone, reaches the body, and that seeds are obeyed.

    Features are moved one by one through their ranges while everything else stays fixed.

    Args:
        env: the id of a registered environment, or a family that is not registered yet.

    Returns:
        The size of every feature's effect.

    Raises:
        ContextCheckError: for a feature that changes nothing, for a reward feature that changes
            the physics, for a body that differs from one compiled from scratch, for a reset that
            does not reach the context it was asked for, or for an environment that does not obey
            its seed.
        ValueError: if no environment of that id is registered.
    """
    family = env if isinstance(env, Family) else family_of(env)
    effects = tuple(_check_feature(family, feature) for feature in family.features)
    _check_seeds(family)
    return ContextReport(env_id=family.env_id, effects=effects)


def _check_feature(family: Family, feature: Feature) -> FeatureEffect:
    probes = _probes(family, feature)
    fields: tuple[str, ...] = ()
    if feature.kind == "dynamics":
        for context in probes:
            _check_body(family, feature, context)
        fields = _changed_fields(family, feature, probes)
    reward_effect, trajectory_effect = np.inf, np.inf
    played = [_play(family, context) for context in probes]
    for (observations, rewards), (other_observations, other_rewards) in pairwise(played):
        change = observations - other_observations
        trajectory_effect = min(trajectory_effect, _largest(change[: _N_SHORT + 1]))
        reward_effect = min(reward_effect, *map(_largest, rewards - other_rewards))
        if feature.kind == "reward" and change.any():
            raise _failure(family, feature, "is a reward feature but changes the physics")
    for context in probes:
        _check_reset(family, feature, context)
    effect = reward_effect if feature.kind == "reward" else trajectory_effect
    least = MIN_REWARD_EFFECT if feature.kind == "reward" else MIN_TRAJECTORY_EFFECT
    if effect <= least:
        raise _failure(
            family,
            feature,
            f"is inert: between neighbouring values of {[c[feature.name] for c in probes]} it "
            f"changes the {'reward' if feature.kind == 'reward' else 'observations'} by at most "
            f"{effect:.2g}, must be more than {least}",
        )
    return FeatureEffect(
        feature=feature.name,
        kind=feature.kind,
        reward=reward_effect,
        trajectory=trajectory_effect,
        fields=fields,
    )


def _probes(family: Family, feature: Feature) -> list[Context]:
    quarters = (np.arange(_N_PROBES) + 0.5) / _N_PROBES
    values = feature.low + quarters * (feature.high - feature.low)
    return [family.context(**{feature.name: float(value)}) for value in values]


def _play(family: Family, context: Context) -> tuple[Array, Array]:
    """Observations (n_steps + 1, n_starts, size), rewards (n_modes, n_steps, n_starts)."""
    contexts = [context] * _N_STARTS
    simulation = Simulation(family, contexts, reward=family.reward_modes[0], n_threads=1)
    rngs = [np.random.default_rng(i) for i in range(_N_STARTS)]
    simulation.restart(np.arange(_N_STARTS), contexts, rngs)
    observations, rewards = [simulation.observation()], []
    for actions in _actions(family, _N_STARTS):
        transition = simulation.advance(actions)
        observations.append(transition.observation)
        rewards.append(
            [
                family.reward(transition.outcome, actions, simulation.columns, mode)
                for mode in family.reward_modes
            ]
        )
    return np.stack(observations), np.stack(rewards, axis=1)


def _actions(family: Family, n: int) -> Iterator[Array]:
    rng = np.random.default_rng(0)
    for step in range(_N_STEPS):
        if step % _HOLD == 0:
            actions = rng.uniform(-1.0, 1.0, (n, family.action_size))
        yield actions


def _check_body(family: Family, feature: Feature, context: Context) -> None:
    """The body that is stepped equals one compiled afresh, field by field and step by step."""
    fresh = family.spec(context).compile()
    different = _different_fields(family.model(context), fresh)
    if different:
        raise _failure(family, feature, f"does not reach {different} of the compiled model")
    simulation = Simulation(family, [context], reward=family.reward_modes[0])
    simulation.restart(np.array([0]), [context], [np.random.default_rng(0)])
    scratch = DataEngine([fresh], n_threads=1, fresh_sensors=family.fresh_sensors)
    start = simulation.state
    simulation.place(np.array([0]), start.qpos, start.qvel)
    scratch.write(np.array([0]), start.qpos, start.qvel)
    for actions in _actions(family, 1):
        simulation.advance(actions)
        scratch.step(None, actions, family.n_substeps)
        if not np.array_equal(simulation.state.qpos, scratch.state().qpos):
            raise _failure(family, feature, "steps another body than the one compiled from scratch")


def _check_reset(family: Family, feature: Feature, context: Context) -> None:
    """An environment that is reset into a context behaves as one that was made in it."""
    values: dict[str, Any] = dict(context)
    made, changed = ParamEnv(family, **values), ParamEnv(family)
    changed.reset(seed=1)
    observation, info = changed.reset(seed=0, options={"context": values})
    same = np.array_equal(made.reset(seed=0)[0], observation) and info["context"] == values
    for actions in _actions(family, 1):
        one, other = made.step(actions[0]), changed.step(actions[0])
        same = same and np.array_equal(one[0], other[0]) and one[1] == other[1]
    if not same:
        raise _failure(family, feature, "is not fully changed by reset(options={'context': ...})")


def _check_seeds(family: Family) -> None:
    fixed, sampled = ParamEnv(family), ParamEnv(family, sampler=UniformSampler(family))
    starts, contexts = [], []
    for seed in (0, 0, 1):
        starts.append([fixed.reset(seed=seed)[0].tolist(), fixed.reset()[0].tolist()])
        infos = [sampled.reset(seed=seed)[1], sampled.reset()[1]]
        contexts.append([info["context"] for info in infos])
    for what, drawn in (("starts", starts), ("sampled contexts", contexts)):
        if drawn[0] != drawn[1]:
            raise ContextCheckError(f"{family.env_id}: {what} differ between resets with one seed")
        if any(one == other for one, other in zip(drawn[0], drawn[2], strict=True)):
            raise ContextCheckError(f"{family.env_id}: {what} do not differ between seeds")


def _changed_fields(family: Family, feature: Feature, probes: list[Context]) -> tuple[str, ...]:
    changed: set[str] = set()
    for one, other in pairwise(probes):
        different = _different_fields(family.model(one), family.model(other))
        if not different:
            raise _failure(
                family,
                feature,
                f"is inert: {one[feature.name]:g} and {other[feature.name]:g} compile to one body",
            )
        changed.update(name for name in different if not name.endswith(_DERIVED))
    return tuple(sorted(changed))


def _different_fields(one: mujoco.MjModel, other: mujoco.MjModel) -> list[str]:
    others = _physics_fields(other)
    return [
        name
        for name, value in _physics_fields(one).items()
        if not np.array_equal(value, others[name], equal_nan=True)
    ]


def _physics_fields(model: mujoco.MjModel) -> dict[str, Array]:
    fields = {name: getattr(model, name) for name in dir(model) if name.startswith(_PHYSICS)}
    fields |= {f"opt.{name}": getattr(model.opt, name) for name in ("timestep", "gravity")}
    return {
        name: np.asarray(value)
        for name, value in fields.items()
        if isinstance(value, (np.ndarray, float)) and not name.endswith(_LOOKS)
    }


def _largest(difference: Array) -> float:
    return float(np.abs(difference).max())


def _failure(family: Family, feature: Feature, what: str) -> ContextCheckError:
    return ContextCheckError(f"{family.env_id}: `{feature.name}` {what}")
