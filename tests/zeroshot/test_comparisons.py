import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from zeroshot.comparisons import (
    CLUSTERS,
    PROFILE_TAUS,
    WITHIN_CONTEXTS,
    compare,
    few_shot_best,
    few_shot_curves,
    resamples,
)
from zeroshot.leaderboard import print_leaderboard, warnings
from zeroshot.summary import cells, summarise_methods

EXPERT = 100.0
LEARNED = ("mine", "other", "interpolation")


def rows_of(method: str, returns: dict[tuple[int, float], float], **also: Any) -> Any:
    """One episode a cell; every expert has 100."""
    return [
        {
            "method": method,
            "kind": "method" if method.split("-")[0] in LEARNED else "reference",
            "seed": seed,
            "context": {"speed": speed},
            "split": "test",
            "return": value,
            "expert_return": EXPERT,
            "fit_seconds": 1.0,
            **also,
        }
        for (seed, speed), value in returns.items()
    ]


def same(values: list[list[float]]) -> dict[tuple[int, float], float]:
    """Runs by contexts, the same contexts in every run."""
    return {(s, float(c)): v for s, run in enumerate(values) for c, v in enumerate(run)}


MINE = same([[90.0, 80.0], [70.0, 80.0]])
OTHER = same([[50.0, 80.0], [60.0, 40.0]])
ROWS = rows_of("best-single", same([[0.0, 0.0], [0.0, 0.0]])) + rows_of("mine", MINE)
ROWS += rows_of("other", OTHER)


def compared(rows: Any) -> dict[str, Any]:
    return compare(rows, summarise_methods(rows))


def test_a_pair_by_hand() -> None:
    found = compared(ROWS)
    pair = found["vs"]["mine"]["other"]
    assert pair["difference"] == pytest.approx((320 - 230) / 400)
    # context 0: 90 and 70 beat 50 and 60: 1; context 1: 80, 80 against 80, 40: 3 / 4
    assert pair["probability"] == pytest.approx((1 + 0.75) / 2)
    assert pair["n_cells"] == 4
    low, high = pair["ci"]
    # differences by context are (40, 10) and (0, 40): means of two drawn from each
    assert low == pytest.approx(0.05) and high == pytest.approx(0.40)
    assert found["vs"]["other"]["mine"]["difference"] == pytest.approx(-pair["difference"])
    assert set(found["vs"]) == {"mine", "other"}, "references are only compared with"
    assert set(found["resampling"].values()) == {WITHIN_CONTEXTS}


def test_pairs_are_paired() -> None:
    # The cells differ a lot and the methods by 5 in each of them: the interval is that 5.
    base = {(s, 10.0 * s + c): 10.0 * s + 20.0 * c for s in range(3) for c in range(4)}
    rows = rows_of("mine", {cell: value + 5.0 for cell, value in base.items()})
    found = compared(rows + rows_of("other", base))
    pair = found["vs"]["mine"]["other"]
    assert pair["ci"] == pytest.approx([0.05, 0.05])
    assert pair["probability"] == 1.0
    assert found["resampling"]["mine"] == CLUSTERS


def test_cells_of_one_method_alone_do_not_count() -> None:
    rows = rows_of("mine", MINE) + rows_of("other", {k: v for k, v in OTHER.items() if k[0] == 1})
    pair = compared(rows)["vs"]["mine"]["other"]
    assert pair["n_cells"] == 2 and pair["difference"] == pytest.approx((150 - 100) / 200)
    apart = rows_of("mine", MINE) + rows_of("other", {(7, 9.0): 1.0})
    assert compared(apart)["vs"] == {"mine": {}, "other": {}}


def test_what_is_redrawn() -> None:
    shared = [(seed, (speed,)) for seed in (0, 1) for speed in (1.0, 2.0)]
    assert resamples(shared)[0] == WITHIN_CONTEXTS
    assert resamples([(0, (1.0,)), (0, (2.0,)), (1, (1.0,)), (1, (3.0,))])[0] == CLUSTERS
    with pytest.raises(ValueError, match=r"all seeds must have as many contexts, got \[1, 2\]"):
        resamples([(0, (1.0,)), (1, (2.0,)), (1, (3.0,))])
    name, ids = resamples([(0, (1.0,)), (0, (2.0,))])
    assert name == CLUSTERS and len(np.unique(ids[:50], axis=0)) > 1, "one run: contexts"


def test_profiles_and_intervals_of_scores() -> None:
    found = compared(ROWS)
    profile = dict(zip(found["profile"]["taus"], found["profile"]["methods"]["mine"], strict=True))
    assert len(profile) == len(PROFILE_TAUS)  # scores are 0.9, 0.8, 0.7, 0.8
    assert (profile[0.65], profile[0.75], profile[0.85], profile[0.95]) == (1.0, 0.75, 0.25, 0.0)
    low, high = found["score_ci"]["mine"]
    assert 0.7 <= low <= summarise_methods(ROWS)["mine"]["score"] <= high <= 0.9


