"""Surfaces over two features, and few-shot curves."""

from typing import Any

import numpy as np
import pytest

from zeroshot.grid_figures import GAP, NAME_HEIGHT, few_shot, film_rows, surfaces
from zeroshot.suites import SUITES, Suite

JOINT = SUITES["cheetah-speed-torso"]
HELD_OUT = (3, 17)
"""Places of contexts."""


def rows_of(suite: Suite, held_out: tuple[int, ...] = HELD_OUT) -> list[dict[str, Any]]:
    """Two methods, and the expert, whose return is the place of the context."""
    shares = {"worse": 0.5, "nearest": 0.4, "better": 0.9, "expert": 1.0}
    kinds = {"expert": "reference", "nearest": "reference"}
    return [
        {
            "method": method,
            "kind": kinds.get(method, "method"),
            "context": dict(context),
            "split": "test" if i in held_out else "train",
            "return": share * i + episode,
        }
        for method, share in shares.items()
        for i, context in enumerate(suite.contexts)
        for episode in (-1.0, 1.0)
    ]


def test_a_surface_has_every_context_in_its_place() -> None:
    figure = surfaces(rows_of(JOINT), JOINT)
    assert figure is not None
    panels = [axes for axes in figure.axes if axes.images and axes.get_title()]
    assert [axes.get_title().split(":")[0] for axes in panels] == ["expert", "better", "worse"]
    speeds, torsos = (sorted({c[name] for c in JOINT.contexts}) for name in JOINT.features)
    for axes, share in zip(panels, (1.0, 0.9, 0.5), strict=True):
        shown = np.asarray(axes.images[0].get_array())
        assert shown.shape == (len(torsos), len(speeds))
        for i, context in enumerate(JOINT.contexts):
            place = torsos.index(context["torso"]), speeds.index(context["speed"])
            assert shown[place] == pytest.approx(share * i)
        assert [text.get_text() for text in axes.get_xticklabels()] == [f"{s:g}" for s in speeds]
        centres = {
            (box.get_x() + box.get_width() / 2, box.get_y() + box.get_height() / 2)
            for box in axes.patches
        }
        wanted = {
            (speeds.index(JOINT.contexts[i]["speed"]), torsos.index(JOINT.contexts[i]["torso"]))
            for i in HELD_OUT
        }
        assert {(round(x, 6), round(y, 6)) for x, y in centres} == wanted
    assert panels[0].get_xlabel() == "speed (m/s)" and panels[0].get_ylabel() == "torso (m)"


def test_a_surface_is_of_zero_shot_episodes_alone() -> None:
    adapted = [{**row, "shots": 5, "return": -1e6} for row in rows_of(JOINT)]
    figure = surfaces([*rows_of(JOINT), *adapted], JOINT)
    assert figure is not None
    assert min(float(np.min(a.images[0].get_array())) for a in figure.axes[:3]) > -2.0


def test_no_surface_without_a_whole_grid_of_two_features() -> None:
    rows = rows_of(JOINT)
    assert surfaces([row for row in rows if row["split"] == "test"], JOINT) is None
    single = SUITES["cheetah-speed"]
    assert surfaces(rows_of(single), single) is None


def test_few_shot_curves_are_drawn_a_panel_a_protocol() -> None:
    def points(*ratios: float) -> list[dict[str, Any]]:
        return [
            {"shots": shots, "ratio": ratio, "ci": [ratio - 0.1, ratio + 0.1]}
            for shots, ratio in zip((0, 1, 5), ratios, strict=False)
        ]

    curves = {
        "demonstrations": {"a": points(0.5, 0.7, 0.9), "b": points(0.8)},
        "interaction": {"a": points(0.5, 0.6, 0.7), "c": points(0.1, 0.2, 0.3)},
    }
    figure = few_shot(curves, "tiny: few-shot")
    first, second = figure.axes
    for axes, methods in ((first, {"a"}), (second, {"a", "c"})):
        lines = {line.get_label(): line for line in axes.lines}
        assert set(lines) == {*methods, "expert"}, "what cannot adapt has no curve"
    np.testing.assert_allclose(first.lines[0].get_ydata(), [0.5, 0.7, 0.9])
    np.testing.assert_allclose(first.lines[0].get_xdata(), [0, 1, 5])
    assert second.get_xlabel() == "episodes of its own in the test context"
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"a", "c", "expert"}
    with pytest.raises(ValueError, match="`curves` must have at least one protocol, got none"):
        few_shot({}, "nothing")


def test_a_row_of_frames_has_its_name_above_it() -> None:
    """Light frames between the names: what is dark and above a row is its name."""
    frames = [np.full((60, 90, 3), shade, np.uint8) for shade in (200, 220)]
    strip = film_rows(["hyperzero", "x"], [frames, frames[::-1]], side=40)
    assert strip.shape == (2 * (NAME_HEIGHT + 40) + GAP, 2 * (60 + GAP) + GAP, 3)
    for row, shades in enumerate(((200, 220), (220, 200))):
        top = row * (NAME_HEIGHT + 40)
        for column, shade in enumerate(shades):
            left = GAP + column * (60 + GAP)
            box = strip[top + NAME_HEIGHT : top + NAME_HEIGHT + 40, left : left + 60]
            assert (box[2:-2, 2:-2] == shade).all()
    ink = (strip < 100).all(axis=2)
    first, second = ink[:NAME_HEIGHT], ink[NAME_HEIGHT + 40 : 2 * NAME_HEIGHT + 40]
    assert first.sum() > 3 * second.sum() > 0 and first.sum() + second.sum() == ink.sum()
    assert not first[[0, 1, -2, -1]].any(), "whole letters"


def test_rows_of_unlike_frames_are_refused() -> None:
    small, large = (np.zeros((size, size, 3), np.uint8) for size in (8, 16))
    for rows in ([[small], [large]], [[small], [small, small]], []):
        with pytest.raises(ValueError, match="`rows` must have as many frames of one size each"):
            film_rows(["x"] * len(rows), rows, side=8)
