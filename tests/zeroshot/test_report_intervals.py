"""Intervals of scores on the page, what it says of them, and what its ablation concludes."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zeroshot.comparisons import CLUSTERS, WITHIN_CONTEXTS, compare
from zeroshot.report.ablation import ablation
from zeroshot.report.curves import curves
from zeroshot.report.page import styles_of
from zeroshot.report.runs import RunFolder, read_run
from zeroshot.report.sections import Section, leaderboard
from zeroshot.report.verdict import verdict

WriteRun = Callable[..., Path]
Make = Callable[..., Section | None]

VARIANT = "mine-without-x"

both_sections = pytest.mark.parametrize("make", [leaderboard, ablation])


@pytest.fixture
def older(write_run: WriteRun) -> RunFolder:
    """A run of two seeds whose summary has neither `score_ci` nor `vs`."""
    return read_run(write_run("run", methods=("mine", VARIANT)))


@pytest.fixture
def run(older: RunFolder) -> RunFolder:
    """The same with all that a summary has today."""
    return changed(older, **compare(older.rows, older.summary["methods"]))


def changed(run: RunFolder, **summary: Any) -> RunFolder:
    return replace(run, summary={**run.summary, **summary})


def text_of(run: RunFolder, make: Make) -> str:
    section = make(run, "run", styles_of([run]))
    assert section is not None
    return section.lead + section.body


def cells_of(text: str, name: str) -> list[str]:
    """Cells of a table's row, without markup."""
    (row,) = re.findall(rf"<tr[^>]*><th[^>]*>(?:<a[^>]*>)?{name}(?:</a>)?</th>(.*?)</tr>", text)
    return [re.sub("<[^>]*>", "", cell) for cell in row.split("</td>")[:-1]]


@both_sections
def test_scores_have_the_interval_that_redraws_seeds_too(run: RunFolder, make: Make) -> None:
    wide = changed(run, score_ci={**run.summary["score_ci"], "mine": [0.125, 1.5]})
    text = text_of(wide, make)
    score = wide.summary["methods"]["mine"]["score"]
    assert f"<title>mine: {score:.3f} [0.125, 1.500]</title>" in text
    if make is leaderboard:
        assert cells_of(text.split("<details>")[0], "mine")[3] == "[0.125, 1.500]"


@both_sections
def test_older_summaries_have_intervals_over_contexts_alone(older: RunFolder, make: Make) -> None:
    row = older.summary["methods"]["mine"]
    text = text_of(older, make)
    low, high = row["ci"]
    assert f"<title>mine: {row['score']:.3f} [{low:.3f}, {high:.3f}]</title>" in text
    assert "which redraw the contexts within each of 2 seeds, not the seeds; " in text


@both_sections
def test_captions_say_what_is_redrawn(run: RunFolder, make: Make) -> None:
    assert set(run.summary["resampling"].values()) == {CLUSTERS}
    assert "which redraw 2 seeds and the contexts within each; " in text_of(run, make)
    shared = changed(run, resampling=dict.fromkeys(run.summary["methods"], WITHIN_CONTEXTS))
    said = "which redraw 2 seeds within each context, not the contexts; "
    assert said in text_of(shared, make)
    single = replace(run, rows=[row for row in run.rows if row["seed"] == 0])
    assert "which redraw the contexts of a single seed, not the seed; " in text_of(single, make)
    partly = [row for row in run.rows if row["method"] != VARIANT or row["seed"] == 0]
    assert (
        "which redraw the 1 to 2 seeds of a row and the contexts within each, of a single seed "
        "its contexts alone; "
    ) in text_of(replace(run, rows=partly), make)


@pytest.mark.parametrize(
    ("ends", "shown", "conclusion"),
    [
        ([0.05, 0.2], "[+0.050, +0.200]", "the part helps"),
        ([-0.05, 0.2], "[−0.050, +0.200]", "not told apart"),
        ([0.0, 0.2], "[+0.000, +0.200]", "not told apart"),
        ([-0.2, -0.05], "[−0.200, −0.050]", "the part harms"),
    ],
)
def test_the_paired_difference_tells_what_a_part_is_worth(
    run: RunFolder, ends: list[float], shown: str, conclusion: str
) -> None:
    """Whether the intervals of the scores overlap, as here, does not."""
    vs = {"mine": {VARIANT: {"difference": 0.015625, "ci": ends, "n_cells": 8}}}
    alike = {name: [0.0, 1.0] for name in run.summary["score_ci"]}
    text = text_of(changed(run, vs=vs, score_ci=alike), ablation)
    assert cells_of(text, f"mine less {VARIANT}") == ["+0.016", shown, "2", conclusion]
    assert '<data value="0.015625">' in text and "overlap" not in text


