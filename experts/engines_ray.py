"""Ray as the engine past one machine: tasks go out, results come back, no disk is shared.

Every node needs this package. A task is retried when its node or its process dies; what a driver
that is killed leaves behind, Ray ends.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from experts.engines import (
    Event,
    Failed,
    Finished,
    Perform,
    Pool,
    Prepare,
    Reported,
    check_workers,
    outcome_of,
    throttled,
)

RETRIES = 5
"""How often a task starts again after its node or its process died."""
SECONDS_BETWEEN_REPORTS = 1.0
"""Of one task; all tasks of the cluster report to one actor."""
PROGRESS_TIMEOUT = 10.0
"""Seconds to wait for the progress of all tasks, which is then asked for later."""


@dataclass(frozen=True, kw_only=True)
class RayEngine:
    """Tasks on a Ray cluster, each with one CPU a thread.

    A connection of this process to Ray that is there already is used and left as it is; otherwise
    one is made, and ended with the pool. A cluster that was only joined goes on.

    Attributes:
        address: of the cluster, `host:port` or "auto"; None for Ray's own rules: RAY_ADDRESS, the
            cluster that runs on this machine, or a new one on this machine. This machine must be a
            node of the cluster.

    Raises:
        ValueError: if Ray is not installed, or for the address of a Ray client (`ray://`).
    """

    address: str | None = None

    def __post_init__(self) -> None:
        if self.address is not None and "://" in self.address:
            raise ValueError(
                "`address` must be host:port or auto, on a machine that is a node of the cluster, "
                f"got {self.address!r}"
            )
        _ray()

    @contextmanager
    def open(
        self, prepare: Prepare, *, workers: int | None = None, threads: int = 1
    ) -> Iterator[Pool]:
        """See `Engine.open`; the engine's own number of workers is what Ray has CPUs for."""
        check_workers(workers)
        with self._connected():
            pool = _RayPool(prepare, workers, threads)
            try:
                yield pool
            finally:
                pool.close()

    def capacity(self) -> int:
        """CPUs of the cluster, at present."""
        with self._connected():
            return max(1, int(_ray().cluster_resources().get("CPU", 1)))

    @contextmanager
    def _connected(self) -> Iterator[None]:
        ray = _ray()
        if ray.is_initialized():
            here = ray.get_runtime_context().gcs_address
            if self.address not in (None, "auto", here):
                raise ValueError(
                    f"`address` must be {here}, which this process is connected to already, "
                    f"got {self.address!r}"
                )
            yield
            return
        # Without it Ray warns that a later version will not hide accelerators from CPU tasks.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            ray.init(
                address=self.address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False,
            )
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            said = next((line for line in str(error).splitlines() if line.strip()), "no answer")
            raise ValueError(
                f"`address` must be a Ray cluster's, got {self.address!r}: {said}"
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


class _RayPool:
    def __init__(self, prepare: Prepare, most: int | None, threads: int) -> None:
        self._ray = ray = _ray()
        self._most = most
        self._waiting: deque[tuple[Hashable, Any]] = deque()
        self._running: dict[Any, Hashable] = {}
        self._keys: list[Hashable] = []
        self._prepare = ray.put(prepare)
        self._task = ray.remote(num_cpus=threads, max_retries=RETRIES)(perform_task)
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=True
        )
        self._board = (
            ray.remote(num_cpus=0, max_restarts=-1)(ProgressBoard)
            .options(scheduling_strategy=here)
            .remote()
        )
        self._asked: Any = None

    def submit(self, key: Hashable, piece: Any) -> None:
        self._waiting.append((key, piece))
        self._hand_out()

    def events(self, timeout: float) -> list[Event]:
        found: list[Event] = []
        if self._running:
            done, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
            if not done:
                done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout)
            found.extend(self._progress())
            found.extend(self._ended(reference) for reference in done)
        self._hand_out()
        return found

    def close(self) -> None:
        for reference in self._running:
            with suppress(Exception):  # it may have ended just now, or the cluster is gone
                self._ray.cancel(reference, force=True)
        with suppress(Exception):
            self._ray.kill(self._board)

    def _hand_out(self) -> None:
        while self._waiting and (self._most is None or len(self._running) < self._most):
            key, piece = self._waiting.popleft()
            number = len(self._keys)
            self._keys.append(key)
            # In a list, the reference travels instead of what it refers to.
            reference = self._task.remote([self._prepare], number, piece, self._board)
            self._running[reference] = key

    def _ended(self, reference: Any) -> Event:
        key = self._running.pop(reference)
        try:
            kind, *values = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            said = " ".join(str(error).split())
            return Failed(key, f"{type(error).__name__}: {said}")
        return Finished(key, *values) if kind == "finished" else Failed(key, *values)

    def _progress(self) -> list[Event]:
        """What tasks reported. Where it cannot be had there is none, and the work goes on."""
        if self._asked is None:
            self._asked = self._board.take.remote()
        ready, _ = self._ray.wait([self._asked], timeout=0)
        if not ready:
            return []
        asked, self._asked = self._asked, None
        try:
            values: dict[int, float] = self._ray.get(asked, timeout=PROGRESS_TIMEOUT)
        except self._ray.exceptions.RayError:
            return []
        running = set(self._running.values())
        return [
            Reported(self._keys[number], value)
            for number, value in values.items()
            if self._keys[number] in running
        ]


class ProgressBoard:
    """An actor that tasks tell how far they are."""

    def __init__(self) -> None:
        self._values: dict[int, float] = {}

    def put(self, number: int, value: float) -> None:
        """Task `number` is so far."""
        self._values[number] = value

    def take(self) -> dict[int, float]:
        """What was put since the last call."""
        values, self._values = self._values, {}
        return values


_PREPARED: dict[str, Perform] = {}
"""What the last task of this worker process performed with, by the reference of its `prepare`."""


def perform_task(prepare: list[Any], number: int, piece: Any, board: Any) -> tuple[Any, ...]:
    """One task, in a worker process of Ray: ("finished", result) or ("failed", error, traceback).

    Args:
        prepare: the reference of what makes the performer, which is kept for the next task.
        number: of the task, for its reports.
        piece: what to do.
        board: the `ProgressBoard`.
    """
    (reference,) = prepare
    name = reference.hex()

    def perform() -> Perform:
        if name not in _PREPARED:
            made = _ray().get(reference)()
            _PREPARED.clear()  # of an earlier pool, whose data nobody needs any more
            _PREPARED[name] = made
        return _PREPARED[name]

    def report(value: float) -> None:
        board.put.remote(number, value)

    return outcome_of(perform, piece, throttled(report, seconds=SECONDS_BETWEEN_REPORTS))


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
        import ray.util.scheduling_strategies
    except ModuleNotFoundError as error:
        raise ValueError(
            "`engine` ray needs Ray, which is not installed: pip install 'param-envs[ray]'"
        ) from error
    return ray