def test_the_gap_needs_training_rows() -> None:
    assert compared(ROWS)["gap"] == {}
    blind = rows_of("best-single", same([[20.0]]), split="train")
    train = rows_of("mine", same([[90.0, 100.0], [90.0, 100.0]]), split="train")
    gap = compared(ROWS + train)["gap"]["mine"]
    assert gap == {"ratio": pytest.approx(0.95 - 0.80), "score": None}
    gap = compared(ROWS + blind + train)["gap"]["mine"]
    # of the trained cells only (0, 0) has a blind return: (90 - 20) / (100 - 20)
    assert gap["score"] == pytest.approx(70 / 80 - 0.80)


def told(rows: Any) -> str:
    summary = {
        "suite": "tiny",
        "suite_version": 1,
        "split_rule": "gap",
        "methods": summarise_methods(rows),
        **compared(rows),
        "complete": True,
        "seeds": [0, 1],
        "n_test": 2,
        "episodes": 1,
        "shots": [1, 5],
        "few_shot": few_shot_curves(rows),
        "few_shot_best": few_shot_best(rows),
    }
    stream = io.StringIO()
    print_leaderboard(summary, Console(file=stream))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    return text


def test_the_leaderboard_begins_with_what_needs_no_learning() -> None:
    near = rows_of("nearest", same([[90.0, 70.0], [75.0, 80.0]]))
    (found,) = compared(ROWS + near)["as_good_as_learned"]
    assert (found["row"], found["learned"]) == ("nearest", "mine")
    assert found["ci"][0] <= 0.0 and found["difference"] == pytest.approx(0.0125)
    text = " ".join(told(ROWS + near).split())
    assert text.startswith(
        "nearest, which learns nothing, is not told apart from mine, the best learned method: "
        "difference of the ratios +0.013 for mine, 95 % interval [-"
    )
    assert "better than" not in text
    assert "x 2 splits (gap)" in text
    assert "intervals redraw fits within each context" in text


def test_a_row_that_is_surely_better_is_called_so() -> None:
    """Also once there are episodes of the test context."""
    near = same([[95.0, 99.0], [95.0, 99.0]])
    after = {"protocol": "demonstrations", "split": "test", "shots": 1}
    rows = ROWS + rows_of("nearest", near) + rows_of("nearest", near, **after)
    rows += rows_of("mine", same([[85.0, 90.0], [86.0, 89.0]]), **after)
    found = compared(rows)
    (pair,) = found["as_good_as_learned"]
    low, high = pair["ci"]
    assert low < pair["difference"] < high < 0.0
    said = warnings({**found, "few_shot_best": few_shot_best(rows)})
    assert said[0] == (
        "nearest, which learns nothing, is better than mine, the best learned method: mine's ratio "
        f"is lower by {-pair['difference']:.3f}, 95 % interval [{-high:.3f}, {-low:.3f}]"
    )
    assert said[1].startswith(
        "nearest, which learns nothing, is better than mine, the best learned method, after 1 "
        "episode of demonstrations: mine's ratio is lower by 0.095, 95 % interval [0.0"
    )
    assert len(said) == 2


def test_the_best_is_so_by_what_pairs_are_compared_by() -> None:
    """Interquartile means of scores, by which the table is sorted, pass failures by."""
    steady = same([[90.0, 90.0, 90.0, 90.0]])
    failing = same([[95.0, 95.0, 95.0, 0.0]])
    rows = rows_of("best-single", same([[0.0] * 4])) + rows_of("mine", steady)
    rows += rows_of("other", failing)
    assert next(iter(summarise_methods(rows))) == "other"
    found = compared(rows + rows_of("nearest", same([[92.0, 85.0, 92.0, 92.0]])))
    assert found["best_learned"] == "mine"
    assert {row["learned"] for row in found["as_good_as_learned"]} == {"mine"}
    more = rows + rows_of("mine-without-part", same([[99.0] * 4]))
    assert compared(more)["best_learned"] == "mine", "a variant of many is best by chance"
    alone = [row for row in more if row["method"] not in ("mine", "other")]
    assert compared(alone)["best_learned"] == "mine-without-part"


def test_the_best_is_so_on_the_cells_that_all_methods_have() -> None:
    """Of two splits one may be harder, and not all methods may have been played on it."""
    rows = rows_of("mine", same([[80.0], [20.0]])) + rows_of("other", same([[70.0]]))
    rows += rows_of("best-single", same([[0.0], [0.0]]))
    assert compared(rows)["best_learned"] == "mine"


def test_interpolation_counts_as_learning_nothing() -> None:
    found = compared(ROWS + rows_of("interpolation", same([[95.0, 95.0], [95.0, 95.0]])))
    (row,) = found["as_good_as_learned"]
    assert (row["row"], row["learned"]) == ("interpolation", "mine") and row["difference"] < 0


def test_nothing_is_said_where_learning_pays_or_nothing_learned() -> None:
    far = rows_of("nearest", same([[10.0, 20.0], [10.0, 20.0]]))
    assert compared(ROWS + far)["as_good_as_learned"] == []
    assert "learns nothing" not in told(ROWS + far)
    references = [row for row in ROWS + far if row["kind"] == "reference"]
    assert compared(references)["as_good_as_learned"] == []
    assert compare([], {})["vs"] == {}