def test_a_single_cell_tells_nothing_of_a_part(run: RunFolder) -> None:
    vs = {"mine": {VARIANT: {"difference": 0.5, "ci": [0.5, 0.5], "n_cells": 1}}}
    found = cells_of(text_of(changed(run, vs=vs), ablation), f"mine less {VARIANT}")
    assert found == ["+0.500", "[-, -]", "2", "not told apart"]


def test_older_summaries_have_the_paired_difference_of_their_rows(older: RunFolder) -> None:
    found = cells_of(text_of(older, ablation), f"mine less {VARIANT}")
    assert float(found[0]) == pytest.approx(0.1, abs=0.005)
    assert found[2:] == ["2", "the part helps"]


def test_variants_of_other_splits_are_not_compared(older: RunFolder) -> None:
    rows = [
        {**row, "seed": row["seed"] + 5} if row["method"] == VARIANT else row for row in older.rows
    ]
    text = text_of(replace(older, rows=rows), ablation)
    assert "<table" not in text and "No variant was played in the same contexts" in text


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (None, "2 splits."),
        ("random:0.85", "2 splits (random:0.85)."),
        ("tasks:15", "2 fits (tasks:15)."),
        ("gap", "2 fits (gap)."),
    ],
)
def test_seeds_that_hold_out_the_same_contexts_are_called_fits(
    run: RunFolder, rule: str | None, said: str
) -> None:
    text = text_of(changed(run, split_rule=rule), leaderboard)
    assert f"episodes × {said}" in text
    less = replace(run, rows=[r for r in run.rows if r["method"] != "mine" or r["seed"] == 0])
    drawn = said.split(".")[0].split()[1]
    assert f" Fewer {drawn}: mine 1." in text_of(changed(less, split_rule=rule), leaderboard)


def test_rows_that_learn_nothing_look_so_and_the_expert_is_on_top(write_run: WriteRun) -> None:
    """Interpolation is run as a method; here it has a higher score than the expert."""
    run = read_run(write_run("run", methods=("interpolation", "mine"), learned=1.2))
    assert list(run.summary["methods"])[:2] == ["interpolation", "mine"]
    text = text_of(run, leaderboard)
    top = text.split("</table>")[0]
    found = re.findall(r'<tr class="(\w+)"><th[^>]*>(?:<a[^>]*>)?([\w-]+)<.*?<td>(.*?)</td>', top)
    assert found == [
        ("reference", "expert", "reference"),
        ("reference", "interpolation", "learns nothing"),
        ("learned", "mine", "method"),
        ("reference", "nearest", "learns nothing"),
        ("reference", "best-single", "learns nothing"),
        ("reference", "zero", "reference"),
    ]
    assert "leaves out the worst and the best quarter of the contexts. The verdict goes by" in text
    bars = re.findall(r"<title>([\w-]+): ", text.split("<figure>")[1])
    assert bars[:3] == ["expert", "interpolation", "mine"]


def test_the_experts_curve_of_a_joint_suite_is_over_the_contexts_held_out(
    write_run: WriteRun,
) -> None:
    """The method returns what the experts do in the same contexts: the two curves are one."""
    run = read_run(write_run("run", suite="cheetah-speed-torso"))
    rows = [
        {**row, "return": row["expert_return"]} if row["method"] in ("mine", "expert") else row
        for row in run.rows
    ]
    text = text_of(replace(run, rows=rows), curves)
    names = re.findall(r'<th scope="col">([^<]*)</th>', text)
    assert names == [
        name
        for feature in ("speed", "torso")
        for name in (feature, "expert", "nearest", "best-single", "mine", "redrawn")
    ]
    lines = [re.findall(r'<td class="n">(.*?)</td>', row) for row in text.split("<tr>")]
    numbers = [line for line in lines if len(line) == 4]
    assert len(numbers) > 5 and all(expert == mine for expert, _, _, mine in numbers)
    assert "the expert's line is the mean of the experts of the same held-out contexts" in text
    single = text_of(read_run(write_run("single")), curves)
    assert "the expert's line is each context's own expert, held out or not" in single


def test_captions_of_curves_say_what_their_bands_redraw(run: RunFolder) -> None:
    """The two seeds of the run share no context, unless the second plays the first one's."""
    text = text_of(run, curves)
    assert "They redraw whole fits, each by its mean; " in text
    assert "Bands are 95 % intervals over the episodes of one fit.</figcaption>" in text
    assert ">redrawn</th>" in text and "<td>2 episodes</td>" in text and "fits</td>" not in text
    again = [{**row, "seed": 1 - row["seed"]} for row in run.rows]
    both = text_of(replace(run, rows=[*run.rows, *again]), curves)
    assert "Bands are 95 % intervals over 2 fits.</figcaption>" in both
    assert "<td>2 fits</td>" in both and "episodes</td>" not in both


def test_the_verdict_says_what_its_own_interval_redraws(run: RunFolder) -> None:
    assert verdict(run).sentences[0].endswith(", contexts alone redrawn).")
