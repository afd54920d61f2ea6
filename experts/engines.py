"""Where many pieces of work are done: processes of this machine, or another engine of its kind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Protocol

Report = Callable[[float], None]
"""Is told how far a piece of work is, in whatever unit the work has."""

Perform = Callable[[Any, Report], Any]
"""Does one piece of work."""

Prepare = Callable[[], Perform]
"""Makes, in the process that calls it, what performs pieces there."""

ENGINES = ("local", "ray")
LOCAL_WORKERS = 2
SECONDS_BETWEEN_REPORTS = 0.2

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Reported:
    """A piece is so far."""

    key: Hashable
    value: float


@dataclass(frozen=True)
class Finished:
    """A piece is done."""

    key: Hashable
    result: Any


@dataclass(frozen=True)
class Failed:
    """A piece raised, or what did it died.

    Attributes:
        key: of the piece.
        error: what happened, in a line.
        trace: the traceback if it raised, empty if its process died.
    """

    key: Hashable
    error: str
    trace: str = ""


Event = Reported | Finished | Failed


class Pool(Protocol):
    """Does the pieces that are submitted, several at once, the earlier ones first."""

    def submit(self, key: Hashable, piece: Any) -> None:
        """Takes a piece, picklable, under a key of its own; returns at once."""

    def events(self, timeout: float) -> Sequence[Event]:
        """What happened since the last call; waits up to `timeout` seconds for something.

        Every piece ends in exactly one `Finished` or `Failed`.
        """


class Engine(Protocol):
    """A place where work can be done."""

    def open(
        self, prepare: Prepare, *, workers: int | None = None, threads: int = 1
    ) -> AbstractContextManager[Pool]:
        """A pool, which ends what it still does when it is left.

        Args:
            prepare: called once in every process that performs pieces; picklable.
            workers: pieces at once at most, None for the engine's own number.
            threads: of the numeric libraries, for each piece.

        Raises:
            ValueError: for a number of workers below 1, or an engine that cannot be had.
        """

    def capacity(self) -> int:
        """How many pieces are done at once if nobody says how many."""


def engine_named(name: str, address: str | None = None) -> Engine:
    """The engine of that name.

    Args:
        name: "local" for processes of this machine, "ray" for a Ray cluster.
        address: of the cluster, None for Ray's own rules.

    Raises:
        ValueError: for another name, an address without Ray, or if Ray is not installed.
    """
    if name not in ENGINES:
        raise ValueError(f"`engine` must be one of {', '.join(ENGINES)}, got {name!r}")
    if name == "ray":
        from experts.engines_ray import RayEngine

        return RayEngine(address=address)
    if address is not None:
        raise ValueError(f"`address` must come with the engine ray, got {address!r} with {name}")
    return LocalEngine()


def check_workers(workers: int | None) -> None:
    """Raises ValueError for a number of workers below 1."""
    if workers is not None and workers < 1:
        raise ValueError(f"`workers` must be at least 1, got {workers}")


@dataclass(frozen=True)
class LocalEngine:
    """Processes of this machine, spawned, so that nothing depends on what this one has loaded.

    They end when the pool is left, by an exception or Ctrl-C too, and when this process is killed.
    A process that dies fails its piece; another one takes its place.
    """

    @contextmanager
    def open(
        self, prepare: Prepare, *, workers: int | None = None, threads: int = 1
    ) -> Iterator[Pool]:
        """See `Engine.open`; the engine's own number of workers is 2."""
        check_workers(workers)
        pool = _LocalPool(prepare, workers or LOCAL_WORKERS, threads)
        try:
            yield pool
        finally:
            pool.close()

    def capacity(self) -> int:
        """How many pieces are done at once if nobody says how many."""
        return LOCAL_WORKERS


class _LocalPool:
    def __init__(self, prepare: Prepare, most: int, threads: int) -> None:
        self._prepare, self._most, self._threads = prepare, most, threads
        self._waiting: list[tuple[Hashable, Any]] = []
        self._workers: list[_Worker] = []

    def submit(self, key: Hashable, piece: Any) -> None:
        self._waiting.append((key, piece))
        self._hand_out()

    def events(self, timeout: float) -> list[Event]:
        busy = {worker.connection: worker for worker in self._workers if worker.busy}
        found: list[Event] = []
        for ready in wait(list(busy), timeout):
            assert isinstance(ready, Connection)
            worker = busy[ready]
            event = worker.receive()
            found.append(event)
            if worker.dead:
                self._workers.remove(worker)
                worker.stop()
        self._hand_out()
        return found

    def close(self) -> None:
        for worker in self._workers:
            worker.stop()

    def _hand_out(self) -> None:
        for worker in [w for w in self._workers if not w.busy and not w.alive]:
            self._workers.remove(worker)  # died of what nobody had asked of it
            worker.stop()
        while self._waiting:
            idle = next((worker for worker in self._workers if not worker.busy), None)
            if idle is None and len(self._workers) == self._most:
                return
            if idle is None:
                with _threads_each(self._threads):
                    idle = _Worker(self._prepare)
                self._workers.append(idle)
            idle.give(*self._waiting.pop(0))


class _Worker:
    """This process's end of another one, and the key of the piece that it is doing."""

    def __init__(self, prepare: Prepare) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        self.busy = self.dead = False
        self._key: Hashable = None
        self._process: SpawnProcess = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(theirs, prepare), daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def give(self, key: Hashable, piece: Any) -> None:
        self._key, self.busy = key, True
        with suppress(BrokenPipeError):  # a dead process is reported by `receive`
            self.connection.send(piece)

    def receive(self) -> Event:
        try:
            kind, *values = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            self.busy, self.dead = False, True
            return Failed(
                self._key,
                f"the process of {self._key} ended with exit code {self._process.exitcode}; "
                "-9 often means that the machine ran out of memory: try fewer workers",
            )
        if kind == "reported":
            return Reported(self._key, *values)
        self.busy = False
        return Finished(self._key, *values) if kind == "finished" else Failed(self._key, *values)

    def stop(self) -> None:
        self.connection.close()
        self._process.terminate()
        self._process.join()


def outcome_of(perform: Callable[[], Perform], piece: Any, report: Report) -> tuple[Any, ...]:
    """("finished", result), or ("failed", error in a line, traceback) if it raised."""
    try:
        return "finished", perform()(piece, report)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}", traceback.format_exc()


def throttled(report: Report, *, seconds: float = SECONDS_BETWEEN_REPORTS) -> Report:
    """Tells `report` of the first value at once, and of later ones every so many seconds."""
    last = float("-inf")

    def tell(value: float) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            report(value)

    return tell


def _serve(connection: Connection, prepare: Prepare) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    _end_with_parent()
    prepared: list[Perform] = []

    def perform() -> Perform:
        if not prepared:
            prepared.append(prepare())
        return prepared[0]

    with suppress(EOFError, BrokenPipeError):
        while True:
            piece = connection.recv()
            report = throttled(lambda value: connection.send(("reported", value)))
            outcome = outcome_of(perform, piece, report)
            try:
                connection.send(outcome)
            except BrokenPipeError:
                raise
            except Exception as error:  # a result that cannot be pickled
                connection.send(("failed", f"{type(error).__name__}: {error}", ""))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()

    def end() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end, daemon=True).start()


@contextmanager
def _threads_each(n_threads: int) -> Iterator[None]:
    """Limits the numeric libraries' threads of processes started inside; what is set stays."""
    unset = [name for name in _THREAD_VARIABLES if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, str(n_threads)))
    try:
        yield
    finally:
        for name in unset:
            del os.environ[name]
