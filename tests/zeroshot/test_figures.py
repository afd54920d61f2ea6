from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.image import imread
from numpy.typing import NDArray

from zeroshot.figures import return_versus_context, save_figure
from zeroshot.statistics import mean_interval
from zeroshot.suites import Suite

TWO = Suite(
    name="two",
    env_id="ParamCheetah-v0",
    reward="track",
    grid={"speed": (1.0, 2.0), "torso": (0.4, 0.5, 0.6)},
)
"""Of two features."""


def rows_of(suite: Suite, ids: list[int]) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    kinds = {"expert": "reference", "nearest": "reference", "best-single": "reference"}
    return [
        {
            "method": method,
            "kind": kinds.get(method, "method"),
            "seed": seed,
            "context": dict(suite.contexts[i]),
            "split": "test",
            "return": 100.0 * i + float(rng.normal()),
            "expert_return": 100.0 * i,
        }
        for method in ("expert", "nearest", "best-single", "mine", "yours")
        for seed in range(2)
        for i in ids
        for _ in range(3)
    ]


def test_one_panel_a_feature_with_the_right_axes(suite: Suite) -> None:
    ids = [0, 2, 3, 7]
    figure = return_versus_context(rows_of(suite, ids), suite, np.arange(8.0) * 100)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "speed (m/s)" and axes.get_ylabel() == "return of an episode"
    handles, labels = axes.get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    assert set(shown) == {
        "expert", "nearest", "best-single", "mine", "yours", "held out by a split",
    }  # fmt: skip
    speeds = [suite.contexts[i]["speed"] for i in ids]
    np.testing.assert_array_equal(shown["held out by a split"].get_xdata(), speeds)
    points = shown["mine"]
    assert isinstance(points, ErrorbarContainer)
    np.testing.assert_allclose(points.lines[0].get_xdata(), speeds, atol=0.1)
    np.testing.assert_allclose(points.lines[0].get_ydata(), [0, 200, 300, 700], atol=3)
    assert axes.get_ylim()[0] <= 0.0


def test_curves_never_join_the_two_directions(suite: Suite) -> None:
    figure = return_versus_context(rows_of(suite, [0, 7]), suite, np.arange(8.0))
    curves = [x for x in figure.axes[0].lines if x.get_linestyle() not in ("None", "none")]
    directions = {tuple(np.unique(np.sign(curve.get_xdata()))) for curve in curves}
    assert directions == {(-1.0,), (1.0,)}, "both are drawn, each by curves of its own"


def test_two_features_have_two_panels_that_average_over_the_other() -> None:
    figure = return_versus_context(rows_of(TWO, [0, 2, 5]), TWO, np.zeros(6))
    assert [axes.get_xlabel() for axes in figure.axes] == ["speed (m/s)", "torso (m)"]
    wanted = [[100.0, 500.0], [0.0, 350.0]]  # at torso 0.6 both speeds are held out
    for axes, means in zip(figure.axes, wanted, strict=True):
        found = axes.containers[0].lines[0]  # type: ignore[attr-defined]
        np.testing.assert_allclose(found.get_ydata(), means, atol=3.0)


def test_the_experts_line_of_a_joint_suite_is_over_the_contexts_that_were_held_out() -> None:
    """Its own episodes there, as those of all others: not the whole grid, whose mean is 1000."""
    rows = rows_of(TWO, [0, 2, 5])
    for row in rows:
        row["return"] = row["expert_return"]
    figure = return_versus_context(rows, TWO, np.full(6, 1000.0))
    for axes, x in zip(figure.axes, ([1.0, 2.0], [0.4, 0.6]), strict=True):
        shown = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        line = shown["expert"]
        np.testing.assert_allclose(line.get_xdata(), x)
        for name in ("nearest", "best-single"):
            np.testing.assert_allclose(line.get_ydata(), shown[name].get_ydata())
        np.testing.assert_allclose(line.get_ydata(), shown["mine"].lines[0].get_ydata())


def test_the_experts_line_of_one_feature_has_the_whole_grid(suite: Suite) -> None:
    (axes,) = return_versus_context(rows_of(suite, [1, 6]), suite, np.arange(8.0) * 100).axes
    lines = [line for line in axes.lines if line.get_color() == "black"]
    assert [list(line.get_ydata()) for line in lines] == [  # type: ignore[arg-type]
        [0.0, 100.0, 200.0],
        [300.0, 400.0, 500.0, 600.0, 700.0],
    ]


def test_an_unfinished_run_of_a_joint_suite_has_a_figure_too() -> None:
    assert len(return_versus_context([], TWO, np.zeros(6)).axes) == 2


def rows_by_cell(suite: Suite, returns: dict[tuple[int, int], list[float]]) -> list[dict[str, Any]]:
    """Rows of one method from (seed, place of the context) to the returns of its episodes."""
    return [
        {
            "method": "mine",
            "kind": "method",
            "seed": seed,
            "context": dict(suite.contexts[i]),
            "split": "test",
            "return": value,
            "expert_return": 100.0,
        }
        for (seed, i), values in returns.items()
        for value in values
    ]


