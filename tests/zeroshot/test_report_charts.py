"""Numbers behind the charts, their scales, and what ends up in the drawings."""

import re
from typing import Any

import numpy as np
import pytest

from zeroshot.report.charts import (
    CHARACTER,
    NARROW,
    WIDE,
    Bar,
    Line,
    interval_chart,
    line_chart,
    method_style,
    reference_style,
)
from zeroshot.report.heat import MOST_TOOLTIPS, Shades, heat_map
from zeroshot.report.scales import Scale, spread, ticks
from zeroshot.report.series import (
    CONTEXTS,
    EPISODES,
    FITS,
    Points,
    Redrawn,
    against,
    independent_means,
    matrix,
    paired_difference,
    profile,
    ratio_interval,
    what_intervals_redraw,
)
from zeroshot.statistics import mean_interval


def rows_of(returns: dict[tuple[int, float], list[float]]) -> list[dict[str, Any]]:
    return [
        {"seed": seed, "context": {"x": x, "y": 0.0}, "return": value, "expert_return": 100.0}
        for (seed, x), values in returns.items()
        for value in values
    ]


MINE = rows_of({(0, 1.0): [40.0, 60.0], (0, 2.0): [80.0, 80.0], (1, 1.0): [50.0, 50.0]})
YOURS = rows_of({(0, 1.0): [30.0], (0, 2.0): [60.0], (1, 1.0): [30.0], (1, 9.0): [999.0]})


def test_means_against_a_value_by_hand() -> None:
    found = against(MINE, lambda row: row["context"]["x"])
    assert found.x.tolist() == [1.0, 2.0] and found.mean.tolist() == [50.0, 80.0]
    assert found.low[0] == found.high[0] == 50.0, "both fits have this mean"
    assert found.low[1] == found.high[1] == 80.0
    assert [str(redrawn) for redrawn in found.redrawn] == ["2 fits", "2 episodes"]
    assert found.of_one_fit.tolist() == [False, True]
    assert against([], lambda row: 0.0).x.shape == (0,)


def test_intervals_are_over_fits_however_many_episodes_each_has() -> None:
    """Five fits with 50 equal episodes each: pooled, these would be 250 observations."""
    rows = rows_of({(seed, 1.0): [10.0 * seed] * 50 for seed in range(5)})
    found = against(rows, lambda row: row["context"]["x"])
    low, high = mean_interval(np.arange(5.0) * 10.0, np.random.default_rng(0))
    assert (found.mean[0], found.low[0], found.high[0]) == (20.0, low, high)
    pooled = np.diff(mean_interval(np.repeat(np.arange(5.0) * 10.0, 50), np.random.default_rng(0)))
    assert found.redrawn == (Redrawn(FITS, 5),) and high - low > 5.0 * pooled
    shuffled = against(rows[::-1], lambda row: row["context"]["x"])
    assert (shuffled.low[0], shuffled.high[0]) == (low, high)


def test_a_fit_counts_once_over_its_contexts_and_these_over_their_episodes() -> None:
    """By hand, against y: of fit 0 the contexts' means are 10 and 30, of fit 1 there is one."""
    rows = rows_of({(0, 1.0): [5.0, 15.0], (0, 2.0): [30.0], (1, 1.0): [80.0, 80.0, 80.0]})
    what, means = independent_means(rows)
    assert what == FITS and means.tolist() == [20.0, 80.0]
    assert against(rows, lambda row: row["context"]["y"]).mean.tolist() == [50.0]


def test_of_a_single_fit_contexts_are_redrawn_and_of_a_single_context_episodes() -> None:
    of_contexts = rows_of({(3, 1.0): [0.0, 20.0] * 50, (3, 2.0): [90.0]})
    what, means = independent_means(of_contexts)
    assert what == CONTEXTS and means.tolist() == [10.0, 90.0]
    found = against(of_contexts, lambda row: row["context"]["y"])
    assert (found.mean[0], found.low[0], found.high[0]) == (50.0, 10.0, 90.0)
    what, means = independent_means(of_contexts[:3])
    assert what == EPISODES and means.tolist() == [0.0, 20.0, 0.0]


@pytest.mark.parametrize(
    ("redrawn", "said"),
    [
        ([], ""),
        ([(FITS, 5), (FITS, 5)], "over 5 fits"),
        ([(FITS, 4), (FITS, 2)], "over 2 to 4 fits"),
        ([(EPISODES, 10)], "over the episodes of one fit"),
        ([(EPISODES, 10), (CONTEXTS, 3)], "over the contexts or episodes of one fit"),
        (
            [(FITS, 2), (EPISODES, 10)],
            "over 2 fits, or over the episodes of one fit where no other played the value",
        ),
    ],
)
def test_what_intervals_are_over_in_words(redrawn: list[tuple[str, int]], said: str) -> None:
    none = np.zeros(len(redrawn))
    points = Points(none, none, none, none, tuple(Redrawn(*each) for each in redrawn))
    assert what_intervals_redraw([points]) == said == what_intervals_redraw([points, points])


