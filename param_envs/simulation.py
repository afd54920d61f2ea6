"""N simulations of one family, each in its own context: what both environments are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from param_envs.context import Context, stack_contexts
from param_envs.engine import DataEngine, Engine, Ids, make_engine
from param_envs.family import Array, Family, State

MAX_STATE = 1e6
"""m, rad, m/s or rad/s: a state beyond this has diverged (MuJoCo's own limit is 1e10)."""


class Transition(NamedTuple):
    """One control step of n environments.

    Attributes:
        observation: (n, observation_size).
        reward: (n,).
        terminated: (n,), the family's failure condition.
        diverged: (n,), the physics broke down; the row repeats the state before the step.
        outcome: measured quantities, each (n,).
    """

    observation: Array
    reward: Array
    terminated: NDArray[np.bool_]
    diverged: NDArray[np.bool_]
    outcome: dict[str, Array]


class Simulation:
    """Steps N environments of one family without episodes: no time limit, no auto-reset."""

    def __init__(
        self, family: Family, contexts: Sequence[Context], *, reward: str, n_threads: int = 0
    ) -> None:
        """Compiles the bodies (or takes them from the bank) and allocates the simulations.

        Args:
            family: the family.
            contexts: one a simulation.
            reward: one of the family's reward modes.
            n_threads: threads to step on, 0 for all cores. One simulation runs in place.
        """
        self.family = family
        self.reward_mode = family.check_reward_mode(reward)
        self.contexts = list(contexts)
        self.columns = _frozen(stack_contexts(self.contexts))
        models = [family.model(context) for context in contexts]
        self.engine: Engine
        if len(models) == 1:
            self.engine = DataEngine(models, n_threads=1, fresh_sensors=family.fresh_sensors)
        else:
            self.engine = make_engine(
                models, n_threads=n_threads, fresh_sensors=family.fresh_sensors
            )
        self.state = self.engine.state()

    def restart(
        self, ids: Ids, contexts: Sequence[Context], rngs: Sequence[np.random.Generator]
    ) -> None:
        """Puts simulations `ids` into `contexts`, at starts drawn from their own generators."""
        starts, changed = [], False
        for i, context, rng in zip(ids, contexts, rngs, strict=True):
            model = self.family.model(context)
            if context is not self.contexts[i]:
                self.contexts[i] = context
                self.engine.set_model(int(i), model)
                changed = True
            starts.append(self.family.initial_state(rng, model))
        if changed:  # new arrays, since `info` of earlier steps shows the old ones
            columns = {name: column.copy() for name, column in self.columns.items()}
            for name, column in columns.items():
                column[ids] = [context[name] for context in contexts]
            self.columns = _frozen(columns)
        qpos, qvel = (np.stack(rows) for rows in zip(*starts, strict=True))
        self.engine.write(ids, qpos, qvel)
        if self.family.settle_steps:
            rest = np.zeros((len(ids), self.family.action_size))
            self.engine.step(ids, rest, self.family.settle_steps)
        self._read(ids)

    def place(self, ids: Ids, qpos: Array, qvel: Array) -> None:
        """Puts simulations `ids` at qpos (n, nq), qvel (n, nv), for planning and for tests."""
        self.engine.write(ids, qpos, qvel)
        self._read(ids)

    def _read(self, ids: Ids) -> None:
        """Takes the state of simulations `ids` alone: others may repeat theirs, having diverged."""
        changed = np.zeros(len(self.contexts), dtype=np.bool_)
        changed[ids] = True
        now = self.engine.state()
        self.state = State(
            *(_keep(~changed, old, new) for old, new in zip(self.state, now, strict=True))
        )

    def observation(self) -> Array:
        """Observations (N, observation_size) of the present states."""
        return self.family.observation(self.state)

    def resting_outcome(self) -> dict[str, Array]:
        """The outcome of a step that changes nothing: what `info` holds at reset."""
        return self.family.outcome(self.state, self.state)

    def advance(self, actions: Array, ids: Ids | None = None) -> Transition:
        """Steps simulations `ids` (None: all) under `actions` (N, action_size), within [-1, 1].

        Rows of simulations that did not step, or that diverged, repeat their present state.
        """
        before = self.state
        stepped = actions if ids is None else actions[ids]
        failed = self.engine.step(ids, stepped, self.family.n_substeps)
        after = self.engine.state()
        diverged = np.zeros(len(actions), dtype=np.bool_)
        if len(failed) or not self.engine.surely_bounded(MAX_STATE):
            diverged = ~_bounded(after)
            diverged[failed] = True
            after = State(
                *(_keep(diverged, old, new) for old, new in zip(before, after, strict=True))
            )
        self.state = after
        outcome = self.family.outcome(before, after)
        return Transition(
            self.family.observation(after),
            self.family.reward(outcome, actions, self.columns, self.reward_mode),
            self.family.terminated(after),
            diverged,
            outcome,
        )

    def close(self) -> None:
        """Frees the engine; the last states stay readable."""
        self.engine.close()


def _bounded(state: State) -> NDArray[np.bool_]:
    """Which rows (n,) are finite and within `MAX_STATE`."""
    with np.errstate(invalid="ignore"):
        return np.logical_and(
            (np.abs(state.qpos) < MAX_STATE).all(axis=1),
            (np.abs(state.qvel) < MAX_STATE).all(axis=1),
        ) & np.isfinite(state.sensors).all(axis=1)


def _frozen(columns: dict[str, Array]) -> dict[str, Array]:
    for column in columns.values():
        column.flags.writeable = False
    return columns


def _keep(rows: NDArray[np.bool_], old: Array, new: Array) -> Array:
    return np.where(rows[:, None], old, new)


def checked_actions(actions: object, shape: tuple[int, ...]) -> Array:
    """Returns actions as float64, clipped to [-1, 1].

    Raises:
        ValueError: if they are not finite numbers of that shape.
    """
    array = np.asarray(actions)
    if array.shape != shape:
        raise ValueError(f"`action` must have shape {shape}, got {array.shape}")
    array = array.astype(np.float64, casting="unsafe")
    if not math.isfinite(np.vdot(array, array)):  # one pass; np.isfinite takes several
        _require_finite(array)
    np.maximum(array, -1.0, out=array)  # np.clip costs several times as much on a small array
    return np.minimum(array, 1.0, out=array)


def _require_finite(actions: Array) -> None:
    """Raises a ValueError that names the first entry that is not finite, if there is one."""
    bad = ~np.isfinite(actions)
    if bad.any():
        *slot, entry = (int(i) for i in np.unravel_index(np.flatnonzero(bad)[0], actions.shape))
        where = f"in slot {slot[0]}, entry {entry}" if slot else f"in entry {entry}"
        raise ValueError(
            f"`action` must be finite and in [-1, 1], got {actions[(*slot, entry)]} {where} "
            f"({np.count_nonzero(bad)} of {actions.size} entries are not)"
        )


def replaced(context: Mapping[str, float], family: Family, changes: object) -> Context:
    """`context` with some features changed.

    Raises:
        ValueError: if `changes` is no mapping, or has an unknown feature or a value out of range.
    """
    if not isinstance(changes, Mapping):
        raise ValueError(f"`context` must map feature names to values, got {changes!r}")
    return family.context(**{**context, **changes})
