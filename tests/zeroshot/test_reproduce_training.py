"""Runs of a plan that play the contexts that were learned from, too."""

import json
from pathlib import Path

import pytest

from zeroshot.reproduce.execution import is_finished, perform
from zeroshot.reproduce.folders import folder_of
from zeroshot.reproduce.plan import PlannedRun, Preset
from zeroshot.results import ROWS, SUMMARY, read_rows
from zeroshot.run import experts_of
from zeroshot.suites import SUITES, Suite


def test_training_contexts_are_played_and_asked_for(
    suite: Suite, zoo: Path, user_module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experts.store.ZOO", zoo.parent)
    monkeypatch.setitem(SUITES, "tiny", suite)
    method = f"{user_module}:Mean"
    run = PlannedRun(part="all", suite="tiny", methods=(method,), seeds=1, train_rows=True)
    assert run.command(Path("out")).endswith("--seeds 1 --train-rows --out out --resume")
    assert [one.state for one in perform(Preset(doc="", runs=(run,)), tmp_path)] == ["finished"]
    rows = [r for r in read_rows(folder_of(run, tmp_path) / ROWS) if r["method"] == method]
    played = {(row["split"], tuple(row["context"].values())) for row in rows}
    assert len(played) == len(suite.contexts) and {"train", "test"} == {part for part, _ in played}
    assert method in json.loads((folder_of(run, tmp_path) / SUMMARY).read_text())["gap"]
    experts = experts_of(suite)
    assert is_finished(run, tmp_path, experts)
    file = folder_of(run, tmp_path) / ROWS
    kept = [line for line in file.read_text().splitlines(keepends=True) if '"train"' not in line]
    file.write_text("".join(kept))
    assert not is_finished(run, tmp_path, experts), "only the held-out contexts are there"
