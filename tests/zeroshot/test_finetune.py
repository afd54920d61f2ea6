"""Fine-tuning comparisons: what is written, what survives a kill, what is refused."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts import MLPPolicies, play
from experts.finetune_config import FineTuneConfig
from zeroshot import finetune_estimates
from zeroshot.cli import main
from zeroshot.finetune import RUNS, STARTS, Comparison, FineTuning, fine_tune_suite
from zeroshot.finetune_estimates import finetuning_estimate
from zeroshot.finetune_figures import RETURN_VERSUS_STEPS
from zeroshot.finetune_results import Piece, file_name, read_records
from zeroshot.finetune_starts import start_policies
from zeroshot.results import SETTINGS, SUMMARY
from zeroshot.run import experts_of
from zeroshot.suites import SUITES, Suite

CONFIG = FineTuneConfig(
    hidden=(8,),
    critic_hidden=(8,),
    batch_size=8,
    collect_steps=5,
    critic_updates=2,
    ramp_updates=5,
    end_rate=0.01,
)
METHOD = "interpolation"


@pytest.fixture
def comparison(suite: Suite) -> Comparison:
    return Comparison(
        suite=suite,
        starts=("scratch", "nearest", METHOD),
        n_steps=16,
        seeds=1,
        every=6,
        n_episodes=2,
        config=CONFIG,
    )


def comparable(out: Path) -> list[dict[str, Any]]:
    """Records without what differs from one time to the next."""
    records = read_records(out)
    for record in records:
        for name in ("seconds", "date", "commit"):
            del record[name]
    return records


def test_every_run_is_a_file_with_its_curve_and_the_experts_return(
    comparison: Comparison, zoo: Path, tmp_path: Path
) -> None:
    comparison = replace(comparison, starts=("scratch-standardised", *comparison.starts))
    suite = comparison.suite
    said: list[str] = []
    fractions: list[float] = []
    summary = fine_tune_suite(
        comparison, out=tmp_path, zoo=zoo, say=said.append, on_progress=fractions.append
    )
    files = sorted(path.name for path in (tmp_path / RUNS).iterdir())
    assert files == sorted(file_name(piece) for piece in comparison.pieces)
    assert len(files) == 4 * 2 and fractions == sorted(fractions) and fractions[-1] == 1.0
    assert said[0] == "8 runs to do, 0 were done before"
    assert sum(text.startswith("fitting") for text in said) == 1, "one fit for all of its runs"
    experts = experts_of(suite, zoo)
    nearest = start_policies("nearest", suite, experts, comparison.ids, seed=0, directory=tmp_path)
    for record in read_records(tmp_path):
        assert record["steps"] == [0, 6, 12, 16] and np.shape(record["returns"]) == (4, 2)
        i = list(comparison.held_out).index(record["context"])
        own = experts.policies.select([comparison.ids.test[i]])

        def played(policy: MLPPolicies, i: int = i) -> np.ndarray:
            """From the starts of the zero-shot rows, in which all held-out contexts are played."""
            contexts = list(comparison.held_out.values())
            options = {"reward": "track", "n_episodes": 2, "seed": 1_000_000, "n_steps": 12}
            policies = policy.select([0] * len(contexts))
            return play(policies, suite.family, contexts, **options).returns[i]

        assert record["expert_return"] == pytest.approx(played(own).mean(), abs=1e-3)
        if record["start"] == "nearest":
            np.testing.assert_allclose(record["returns"][0], played(nearest.select([i])), atol=2e-3)
        scratch = record["start"].startswith("scratch")
        config = comparison.config.plain() if scratch else comparison.config
        standardised = record["start"] == "scratch-standardised"
        config = replace(config, standardise=True) if standardised else config
        assert record["config"] == json.loads(json.dumps(asdict(config)))
    assert summary == json.loads((tmp_path / SUMMARY).read_text())
    assert summary["complete"] and summary["seeds"] == [0]
    assert set(summary["starts"]) == {"scratch", "scratch-standardised", "nearest", METHOD}
    assert summary["contexts"] == sorted(comparison.held_out)

    before = comparable(tmp_path)
    one = tuple(comparison.held_out.values())[:1]
    more = replace(comparison, seeds=2, starts=(METHOD,), contexts=one)
    said.clear()
    fine_tune_suite(more, out=tmp_path, zoo=zoo, say=said.append)
    assert said[0] == "1 runs to do, 1 were done before"
    assert not any(text.startswith("fitting") for text in said), "the policies were stored"
    assert [record for record in comparable(tmp_path) if record["seed"] < 1] == before


def test_interrupted_and_called_again_it_ends_as_if_it_had_not_been(
    comparison: Comparison, zoo: Path, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "killed"
    comparison = replace(comparison, starts=("scratch", "nearest"))
    fine_tune_suite(comparison, out=whole, zoo=zoo)

    def interrupt(fraction: float) -> None:
        if fraction > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune_suite(comparison, out=out, zoo=zoo, on_progress=interrupt)
    kept = {path: path.read_bytes() for path in (out / RUNS).glob("*.json")}
    assert len(kept) == 2
    assert not json.loads((out / SUMMARY).read_text())["complete"]
    torn = out / RUNS / ".scratch.json.1.part"
    torn.write_text('{"start"')
    fine_tune_suite(comparison, out=out, zoo=zoo)
    assert not torn.exists()
    assert comparable(out) == comparable(whole)
    assert {path: path.read_bytes() for path in kept} == kept, "finished runs stay as they are"
    assert json.loads((out / SUMMARY).read_text())["complete"]


SCRIPT = """
import sys
from pathlib import Path