def test_ratios_and_paired_differences_by_hand() -> None:
    ratio, low, high = ratio_interval(MINE)
    assert ratio == pytest.approx((50 + 80 + 50) / 300) and 0.5 <= low <= ratio <= high <= 0.8
    difference, low, high = paired_difference(MINE, YOURS)  # the cell of x = 9 is not shared
    assert difference == pytest.approx((20 + 20 + 20) / 300)
    assert (low, high) == (pytest.approx(0.2), pytest.approx(0.2))
    with pytest.raises(ValueError, match="needs contexts that both methods played, got none"):
        paired_difference(MINE, rows_of({(5, 1.0): [1.0]}))


def test_more_is_better_for_negative_returns_too() -> None:
    """-33 and -45 where experts have -30: ratios of 0.9 and 0.5, the first ahead by 0.4."""
    mine = [{**row, "return": -33.0, "expert_return": -30.0} for row in MINE]
    yours = [{**row, "return": -45.0, "expert_return": -30.0} for row in MINE]
    assert ratio_interval(mine) == pytest.approx((0.9, 0.9, 0.9))
    assert ratio_interval(yours) == pytest.approx((0.5, 0.5, 0.5))
    assert paired_difference(mine, yours) == pytest.approx((0.4, 0.4, 0.4))
    np.testing.assert_array_equal(profile(mine, np.array([0.5, 0.9 - 1e-9, 0.95])), [1, 1, 0])


def test_profiles_and_matrices_by_hand() -> None:
    shares = np.array([0.0, 0.5, 0.51, 0.8, 0.81])
    np.testing.assert_allclose(profile(MINE, shares), [1, 1, 1 / 3, 1 / 3, 0])
    found = matrix(MINE, ("x", "y"), (np.array([1.0, 2.0, 3.0]), np.array([0.0])))
    np.testing.assert_array_equal(found, [[50.0, 80.0, np.nan]])


def test_scales_and_ticks() -> None:
    scale = Scale(0.0, 10.0, 100.0, 0.0)
    assert scale(2.5) == 75.0 and scale.clipped(99.0) == 0.0
    assert ticks(-10.0, 10.0, 4) == [-10.0, -5.0, 0.0, 5.0, 10.0]
    assert ticks(0.28, 0.72, 5) == [0.3, 0.4, 0.5, 0.6, 0.7]
    assert ticks(3.0, 3.0) == [3.0]


def test_labels_are_moved_apart_and_stay_inside() -> None:
    assert spread([50.0, 10.0], 16.0, 0.0, 100.0) == [50.0, 10.0]
    found = spread([99.0, 98.0, 20.0], 16.0, 0.0, 100.0)
    assert found == [100.0, 84.0, 20.0]
    crowded = spread([5.0] * 4, 16.0, 0.0, 40.0)
    assert np.diff(sorted(crowded)).tolist() == [16.0] * 3


def test_a_curve_breaks_at_zero_and_has_its_band_and_labels() -> None:
    x = np.array([-2.0, -1.0, 1.0, 2.0])
    line = Line(
        name="mine", x=x, y=x + 5, low=x + 4, high=x + 6, style=method_style(0), breaks_at_zero=True
    )
    chart = line_chart(
        [line], width=WIDE, label="l", x_label="speed", y_label="return", rug=[(1.0, True)]
    )
    assert len(re.findall(r'class="line"', chart)) == 2 == len(re.findall('class="band"', chart))
    assert len(re.findall('class="mark"', chart)) == 4 and 'class="rug held"' in chart
    assert ">mine</text>" in chart and 'role="img" aria-label="l"' in chart
    narrow = line_chart([line], width=NARROW, label="l", x_label="speed", y_label="return")
    assert ">mine</text>" not in narrow and 'viewBox="0 0 328 270"' in narrow