def test_few_shot_intervals_hold_their_ratio_for_negative_returns() -> None:
    after = {"protocol": "demonstrations", "split": "test", "shots": 1}
    rows = rows_of("mine", same([[-90.0, -130.0], [-110.0, -115.0]]))
    rows += rows_of("mine", same([[-101.0, -95.0], [-103.0, -99.0]]), **after)
    for row in rows:
        row["expert_return"] = -EXPERT
    points = few_shot_curves(rows)["demonstrations"]["mine"]
    assert [point["ratio"] for point in points] == pytest.approx([0.8875, 1.005])
    assert all(point["ci"][0] < point["ratio"] < point["ci"][1] for point in points)


def test_few_shot_the_best_learned_is_compared_with_what_learns_nothing() -> None:
    after = {"protocol": "demonstrations", "split": "test"}
    rows = ROWS + rows_of("mine", same([[99.0, 99.0], [99.0, 99.0]]), shots=1, **after)
    rows += rows_of("other", same([[90.0, 90.0], [90.0, 90.0]]), shots=1, **after)
    rows += rows_of("nearest", same([[80.0, 82.0], [80.0, 82.0]]), shots=1, **after)
    rows += rows_of("from-scratch", same([[100.0, 100.0], [100.0, 100.0]]), shots=1, **after)
    rows += rows_of("mine", same([[94.0, 96.0], [94.0, 96.0]]), shots=5, **after)
    rows += rows_of("nearest", same([[97.0, 95.0], [94.0, 95.0]]), shots=5, **after)
    first, second = few_shot_best(rows)["demonstrations"]
    assert (first["shots"], first["learned"], first["row"]) == (1, "mine", "nearest")
    assert (first["learned_ratio"], first["row_ratio"]) == pytest.approx((0.99, 0.81))
    assert first["difference"] == pytest.approx(0.18) and first["ci"][0] > 0.0
    assert (second["shots"], second["difference"]) == (5, pytest.approx(-0.0025))
    text = " ".join(told(rows).split())
    assert (
        "nearest, which learns nothing, is not told apart from mine, the best learned method, "
        "after 5 episodes of demonstrations: difference of the ratios -0.003 for mine, 95 % "
        "interval [-" in text
    )
    assert "of demonstrations: mine" not in text and "after 1 episode" not in text
    assert few_shot_best(ROWS) == {}
    without = [row for row in rows if row["method"] != "nearest"]
    assert few_shot_best(without) == {}, "there is nothing to compare with"


def test_few_shot_curves_begin_with_the_zero_shot_rows() -> None:
    after = {"protocol": "demonstrations", "split": "test"}
    rows = ROWS + rows_of("mine", same([[100.0, 90.0], [90.0, 100.0]]), shots=5, **after)
    rows += rows_of("mine", same([[90.0, 90.0], [90.0, 90.0]]), shots=1, **after)
    curves = few_shot_curves(rows)
    assert set(curves) == {"demonstrations"} and set(curves["demonstrations"]) == {"mine", "other"}
    mine = curves["demonstrations"]["mine"]
    assert [point["shots"] for point in mine] == [0, 1, 5]
    assert [point["ratio"] for point in mine] == pytest.approx([0.8, 0.9, 0.95])
    assert mine[1]["ci"] == pytest.approx([0.9, 0.9]) and mine[2]["return"] == 95.0
    assert [point["shots"] for point in curves["demonstrations"]["other"]] == [0]
    assert cells(rows) == cells(ROWS), "the other numbers stay zero-shot"
    text = told(rows)
    title = "ratio after k episodes in the test context: demonstrations"
    assert title in " ".join(text.split())
    (line,) = [line for line in text.splitlines() if "0.900" in line and "0.950" in line]
    assert "0.800" in line and "mine" in line
    assert few_shot_curves(ROWS) == {}


def test_a_single_cell_has_no_interval_and_proves_nothing() -> None:
    rows = rows_of("best-single", same([[0.0]])) + rows_of("mine", same([[80.0]]))
    found = compared(rows + rows_of("nearest", same([[79.9]])))
    assert [row["row"] for row in found["as_good_as_learned"]] == ["best-single", "nearest"]
    few = [{**found["as_good_as_learned"][1], "shots": 1, "ci": [None, None]}]
    assert warnings({**found, "few_shot_best": {"interaction": few}})[1:] == [
        "nearest, which learns nothing, is not told apart from mine, the best learned method"
        f"{after}: difference of the ratios +0.001 for mine"
        for after in ("", ", after 1 episode of interaction")
    ]
    assert summarise_methods(rows)["mine"]["ci"] == [None, None]


def test_a_context_without_a_scale_of_scores_is_named() -> None:
    rows = rows_of("best-single", same([[0.0, 0.0]])) + rows_of("mine", same([[1.0, 0.0]]))
    for row in rows:
        if row["context"]["speed"] == 1.0:
            row["expert_return"] = 0.0
    with pytest.raises(ValueError, match=r"an expert's return of 0 in the context \[1\.0\]"):
        summarise_methods(rows)
