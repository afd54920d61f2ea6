"""Units that several runs of a plan ask for."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zeroshot.reproduce.execution import outcomes, perform
from zeroshot.reproduce.folders import folder_of, rows_per_unit
from zeroshot.reproduce.plan import PlannedRun, Preset
from zeroshot.reproduce.sharing import serves, units_elsewhere, units_left
from zeroshot.results import ROWS, SUMMARY, Unit, lines_of, read_rows
from zeroshot.run import experts_of
from zeroshot.suites import SUITES, Suite

MARK = -123456.0
"""A return that no episode has."""


@pytest.fixture
def main_run(
    suite: Suite, zoo: Path, user_module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PlannedRun:
    """Finished with two seeds; its rows say where they were made."""
    monkeypatch.setattr("experts.store.ZOO", zoo.parent)
    monkeypatch.setitem(SUITES, "tiny", suite)
    run = PlannedRun(part="main", suite="tiny", methods=(f"{user_module}:Mean",), seeds=2)
    perform(Preset(doc="", runs=(run,)), tmp_path)
    rows = [{**row, "return": MARK} for row in read_rows(folder_of(run, tmp_path) / ROWS)]
    (folder_of(run, tmp_path) / ROWS).write_bytes(lines_of(rows))
    return run


def returns(run: PlannedRun, out: Path, unit: Unit) -> set[float]:
    rows = read_rows(folder_of(run, out) / ROWS)
    return {row["return"] for row in rows if (row["method"], row["seed"]) == unit}


def test_a_unit_that_another_run_has_is_not_done_again(
    main_run: PlannedRun, tmp_path: Path
) -> None:
    (mine,) = main_run.methods
    again = replace(main_run, part="parts", methods=(mine, "interpolation"), seeds=3)
    experts = experts_of(SUITES["tiny"])
    left = units_left(again, tmp_path, experts)
    assert {unit.seed for unit in left if unit.method != "interpolation"} == {2}
    (done,) = perform(Preset(doc="", runs=(again,)), tmp_path)
    assert done.state == "finished" and units_left(again, tmp_path, experts) == []
    assert returns(again, tmp_path, Unit(mine, 1)) == {MARK}
    assert returns(again, tmp_path, Unit("expert", 0)) == {MARK}
    assert MARK not in returns(again, tmp_path, Unit(mine, 2)), "no other run has the third seed"
    summary = json.loads((folder_of(again, tmp_path) / SUMMARY).read_text())
    assert summary["complete"] and summary["seeds"] == [0, 1, 2]


@pytest.mark.parametrize(
    "change",
    [{"split": "random:0.4"}, {"shots": (1,)}, {"train_rows": True}],
    ids=["split", "shots", "train rows"],
)
def test_what_was_made_otherwise_is_not_shared(
    change: dict[str, object], main_run: PlannedRun, tmp_path: Path
) -> None:
    other = replace(main_run, part="other", **change)
    assert units_elsewhere(other, tmp_path, experts_of(SUITES["tiny"])) == {}


@pytest.mark.parametrize("extra", [{"shots": (1,)}, {"train_rows": True}], ids=["shots", "train"])
def test_a_run_that_plays_more_has_all_that_another_needs(
    extra: dict[str, Any], main_run: PlannedRun, tmp_path: Path
) -> None:
    """Its rows in the test contexts without shots are those that the other would have itself."""
    larger = replace(main_run, part="larger", **extra)
    out, experts = tmp_path / "other", experts_of(SUITES["tiny"])
    perform(Preset(doc="", runs=(larger,)), out)
    assert serves(larger, main_run) and not serves(main_run, larger)
    assert not serves(larger, replace(main_run, split="random:0.4"))
    own = SUITES["tiny"].train_fraction
    assert serves(larger, replace(main_run, split=f"random:{own}")), "what `random` stands for"
    assert units_left(main_run, out, experts) == []
    found = units_elsewhere(main_run, out, experts)
    rows = read_rows(folder_of(larger, out) / ROWS)
    assert any(row["shots"] or row["split"] == "train" for row in rows)
    borrowed = [row for unit in found.values() for row in unit]
    assert len(borrowed) == len(found) * rows_per_unit(main_run)
    perform(Preset(doc="", runs=(main_run,)), out)
    own = read_rows(folder_of(main_run, out) / ROWS)
    assert sorted(map(str, own)) == sorted(map(str, borrowed))
    alone = read_rows(folder_of(main_run, tmp_path) / ROWS)
    assert {tuple(row) for row in own} == {tuple(row) for row in alone}
    cells = {(row["method"], row["seed"], *row["context"].values(), row["episode"]) for row in own}
    assert len(cells) == len(own) == len(alone)


def test_rows_of_another_config_are_not_shared(main_run: PlannedRun, tmp_path: Path) -> None:
    (mine,) = main_run.methods
    file = folder_of(main_run, tmp_path) / ROWS
    rows = [
        {**row, "config": {"is": "older"}} if row["method"] == mine else row
        for row in read_rows(file)
    ]
    file.write_bytes(lines_of(rows))
    found = units_elsewhere(replace(main_run, part="parts"), tmp_path, experts_of(SUITES["tiny"]))
    assert Unit(mine, 0) not in found and Unit("expert", 0) in found


def test_half_a_unit_is_not_shared(main_run: PlannedRun, tmp_path: Path) -> None:
    (mine,) = main_run.methods
    file = folder_of(main_run, tmp_path) / ROWS
    rows = read_rows(file)
    last = max(i for i, row in enumerate(rows) if (row["method"], row["seed"]) == (mine, 1))
    file.write_bytes(lines_of(rows[:last] + rows[last + 1 :]))
    again = replace(main_run, part="parts")
    assert Unit(mine, 1) not in units_elsewhere(again, tmp_path, experts_of(SUITES["tiny"]))
    assert [one.state for one in outcomes(Preset(doc="", runs=(again,)), tmp_path)] == [
        "unfinished"
    ]


def test_what_several_runs_will_need_is_estimated_once(
    main_run: PlannedRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from rich.console import Console

    from zeroshot.reproduce.estimate import print_plan_estimate

    runs = tuple(replace(main_run, part=part, seeds=3) for part in ("one", "two"))
    print_plan_estimate(
        Preset(doc="", runs=runs), tmp_path, workers=1, engine=None, console=Console(), seconds=0.1
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    pieces = {line.strip("│ ").split("│")[0].strip(): line.split("│")[3].strip() for line in lines}
    experts = experts_of(SUITES["tiny"])
    assert pieces["one"] == pieces["all"] == str(len(units_left(runs[0], tmp_path, experts)))
    assert pieces["two"] == "0"
