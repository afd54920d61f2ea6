"""Estimates of runs and builds: their arithmetic, and that they start nothing."""

import re
from pathlib import Path

import numpy as np
import pytest

from experts import load_experts
from experts.estimates import Speed
from zeroshot.bench import Bench
from zeroshot.cli import main
from zeroshot.estimates import Measured, clock, measure, run_estimate
from zeroshot.references import EXPERT
from zeroshot.results import Unit
from zeroshot.suites import SUITES, Suite


@pytest.fixture
def bench(suite: Suite, zoo: Path) -> Bench:
    experts = load_experts(zoo)
    n = len(experts)
    return Bench(suite=suite, experts=experts, transfer=np.zeros((n, n)), methods={}, n_threads=2)


@pytest.fixture
def tiny(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(SUITES, "tiny", suite)
    return "tiny"


def test_the_arithmetic_of_a_run(bench: Bench) -> None:
    """8 contexts, 2 of them for the test, 3 episodes of 12 steps: 72 steps a unit, 768 at first."""
    units = [Unit(name, seed) for seed in (0, 1) for name in ("expert", "slow", "fast")]
    costs = {"slow": Measured(seconds=60.0, setup=10.0), "fast": Measured(seconds=9.0, setup=8.0)}
    found = run_estimate(bench, units, costs, played=1.5, workers=2, transfer=True)
    assert (found.pieces, found.workers) == (6, 2)
    assert found.steps == 8 * 8 * 12 + 6 * 72
    fits = 2 * (0.0 + 60.0 + 9.0) + 6 * 1.5
    first = 8 * 8 * 12 / 72 * 1.5
    # Each of two workers collects rollouts once; each unit has two threads.
    assert found.core_seconds == pytest.approx(first + 2 * (2 * 10.0 + fits))
    # In order: 1.5 | 61.5, then 10.5, 1.5, 61.5 behind the 1.5, and the last 10.5 behind the 61.5.
    assert found.wall_seconds == pytest.approx(first + 10.0 + 1.5 + 10.5 + 1.5 + 61.5)
    assert found.chain_seconds == pytest.approx(first + 10.0 + 61.5)
    without = run_estimate(bench, units, costs, played=1.5, workers=1, transfer=False)
    assert without.steps == 6 * 72
    assert without.wall_seconds == pytest.approx(10.0 + fits)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00:00"), (59.6, "0:01:00"), (3723.0, "1:02:03")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_fit_is_timed_by_what_it_reports(bench: Bench, user_module: str) -> None:
    """A fit of 0.3 s that is left at its second report, 0.06 s after the first."""
    slow = f"{user_module}:Slow"
    found = measure(bench, [EXPERT, slow], seconds=0.01)
    assert found[EXPERT].setup == 0.0 and found[EXPERT].seconds > 0.0
    assert found[slow].setup > 0.0
    assert 0.29 < found[slow].seconds
    whole = measure(bench, [slow], seconds=1000.0)
    assert 0.29 < whole[slow].seconds


def test_a_method_that_fails_in_the_attempt_is_named(bench: Bench, user_module: str) -> None:
    with pytest.raises(ValueError, match=r"Raises failed in the attempt: RuntimeError: no luck"):
        measure(bench, [f"{user_module}:Raises"])


def test_the_estimate_of_a_run_starts_nothing(
    capsys: pytest.CaptureFixture[str], tiny: str, zoo: Path, user_module: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["run", tiny, "--methods", f"{user_module}:Mean", "--seeds", "2", "--workers", "1"]
    words += ["--zoo", str(zoo), "--out", str(out)]
    assert main([*words, "--estimate"]) == 0
    said = capsys.readouterr().out
    assert f"units: 14 to do, {768 + 14 * 72:,} environment steps" in said
    assert "core-hours: 0.0" in said and "with 1 worker" in said and "nothing was started" in said
    assert "a fit takes" in said and "measured on this machine" in said
    assert not out.exists()
    assert main(words) == 0
    capsys.readouterr()
    words[words.index("--seeds") + 1] = "3"
    assert main([*words, "--resume", "--estimate"]) == 0
    said = capsys.readouterr().out
    assert "units: 7 to do (14 are there)" in said and "recorded in this folder" in said


def test_the_estimate_of_a_build_starts_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "zeroshot.estimates.measured_speed",
        lambda *_, **__: Speed(seconds_per_step=1e-3, source="measured in a dream"),
    )
    out = tmp_path / "out"
    words = ["experts", "build", "cheetah-speed", "--out", str(out), "--warm-steps", "100000"]
    assert main([*words, "--chain", "--workers", "4", "--estimate"]) == 0
    said = capsys.readouterr().out
    assert "1e+03 µs a step, measured in a dream" in said
    assert "experts: 40 to do, " in said and "with 4 workers; never under" in said
    assert not out.exists()
    assert main([*words, "--recipe", "magic", "--estimate"]) == 2


@pytest.mark.slow
def test_the_estimate_of_a_repair_changes_nothing(
    capsys: pytest.CaptureFixture[str],
    tiny: str,
    zoo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It plays the experts as the repair does; made-up ones are beaten in some context."""
    speed = Speed(seconds_per_step=1.8e-3, source="measured in a dream")
    monkeypatch.setattr("zeroshot.estimates.measured_speed", lambda *_, **__: speed)
    before = {path.name: path.stat().st_mtime_ns for path in zoo.iterdir()}
    words = ["experts", "repair", tiny, "--out", str(zoo), "--warm-steps", "1000000", "--estimate"]
    assert main(words) == 0
    found = re.search(
        r"experts: ([1-8]) to do, ([\d,]+) environment steps\ncore-hours: ([\d.]+)\n",
        capsys.readouterr().out,
    )
    assert found is not None
    n = int(found[1])
    assert found[2] == f"{n * 1_000_000:,}" and found[3] == f"{n * 0.5:.2f}"
    assert {path.name: path.stat().st_mtime_ns for path in zoo.iterdir()} == before


def test_engine_options(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for command in ("run", "experts build", "experts repair"):
        words = [*command.split(), "cheetah-speed", "--out", str(tmp_path / "out")]
        assert main([*words, "--engine", "slurm"]) == 2
        complained = capsys.readouterr().err
        assert "slurm" in complained and "local" in complained and complained.count("\n") == 1
        assert main([*words, "--address", "auto"]) == 2
        assert "`address` must come with the engine ray, got 'auto'" in capsys.readouterr().err
        assert main([*command.split(), "--help"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        for text in ("--engine {local,ray}", "--address", "--estimate", "start nothing"):
            assert text in said