def test_a_line_far_below_leaves_the_chart_instead_of_flattening_all_others() -> None:
    x = np.array([0.0, 1.0, 2.0, 3.0])
    mine = Line(name="mine", x=x, y=np.array([0.0, -10.0, -10.0, -10.0]), style=method_style(0))
    heights = np.array([-5.0, -25.0, -400.0, -5.0])

    def drawn(may_leave: bool) -> tuple[str, list[float]]:
        blind = Line(
            name="blind", x=x, y=heights, style=reference_style("best-single"), may_leave=may_leave
        )
        chart = line_chart([blind, mine], width=WIDE, label="l", x_label="x", y_label="y")
        (path,) = re.findall(r'd="([^"]*)"[^>]*><title>blind', chart)
        ticks_shown = re.findall(r">(−?\d+)</text>", chart.split('class="axis"')[0])
        return path, [float(tick.replace("−", "-")) for tick in ticks_shown]

    path, shown = drawn(may_leave=True)
    assert min(shown) == -15.0, "half of what the others span below them"
    moves = path.split("M")[1:]
    assert [move.count("L") for move in moves] == [1, 1], "it leaves, and comes back"
    lowest = [
        float(move.split("L")[k].split(" ")[1]) for move, k in zip(moves, (1, 0), strict=True)
    ]
    assert lowest[0] == lowest[1] == 350.0 - 52.0, "at the axis"
    heights[1] = 30.0
    path, shown = drawn(may_leave=True)
    assert max(shown) == 30.0 and "-" not in path, "upwards it is followed"
    heights[1] = -25.0
    path, shown = drawn(may_leave=False)
    assert min(shown) == -400.0 and path.count("M") == 1 and path.count("L") == 3


def test_long_names_are_shortened_and_leave_room_for_the_drawing() -> None:
    """A limit on the number of characters stands for clipped text."""
    name = "my_package.my_module.with.a.very.long.path:" + "Method" * 15 + "End"
    x = np.array([1.0, 2.0])
    line = Line(name=name, x=x, y=x, low=x, high=x, style=method_style(0))
    curves = line_chart([line], width=WIDE, label="l", x_label="x", y_label="y")
    bar = Bar(name=name, value=0.9, low=0.8, high=1.0, style=method_style(0))
    for width in (WIDE, NARROW):
        chart = interval_chart([bar], width=width, label="l", x_label="x", x_range=(0.0, 1.0))
        for drawing in (chart, curves):
            (shown,) = re.findall(r">(…[^<]*End)</text>", drawing)
            assert len(shown) * CHARACTER <= width
    places = [float(x) for x in re.findall(r'd="M([\d.-]+) ', curves)]
    assert min(places) >= 0.0 and max(places) < WIDE


def test_what_is_left_of_the_axis_is_an_arrow_with_its_number() -> None:
    bars = [
        Bar(name="good", value=0.9, low=0.8, high=1.0, style=method_style(0)),
        Bar(name="bad", value=-3.0, low=-4.0, high=-2.0, style=reference_style("zero")),
    ]
    chart = interval_chart(bars, width=WIDE, label="l", x_label="score", x_range=(-0.25, 1.05))
    assert chart.count('class="interval"') == 1 and ">−3.00</text>" in chart


def test_styles_of_methods_differ() -> None:
    assert len({(s.colour, s.marker) for s in map(method_style, range(36))}) == 36


@pytest.mark.parametrize("n", [3, 40])
def test_maps_show_every_cell_and_leave_holes(n: int) -> None:
    values = np.arange(float(n * n)).reshape(n, n)
    values[0, 0] = np.nan
    names = [str(i) for i in range(n)]
    chart = heat_map(
        values, x_ticks=names, y_ticks=names, x_label="x", y_label="y", label="l",
        shades=Shades(low=0.0, high=float(n * n)),
    )  # fmt: skip
    if n * n <= MOST_TOOLTIPS:
        assert chart.count("<title>") == n * n - 1 and chart.count('class="empty"') == 1
        assert "<title>1, 0: 1</title>" in chart
    else:
        assert sum(path.count("M") for path in re.findall(r'd="([^"]*)"', chart)) == n * n - 1
        assert len(chart) < 80_000


def test_cells_of_a_map_are_framed() -> None:
    names = ["0", "1"]
    values, outlined = np.zeros((2, 2)), np.array([[False, True], [True, True]])
    options = {"x_ticks": names, "y_ticks": names, "x_label": "x", "y_label": "y", "label": "l"}
    shades = Shades(low=0.0, high=1.0)
    assert heat_map(values, shades=shades, outlined=outlined, **options).count('"framed"') == 3
    assert "framed" not in heat_map(values, shades=shades, **options)


def test_colours_run_from_end_to_end() -> None:
    shades = Shades(low=-1.0, high=1.0, diverging=True)
    assert shades.colour(-9.0) == (0xB3, 0x58, 0x06) and shades.colour(1.0) == (0x21, 0x66, 0xAC)
    assert shades.colour(0.0) == (0xF7, 0xF7, 0xF7)
