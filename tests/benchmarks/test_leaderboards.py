import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.leaderboards import (
    FULL_SEEDS,
    QUICK_EPISODES,
    QUICK_STEPS,
    QUICK_UPDATES,
    USUAL_METHODS,
    Choice,
    complete_suites,
    quick_method,
    quick_suite,
    unmet,
)
from experts.store import expert_name
from zeroshot.suites import SUITES

ROOT = Path(__file__).parents[2]


def chosen(**options: Any) -> Choice:
    none = {"suites": None, "methods": None, "seeds": None, "quick": False, "full": False}
    return Choice.of_options(**{**none, **options})


@pytest.fixture
def two_complete(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names = ["cheetah-speed", "finger-speed"]
    monkeypatch.setattr("benchmarks.leaderboards.complete_suites", lambda: names)
    return names


def test_a_zoo_is_complete_with_an_expert_for_every_context(tmp_path: Path) -> None:
    suite = SUITES["finger-speed"]
    (tmp_path / suite.zoo).mkdir()
    assert complete_suites(tmp_path) == []
    paths = [tmp_path / suite.zoo / f"{expert_name(c)}.json" for c in suite.contexts]
    for path in paths:
        path.touch()
    complete = complete_suites(tmp_path)
    assert "finger-speed" in complete and {SUITES[name].zoo for name in complete} == {suite.zoo}
    paths[3].rename(paths[3].with_name("speed=0.5_length=0.16.json"))  # as many, of another context
    assert complete_suites(tmp_path) == []


def test_what_options_choose(two_complete: list[str]) -> None:
    usual = chosen(quick=True)
    assert usual == Choice(suites=("cheetah-speed",), methods=USUAL_METHODS, seeds=1, quick=True)
    full = chosen(full=True)
    assert full.suites == tuple(two_complete) and full.seeds == FULL_SEEDS and not full.quick
    named = chosen(suites=["finger-speed"], methods=["film,maml", "pearl"], seeds=2, full=True)
    assert named.suites == ("finger-speed",) and named.seeds == 2
    assert named.methods == ("film", "maml", "pearl")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            {"suites": ["humanoid"]},
            r"`suite` 'humanoid' is no suite, allowed are \['cheetah-speed'",
        ),
        (
            {"suites": ["cheetah-speed", "walker-torso"]},
            r"`suite` 'walker-torso' lacks shipped experts, allowed are \['cheetah-speed', 'finger",
        ),
        ({"suites": [","]}, r"`suite` must be distinct names, at least one, got \[','\]"),
        ({"methods": ["film", "film"]}, "`methods` must be distinct names"),
        ({"methods": ["hypertwo"]}, r"unknown method 'hypertwo', allowed are \['conditioned'"),
        ({"seeds": 0}, "`seeds` must be at least 1, got 0"),
        ({"quick": True, "full": True}, "--quick and --full exclude each other"),
    ],
)
@pytest.mark.usefixtures("two_complete")
def test_bad_options_are_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        chosen(**options)


def test_quick_ones_are_cut_short() -> None:
    suite = SUITES["cheetah-speed"]
    quick = quick_suite(suite)
    assert (quick.n_episodes, quick.n_steps) == (QUICK_EPISODES, QUICK_STEPS)
    assert quick.contexts == suite.contexts and quick.zoo == suite.zoo
    for name in ("hyperzero", "maml", "pearl"):
        assert quick_method(name).config.updates == QUICK_UPDATES  # type: ignore[attr-defined]
    assert quick_method("interpolation").config.blend == "weights"  # type: ignore[attr-defined]


def test_methods_that_fall_short_are_named() -> None:
    ratios = {"hyperzero": 0.81, "conditioned": 0.3, "best-single": 0.2}
    rows = {
        name: {"kind": "reference" if name == "best-single" else "method", "ratio": value}
        for name, value in ratios.items()
    }
    assert unmet({"suite": "cheetah-speed", "methods": rows}) == []
    rows["hyperzero"]["ratio"], rows["conditioned"]["ratio"] = 0.79, 0.1
    summary = {"suite": "walker-torso-reach", "methods": rows}
    assert unmet(summary) == [
        "hyperzero's ratio on walker-torso-reach is at least 0.800, not 0.790",
        "conditioned's ratio on walker-torso-reach is at least 0.200, not 0.100",
    ]
    assert unmet({**summary, "suite": "ant-dir"}) == [], "whose rewards make no such claim"


def session(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "benchmarks/test_zero_shot.py", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_bad_options_end_the_session() -> None:
    done = session("--suite", "humanoid")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: `suite` 'humanoid' is no suite, allowed are [" in done.stderr


@pytest.mark.slow
def test_the_session_ends_with_leaderboards() -> None:
    words = ["--suite", "cheetah-speed", "--methods", "interpolation", "--seeds", "2"]
    done = session("--quick", "-k", "leaderboard", *words)
    assert done.returncode == 0, done.stdout
    board = done.stdout[done.stdout.index("zero-shot leaderboards") :]
    assert f"x {QUICK_EPISODES} episodes x 2 splits" in board
    for name in ("interpolation", "expert", "nearest", "say nothing about the methods"):
        assert name in board
    assert "hyperzero" not in board
