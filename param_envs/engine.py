"""Stepping N simulations of N bodies: `mujoco.batch` where there is one, else a thread pool."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from param_envs.family import Array, State

Ids = NDArray[np.intp]
_NONE = int(mujoco.mjtStage.mjSTAGE_NONE)
_VEL = int(mujoco.mjtStage.mjSTAGE_VEL)
_ACC = int(mujoco.mjtStage.mjSTAGE_ACC)
_NOBODY = np.empty(0, dtype=np.intp)


class Engine(Protocol):
    """N simulations, each on a model of its own with the same layout."""

    def set_model(self, i: int, model: mujoco.MjModel) -> None:
        """Runs simulation `i` on `model` from its next `write` on."""

    def write(self, ids: Ids, qpos: Array, qvel: Array) -> None:
        """Restarts simulations `ids` at qpos (n, nq), qvel (n, nv), and evaluates sensors."""

    def step(self, ids: Ids | None, ctrl: Array, n_substeps: int) -> Ids:
        """Steps `ids` (None: all), once written, under ctrl (n, nu); returns those that failed."""

    def state(self) -> State:
        """Copies of qpos (N, nq), qvel (N, nv) and sensordata (N, nsensordata)."""

    def surely_bounded(self, limit: float) -> bool:
        """Whether all sensors are finite, and all positions and velocities finite and below limit.

        Cheap, and cautious: it may be False where they are.
        """

    def close(self) -> None:
        """Ends its threads; it cannot be relied on to step again. Twice is as good as once."""


class BatchEngine:
    """`mujoco.batch.Batch` (MuJoCo 4): raw speed of `mj_step` on every thread."""

    def __init__(
        self, models: Sequence[mujoco.MjModel], *, n_threads: int, fresh_sensors: bool
    ) -> None:
        from mujoco.batch import Batch, SimulationError

        self._error = SimulationError
        self._models = list(models)
        # Persistent: the stages that refresh the sensors are where the next step goes on from.
        self._batch = Batch(self._models[0], len(models), n_threads, True)
        self._batch.set_models(self._models)
        self._stale = False
        self._stage = _VEL if fresh_sensors else _NONE
        self._ctrl = self._batch.bind("ctrl")
        self._qpos = self._batch.bind("qpos")
        self._qvel = self._batch.bind("qvel")
        self._sensors = self._batch.bind("sensordata")
        nq, nv = self._qpos.shape[1], self._qvel.shape[1]
        self._nq = nq
        self._motion = self._batch.state[:, 1 : 1 + nq + nv]  # MuJoCo's order: time, qpos, qvel
        self._all_states = self._batch.state.reshape(-1)
        self._all_sensors = self._sensors.reshape(-1)

    def set_model(self, i: int, model: mujoco.MjModel) -> None:
        """See `Engine.set_model`."""
        if self._models[i] is not model:
            self._models[i] = model
            self._stale = True

    def write(self, ids: Ids, qpos: Array, qvel: Array) -> None:
        """See `Engine.write`."""
        if self._stale:
            self._batch.set_models(self._models)
            self._stale = False
        self._batch.reset(ids, stage=_NONE)
        self._qpos[ids] = qpos
        self._qvel[ids] = qvel
        self._batch.forward(ids, stage=_ACC)

    def step(self, ids: Ids | None, ctrl: Array, n_substeps: int) -> Ids:
        """See `Engine.step`."""
        self._ctrl[slice(None) if ids is None else ids] = ctrl
        try:
            self._batch.step(ids, nstep=n_substeps, stage=self._stage)
        except self._error as error:
            return np.asarray(error.ids, dtype=np.intp)
        return _NOBODY

    def state(self) -> State:
        """See `Engine.state`."""
        motion = self._motion.copy()
        return State(motion[:, : self._nq], motion[:, self._nq :], self._sensors.copy())

    def surely_bounded(self, limit: float) -> bool:
        """See `Engine.surely_bounded`."""
        bounded = _sum_of_squares(self._all_states) < limit**2
        return bounded and _sum_of_squares(self._all_sensors) < np.inf

    def close(self) -> None:
        """See `Engine.close`. A `Batch` cannot be closed: its threads end with its last view."""
        vars(self).clear()


class DataEngine:
    """One `MjData` a simulation, stepped by `mj_step` on a thread pool (any MuJoCo).

    Also what a single environment runs on. Trajectories equal `BatchEngine`'s to the last bit.
    """

    def __init__(
        self, models: Sequence[mujoco.MjModel], *, n_threads: int, fresh_sensors: bool
    ) -> None:
        self._models = list(models)
        self._data = [mujoco.MjData(model) for model in self._models]
        self._fresh_sensors = fresh_sensors
        self._n_threads = min(n_threads or os.cpu_count() or 1, len(self._models))
        self._pool = ThreadPoolExecutor(self._n_threads) if self._n_threads > 1 else None

    def set_model(self, i: int, model: mujoco.MjModel) -> None:
        """See `Engine.set_model`."""
        self._models[i] = model

    def write(self, ids: Ids, qpos: Array, qvel: Array) -> None:
        """See `Engine.write`."""
        for row, i in enumerate(ids):
            model, data = self._models[i], self._data[i]
            mujoco.mj_resetData(model, data)
            data.qpos[:] = qpos[row]
            data.qvel[:] = qvel[row]
            mujoco.mj_forward(model, data)

    def step(self, ids: Ids | None, ctrl: Array, n_substeps: int) -> Ids:
        """See `Engine.step`."""
        indices = np.arange(len(self._models)) if ids is None else ids
        if self._pool is None:
            failed = self._step_chunk(indices, ctrl, n_substeps)
        else:
            chunks = np.array_split(np.arange(len(indices)), self._n_threads)
            jobs = [
                self._pool.submit(self._step_chunk, indices[rows], ctrl[rows], n_substeps)
                for rows in chunks
                if len(rows)
            ]
            failed = [i for job in jobs for i in job.result()]
        return np.array(failed, dtype=np.intp)

    def _step_chunk(self, ids: Ids, ctrl: Array, n_substeps: int) -> list[int]:
        failed = []
        for row, i in enumerate(ids):
            model, data = self._models[i], self._data[i]
            data.ctrl[:] = ctrl[row]
            try:
                if not self._fresh_sensors:
                    mujoco.mj_step(model, data, n_substeps)
                    continue
                # Positions and velocities are already evaluated here, so finish that step first.
                mujoco.mj_step2(model, data)
                if n_substeps > 1:
                    mujoco.mj_step(model, data, n_substeps - 1)
                mujoco.mj_step1(model, data)
            except mujoco.FatalError:
                failed.append(int(i))
        return failed

    def state(self) -> State:
        """See `Engine.state`."""
        return State(
            np.stack([data.qpos for data in self._data]),
            np.stack([data.qvel for data in self._data]),
            np.stack([data.sensordata for data in self._data]),
        )

    def surely_bounded(self, limit: float) -> bool:
        """See `Engine.surely_bounded`."""
        return all(
            _sum_of_squares(data.qpos) + _sum_of_squares(data.qvel) < limit**2
            and _sum_of_squares(data.sensordata) < np.inf
            for data in self._data
        )

    def close(self) -> None:
        """See `Engine.close`."""
        if self._pool is not None:
            self._pool.shutdown()


def _sum_of_squares(array: Array) -> float:
    """Of a vector; NaN or infinite if an entry is, which one pass of BLAS tells at no cost."""
    return float(np.dot(array, array))


def make_engine(models: Sequence[mujoco.MjModel], *, n_threads: int, fresh_sensors: bool) -> Engine:
    """The fastest engine that the installed MuJoCo has.

    Args:
        models: one a simulation, all of the same layout.
        n_threads: threads to step on, 0 for all cores.
        fresh_sensors: whether sensors describe the state after a step, not before its last substep.
    """
    has_batch = int(mujoco.__version__.split(".")[0]) >= 4
    engine = BatchEngine if has_batch else DataEngine
    return engine(models, n_threads=n_threads, fresh_sensors=fresh_sensors)
