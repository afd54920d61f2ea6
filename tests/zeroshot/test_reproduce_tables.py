"""Tables of a reproduction, from made-up records."""

from typing import Any

from zeroshot.reproduce.execution import Outcome
from zeroshot.reproduce.plan import Part, Plan, PlannedRun, Preset
from zeroshot.reproduce.tables import part_tables

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
