"""Tables of other splits, few shots and the gap."""

from typing import Any

from tests.zeroshot.test_reproduce_docs import record
from zeroshot.reproduce.other_parts import (
    few_shot_table,
    few_shot_words,
    further_parts,
    gap_table,
    split_table,
)


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def named(part: str, suite: str, ratios: dict[str, float], **changes: Any) -> dict[str, Any]:
    found = record(suite, ratios, part=part, train_fraction=0.85, gap=None, few_shot={}, **changes)
    for row in found["methods"].values():
        row.setdefault("own_seeds", [0, 1])
    return found


def test_splits_stand_in_order_and_the_best_method_is_bold() -> None:
    low = named("fractions", "cheetah-speed", {"hyperzero": 0.5, "nearest": 0.9})
    high = named("fractions", "cheetah-speed", {"hyperzero": 0.8, "hyperdistil": 0.7})
    low["split_rule"], low["train_fraction"] = "random:0.05", 0.05
    reach = named("fractions", "cheetah-speed-reach", {"hyperzero": 0.9})
    found = further_parts([reach, high, low])
    header, _, *lines = cells(found[1])
    assert header == ["suite", "split", "hyperzero", "hyperdistil", "nearest", "splits"]
    assert [line[:2] for line in lines] == [
        ["cheetah-speed", "random:0.05"],
        ["cheetah-speed", "random:0.85"],
        ["cheetah-speed-reach", "random:0.85"],
    ]
    assert lines[0][2:] == ["**0.500**", "-", "0.900", "2"], "nearest does not learn"
    assert lines[1][2:5] == ["**0.800**", "0.700", "-"]
    assert "Part `ranges`: not measured." in found and "Part `shots`: not measured." in found


def test_few_shot_curves_are_lines() -> None:
    def point(shots: int, ratio: float) -> dict[str, Any]:
        return {"shots": shots, "ratio": ratio, "ci": [ratio - 0.1, ratio + 0.1]}

    curves = {
        "demonstrations": {
            "maml": [point(0, 0.5), point(1, 0.6), point(10, 0.7)],
            "interpolation": [point(0, 0.9)],
            "maml-inner": [point(0, 0.5), point(1, 0.6), point(10, 0.7)],
        },
        "interaction": {"pearl": [point(0, 0.2), point(1, 0.3)]},
    }
    run = named("shots", "walker-speed", {"maml": 0.5})
    run["few_shot"] = curves
    header, _, *lines = cells(few_shot_table([run]))
    assert header == ["suite", "episodes", "method", "k = 0", "k = 1", "k = 10"]
    assert lines == [
        ["walker-speed", "demonstrations", "maml", "0.500 [0.400, 0.600]", "0.600 [0.500, 0.700]",
         "0.700 [0.600, 0.800]"],
        ["walker-speed", "interaction", "pearl", "0.200 [0.100, 0.300]", "0.300 [0.200, 0.400]",
         "-"],
    ]  # fmt: skip


def test_few_shot_the_best_rows_stand_side_by_side_and_losses_are_named() -> None:
    run = named("shots", "walker-speed", {"maml": 0.5})
    best = {"learned": "maml", "learned_ratio": 0.95, "row": "nearest", "row_ratio": 0.99}
    five = {**best, "shots": 5, "difference": -0.04, "ci": [-0.06, -0.01]}
    run["few_shot_best"] = {"demonstrations": [five, {**five, "shots": 10, "ci": [None, None]}]}
    run["few_shot"] = {
        "demonstrations": {
            "maml": [{"shots": 0, "ratio": 0.98}, {"shots": 5, "ratio": 0.95}],
            "film": [{"shots": 0, "ratio": 0.95}, {"shots": 5, "ratio": 0.94}],
        }
    }
    _, table, said = few_shot_words([run]).split("\n\n")
    _, _, first, second = cells(table)
    assert first == ["walker-speed", "demonstrations", "5", "maml", "0.950", "nearest", "0.990",
                     "-0.040", "[-0.060, -0.010]"]  # fmt: skip
    assert second[-1] == "[-, -]"
    assert said == (
        "Episodes can do harm: maml on walker-speed after 5 of demonstrations (0.980 to 0.950)."
    )
    assert few_shot_words([{**run, "few_shot_best": None, "few_shot": {}}]) == (
        "Episodes can do harm: nowhere here."
    )


def test_the_gap_is_that_of_the_ratios() -> None:
    run = named("surfaces", "finger-speed-length-reach", {"hyperzero": 0.9, "nearest": 0.8})
    run["gap"] = {"hyperzero": {"ratio": 0.05, "score": None}}
    header, _, line = cells(gap_table([run], ("hyperdistil", "hyperzero", "nearest")))
    assert header == ["suite", "hyperzero", "splits"]
    assert line == ["finger-speed-length-reach", "+0.050", "2"]


def test_one_split_alone_has_a_table() -> None:
    run = named("ranges", "cheetah-speed", {"hyperzero": 0.9}, split_rule="gap")
    assert cells(split_table([run], ("hyperzero",)))[2] == [
        "cheetah-speed",
        "gap",
        "**0.900**",
        "2",
    ]
