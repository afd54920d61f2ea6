from typing import Any

import numpy as np
import pytest

from zeroshot.finetune_figures import return_versus_steps
from zeroshot.finetune_results import summarise
from zeroshot.finetune_statistics import expert_target, largest_dip, steps_to_reach

STEPS = [0, 10, 20, 30]


def test_steps_to_reach_is_the_first_evaluation_at_or_above_the_target() -> None:
    curves = [[1.0, 5.0, 3.0, 6.0], [5.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]]
    np.testing.assert_array_equal(steps_to_reach(STEPS, curves, [5.0, 5.0, 5.0]), [10, 0, np.inf])
    np.testing.assert_array_equal(steps_to_reach(STEPS, curves, [5.5, 6.0, 4.0]), [30, np.inf, 30])
    assert steps_to_reach(STEPS, curves[0], 3.5) == 10


def test_largest_dip_is_measured_from_the_start_and_never_negative() -> None:
    curves = [[5.0, 2.0, 9.0, 4.0], [5.0, 6.0, 7.0, 5.0], [-3.0, -1.0, -10.0, 0.0]]
    np.testing.assert_array_equal(largest_dip(curves), [3.0, 0.0, 7.0])
    assert largest_dip([4.0]) == 0.0


def test_the_target_lies_below_the_expert_for_negative_returns_too() -> None:
    np.testing.assert_allclose(expert_target([900.0, -20.0, 0.0]), [855.0, -21.0, 0.0])
    assert expert_target(100.0, 1.0) == 100.0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: steps_to_reach([0, 0], [1.0, 2.0], 1.0), "`steps` must ascend"),
        (lambda: steps_to_reach([], [], 1.0), "`steps` must ascend"),
        (lambda: steps_to_reach(STEPS, [1.0], 1.0), "with 4 points, got (1,)"),
        (lambda: largest_dip([]), "`returns` must be (..., n_points), got (0,)"),
        (lambda: expert_target(1.0, 0.0), "`share` must be in (0, 1], got 0"),
    ],
)
def test_errors(call, text: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert text in str(error.value)


def record(start: str, context: str, seed: int, returns: list[float]) -> dict[str, Any]:
    return {
        "suite": "tiny",
        "start": start,
        "context": context,
        "seed": seed,
        "values": {"speed": float(context.partition("=")[2])},
        "steps": [0, 10, 20],
        "returns": [[value - 1.0, value + 1.0] for value in returns],
        "expert_return": 100.0,
        "seconds": 2.0 + seed,
    }


def test_the_summary_of_runs_worked_out_by_hand() -> None:
    records = [
        record("nearest", "speed=1", 0, [80.0, 60.0, 96.0]),
        record("nearest", "speed=1", 1, [80.0, 95.0, 90.0]),
        record("nearest", "speed=2", 0, [80.0, 90.0, 94.0]),
        record("scratch", "speed=1", 0, [0.0, 10.0, 20.0]),
    ]
    found = summarise(records)
    assert found["nearest"] == {
        "runs": 3,
        "contexts": 2,
        "start_return": 80.0,
        "end_return": pytest.approx(93.333),
        "expert_return": 100.0,
        "reached": 2,
        "median_steps": 20,
        "largest_dip": pytest.approx(6.667),
        "dipped": 1,
        "seconds": pytest.approx(2.3),
    }
    assert found["scratch"]["median_steps"] is None and found["scratch"]["reached"] == 0
    assert found["scratch"]["largest_dip"] == found["scratch"]["dipped"] == 0


def test_the_figure_has_a_panel_a_context_and_intervals_over_seeds() -> None:
    records = [
        record(start, context, seed, [10.0, 40.0 + 10.0 * seed, 90.0])
        for start in ("mine", "nearest", "scratch")
        for context in ("speed=10", "speed=2")
        for seed in range(3)
    ]
    figure = return_versus_steps(records)
    closer = " (given policies alone)"
    titles = ["speed=2", "speed=10", f"speed=2{closer}", f"speed=10{closer}"]
    assert [axes.get_title() for axes in figure.axes] == titles
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", *["environment steps"] * 2]
    colours = [{line.get_label(): line.get_color() for line in axes.lines} for axes in figure.axes]
    assert set(colours[0]) - set(colours[2]) == {"scratch"}
    assert colours[0] == {**colours[2], "scratch": colours[0]["scratch"]}
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().width <= figure.bbox.width
    axes = figure.axes[0]
    handles, labels = axes.get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    assert set(shown) == {"expert", "95% of it", "mine", "nearest", "scratch"}
    np.testing.assert_allclose(shown["mine"].get_xdata(), [0, 10, 20])
    np.testing.assert_allclose(shown["mine"].get_ydata(), [10, 50, 90])
    assert set(np.ravel(shown["95% of it"].get_ydata())) == {95.0}
    assert len(axes.collections) == 3
    corners = axes.collections[0].get_paths()[0].vertices
    middle = corners[corners[:, 0] == 10.0, 1]
    assert 40.0 <= middle.min() < 50.0 < middle.max() <= 60.0
    alone = return_versus_steps([r for r in records if r["seed"] == 0])
    assert not alone.axes[0].collections, "one seed has no interval"
    given = return_versus_steps([r for r in records if r["start"] != "scratch"])
    assert [axes.get_title() for axes in given.axes] == ["speed=2", "speed=10"]
    assert [axes.get_xlabel() for axes in given.axes] == ["environment steps"] * 2
    with pytest.raises(ValueError, match="`records` must hold at least one run, got none"):
        return_versus_steps([])
