from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.image import imread

from zeroshot.figures import return_versus_context, save_figure
from zeroshot.suites import Suite


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
    for line in figure.axes[0].lines:
        x = np.asarray(line.get_xdata())
        if line.get_linestyle() not in ("None", "none"):
            assert (x < 0).all() or (x > 0).all()


def test_two_features_have_two_panels_that_average_over_the_other() -> None:
    suite = Suite(
        name="two",
        env_id="ParamCheetah-v0",
        reward="track",
        grid={"speed": (1.0, 2.0), "torso": (0.4, 0.5, 0.6)},
    )
    figure = return_versus_context(rows_of(suite, [0, 5]), suite, np.arange(6.0) * 100)
    assert [axes.get_xlabel() for axes in figure.axes] == ["speed (m/s)", "torso (m)"]
    curves = [
        np.asarray(axes.lines[0].get_ydata()).tolist()  # type: ignore[attr-defined]
        for axes in figure.axes
    ]
    assert curves == [[100.0, 400.0], [150.0, 250.0, 350.0]]


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
