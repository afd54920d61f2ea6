"""The local engine as builds use it; `tests/zeroshot/test_workers.py` has runs' use of it."""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from experts.engines import Failed, Finished, LocalEngine, Pool, Reported, engine_named


@dataclass(frozen=True)
class Meeting:
    """A piece that ends when another one has begun."""

    own: Path
    other: Path


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"nothing came of it in {seconds:.0f} s"
        time.sleep(0.02)


def perform(piece: Any, report: Callable[[float], None]) -> Any:
    report(0.5)
    if piece == "raise":
        raise ValueError("not this one")
    if piece == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if piece == "unpicklable":
        return lambda: None
    if isinstance(piece, Path):
        with piece.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(60)
    if isinstance(piece, Meeting):
        piece.own.touch()
        wait_for(piece.other.exists)
    return piece, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def prepare() -> Callable[[Any, Callable[[float], None]], Any]:
    return perform


def drain(pool: Pool, n: int) -> tuple[dict[Any, Finished | Failed], list[Reported]]:
    """The ends of `n` pieces, by key, and what was reported on the way."""
    ends: dict[Any, Finished | Failed] = {}
    reports = []
    deadline = time.monotonic() + 300.0
    while len(ends) < n:
        assert time.monotonic() < deadline, f"only {sorted(map(str, ends))} ended"
        for event in pool.events(0.5):
            if isinstance(event, Reported):
                reports.append(event)
            else:
                assert event.key not in ends
                ends[event.key] = event
    return ends, reports


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets spawned processes import this module by the name that pickling gives it."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))


def test_a_worker_that_died_idle_fails_nothing() -> None:
    with LocalEngine().open(prepare, workers=1) as pool:
        pool.submit("a", "a")
        ends, _ = drain(pool, 1)
        assert isinstance(ends["a"], Finished)
        os.kill(ends["a"].result[1], signal.SIGKILL)
        time.sleep(0.5)
        pool.submit("b", "b")
        ends, _ = drain(pool, 1)
    assert isinstance(ends["b"], Finished) and ends["b"].result[0] == "b"


def test_a_failure_or_a_death_is_one_pieces_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with LocalEngine().open(prepare, workers=1) as pool:
        for piece in ("raise", "die", "unpicklable", "fine"):
            pool.submit(piece, piece)
        ends, reports = drain(pool, 4)
    assert Reported("fine", 0.5) in reports
    raised, died, unpicklable, fine = (ends[k] for k in ("raise", "die", "unpicklable", "fine"))
    assert isinstance(raised, Failed) and raised.error == "ValueError: not this one"
    assert "in perform" in raised.trace
    assert isinstance(died, Failed) and died.trace == ""
    assert "the process of die ended with exit code -9" in died.error
    assert isinstance(unpicklable, Failed) and "pickle" in unpicklable.error
    assert isinstance(fine, Finished) and fine.result[0] == "fine" and fine.result[2] == "1"


def processes_of(ends: dict[Any, Finished | Failed]) -> set[int]:
    assert all(isinstance(end, Finished) for end in ends.values()), ends
    return {end.result[1] for end in ends.values() if isinstance(end, Finished)}


def test_a_process_is_used_again_and_there_is_never_another() -> None:
    with LocalEngine().open(prepare, workers=1) as pool:
        for piece in range(6):
            pool.submit(piece, piece)
        ends, _ = drain(pool, 6)
    assert len(processes_of(ends)) == 1


def test_two_pieces_are_done_at_once_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    """Each of the two waits for the other one to begin."""
    one, other = tmp_path / "one", tmp_path / "other"
    with LocalEngine().open(prepare) as pool:
        pool.submit("one", Meeting(one, other))
        pool.submit("other", Meeting(other, one))
        for piece in range(4):
            pool.submit(piece, piece)
        ends, _ = drain(pool, 6)
    assert len(processes_of(ends)) == 2


def test_leaving_ends_what_is_running(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with LocalEngine().open(prepare, workers=1) as pool:
        pool.submit("long", file)
        wait_for(lambda: file.exists() and file.read_text().endswith("\n"))
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


def test_workers_must_be_positive() -> None:
    with (
        pytest.raises(ValueError, match="`workers` must be at least 1, got 0"),
        LocalEngine().open(prepare, workers=0),
    ):
        pass


def test_engines_are_named() -> None:
    assert engine_named("local") == LocalEngine()
    assert LocalEngine().capacity() == 2
    with pytest.raises(ValueError, match="`engine` must be one of local, ray, got 'slurm'"):
        engine_named("slurm")
    with pytest.raises(ValueError, match="`address` must come with the engine ray, got 'auto'"):
        engine_named("local", "auto")


def test_ray_that_is_not_installed_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        ValueError, match=r"Ray, which is not installed: pip install 'param-envs\[r"
    ):
        engine_named("ray")
