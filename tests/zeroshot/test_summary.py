import io
from typing import Any

import pytest
from rich.console import Console

from zeroshot.comparisons import CLUSTERS
from zeroshot.leaderboard import leaderboard, print_leaderboard
from zeroshot.summary import cells, share_of_copies, summarise_methods


def rows_of(method: str, returns: dict[tuple[int, float], tuple[float, ...]], **also: Any) -> Any:
    """Rows with an expert's return of 100 for speed 1, 200 for speed 2 and 400 for speed 3."""
    expert = {1.0: 100.0, 2.0: 200.0, 3.0: 400.0}
    return [
        {
            "method": method,
            "kind": "reference" if method == "best-single" else "method",
            "seed": seed,
            "context": {"speed": speed, "torso": 0.5},
            "split": "test",
            "episode": episode,
            "return": value,
            "expert_return": expert[speed],
            "fit_seconds": 10.0 * (seed + 1),
            **also,
        }
        for (seed, speed), values in returns.items()
        for episode, value in enumerate(values)
    ]


BLIND = rows_of(
    "best-single", {(0, 1.0): (50, 50), (0, 2.0): (0, 0), (1, 3.0): (0, 0), (1, 2.0): (0, 0)}
)
MINE = rows_of(
    "mine", {(0, 1.0): (50, 100), (0, 2.0): (200, 200), (1, 3.0): (200, 200), (1, 2.0): (0, 200)}
)


def test_a_summary_by_hand() -> None:
    found = summarise_methods(BLIND + MINE)
    assert list(found) == ["mine", "best-single"], "best score first"
    mine = found["mine"]
    assert set(mine) == {"kind", "return", "ratio", "score", "ci", "fit_seconds", "copies"}
    assert mine["kind"] == "method" and found["best-single"]["kind"] == "reference"
    assert mine["return"] == pytest.approx((75 + 200 + 200 + 100) / 4)
    assert mine["ratio"] == pytest.approx((75 + 200 + 200 + 100) / (100 + 200 + 400 + 200))
    # scores of the cells: 0.5, 1, 0.5, 0.5; the middle half of four values is two of them
    assert mine["score"] == pytest.approx(0.5)
    low, high = mine["ci"]
    assert low == pytest.approx(0.5) and 0.5 <= high <= 0.75
    assert mine["fit_seconds"] == 15.0
    assert found["best-single"]["score"] == 0.0 and found["best-single"]["ci"] == [0.0, 0.0]


def test_an_interval_redraws_contexts_within_each_seed() -> None:
    """Scores of 0.2 in one split and 0.8 in the other: no redraw within a split changes either."""
    cells = [(seed, speed) for seed in (0, 1) for speed in (1.0, 2.0, 3.0)]
    expert = {1.0: 100.0, 2.0: 200.0, 3.0: 400.0}
    share = {0: 0.2, 1: 0.8}
    mine = {(seed, speed): (share[seed] * expert[speed],) for seed, speed in cells}
    blind = rows_of("best-single", {cell: (0.0,) for cell in cells})
    found = summarise_methods(blind + rows_of("mine", mine))["mine"]
    assert found["score"] == pytest.approx(0.5)
    assert found["ci"] == pytest.approx([found["score"]] * 2)


def test_training_rows_do_not_count() -> None:
    train = rows_of("mine", {(0, 3.0): (0, 0)}, split="train")
    assert summarise_methods(BLIND + MINE + train) == summarise_methods(BLIND + MINE)
    assert cells(train, split="train") == {"mine": {(0, (3.0, 0.5)): (0.0, 400.0)}}


def test_scores_wait_for_the_blind_row() -> None:
    alone = summarise_methods(MINE)["mine"]
    assert alone["score"] is None and alone["ci"] == [None, None]
    half = [row for row in BLIND if row["seed"] == 0]
    assert summarise_methods(half + MINE)["mine"]["score"] == pytest.approx(0.75)


def test_experts_handed_out_are_counted_once_a_policy() -> None:
    """Of four policies one is an expert's; training rows and few-shot ones are others' business."""
    speeds = {(0, 1.0): (1.0, 2.0), (0, 2.0): (1.0, 2.0), (1, 2.0): (1.0, 2.0)}
    new = rows_of("mine", speeds, expert_of=None)
    copied = rows_of("mine", {(1, 1.0): (1.0, 2.0)}, expert_of={"speed": 2.0})
    assert share_of_copies(new + copied) == 0.25
    apart = [{**row, **other} for row in copied for other in ({"split": "train"}, {"shots": 5})]
    assert share_of_copies(new + apart) == 0.0
    assert summarise_methods(new + copied)["mine"]["copies"] == 0.25
    assert share_of_copies(new + rows_of("mine", {(1, 1.0): (1.0,)})) is None, "it does not say"
    assert share_of_copies(apart) is None
    assert summarise_methods(BLIND)["best-single"]["copies"] is None


def test_nothing_finished_is_no_method() -> None:
    assert summarise_methods([]) == {}


def test_the_leaderboard_says_what_was_played_and_what_was_reached() -> None:
    summary = {
        "suite": "tiny",
        "suite_version": 1,
        "methods": {**summarise_methods(BLIND + MINE), "odd": summarise_methods(MINE)["mine"]},
        "complete": False,
        "seeds": [0, 1],
        "n_test": 2,
        "episodes": 2,
    }
    stream = io.StringIO()
    print_leaderboard(summary, Console(file=stream))
    text = stream.getvalue()
    assert "2 held-out contexts x 2 episodes x 2 splits, unfinished" in text
    (line,) = [line for line in text.splitlines() if "mine" in line]
    cells_shown = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells_shown[:5] == ["mine", "method", "143.8", "0.639", "0.500"]
    assert cells_shown[-1] == "15.0"
    (unscored,) = [line for line in text.splitlines() if "odd" in line]
    assert "[-, -]" in unscored
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= 100
    assert "intervals redraw contexts" in text
    assert leaderboard(summary).row_count == 3
    stream = io.StringIO()
    score_ci = {"mine": [-0.125, 0.875]}
    print_leaderboard({**summary, "score_ci": score_ci}, Console(file=stream))
    assert "intervals redraw splits and contexts" in stream.getvalue()
    (line,) = [line for line in stream.getvalue().splitlines() if "mine" in line]
    assert "[-0.125, 0.875]" in line
    for also in ({}, {"score_ci": score_ci, "resampling": {"mine": CLUSTERS}}):
        caption = str(leaderboard({**summary, **also, "seeds": [7]}).caption)
        assert caption.endswith("intervals redraw contexts alone, of one fit")
