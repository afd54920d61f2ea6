"""Fine-tunings within a plan."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts.finetune_config import FineTuneConfig
from tests.zeroshot.test_finetune import CONFIG
from zeroshot.cli import main
from zeroshot.finetune import Comparison
from zeroshot.reproduce import PLANS
from zeroshot.reproduce.execution import outcomes, perform
from zeroshot.reproduce.plan import Part, Plan, PlannedFilm, PlannedFineTuning, Preset
from zeroshot.reproduce.records import write_tuning
from zeroshot.suites import SUITES, Suite

TUNING = {"part": "tuned", "starts": ("scratch", "nearest"), "n_steps": 16, "seeds": 1, "every": 6}


@pytest.fixture
def preset(suite: Suite, zoo: Path, monkeypatch: pytest.MonkeyPatch) -> Preset:
    """One fine-tuning of a second, as the plan `tiny` has it."""
    monkeypatch.setattr("experts.store.ZOO", zoo.parent)
    monkeypatch.setitem(SUITES, "tiny", suite)
    small = partial(Comparison, n_episodes=2)
    monkeypatch.setattr("zeroshot.reproduce.tuning.Comparison", small)
    monkeypatch.setattr(FineTuneConfig, "named", lambda preset, **_: CONFIG)
    monkeypatch.setattr("zeroshot.finetune_estimates.MEASURED_SECONDS", 0.05)
    found = Preset(doc="Less.", runs=(), fine_tunings=(PlannedFineTuning(suite="tiny", **TUNING),))
    plan = Plan(
        name="tiny",
        title="A paper",
        parts=(Part(name="tuned", title="On tuning", note=""),),
        figures=(),
        presets={"laptop": found},
        sources="somebody.",
    )
    monkeypatch.setitem(PLANS, "tiny", plan)
    return found


def test_fine_tunings_are_estimated_done_once_and_shown(
    capsys: pytest.CaptureFixture[str], preset: Preset, tmp_path: Path
) -> None:
    words = ["reproduce", "tiny", "--out", str(tmp_path), "--workers", "1"]
    assert main([*words, "--estimate"]) == 0
    said = capsys.readouterr().out
    assert "beginning tuned/tiny-16" in said and "nothing was started" in said
    assert main(words) == 0

    path = tmp_path / "results" / "tuned" / "tiny-16.json"
    record = json.loads(path.read_text())
    assert record["steps"] == [0, 6, 12, 16]
    for start in ("scratch", "nearest"):
        curves = record["curves"][start]
        assert {len(curve["returns"][0]) for curve in curves} == {4}
        first = np.mean([curve["returns"][0][0] for curve in curves])
        assert record["starts"][start]["start_return"] == pytest.approx(first, abs=0.01)
    assert record["run_command"].startswith("zeroshot finetune tiny --start scratch nearest")
    text = (tmp_path / "tables.md").read_text()
    assert "[tiny, 16 steps](runs/tuned/tiny-16/return-versus-steps.png) | scratch |" in text
    assert (tmp_path / "runs/tuned/tiny-16/return-versus-steps.png").exists()
    assert "\n## On tuning\n" in text

    written = path.stat().st_mtime_ns
    assert main(words) == 0
    assert path.stat().st_mtime_ns == written
    less = {**record, "starts": {"nearest": record["starts"]["nearest"]}}
    path.write_text(json.dumps(less))
    assert main(words) == 0
    assert json.loads(path.read_text()) == record
    (path.parents[2] / "runs/tuned/tiny-16/return-versus-steps.png").unlink()
    assert main([*words, "--estimate"]) == 0
    assert "nothing was started" in capsys.readouterr().out
    assert main(words) == 0
    assert main([*words, "--estimate"]) == 0
    assert "runs: nothing to do" in capsys.readouterr().out


def test_what_a_command_for_fewer_starts_keeps(preset: Preset, tmp_path: Path) -> None:
    words = ["reproduce", "tiny", "--out", str(tmp_path), "--workers", "1"]
    assert main([*words, "--methods", "nearest"]) == 0
    path = tmp_path / "results" / "tuned" / "tiny-16.json"
    assert set(json.loads(path.read_text())["starts"]) == {"nearest"}
    assert main([*words, "--methods", "scratch"]) == 0
    record = json.loads(path.read_text())
    assert set(record["starts"]) == set(record["curves"]) == {"scratch", "nearest"}
    assert "--start scratch nearest" in record["run_command"]
    assert main([*words, "--methods", "scratch", "--seeds", "2"]) == 0
    (asked,) = preset.fine_tunings
    again = write_tuning(replace(asked, starts=("nearest",)), tmp_path)
    runs = {start: row["runs"] for start, row in again["starts"].items()}
    assert runs == {"scratch": 2 * runs["nearest"], "nearest": record["starts"]["nearest"]["runs"]}


def test_more_seeds_go_on(preset: Preset, tmp_path: Path) -> None:
    assert main(["reproduce", "tiny", "--out", str(tmp_path), "--workers", "1"]) == 0
    (finished,) = outcomes(preset, tmp_path)
    assert finished.state == "finished"
    with pytest.MonkeyPatch.context() as patch:
        changed = replace(CONFIG, batch_size=CONFIG.batch_size + 1)
        patch.setattr(FineTuneConfig, "named", lambda preset, **_: changed)
        (outdated,) = outcomes(preset, tmp_path)
    assert outdated.state == "unfinished"
    more = replace(preset, fine_tunings=(replace(preset.fine_tunings[0], seeds=2),))
    (unfinished,) = outcomes(more, tmp_path)
    assert unfinished.state == "unfinished"


def test_a_fit_that_diverges_leaves_the_others(
    preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverged(*_: Any, **__: Any) -> None:
        raise FloatingPointError("the loss is nan")

    film = PlannedFilm(suite="tiny", context=("speed=2",), method="conditioned")
    monkeypatch.setattr("zeroshot.film.generate", diverged)
    (outcome,) = perform(replace(preset, fine_tunings=(), films=(film,)), tmp_path)
    assert (outcome.state, outcome.reason) == ("failed", "the loss is nan")
