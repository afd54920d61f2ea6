"""Tables and reports of what is finished, without fitting anything."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.zeroshot.test_reproduce_tuning import TUNING
from tests.zeroshot.test_reproduce_tuning import preset as tuning_preset
from zeroshot.cli import main
from zeroshot.reproduce import PLANS
from zeroshot.reproduce.execution import finished_part, perform
from zeroshot.reproduce.folders import folder_of
from zeroshot.reproduce.packed import pack
from zeroshot.reproduce.plan import PlannedFineTuning, PlannedRun, Preset
from zeroshot.results import REPORT, ROWS, lines_of, read_rows
from zeroshot.suites import Suite

tuning = tuning_preset
"""The plan `tiny`, with one fine-tuning of two starts."""


@pytest.fixture
def preset(tuning: Preset, user_module: str, monkeypatch: pytest.MonkeyPatch) -> Preset:
    """With a run of two methods and one of another split, too."""
    methods = (f"{user_module}:Mean", "interpolation")
    run = PlannedRun(part="tuned", suite="tiny", methods=methods, seeds=2)
    other = replace(run, split="random:0.4")
    found = replace(tuning, runs=(run, other))
    monkeypatch.setitem(PLANS, "tiny", replace(PLANS["tiny"], presets={"laptop": found}))
    return found


def test_only_what_is_there_is_kept(preset: Preset, suite: Suite, tmp_path: Path) -> None:
    run, other = preset.runs
    with pytest.raises(ValueError, match="`finished` needs results in `out`, of what is asked for"):
        finished_part(preset, tmp_path)
    perform(preset.chosen(methods=["interpolation", "nearest"]), tmp_path)
    found = finished_part(preset, tmp_path)
    assert [one.methods for one in found.runs] == [("interpolation",)] * 2
    (one,) = found.fine_tunings
    assert one.starts == ("nearest",)
    assert finished_part(replace(preset, runs=(replace(run, seeds=3),)), tmp_path).runs == ()
    rows = read_rows(folder_of(other, tmp_path) / ROWS)
    older = [
        {**r, "config": {"is": "older"}} if r["method"] == "interpolation" else r for r in rows
    ]
    (folder_of(other, tmp_path) / ROWS).write_bytes(lines_of(older))
    assert [one.name for one in finished_part(preset, tmp_path).runs] == [run.name]


def test_packed_results_have_tables_and_reports_without_a_fit(
    preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["reproduce", "tiny", "--workers", "1", "--out"]
    made, new = tmp_path / "made", tmp_path / "new"
    assert main([*words, str(made), "--methods", "interpolation", "nearest"]) == 0
    pack(made, tmp_path / "packed")
    shutil.move(made, tmp_path / "moved")

    def fit(*_: object) -> None:
        raise AssertionError("nothing is to be fitted")

    monkeypatch.setattr("zeroshot.bench.Bench.perform", fit)
    monkeypatch.setattr("zeroshot.finetune.FineTuning.perform", fit)
    assert main([*words, str(new), "--packed", str(tmp_path / "packed"), "--finished"]) == 0
    for run in preset.runs:
        assert (folder_of(run, new) / REPORT).exists()
        record = json.loads((new / "results" / f"{run.name}.json").read_text())
        assert "interpolation" in record["methods"]
    tuned = PlannedFineTuning(suite="tiny", **TUNING)
    record = json.loads((new / "results" / f"{tuned.name}.json").read_text())
    assert set(record["starts"]) == {"nearest"}
    text = (new / "tables.md").read_text()
    assert "Its parts, suites, methods or splits were changed" in text
    assert "\n## On tuning\n" in text and "\n## On tuning: fine-tuning\n" in text
