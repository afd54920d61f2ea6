"""Plans of papers: that they ask for what there is, and what makes no sense is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experts.finetune_config import FineTuneConfig
from zeroshot.frozen import split_of
from zeroshot.methods import METHODS
from zeroshot.published import PUBLISHED_ZERO_SHOT
from zeroshot.reproduce import PLANS
from zeroshot.reproduce.genhyper import GENHYPER
from zeroshot.reproduce.hyperzero import HYPERZERO, REACH, TRACK
from zeroshot.reproduce.page import Page, html, markdown
from zeroshot.reproduce.plan import PlannedFilm, PlannedFineTuning, PlannedRun, Preset
from zeroshot.reproduce.tables import Cell, Table
from zeroshot.reproduce.tuning import comparison_of
from zeroshot.splits import rule_of
from zeroshot.suites import SUITES, suite_of


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_asks_for_what_there_is(name: str) -> None:
    for preset in PLANS[name].presets.values():
        assert preset.doc
        for run in preset.runs:
            suite = suite_of(run.suite)
            assert split_of(suite, rule_of(run.split, suite), seed=run.seeds - 1).test
            assert not [m for m in run.methods if ":" not in m and m not in METHODS], run.name
        for tuning in preset.fine_tunings:
            comparison = comparison_of(tuning)
            assert len(comparison.pieces) >= len(tuning.starts) * tuning.seeds
        for film in preset.films:
            assert film.suite in SUITES and film.method in METHODS


@pytest.mark.parametrize("name", PLANS)
def test_laptop_is_a_part_of_paper_and_the_paper_has_all_figures(name: str) -> None:
    plan = PLANS[name]
    full = {run.name: run for run in plan.presets["paper"].runs}
    for run in plan.presets["laptop"].runs:
        larger = full[run.name]
        assert set(run.methods) <= set(larger.methods) and run.seeds <= larger.seeds
        assert (run.split, run.shots) == (larger.split, larger.shots), "or it could not go on"
    works = plan.presets["paper"].works
    for figure in plan.figures:
        of_part = {w.suite for w in works if getattr(w, "part", "films") == figure.part}
        assert set(figure.suites) <= of_part, figure.label


def test_the_plan_of_hyperzero_has_what_its_paper_has() -> None:
    paper = HYPERZERO.presets["paper"]
    main_runs = {run.suite: run for run in paper.runs if run.part == "main"}
    assert set(main_runs) == {*TRACK, *REACH} and len(main_runs) == 18
    assert all(run.seeds == 5 and run.split == "random" for run in main_runs.values())
    assert {"hyperzero-without-td", "hyperzero-without-value"} <= set(
        main_runs["cheetah-speed"].methods
    )
    fifth = {run.suite: run for run in paper.runs if run.part == "fifth"}
    assert set(fifth) == set(PUBLISHED_ZERO_SHOT) and len(fifth) == 9
    assert fifth["walker-torso-reach"].published["hyperzero"] == 642.2
    assert fifth["walker-torso-reach"].published["expert"] == 897.1
    for feature_suites, rules in (
        (("cheetah-speed",), {"gap", "extrapolation"}),
        (("cheetah-speed-torso",), {"gap", "extrapolation", "quadrant"}),
    ):
        for name in feature_suites:
            assert {r.split for r in paper.runs if (r.part, r.suite) == ("ranges", name)} == rules


def test_a_run_has_a_folder_and_a_command() -> None:
    run = PlannedRun(
        part="fifth",
        suite="cheetah-speed",
        split="random:0.2",
        methods=("maml", "pearl"),
        seeds=3,
        shots=(1, 5),
    )
    assert run.name == "fifth/cheetah-speed-random-0.2"
    assert run.command(Path("some where")) == (
        "zeroshot run cheetah-speed --methods maml,pearl --seeds 3 --split random:0.2 "
        "--shots 1 5 --out 'some where' --resume"
    )
    tuning = PlannedFineTuning(
        part="finetuning",
        suite="cheetah-vel",
        split="tasks:15",
        starts=("scratch", "hyplatent"),
        n_steps=40_000,
        seeds=2,
    )
    assert tuning.name == "finetuning/cheetah-vel-tasks-15-40000"
    assert tuning.command(Path("out")) == (
        "zeroshot finetune cheetah-vel --start scratch hyplatent --steps 40000 --every 5000 "
        "--seeds 2 --split tasks:15 --out out"
    )
    paper = replace(tuning, preset="paper", td_weight=0.0)
    assert paper.name == "finetuning/cheetah-vel-tasks-15-40000-paper-td-0"
    assert "--seeds 2 --preset paper --td-weight 0 --split" in paper.command(Path("out"))
    assert comparison_of(tuning).config == FineTuneConfig()
    assert comparison_of(paper).config == replace(FineTuneConfig.paper(), td_weight=0.0)
    with pytest.raises(ValueError, match="`n_steps` must be at least 1, got 0"):
        replace(tuning, n_steps=0)
    with pytest.raises(ValueError, match="`preset` must be 'default' or 'paper', got 'tuned'"):
        replace(tuning, preset="tuned")
    film = PlannedFilm(suite="walker-speed-reach", context=("speed=-4",))
    other = replace(film, method="mine:Method")
    assert other.name == "films/walker-speed-reach_speed=-4_mine.Method"
    assert film.name == "films/walker-speed-reach_speed=-4"
    assert film.command(Path("a.mp4")) == (
        "zeroshot film walker-speed-reach --context speed=-4 --method hyperzero --out a.mp4"
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"suite": "nope"}, "unknown suite 'nope'"),
        ({"split": "nope"}, "`split` must be one of"),
        ({"shots": (1, 1)}, "`shots` must be distinct"),
        ({"methods": ()}, "`methods` must be distinct, at least one, got ()"),
        ({"seeds": 0}, "`seeds` must be at least 1, got 0"),
    ],
)
def test_a_run_that_makes_no_sense_is_refused(change: dict[str, Any], text: str) -> None:
    good = {"part": "main", "suite": "cheetah-speed", "methods": ("maml",), "seeds": 1}
    PlannedRun(**good)
    with pytest.raises(ValueError) as error:
        PlannedRun(**{**good, **change})
    assert text in str(error.value)


def test_a_preset_is_narrowed() -> None:
    preset = HYPERZERO.presets["laptop"]
    few = preset.chosen(suites=["cheetah-torso-reach"], parts=["fifth", "films"], seeds=1)
    assert [run.name for run in few.runs] == ["fifth/cheetah-torso-reach-random-0.2"]
    assert few.runs[0].seeds == 1 and len(few.films) == 6
    assert preset.chosen(parts=["main"]).films == ()
    assert preset.chosen() == preset
    some = GENHYPER.presets["laptop"].chosen(splits=["tasks:15"])
    assert {work.split for work in (*some.runs, *some.fine_tunings)} == {"tasks:15"}
    assert [run.part for run in some.runs] == ["table", "table", "choices", "choices"]
    assert preset.chosen(splits=["random:0.2"]).films == ()
    with pytest.raises(ValueError, match=r"`splits` must be among .*, got \['tasks:11'\]"):
        preset.chosen(splits=["tasks:11"])
    with pytest.raises(ValueError, match=r"must leave some of the plan's work, got .*'tasks:10'"):
        GENHYPER.presets["laptop"].chosen(suites=["ant-dir"], splits=["tasks:10"])
    distilled = preset.chosen(methods=["hyperdistil"])
    assert {run.methods for run in distilled.runs} == {("hyperdistil",)}
    runs = [run.name for run in preset.runs if "hyperdistil" in run.methods]
    assert [run.name for run in distilled.runs] == runs and len(runs) < len(preset.runs)
    assert distilled.films == tuple(film for film in preset.films if film.method == "hyperdistil")
    tuned = GENHYPER.presets["laptop"].chosen(methods=["scratch"])
    assert not tuned.runs and {one.starts for one in tuned.fine_tunings} == {("scratch",)}
    with pytest.raises(ValueError, match=r"`suites` must be among .*, got \['nope'\]"):
        preset.chosen(suites=["nope"])
    with pytest.raises(ValueError, match=r"`parts` must be among .*, got \['nope'\]"):
        preset.chosen(parts=["nope"])
    with pytest.raises(ValueError, match=r"`methods` must be among .*, got \['nope'\]"):
        preset.chosen(methods=["nope"])
    with pytest.raises(ValueError, match="`seeds` must be at least 1"):
        preset.chosen(seeds=0)
    with pytest.raises(ValueError, match="distinct names, twice there are"):
        Preset(doc="", runs=(preset.runs[0], preset.runs[0]))


def test_a_plan_with_an_unknown_part_is_refused() -> None:
    figure = replace(HYPERZERO.figures[0], part="nope")
    with pytest.raises(ValueError, match=r"`part` must be one of \['main', .*, got 'nope'"):
        replace(HYPERZERO, figures=(figure,))


def test_cells_are_escaped() -> None:
    cells = (
        Cell(text="a < b", bold=True),
        Cell(text="run it", code=True),
        Cell(links={"one": "x.html", "two": "y.html"}),
    )
    table = Table(title="T", note="n", header=("a", "b", "c"), rows=(cells,))
    page = Page(title="P", lead=("l",), headline="h", details=("a < d",), tables=(table,))
    assert "| **a < b** | `run it` | [one](x.html), [two](y.html) |" in markdown(page)
    assert "<strong>a &lt; b</strong>" in html(page) and "<code>run it</code>" in html(page)
    assert '<a href="x.html">one</a>, <a href="y.html">two</a>' in html(page)
    assert "<li>a &lt; d</li>" in html(page)