from experts.finetune_config import FineTuneConfig
from zeroshot.finetune import Comparison, fine_tune_suite
from zeroshot.suites import Suite

if __name__ == "__main__":
    fine_tune_suite(
        Comparison(suite=Suite(**{suite!r}), config={config!r}, **{options!r}),
        out=Path(sys.argv[1]),
        zoo=Path({zoo!r}),
    )
"""


@pytest.mark.slow
def test_killed_with_a_run_in_flight_it_loses_no_finished_one(
    comparison: Comparison, zoo: Path, tmp_path: Path
) -> None:
    suite = comparison.suite
    names = ("name", "env_id", "reward", "grid", "train_fraction", "n_episodes", "n_steps")
    options = ("starts", "n_steps", "seeds", "every", "n_episodes")
    long = replace(comparison, starts=("scratch", "nearest"), n_steps=30, every=15)
    script = tmp_path / "script.py"
    script.write_text(
        SCRIPT.format(
            suite={name: getattr(suite, name) for name in names},
            config=CONFIG,
            options={name: getattr(long, name) for name in options},
            zoo=str(zoo),
        )
    )
    out = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": sys.path[0]}
    process = subprocess.Popen([sys.executable, str(script), str(out)], env=environment)
    end = time.monotonic() + 120.0
    while len(list((out / RUNS).glob("*.json"))) < 1:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path: path.read_bytes() for path in (out / RUNS).glob("*.json")}
    assert 1 <= len(kept) < 4
    fine_tune_suite(long, out=out, zoo=zoo)
    assert {path: path.read_bytes() for path in kept} == kept
    fine_tune_suite(long, out=tmp_path / "whole", zoo=zoo)
    assert comparable(out) == comparable(tmp_path / "whole")


def test_a_folder_of_other_settings_or_with_a_damaged_file_is_refused(
    comparison: Comparison, zoo: Path, tmp_path: Path
) -> None:
    one = replace(comparison, starts=("scratch",), seeds=1)
    fine_tune_suite(one, out=tmp_path, zoo=zoo)
    with pytest.raises(ValueError, match="another `n_steps` \\(16, now 17\\)"):
        fine_tune_suite(replace(one, n_steps=17), out=tmp_path, zoo=zoo)
    with pytest.raises(ValueError, match="another `config`"):
        fine_tune_suite(replace(one, config=replace(CONFIG, td_weight=0.0)), out=tmp_path, zoo=zoo)
    damaged = next((tmp_path / RUNS).iterdir())
    damaged.write_text("{}")
    with pytest.raises(ValueError, match=f"{damaged.name}: not a JSON record of a run"):
        fine_tune_suite(one, out=tmp_path, zoo=zoo)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"n_steps": 0}, "`n_steps` must be at least 1, got 0"),
        ({"seeds": 0}, "`seeds` must be at least 1, got 0"),
        ({"every": 0}, "`every` must be at least 1, got 0"),
        ({"n_episodes": 0}, "`n_episodes` must be at least 1, got 0"),
        ({"split_seed": -1}, "`split_seed` must be at least 0, got -1"),
        ({"starts": ()}, "`starts` must be distinct, at least one, got []"),
        ({"starts": ("nearest", "nearest")}, "`starts` must be distinct"),
        (
            {"starts": ("zero",)},
            "`starts` must be scratch, scratch-standardised, nearest or methods: unknown method",
        ),
        (
            {"starts": ("pearl",)},
            "`starts` must be methods whose policies are networks, not 'pearl'",
        ),
        ({"split": "half"}, "`split` must be one of"),
    ],
)
def test_a_comparison_names_what_makes_no_sense(
    comparison: Comparison, change: dict, text: str
) -> None:
    with pytest.raises(ValueError) as error:
        replace(comparison, **change)
    assert text in str(error.value)


def test_what_performs_runs_travels_to_other_processes(comparison: Comparison, zoo: Path) -> None:
    experts = experts_of(comparison.suite, zoo)
    name, other = comparison.held_out
    own = {name: experts.policies.select([comparison.ids.test[0]])}
    fine_tuning = FineTuning(comparison=comparison, experts=own, starts={"nearest": own})
    perform = pickle.loads(pickle.dumps(fine_tuning.prepare))()
    told: list[float] = []
    found = perform(Piece("nearest", name, 3), told.append)
    assert found["seed"] == 3 and np.mean(found["returns"][0]) == pytest.approx(
        found["expert_return"], abs=2e-3
    )
    assert told[-1] == 1.0 and other not in own


def test_contexts_must_be_held_out(comparison: Comparison) -> None:
    learned = comparison.suite.contexts[comparison.ids.train[0]]
    with pytest.raises(ValueError, match="`contexts` must be held out by the split: speed="):
        replace(comparison, contexts=(learned,))
    one = tuple(comparison.held_out.values())[:1]
    with pytest.raises(ValueError, match="`contexts` must be distinct, got"):
        replace(comparison, contexts=one * 2)
    pieces = replace(comparison, contexts=one, seeds=1).pieces
    assert [piece.start for piece in pieces] == ["scratch", "nearest", METHOD]


def test_generated_policies_are_stored_and_a_method_without_networks_is_refused(
    comparison: Comparison, zoo: Path, user_module: str, tmp_path: Path
) -> None:
    experts = experts_of(comparison.suite, zoo)
    arguments: Any = (comparison.suite, experts, comparison.ids)
    made = start_policies(METHOD, *arguments, seed=0, directory=tmp_path / STARTS)
    (path,) = (tmp_path / STARTS).iterdir()
    again = start_policies(METHOD, *arguments, seed=0, directory=tmp_path / STARTS)
    observations = np.random.default_rng(0).normal(size=(2, 5, made.observation_size))
    np.testing.assert_array_equal(made.act(observations), again.act(observations))
    assert len(made) == 2 and again.activation == made.activation
    with np.load(path) as arrays:
        changed = {**arrays, "config": np.array("{}")}
    np.savez(path, **changed)
    with pytest.raises(ValueError, match=f"has {METHOD} with another config"):
        start_policies(METHOD, *arguments, seed=0, directory=tmp_path / STARTS)
    with pytest.raises(ValueError, match="must be methods whose policies are networks"):
        start_policies(f"{user_module}:Mean", *arguments, seed=0, directory=tmp_path / STARTS)


def test_file_names_of_import_paths_differ_and_have_no_colon() -> None:
    names = {file_name(Piece(start, "speed=1", 0)) for start in ("a:B", "a-B", "a.b:C", "film")}
    assert len(names) == 4 and not any(":" in name for name in names)
    assert file_name(Piece("conditioned-wide", "speed=1", 2)) == (
        "conditioned-wide_speed=1_seed=2.json"
    )


def test_an_estimate_adds_up_runs_and_fits(comparison: Comparison) -> None:
    waiting = replace(comparison, seeds=1).pieces
    seconds = {"scratch": 3.0, "nearest": 4.0, METHOD: 5.0}
    found = finetuning_estimate(comparison, waiting, seconds, fitting=7.0, workers=1)
    assert (found.pieces, found.steps) == (6, 6 * 16)
    assert found.core_seconds == found.wall_seconds == 7.0 + 2 * 12.0
    assert found.chain_seconds == 12.0


@pytest.fixture
def tiny(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(SUITES, "tiny", suite)
    return "tiny"


@pytest.fixture
def words(tiny: str, zoo: Path, tmp_path: Path) -> list[str]:
    """`zeroshot finetune` of a few steps, two of them with updates."""
    words = ["finetune", tiny, "--zoo", str(zoo), "--out", str(tmp_path / "out"), "--workers", "1"]
    return [
        *words,
        "--steps",
        "8",
        "--every",
        "4",
        "--episodes",
        "2",
        "--seeds",
        "1",
        "--collect-steps",
        "6",
    ]


def test_the_command_writes_runs_a_table_and_a_figure_and_goes_on(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*words, "--method", METHOD, "--td-weight", "0.25", "--preset", "paper"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "6 runs to do" in said and "return at first" in said and METHOD in said
    assert (tmp_path / "out" / RETURN_VERSUS_STEPS).stat().st_size > 10_000
    config = json.loads((tmp_path / "out" / SETTINGS).read_text())["config"]
    expected = replace(FineTuneConfig.paper(), td_weight=0.25, collect_steps=6)
    assert config == json.loads(json.dumps(asdict(expected)))
    assert main(words) == 0
    assert "0 runs to do, 6 were done before" in capsys.readouterr().out
    assert main([*words, "--estimate"]) == 0
    assert "runs: nothing to do, all 6 are there" in capsys.readouterr().out


def test_an_estimate_starts_nothing(
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finetune_estimates, "MEASURED_SECONDS", 0.0)
    assert main([*words, "--start", "scratch", "nearest", "--estimate"]) == 0
    said = capsys.readouterr().out
    assert "scratch: a run takes" in said and "nearest: a run takes" in said
    assert "runs: 4 to do, 32 environment steps" in said and "nothing was started" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--method", "film", "--start", "nearest"], "`method` must not come with --start"),
        (
            ["--start", "nobody"],
            "`starts` must be scratch, scratch-standardised, nearest or methods: unknown method",
        ),
        (["--workers", "-1"], "`workers` must be at least 0, got -1"),
        (["--steps", "0"], "`n_steps` must be at least 1, got 0"),
        (["--steps", "6"], "`n_steps` must be more than the 6 that are collected before"),
        (["--td-weight", "-1"], "`td_weight` must be at least 0 and finite, got -1.0"),
        (["--contexts", "speed=7"], "'speed=7' is not a context of tiny"),
        (["--contexts"], "`contexts` must be at least one, or all, got none"),
        (["--preset", "best"], "best"),
    ],
)
def test_bad_usage_of_the_command_is_a_line(
    words: list[str], more: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, *more]) == 2
    complained = capsys.readouterr().err
    assert complained.startswith("zeroshot: error: ") and text in complained
