"""Estimates of runs and builds: their arithmetic, and that they start nothing."""

import importlib
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts import Experts, Played, Rollouts, load_experts, play, zoo_path
from experts.estimates import Speed
from experts.jobs import Job
from zeroshot.bench import Bench
from zeroshot.cli import main
from zeroshot.estimates import clock
from zeroshot.fewshot import FROM_SCRATCH, FromScratch, demonstrate
from zeroshot.references import EXPERT
from zeroshot.reproduce.estimate import FamilyCosts, inferred_cost
from zeroshot.results import Unit
from zeroshot.run import run
from zeroshot.run_estimates import (
    CLONING,
    Measured,
    measure,
    prepare_measurement,
    run_estimate,
)
from zeroshot.splits import rule_of
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
    played = first * 2 / (os.cpu_count() or 1)  # all cores play at first, units have two threads
    # Each of two workers collects rollouts once.
    assert found.core_seconds == pytest.approx(2 * (first + 2 * 10.0 + fits))
    # In order: 1.5 | 61.5, then 10.5, 1.5, 61.5 behind the 1.5, and the last 10.5 behind the 61.5.
    assert found.wall_seconds == pytest.approx(played + 10.0 + 1.5 + 10.5 + 1.5 + 61.5)
    assert found.chain_seconds == pytest.approx(played + 10.0 + 61.5)
    without = run_estimate(bench, units, costs, played=1.5, workers=1, transfer=False)
    assert without.steps == 6 * 72
    assert without.wall_seconds == pytest.approx(10.0 + fits)
    alone = run_estimate(
        replace(bench, n_threads=0), units, costs, played=1.5, workers=1, transfer=False
    )
    assert alone.core_seconds == pytest.approx((os.cpu_count() or 1) * (10.0 + fits))


def test_the_arithmetic_of_shots(bench: Bench) -> None:
    """2 test contexts, 3 episodes of 12 steps each: 72 steps a score, 24 an episode in each."""
    shown = replace(bench, shots=(1, 4))
    units = [Unit(name, 0) for name in ("expert", "nearest", FROM_SCRATCH, "mine", "zero")]
    costs = {"mine": Measured(seconds=60.0, setup=10.0)}
    found = run_estimate(shown, units, costs, played=1.5, workers=1, transfer=False, cloning=0.25)
    one_protocol = 2 * 72 + 4 * 24
    assert found.steps == 5 * 72 + (2 + 1 + 2) * one_protocol
    assert found.wall_seconds == pytest.approx(
        10.0 + 60.0 + found.steps / 72 * 1.5 + 3 * (1 + 4) * 0.25
    )


def test_a_method_takes_as_many_yardsticks_in_every_family(bench: Bench) -> None:
    """A method that takes 3 times as long as another does so in a family that is half as fast.

    So it does where there are fewer contexts, as minibatches of both have all of them.
    """
    known = {"hyperzero": Measured(seconds=20.0, setup=1.0), "film": Measured(seconds=60.0)}
    costs = FamilyCosts(bench=bench, methods=known, played=1.0, cloning=0.0)
    slower = Measured(seconds=40.0, setup=5.0)
    found = inferred_cost("film", "hyperzero", costs, bench, slower)
    assert found == Measured(seconds=pytest.approx(120.0), setup=5.0)
    fewer = replace(bench, rule=rule_of("random:0.25", bench.suite))
    assert len(fewer.split(0).train) == 2 and len(bench.split(0).train) == 6
    found = inferred_cost("film", "hyperzero", costs, fewer, slower)
    assert found.seconds == pytest.approx(120.0)


