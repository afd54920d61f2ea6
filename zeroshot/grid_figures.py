"""Pictures beyond return against context: surfaces over two features, few-shot curves, films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from zeroshot.figures import add_legend, method_style
from zeroshot.references import EXPERT
from zeroshot.report.heat import SEQUENTIAL
from zeroshot.report.series import matrix
from zeroshot.results import Row
from zeroshot.suites import Suite

MOST_SURFACES = 4
"""Panels of a picture, the expert's among them."""

STRIP_PAPER, STRIP_INK = "#e9e9e6", "#1c1d1f"
"""Behind a strip's names, and of them: readable by itself on light pages and on dark ones."""

NAME_HEIGHT, GAP = 26, 3
"""Of a strip, pixels: room above a row for its name, distance between frames."""

PROTOCOLS = {
    "demonstrations": "demonstrations of its expert",
    "interaction": "episodes of its own",
}


def surfaces(rows: Sequence[Row], suite: Suite) -> Figure | None:
    """Mean return over both features of a suite: the expert, then methods, best first.

    None for a suite without two features, and for a run that did not play its whole grid. Framed
    cells are contexts that some split held out; their returns are those while they were.

    Args:
        rows: of a run.
        suite: the run's suite.
    """
    zero_shot = [row for row in rows if not row.get("shots")]
    played = {tuple(row["context"].values()) for row in zero_shot}
    if len(suite.features) != 2 or len(played) < len(suite.contexts):
        return None
    first, second = suite.features
    grid = (
        np.unique([float(context[first]) for context in suite.contexts]),
        np.unique([float(context[second]) for context in suite.contexts]),
    )
    kinds = {row["method"]: row["kind"] for row in zero_shot}
    parts = {split: [r for r in zero_shot if r["split"] == split] for split in ("test", "train")}
    shown: dict[str, NDArray[np.float64]] = {}
    held_out = ~np.isnan(matrix(parts["test"], (first, second), grid))
    for name in (n for n in kinds if n == EXPERT or kinds[n] == "method"):
        test, train = (
            matrix([row for row in own if row["method"] == name], (first, second), grid)
            for own in parts.values()
        )
        shown[name] = np.where(held_out, test, train)
    order = sorted(shown, key=lambda name: (name != EXPERT, -float(np.nanmean(shown[name]))))
    order = order[:MOST_SURFACES]
    low = min(0.0, *(float(np.nanmin(shown[name])) for name in order))
    high = max(float(np.nanmax(shown[name])) for name in order)

    figure = Figure(figsize=(3.6 * len(order) + 1.0, 3.9), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(order), sharey=True, squeeze=False)[0]
    colours = LinearSegmentedColormap.from_list("shades", [f"#{stop}" for stop in SEQUENTIAL])
    for panel, name in zip(panels, order, strict=True):
        image = panel.imshow(
            shown[name], origin="lower", aspect="auto", cmap=colours, vmin=low, vmax=high
        )
        _frame(panel, held_out)
        for axis, values in ((panel.xaxis, grid[0]), (panel.yaxis, grid[1])):
            axis.set_ticks(range(len(values)), [f"{value:g}" for value in values])
        panel.tick_params(labelsize=8)
        panel.set_title(f"{name}: {np.nanmean(shown[name]):.0f}", fontsize=10)
        panel.set_xlabel(f"{first} ({suite.family.selected([first])[0].unit})")
    panels[0].set_ylabel(f"{second} ({suite.family.selected([second])[0].unit})")
    figure.colorbar(image, ax=list(panels), label="return of an episode", pad=0.01)
    figure.suptitle(
        f"{suite.name}: mean returns over the whole grid; framed contexts were held out",
        fontsize=11,
    )
    return figure


