"""Independent pieces of work, here or on an engine, the first failure ending them all."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from functools import partial
from typing import TypeVar, cast

from experts.engines import Engine, Failed, LocalEngine, Reported

Piece = TypeVar("Piece", bound=Hashable)
Result = TypeVar("Result")

Perform = Callable[[Piece, Callable[[float], None]], Result]
"""Does one piece, telling which fraction is done."""

POLL_SECONDS = 1.0


class WorkerFailed(RuntimeError):
    """A piece of work raised in its process, or its process died."""


def perform_all(
    pieces: Sequence[Piece],
    prepare: Callable[[], Perform[Piece, Result]],
    *,
    n_workers: int | None,
    on_progress: Callable[[Piece, float], None],
    engine: Engine | None = None,
) -> Generator[tuple[Piece, Result]]:
    """Performs all pieces and yields each with its result, as they finish.

    Without an engine, one worker means that everything happens in this process, in order, and more
    that each is a fresh process with its share of the cores. Leaving the iterator early, by an
    exception or Ctrl-C, ends the workers; so does a kill.

    Args:
        pieces: what is to be done, distinct and hashable; picklable unless it happens here.
        prepare: called once in every worker; picklable unless it happens here.
        n_workers: pieces at once, None for the engine's own number.
        on_progress: told which fraction of a piece is done, in this process.
        engine: where, each piece on one thread; processes of this machine by default.

    Raises:
        WorkerFailed: if a piece raises, or its process is killed; names the piece.
        ValueError: if `n_workers` is below 1.
    """
    if n_workers is not None and n_workers < 1:
        raise ValueError(f"`n_workers` must be at least 1, got {n_workers}")
    if not pieces:
        return
    n_threads = 1
    if engine is None:
        engine = LocalEngine()
        n_workers = min(n_workers or engine.capacity(), len(pieces))
        if n_workers == 1:
            yield from _perform_here(pieces, prepare, on_progress)
            return
        n_threads = max(1, (os.cpu_count() or 1) // n_workers)
    with engine.open(prepare, workers=n_workers, threads=n_threads) as pool:
        for piece in pieces:
            pool.submit(piece, piece)
        left = len(pieces)
        while left:
            failure: Failed | None = None
            for event in pool.events(POLL_SECONDS):
                piece = cast(Piece, event.key)
                if isinstance(event, Reported):
                    on_progress(piece, event.value)
                elif isinstance(event, Failed):
                    failure = event
                else:
                    left -= 1
                    yield piece, event.result
            if failure is not None:
                raise WorkerFailed(f"{failure.key} failed:\n{failure.trace or failure.error}")


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
