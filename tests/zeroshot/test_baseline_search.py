"""Scripts that measure for docs/hyperzero.md: baselines' settings, the released step's cost."""

import json
from pathlib import Path

import pytest

from tests.zeroshot.test_reproduce_docs import record, script
from zeroshot.reproduce.other_parts import search_part
from zeroshot.results import ROWS, read_rows
from zeroshot.suites import SUITES, Suite


def test_settings_are_tried_and_shown(
    suite: Suite, zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = script("baseline_search")
    monkeypatch.setattr("experts.store.ZOO", zoo.parent)
    monkeypatch.setitem(SUITES, "tiny", suite)
    monkeypatch.setattr(search, "SUITE", "tiny")
    monkeypatch.setattr(search, "WORKERS", 1)
    tried = ({"updates": 1}, {"updates": 2, "learning_rate": 0.5})
    monkeypatch.setattr(search, "CANDIDATES", {"conditioned": tried})
    folder = tmp_path / "made"
    path = search.main([str(folder)], tmp_path)
    found = json.loads(path.read_text())["found"]
    names = ["conditioned:updates=1", "conditioned:updates=2:learning_rate=0.5"]
    assert list(found) == names
    rows = read_rows(folder / ROWS)
    for name, changes in zip(names, tried, strict=True):
        own = [row for row in rows if row["method"] == name]
        assert {row["seed"] for row in own} == set(search.SEEDS)
        assert changes.items() <= own[0]["config"].items()
        first = [row for row in own if row["seed"] == search.SEEDS[0]]
        share = sum(r["return"] for r in first) / sum(r["expert_return"] for r in first)
        assert found[name]["ratios"][0] == pytest.approx(share, abs=1e-4)
    assert search.main([str(folder)], tmp_path) == path and read_rows(folder / ROWS) == rows
    said, table = search_part(json.loads(path.read_text()))
    assert "3 splits of `tiny`" in said and f"| {names[1]} | " in table
    assert "not measured" in search_part(None)[0]
    with pytest.raises(ValueError, match="at most one FOLDER is allowed"):
        search.main(["a", "b"], tmp_path)


def test_no_result_is_of_the_splits_that_are_searched_on() -> None:
    search = script("baseline_search")
    for file in (Path(__file__).parents[2] / "docs" / "results").rglob("*.json"):
        record = json.loads(file.read_text())
        if isinstance(record, dict) and "seeds" in record:
            assert not set(search.SEEDS) & set(record["seeds"]), file


def test_the_released_step_is_timed_and_compared(
    suite: Suite, zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed, page = script("released_speed"), script("hyperzero")
    assert page.speed_said(None, []) == "not measured"
    monkeypatch.setattr("experts.store.ZOO", zoo.parent)
    monkeypatch.setitem(SUITES, "tiny", suite)
    for name, value in (("SUITE", "tiny"), ("STEPS", 1)):
        monkeypatch.setattr(speed, name, value)
    made = json.loads(speed.main(tmp_path).read_text())
    assert made["seconds_a_step"] > 0.0 and (made["samples"], made["steps"]) == (512, 332_500)
    made |= {"seconds_a_step": 0.1}
    run = record("tiny", {"expert": 1.0, "hyperzero": 0.9, "hyperzero-paper": 0.8})
    for row in run["methods"].values():
        row |= {"splits": 2, "own_seeds": [0, 1], "fit_seconds": 33.25}
    said = page.speed_said(made, [run])
    assert said.startswith("0.100 s a step, 9.2 hours for 332,500 on one thread")
    assert "hyperzero's fits take 33 s, 1/1000 of it" in said and "ratios 0.900 and 0.800" in said
    del run["methods"]["hyperzero-paper"]
    assert "ratios" not in page.speed_said(made, [run])