def few_shot(curves: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]], title: str) -> Figure:
    """Ratio to the experts against episodes of the test context, a panel a protocol.

    Args:
        curves: `few_shot` of a run's summary; methods that cannot adapt are left out.
        title: of the picture.

    Raises:
        ValueError: if there is no curve.
    """
    if not curves:
        raise ValueError("`curves` must have at least one protocol, got none")
    adapted = {
        protocol: {name: points for name, points in of.items() if len(points) > 1}
        for protocol, of in curves.items()
    }
    names = sorted({name for of in adapted.values() for name in of})
    figure = Figure(figsize=(4.6 * len(adapted) + 0.6, 4.4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(adapted), sharey=True, squeeze=False)[0]
    for panel, (protocol, of) in zip(panels, adapted.items(), strict=True):
        for i, name in enumerate(names):
            if name in of:
                _curve(panel, name, i, of[name])
        shots = sorted({point["shots"] for points in of.values() for point in points})
        panel.set_xticks(shots)
        panel.set_xlabel(f"{PROTOCOLS.get(protocol, protocol)} in the test context")
        panel.axhline(1.0, color="black", linewidth=1.0, label=EXPERT, zorder=1)
        panel.grid(alpha=0.25, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("return over the expert's")
    figure.suptitle(title, fontsize=12)
    labelled = {
        label: handle
        for panel in panels
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    add_legend(figure, labelled)
    return figure


def film_rows(
    names: Sequence[str], rows: Sequence[Sequence[NDArray[np.uint8]]], *, side: int
) -> NDArray[np.uint8]:
    """A picture (height, width, 3) of frames side by side, a row a film, its name above it.

    Args:
        names: one a row.
        rows: frames (height, width, 3), as many in every row, all of one size.
        side: height of each in the picture, pixels; frames that are smaller stay as they are.

    Raises:
        ValueError: if there is no row, rows differ in their frames, or names are not one a row.
    """
    shapes = {frame.shape for frames in rows for frame in frames}
    if len(names) != len(rows):
        raise ValueError(f"`names` must be one a row, got {len(names)} for {len(rows)}")
    if len(shapes) != 1 or len({len(frames) for frames in rows}) != 1:
        raise ValueError(f"`rows` must have as many frames of one size each, got {sorted(shapes)}")
    ((own_height, own_width, _),) = shapes
    height = min(side, own_height)
    width = round(own_width * height / own_height)
    size = np.array([len(rows[0]) * (width + GAP) + GAP, len(rows) * (NAME_HEIGHT + height) + GAP])
    figure = Figure(figsize=tuple(size / 100), dpi=100, facecolor=STRIP_PAPER)
    canvas = FigureCanvasAgg(figure)
    for i, (name, frames) in enumerate(zip(names, rows, strict=True)):
        low = size[1] - (i + 1) * (NAME_HEIGHT + height)
        x, y = np.array([2 * GAP, low + height + NAME_HEIGHT / 2]) / size
        figure.text(x, y, name, color=STRIP_INK, fontsize=12.0, va="center_baseline")
        for j, frame in enumerate(frames):
            corner = np.array([GAP + j * (width + GAP), low])
            axes = figure.add_axes((*corner / size, *np.array([width, height]) / size))
            axes.set_axis_off()
            axes.imshow(frame, aspect="auto")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _frame(axes: Axes, held_out: NDArray[np.bool_]) -> None:
    for y, x in np.argwhere(held_out):
        box = Rectangle((x - 0.45, y - 0.45), 0.9, 0.9, fill=False, edgecolor="black", linewidth=1)
        box.set_clip_on(False)
        axes.add_patch(box)
        inner = Rectangle(
            (x - 0.40, y - 0.40), 0.8, 0.8, fill=False, edgecolor="white", linewidth=0.8
        )
        axes.add_patch(inner)


def _curve(axes: Axes, name: str, i: int, points: Sequence[Mapping[str, Any]]) -> None:
    shots = np.array([point["shots"] for point in points])
    means = np.array([point["ratio"] for point in points])
    ends = np.array([point["ci"] for point in points])
    style = method_style(i)
    axes.plot(
        shots,
        means,
        color=style.colour,
        linewidth=1.4,
        linestyle=(0, (4, 1.5)) if style.again else "solid",
        marker=style.marker,
        markerfacecolor=style.face,
        markersize=4.5,
        label=name,
        zorder=3,
    )
    axes.fill_between(shots, *ends.T, color=style.colour, alpha=0.07, linewidth=0, zorder=2)
