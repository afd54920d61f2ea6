"""Tables of a reproduction, from made-up records, and the page that they are on."""

import re
from dataclasses import replace
from typing import Any

import pytest

from zeroshot.reproduce import PLANS
from zeroshot.reproduce.execution import Outcome
from zeroshot.reproduce.page import Page, html, markdown
from zeroshot.reproduce.plan import Part, Plan, PlannedRun, Preset
from zeroshot.reproduce.tables import Table, headline, part_tables, run_by_run

RUN = PlannedRun(part="main", suite="cheetah-speed", methods=("mine", "yours"), seeds=2)
PLAN = Plan(
    name="tiny",
    title="A paper",
    parts=(Part(name="main", title="All", note="Of one run."),),
    figures=(),
    presets={"laptop": Preset(doc="", runs=(RUN,))},
    sources="somebody.",
)


def row(kind: str, returns: dict[int, float]) -> dict[str, Any]:
    """A row that was played on the splits that are named."""
    seeds, values = list(returns), list(returns.values())
    mean = sum(values) / len(values)
    return {"kind": kind, "own_seeds": seeds, "returns": values, "return": mean, "ratio": mean}


def test_a_line_is_of_the_splits_that_all_of_it_were_played_on() -> None:
    """`mine` has a third split, on which it is so bad that it would not be bold, and no ratio."""
    methods = {
        "expert": row("reference", {0: 100.0, 1: 300.0, 2: 1000.0}),
        "nearest": row("reference", {0: 50.0, 1: 50.0, 2: 50.0}),
        "mine": row("method", {0: 90.0, 1: 290.0, 2: -900.0}),
        "yours": row("method", {0: 80.0, 1: 280.0}),
    }
    records = {RUN.name: {"methods": methods, "few_shot": {}}}
    returns, ratios = part_tables(PLAN, [Outcome(work=RUN, state="finished")], records)
    assert returns.header == ("run", "expert", "nearest", "mine", "yours")
    (line,) = returns.rows
    assert [cell.text for cell in line[1:]] == ["200 ± 141", "50.0 ± 0.0", "190 ± 141", "180 ± 141"]
    assert [cell.bold for cell in line[1:]] == [False, False, True, False]
    (line,) = ratios.rows
    assert [cell.text for cell in line[1:]] == ["1.000", "0.250", "0.950", "0.900"]
    assert "the splits that all of a line were played on" in returns.note


def records_of(*names: str) -> dict[str, Any]:
    """Runs in whose contexts `nearest` is as good as what learned, but in the last one."""
    methods = {
        "expert": row("reference", {0: 100.0, 1: 300.0}),
        "mine": row("method", {0: 90.0, 1: 290.0}),
    }
    point = {"shots": 0, "ratio": 0.5}
    few_shot = {"demonstrations": {"mine": [point, {"shots": 1, "ratio": 0.75}]}}
    equal = [{"row": "nearest", "learned": "mine", "difference": 0.0, "ci": [-0.1, 0.1]}]
    return {
        name: {
            "methods": methods,
            "few_shot": few_shot,
            "as_good_as_learned": [] if name == names[-1] else equal,
        }
        for name in names
    }


def test_tables_of_a_part_with_shots_say_of_how_many_episodes_they_are() -> None:
    run = replace(RUN, shots=(1,))
    tables = part_tables(PLAN, [Outcome(work=run, state="finished")], records_of(run.name))
    assert [table.title for table in tables] == [
        "All: return at k = 0",
        "All: ratio to the experts at k = 0",
        "All: ratio to the experts after k episodes",
    ]
    assert {table.group for table in tables} == {"All"}


def test_the_headline_counts_and_the_runs_are_told_one_by_one() -> None:
    works = [replace(RUN, suite=suite) for suite in ("cheetah-speed", "walker-speed")]
    lacking = [
        Outcome(work=replace(RUN, suite="finger-speed"), state="failed", reason="no luck"),
        Outcome(work=replace(RUN, suite="cheetah-torso"), state="skipped", reason="3 of 9"),
        Outcome(work=replace(RUN, suite="walker-torso"), state="unfinished"),
    ]
    done = [Outcome(work=work, state="finished") for work in works]
    records = records_of(*(work.name for work in works))
    said = headline([*done, *lacking], records)
    assert said.startswith("In 1 of 2 finished runs a row that learns nothing ")
    assert said.endswith(
        " Of 5 runs and films: 1 not run as the zoo is not complete, 1 failed, 1 still to be done."
    )
    assert "Of 2 runs" not in headline(done, records)
    assert headline(lacking, {}).startswith("No run is finished. Of 3 runs and films: ")
    assert run_by_run([*done, *lacking], records) == [
        "main/cheetah-speed: nearest (as good), against mine.",
        "Not run, the zoo is not complete: cheetah-torso (3 of 9).",
        "Failed: main/finger-speed (no luck).",
    ]


def page_of(*titles: str, group: str = "") -> Page:
    tables = tuple(Table(title=t, note="n", header=("a",), rows=(), group=group) for t in titles)
    return Page(title="P", lead=("l",), headline="In 2 of 3.", details=("x", "y"), tables=tables)


def test_the_page_opens_with_one_sentence_and_links_to_every_section() -> None:
    page = page_of("All: return at k = 0", "All: ratio, 85 %", group="All")
    whole = html(page)
    assert "<p>In 2 of 3.</p><details><summary>Run by run</summary><ul><li>x</li>" in whole
    assert "<script" not in whole and whole.index('class="contents"') < whole.index("<main>")
    links = re.findall(r'<a href="#([^"]+)">([^<]+)</a>', whole)
    assert links == [
        ("read-this-first", "Read this first"),
        ("all-return-at-k-0", "All: return at k = 0"),
        ("all-ratio-85", "ratio, 85 %"),
    ]
    assert sorted(re.findall(r'<section id="([^"]+)">', whole)) == sorted(id for id, _ in links)

    text = markdown(page)
    assert text.startswith(
        "# P\n\nl\n\n- [Read this first](#read-this-first)\n"
        "- [All: return at k = 0](#all-return-at-k--0)\n"
        "  - [ratio, 85 %](#all-ratio-85-)\n"
        "- [Run by run](#run-by-run)\n\n"
        "## Read this first\n\nIn 2 of 3. [Run by run](#run-by-run).\n\n## All: return"
    )
    assert text.endswith("## Run by run\n\n- x\n- y\n")
    nothing = replace(page, details=())
    assert "Run by run" not in markdown(nothing) and "<details>" not in html(nothing)


@pytest.mark.parametrize("titles", [("One", "Two", "One"), ("A b", "A: b"), ("Read this first",)])
def test_sections_of_one_address_are_refused(titles: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="`tables` must have titles that links tell apart, twice"):
        page_of(*titles)


@pytest.mark.parametrize("name", PLANS)
def test_the_parts_of_every_plan_have_sections_of_their_own(name: str) -> None:
    page_of(*(part.title for part in PLANS[name].parts), "Commands")
