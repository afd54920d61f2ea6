"""What the top of the report says, on summaries made up for it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zeroshot.report import REPORT, write_report
from zeroshot.report.runs import RunFolder, read_run
from zeroshot.report.verdict import Comparison, Verdict, verdict

WriteRun = Callable[..., Path]


def run_of(vs: dict[str, tuple[float, float, float]], *, learned: str = "mine") -> RunFolder:
    """A run of one method and those rows, with these differences and intervals."""
    row = {"seed": 0, "context": {"speed": 1.0}, "split": "test", "expert_return": 100.0}
    pairs = {name: {"difference": d, "ci": [low, high]} for name, (d, low, high) in vs.items()}
    methods: dict[str, Any] = {learned: {"kind": "method", "ratio": 0.9, "score": 0.9}}
    for name in vs:
        kind = "method" if name == "interpolation" else "reference"
        methods[name] = {"kind": kind, "ratio": 0.8, "score": 0.8}
    return RunFolder(
        path=Path("run"),
        summary={"suite": "s", "methods": methods, "vs": {learned: pairs}},
        settings={},
        rows=[{**row, "method": n, "kind": m["kind"], "return": 90.0} for n, m in methods.items()],
        transfer=None,
        suite=None,
    )


@pytest.mark.parametrize(
    ("interval", "status", "headline"),
    [
        ((0.1, 0.05, 0.2), "better", "mine beats every trivial reference."),
        (
            (0.1, -0.05, 0.2),
            "tie",
            "A trivial reference is as good as the best learned method, mine.",
        ),
        (
            (-0.1, -0.2, -0.05),
            "worse",
            "A trivial reference is better than the best learned method, mine.",
        ),
    ],
)
@pytest.mark.parametrize("name", ["nearest", "best-of-direction", "interpolation"])
def test_the_worst_comparison_decides(
    name: str, interval: tuple[float, float, float], status: str, headline: str
) -> None:
    found = verdict(run_of({"best-single": (0.5, 0.4, 0.6), name: interval}))
    assert (found.status, found.headline) == (status, headline)
    assert [c.name for c in found.comparisons] == [name, "best-single"]
    said = " ".join(found.sentences)
    assert ("do not show that learning pays off" in said) == (status != "better")
    assert "best-single (80.0 %): the difference is +50.0 points" in said
    assert "training expert as it is" not in said
    assert "one split only" in said


def test_rows_that_learn_nothing_are_no_learned_method() -> None:
    found = verdict(run_of({}, learned="interpolation"))
    assert found.status == "nothing learned"
    assert found.headline == "No learned method has finished."


def test_random_and_expert_are_not_compared_with() -> None:
    found = verdict(run_of({"expert": (-0.1, -0.2, -0.1), "random": (0.8, 0.7, 0.9)}))
    assert found.comparisons == ()
    assert found.headline == "mine reaches a ratio of 90.0 % to the experts' return."


def test_a_single_cell_beats_nothing() -> None:
    """It has no interval: neither the verdict nor its sentences pretend to one."""
    run = run_of({"nearest": (0.1, 0.1, 0.1)})
    pair = {**run.summary["vs"]["mine"]["nearest"], "n_cells": 1}
    one = verdict(replace(run, summary={**run.summary, "vs": {"mine": {"nearest": pair}}}))
    assert one.status == "tie"
    assert one.sentences[1] == (
        "It is not told apart from nearest (80.0 %): the difference is +10.0 points."
    )


def test_summaries_without_pairs_are_compared_from_the_rows(write_run: WriteRun) -> None:
    better = verdict(read_run(write_run("better", learned=0.9)))
    assert better.status == "better" and better.best == "mine"
    assert better.comparisons[0].name == "nearest"
    assert better.comparisons[0].difference == pytest.approx(0.2, abs=0.005)
    assert better.comparisons[0].low <= better.comparisons[0].difference
    worse = verdict(read_run(write_run("worse", learned=0.6)))
    assert worse.status == "worse"
    assert worse.comparisons[0].difference == pytest.approx(-0.1, abs=0.005)
    assert verdict(read_run(write_run("tie", learned=0.7))).status == "tie"


def test_the_page_says_it_before_the_leaderboard(write_run: WriteRun, tmp_path: Path) -> None:
    text = write_report([write_run("run", learned=0.5)], tmp_path / REPORT).read_text()
    sentence = "A trivial reference is better than the best learned method, mine."
    assert 0 < text.index(sentence) < text.index("<h3>Leaderboard</h3>")
    assert 'class="verdict worse"' in text


def test_an_interval_that_touches_zero_shows_nothing() -> None:
    touching = Comparison(name="nearest", ratio=0.9, difference=0.1, low=0.0, high=0.2)
    assert touching.status == "tie"
    assert Verdict(best="mine", comparisons=(touching,)).status == "tie"


def test_handed_out_experts_are_told() -> None:
    run = run_of({"nearest": (0.0, -0.1, 0.1)})
    (mine,) = [row for row in run.rows if row["method"] == "mine"]
    rows = [{**mine, "expert_of": None}, {**mine, "seed": 1, "expert_of": {"speed": 2.0}}]
    found = verdict(replace(run, rows=[*rows, *(row for row in run.rows if row is not mine)]))
    said = " ".join(found.sentences)
    assert "For 50.0 % of these contexts it hands out the policy of a training expert" in said


def test_the_best_is_the_summarys_own() -> None:
    """Not the first of the table, which is in order of scores."""
    run = run_of({"nearest": (0.1, 0.05, 0.2)})
    first = {"other": {"kind": "method", "ratio": 0.5, "score": 0.99}, **run.summary["methods"]}
    rows = [*run.rows, {**run.rows[0], "method": "other", "kind": "method", "return": 50.0}]
    for also in ({"best_learned": "mine"}, {}):
        found = replace(run, rows=rows, summary={**run.summary, "methods": first, **also})
        assert verdict(found).best == "mine", "earlier summaries do not tell it"


def test_what_episodes_of_the_context_are_worth_is_told() -> None:
    run = run_of({"nearest": (0.1, 0.05, 0.2)})
    best = {"learned": "mine", "learned_ratio": 0.97, "row": "nearest", "row_ratio": 0.99}
    one = {**best, "shots": 1, "difference": 0.01, "ci": [-0.01, 0.02]}
    ten = {**best, "shots": 10, "difference": -0.02, "ci": [-0.03, -0.01]}
    summary = {**run.summary, "few_shot_best": {"demonstrations": [one, ten]}}
    said = verdict(replace(run, summary=summary)).sentences
    assert (
        "After 1 episode of demonstrations the best learned method, mine, is not told apart from "
        "nearest (99.0 %): the difference is +1.0 points."
    ) in said
    assert any(line.startswith("After 10 episodes") and "loses to nearest" in line for line in said)