def ends_of(axes: Axes) -> list[NDArray[np.float64]]:
    """Ends (n, 2) of the bars over fits and of the dotted ones, where there is one method."""
    found = [lines for lines in axes.collections if isinstance(lines, LineCollection)]
    assert len(found) == 2
    return [np.array([ends[:, 1] for ends in lines.get_segments() if len(ends)]) for lines in found]


def test_bars_are_over_fits_and_not_over_their_pooled_episodes(suite: Suite) -> None:
    """Five fits of 50 equal episodes; of the second value one fit, whose bar is dotted."""
    cells = {(seed, 2): [100.0 * seed] * 50 for seed in range(5)}
    figure = return_versus_context(
        rows_by_cell(suite, {**cells, (0, 5): [0.0, 1.0] * 25}), suite, np.zeros(8)
    )
    over_fits, dotted = ends_of(figure.axes[0])
    means = 100.0 * np.arange(5)
    wanted = mean_interval(means, np.random.default_rng(0))
    np.testing.assert_allclose(over_fits[~np.isnan(over_fits).any(axis=1)], [wanted])
    pooled = mean_interval(np.repeat(means, 50), np.random.default_rng(0))
    assert np.diff(wanted) > 5.0 * np.diff(pooled)
    assert dotted.shape == (1, 2) and 0.2 < dotted[0, 0] < 0.5 < dotted[0, 1] < 0.8
    assert figure.axes[0].get_title() == (
        "95 % intervals over 5 fits, or over the episodes of one fit where no other played the "
        "value (dotted)"
    )


def test_a_fit_is_one_observation_in_every_panel_of_a_joint_suite() -> None:
    """At speed 1 each fit has two contexts, whose mean is drawn: bars end at a fit's mean."""
    cells = {(0, 0): [0.0] * 20, (0, 1): [20.0] * 20, (1, 0): [40.0] * 20, (1, 1): [60.0]}
    figure = return_versus_context(rows_by_cell(TWO, cells), TWO, np.zeros(6))
    speed, torso = figure.axes
    np.testing.assert_allclose(ends_of(speed)[0], [[10.0, 50.0]])
    np.testing.assert_allclose(ends_of(torso)[0], [[0.0, 40.0], [20.0, 60.0]])
    assert speed.get_title() == torso.get_title() == "95 % intervals over 2 fits"


def test_bars_of_a_single_fit_are_over_its_contexts_where_it_has_several() -> None:
    cells = {(0, 0): [0.0] * 20, (0, 1): [20.0] * 20}
    speed, torso = return_versus_context(rows_by_cell(TWO, cells), TWO, np.zeros(6)).axes
    np.testing.assert_allclose(ends_of(speed)[1], [[0.0, 20.0]])
    assert speed.get_title() == "95 % intervals over the contexts of one fit (dotted)"
    assert torso.get_title() == "95 % intervals over the episodes of one fit (dotted)"


@pytest.mark.parametrize(
    ("held_out", "said"),
    [
        ({0: [1, 2], 1: [2, 1]}, "from 2 fits"),
        ({0: [1, 2], 1: [1, 3]}, "by 2 splits"),
        ({0: [1, 2]}, "by 1 split"),
    ],
)
def test_fits_on_one_split_are_not_called_splits(
    suite: Suite, held_out: dict[int, list[int]], said: str
) -> None:
    cells = {(seed, i): [1.0] for seed, ids in held_out.items() for i in ids}
    figure = return_versus_context(rows_by_cell(suite, cells), suite, np.zeros(8))
    assert figure.get_suptitle() == f"tiny: contexts held out {said}"


def test_a_bad_single_expert_does_not_flatten_the_others(suite: Suite) -> None:
    rows = rows_of(suite, [0, 3, 7])
    for row in rows:
        row["return"] += -9000.0 if row["method"] == "best-single" else -700.0
    figure = return_versus_context(rows, suite, np.arange(8.0) * 100 - 700)
    assert -1100.0 < figure.axes[0].get_ylim()[0] < -700.0


def test_the_legend_fits_and_tells_many_methods_apart(suite: Suite) -> None:
    rows = rows_of(suite, [1])
    mine = [row for row in rows if row["method"] == "mine"]
    for i in range(8):
        rows += [{**row, "method": f"a-method-with-a-long-name-{i}"} for row in mine]
    figure = return_versus_context(rows, suite, np.arange(8.0))
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0.0 and box.x1 <= figure.bbox.width
    looks = [
        (bars.lines[0].get_marker(), bars.lines[0].get_color())
        for bars in figure.axes[0].containers
        if isinstance(bars, ErrorbarContainer)
    ]
    assert len(looks) == len(set(looks)) == 10


def test_the_file_is_a_picture(suite: Suite, tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    save_figure(return_versus_context(rows_of(suite, [1, 2]), suite, np.arange(8.0)), path)
    picture = imread(path)
    assert picture.shape[0] > 400 and picture.shape[1] > 800 and picture.std() > 0.01
    assert list(tmp_path.iterdir()) == [path]


def test_an_unfinished_run_has_a_figure_too(suite: Suite) -> None:
    figure = return_versus_context([], suite, np.arange(8.0))
    assert figure.axes[0].get_xlabel() == "speed (m/s)"


@pytest.fixture(autouse=True)
def _no_open_figures() -> None:
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == [], "figures are made without pyplot's global state"
