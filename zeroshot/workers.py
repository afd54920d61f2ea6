"""Independent pieces of work on several processes, none of which outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")

Perform = Callable[[Piece, Callable[[float], None]], Result]
"""Does one piece, telling which fraction is done."""

SECONDS_BETWEEN_REPORTS = 0.2

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerFailed(RuntimeError):
    """A piece of work raised in its process, or its process died."""


def perform_all(
    pieces: Sequence[Piece],
    prepare: Callable[[], Perform[Piece, Result]],
    *,
    n_workers: int,
    on_progress: Callable[[Piece, float], None],
) -> Generator[tuple[Piece, Result]]:
    """Performs all pieces and yields each with its result, as they finish.

    With one worker everything happens in this process, in order. With more, each is a fresh
    process (spawned, so nothing depends on what this one has loaded) with its share of the cores.
    Leaving the iterator early, by an exception or Ctrl-C, ends the workers; so does a kill.

    Args:
        pieces: what is to be done; must be picklable for more than one worker.
        prepare: called once in every worker; must be picklable for more than one worker.
        n_workers: processes.
        on_progress: told which fraction of a piece is done, in this process.

    Raises:
        WorkerFailed: if a piece raises, or its process is killed; names the piece.
        ValueError: if `n_workers` is below 1.
    """
    if n_workers < 1:
        raise ValueError(f"`n_workers` must be at least 1, got {n_workers}")
    n_workers = min(n_workers, len(pieces))
    if n_workers <= 1:
        yield from _perform_here(pieces, prepare, on_progress)
        return
    with _threads_each(max(1, (os.cpu_count() or 1) // n_workers)):
        workers: list[_Worker[Piece]] = [_Worker(prepare) for _ in range(n_workers)]
    try:
        yield from _distribute(list(pieces), workers, on_progress)
    finally:
        for worker in workers:
            worker.stop()


def _perform_here(
    pieces: Sequence[Piece],
    prepare: Callable[[], Perform[Piece, Result]],
    on_progress: Callable[[Piece, float], None],
) -> Iterator[tuple[Piece, Result]]:
    perform: Perform[Piece, Result] | None = None
    for piece in pieces:
        try:
            perform = perform or prepare()
            result = perform(piece, partial(on_progress, piece))
        except Exception as error:
            raise WorkerFailed(f"{piece} failed:\n{traceback.format_exc()}") from error
        yield piece, result


def _distribute(
    waiting: list[Piece],
    workers: list[_Worker[Piece]],
    on_progress: Callable[[Piece, float], None],
) -> Iterator[tuple[Piece, Any]]:
    for worker in workers:
        worker.give(waiting.pop(0))
    while busy := {worker.connection: worker for worker in workers if worker.piece is not None}:
        for ready in wait(list(busy)):
            assert isinstance(ready, Connection)
            worker = busy[ready]
            piece, (kind, value) = worker.piece, worker.receive()
            assert piece is not None
            if kind == "progress":
                on_progress(piece, value)
            elif kind == "failed":
                raise WorkerFailed(f"{piece} failed:\n{value}")
            else:
                worker.give(waiting.pop(0) if waiting else None)
                yield piece, value


class _Worker(Generic[Piece]):
    """The parent's end of one process, and the piece that it is doing."""

    def __init__(self, prepare: Callable[[], Perform[Piece, Any]]) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        self.piece: Piece | None = None
        self.process: SpawnProcess = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(theirs, prepare), daemon=True
        )
        self.process.start()
        theirs.close()

    def give(self, piece: Piece | None) -> None:
        self.piece = piece
        with suppress(BrokenPipeError):  # a dead worker is reported by `receive`
            self.connection.send(piece)

    def receive(self) -> tuple[str, Any]:
        try:
            message: tuple[str, Any] = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            raise WorkerFailed(
                f"the process of {self.piece} ended with exit code {self.process.exitcode}; "
                "-9 often means that the machine ran out of memory: try fewer workers"
            ) from None
        return message

    def stop(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join()


def _serve(connection: Connection, prepare: Callable[[], Perform[Any, Any]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    _end_with_parent()
    last = 0.0

    def report(fraction: float) -> None:
        nonlocal last
        if time.monotonic() - last > SECONDS_BETWEEN_REPORTS:
            last = time.monotonic()
            connection.send(("progress", fraction))

    perform: Perform[Any, Any] | None = None
    with suppress(EOFError, BrokenPipeError):
        while (piece := connection.recv()) is not None:
            try:
                perform = perform or prepare()
                connection.send(("finished", perform(piece, report)))
            except BrokenPipeError:
                raise
            except Exception:
                connection.send(("failed", traceback.format_exc()))
                return


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