@pytest.mark.parametrize("split", ["random", "random:0.4", "gap"])
@pytest.mark.parametrize("method", ["nearest", FROM_SCRATCH, "zero", "mine"])
def test_the_steps_of_an_estimate_are_those_of_the_run(
    bench: Bench, split: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mine:
        """Its policies are networks, as a learned method's are."""

        def fit(self, data: Rollouts, *, seed: int, progress: object = None) -> FromScratch:
            assert data.experts is not None
            return FromScratch(data.experts.policies.select([0]), seed=seed)

    bench = replace(bench, rule=rule_of(split, bench.suite), shots=(1, 3), methods={"mine": Mine()})
    bench.perform(Unit(EXPERT, 0), lambda _: None)  # plays the experts' own episodes once for all
    n_episodes = []

    def counted_play(policies: Any, family: Any, contexts: Any, **settings: Any) -> Played:
        n_episodes.append(len(contexts) * settings["n_episodes"])
        return play(policies, family, contexts, **settings)

    def counted_demonstrate(experts: Experts, **settings: Any) -> Rollouts:
        n_episodes.append(len(experts) * settings["n_episodes"])
        return demonstrate(experts, **settings)

    monkeypatch.setattr("zeroshot.bench.play", counted_play)
    monkeypatch.setattr("zeroshot.bench.demonstrate", counted_demonstrate)
    bench.perform(Unit(method, 0), lambda _: None)
    costs = {"mine": Measured(seconds=1.0)}
    found = run_estimate(bench, [Unit(method, 0)], costs, played=1.0, workers=1, transfer=False)
    assert found.steps == sum(n_episodes) * 12


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


class Clock:
    """Goes on when somebody sleeps."""

    now = 1000.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock in the place of the one that measurements look at."""
    clock_of_fits = Clock()
    for module in ("zeroshot.run_estimates", "zeroshot.bench"):
        monkeypatch.setattr(f"{module}.time", clock_of_fits)
    return clock_of_fits


@pytest.mark.parametrize("seconds", [0.01, 1000.0])
def test_the_seconds_of_a_fit_are_those_of_all_of_it(
    bench: Bench, user_module: str, stopped: Clock, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Left at the second report, or whole: a fit of 0.3 s after rollouts of 7 s."""
    played = bench.rollouts
    del bench.__dict__["rollouts"]

    def rollouts_of(*_: Any, **__: Any) -> Rollouts:
        stopped.sleep(7.0)
        return played

    monkeypatch.setattr("zeroshot.bench.rollouts_of", rollouts_of)
    monkeypatch.setattr(importlib.import_module(user_module), "time", stopped)
    perform = prepare_measurement(bench, seconds)
    found = perform(Unit(f"{user_module}:Slow", 0), lambda _: None)
    assert found == Measured(seconds=pytest.approx(0.3), setup=7.0)


def test_what_is_timed_of_references_and_of_cloning(
    bench: Bench, stopped: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that a reference does; of cloning, one episode of every test context, after playing."""
    shown: list[Rollouts] = []

    def slow_play(*arguments: Any, **settings: Any) -> Played:
        stopped.sleep(2.0)
        return play(*arguments, **settings)

    def slow_demonstrate(*arguments: Any, **settings: Any) -> Rollouts:
        stopped.sleep(60.0)
        return demonstrate(*arguments, **settings)

    def slow_clone(policies: Any, demonstrations: Rollouts, *, seed: int) -> None:
        stopped.sleep(2.5)
        shown.append(demonstrations)
        assert len(policies) == len(demonstrations) and seed == 1

    monkeypatch.setattr("zeroshot.bench.play", slow_play)
    monkeypatch.setattr("zeroshot.run_estimates.demonstrate", slow_demonstrate)
    monkeypatch.setattr("experts.cloning.clone", slow_clone)
    perform = prepare_measurement(bench, 1.0)
    assert perform(Unit(CLONING, 1), lambda _: None) == Measured(seconds=2.5)
    (demonstrations,) = shown
    held_out = [bench.suite.contexts[i] for i in bench.split(1).test]
    assert list(demonstrations.contexts) == held_out
    assert demonstrations.mask.shape == (len(held_out), 1, 12)
    zero = perform(Unit("zero", 1), lambda _: None)
    assert zero == Measured(seconds=4.0), "its own episodes, and the expert's for its score"


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


def test_the_estimate_of_a_run_knows_splits_and_shots(
    capsys: pytest.CaptureFixture[str], tiny: str, zoo: Path, user_module: str, tmp_path: Path
) -> None:
    """`gap` holds out 2 of 8 contexts; from-scratch is a row of its own."""
    out = tmp_path / "out"
    words = ["run", tiny, "--methods", f"{user_module}:Mean", "--seeds", "1", "--workers", "1"]
    words += ["--zoo", str(zoo), "--out", str(out), "--split", "gap", "--shots", "2"]
    assert main([*words, "--estimate"]) == 0
    steps = 768 + 8 * 72 + (2 + 1 + 2) * (72 + 2 * 24)
    assert f"units: 8 to do, {steps:,} environment steps" in capsys.readouterr().out
    assert not out.exists()


def test_units_with_shots_are_there_when_they_are_whole(
    capsys: pytest.CaptureFixture[str],
    suite: Suite,
    tiny: str,
    zoo: Path,
    user_module: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method = f"{user_module}:Mean"
    run(suite, [method], seeds=1, out=tmp_path, zoo=zoo, split="gap", shots=(2,))
    words = ["run", tiny, "--methods", method, "--seeds", "1", "--zoo", str(zoo)]
    words += ["--out", str(tmp_path), "--split", "gap", "--shots", "2", "--estimate"]
    assert main(words) == 0
    assert "units: nothing to do, all 8 are there" in capsys.readouterr().out
    rows = tmp_path / "results.jsonl"
    lines = rows.read_text().splitlines(keepends=True)
    rows.write_text("".join(lines[:-1]))  # of the last unit, whose rows a kill tore

    def measured(bench: Bench, methods: Sequence[str]) -> dict[str, Measured]:
        return {name: Measured(seconds=1.0) for name in methods}

    monkeypatch.setattr("zeroshot.run_estimates.measure", measured)
    assert main(words) == 0
    said = capsys.readouterr().out
    assert f"units: 1 to do (7 are there), {72 + 2 * (72 + 2 * 24):,} environment steps" in said


def test_the_estimate_of_a_run_refuses_what_the_run_would(
    capsys: pytest.CaptureFixture[str], tiny: str, zoo: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_text('{"suite": "tiny", "split_rule": "gap", "shots": [2]}')
    words = ["run", tiny, "--zoo", str(zoo), "--out", str(tmp_path), "--resume", "--estimate"]
    for options, complaint in (
        (["--split", "gap"], "was made with another `shots` ([2], now []): use another --out"),
        (["--shots", "2"], "another `split_rule` ('gap', now 'random:0.7')"),
        (["--split", "halves"], "`split` must be one of random"),
        (["--shots", "-1"], "`shots` must be distinct numbers of at least 0"),
    ):
        assert main([*words, *options]) == 2
        assert complaint in capsys.readouterr().err
    (tmp_path / "run.json").write_text('{"suite": "tiny"}')  # from before there were such settings
    assert main([*words, "--shots", "2"]) == 2
    assert "was made with another `shots` ([], now [2])" in capsys.readouterr().err


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


def test_with_all_anchors_only_what_is_always_held_out_starts_from_a_neighbour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Job] = []
    monkeypatch.setattr(
        "zeroshot.expert_builds.print_build_estimate",
        lambda suite, jobs, **_: asked.extend(jobs) or 0,
    )
    suite = SUITES["cheetah-vel"]
    shipped, out = zoo_path(suite.zoo), tmp_path / "out"
    words = ["experts", "build", suite.name, "--recipe", "sac-laptop", "--chain", "--estimate"]
    assert main([*words, "--anchors", "all", "--anchor-zoo", str(shipped), "--out", str(out)]) == 0
    starts = {job.context: job.warm_from.parent for job in asked if job.warm_from is not None}
    assert len(starts) == len(suite.contexts)
    assert {context for context, start in starts.items() if start == out} == set(suite.held_out)


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
