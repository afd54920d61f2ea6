import importlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from zeroshot.workers import WorkerFailed, perform_all

WORK = """
import os
import time


def square(piece, progress):
    progress(0.5)
    if piece == -1:
        raise ValueError("minus one is not liked")
    if piece == -2:
        os._exit(7)
    if piece == -3:
        time.sleep(60)
    return piece * piece, os.getpid()


def prepare_square():
    return square


def read(name, progress):
    return os.environ.get(name)


def prepare_read():
    return read
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that fresh processes can import."""
    (tmp_path / "zeroshot_test_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("zeroshot_test_work")
    del sys.modules["zeroshot_test_work"]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_every_piece_is_performed_once(work: ModuleType, n_workers: int) -> None:
    told: list[tuple[int, float]] = []
    results = dict(
        perform_all(
            [1, 2, 3, 4, 5],
            work.prepare_square,
            n_workers=n_workers,
            on_progress=lambda piece, fraction: told.append((piece, fraction)),
        )
    )
    assert {piece: square for piece, (square, _) in results.items()} == {
        1: 1,
        2: 4,
        3: 9,
        4: 16,
        5: 25,
    }
    processes = {process for _, process in results.values()}
    assert (os.getpid() in processes) == (n_workers == 1) and len(processes) <= n_workers
    assert (1, 0.5) in told


def test_nothing_to_do(work: ModuleType) -> None:
    assert list(perform_all([], work.prepare_square, n_workers=3, on_progress=_ignore)) == []


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_piece_that_raises_is_named_with_its_traceback(work: ModuleType, n_workers: int) -> None:
    with pytest.raises(WorkerFailed, match=r"-1 failed:(.|\n)*minus one is not liked"):
        list(perform_all([-1, 2], work.prepare_square, n_workers=n_workers, on_progress=_ignore))


def test_a_process_that_dies_is_named(work: ModuleType) -> None:
    with pytest.raises(WorkerFailed, match="the process of -2 ended with exit code 7"):
        list(perform_all([-2, -3], work.prepare_square, n_workers=2, on_progress=_ignore))


def test_leaving_early_ends_the_processes(work: ModuleType) -> None:
    performed = perform_all([1, -3], work.prepare_square, n_workers=2, on_progress=_ignore)
    _, (_, process) = next(performed)
    started = time.monotonic()
    performed.close()
    assert time.monotonic() - started < 10
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_number_below_one_is_refused(work: ModuleType) -> None:
    with pytest.raises(ValueError, match="`n_workers` must be at least 1, got 0"):
        list(perform_all([1], work.prepare_square, n_workers=0, on_progress=_ignore))


@pytest.mark.parametrize("chosen", [None, "7"])
def test_workers_share_the_cores_unless_the_user_said_otherwise(
    work: ModuleType, monkeypatch: pytest.MonkeyPatch, chosen: str | None
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if chosen is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    before = dict(os.environ)
    names = ["OMP_NUM_THREADS", "PATH"]
    seen = dict(perform_all(names, work.prepare_read, n_workers=2, on_progress=_ignore))
    assert seen["OMP_NUM_THREADS"] == (chosen or "4")
    assert dict(os.environ) == before, "this process keeps its own settings"


def _ignore(piece: object, fraction: float) -> None:
    pass
