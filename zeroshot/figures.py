"""Pictures of a run, return against context first, one panel a feature that varies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experts.store import write_atomically
from zeroshot.comparisons import few_shot_curves
from zeroshot.references import BLIND, EXPERT
from zeroshot.report.scales import lowest_followed
from zeroshot.report.series import Points, against, what_intervals_redraw
from zeroshot.results import ROWS, Row, judged, read_rows
from zeroshot.suites import Suite

RETURN_VERSUS_CONTEXT = "return-versus-context.png"
SURFACES = "surfaces.png"
RETURN_VERSUS_EPISODES = "return-versus-episodes.png"

METHOD_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, told apart by colour-blind readers."""

METHOD_MARKERS = ("o", "s", "D", "^", "v", "P")
REFERENCE_STYLES: dict[str, dict[str, Any]] = {
    EXPERT: {"color": "black", "linestyle": "solid"},
    "nearest": {"color": "#777777", "linestyle": (0, (5, 2))},
    BLIND: {"color": "#aaaaaa", "linestyle": (0, (1, 1.5))},
}
MOST_COLUMNS = 4
"""Of the legend."""
DODGE, MOST_DODGED = 0.12, 0.84
"""Distance between neighbouring methods' markers, and between the outermost ones at most, as shares
of the grid's step."""

ONE_FIT = (0, (1.0, 1.0))
"""Dashes of an interval within a single fit."""


class MethodStyle(NamedTuple):
    """How the i-th method is drawn; hollow once the colours are used up."""

    colour: str
    marker: str
    face: str
    again: bool


def method_style(i: int) -> MethodStyle:
    """Of the i-th method of a picture."""
    again, place = divmod(i, len(METHOD_COLOURS))
    colour = METHOD_COLOURS[place]
    marker = METHOD_MARKERS[(i + again) % len(METHOD_MARKERS)]
    return MethodStyle(colour, marker, "white" if again else colour, bool(again))


def return_versus_context(
    rows: Sequence[Row], suite: Suite, expert_returns: NDArray[np.float64]
) -> Figure:
    """Mean test return of every method against each feature that varies, with 95 % intervals.

    Every point is a value in the fits that did not have it. Its interval is over the means of those
    fits; of a single fit, over its contexts or episodes, and then dotted: each panel says so. With
    two features each panel averages over the other one, and all of it, the expert's line too, is
    over contexts that were held out; with one feature that line has the whole grid.

    Args:
        rows: of a run.
        suite: the run's suite.
        expert_returns: mean return (n_contexts,) of each context's own expert.
    """
    n_panels = len(suite.features)
    figure = Figure(figsize=(7.2 * n_panels + 0.4, 4.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, n_panels, sharey=True, squeeze=False)[0]
    test = [row for row in rows if row["split"] == "test" and not row.get("shots")]
    methods = sorted({row["method"] for row in test if row["kind"] == "method"})
    for panel, name in zip(axes, suite.features, strict=True):
        _panel(panel, test, methods, suite, name, expert_returns)
    axes[0].set_ylabel("return of an episode")
    figure.suptitle(f"{suite.name}: contexts held out {_held_out_by(test)}", fontsize=12)
    handles, labels = axes[0].get_legend_handles_labels()
    add_legend(figure, dict(zip(labels, handles, strict=True)))
    return figure


def _panel(
    axes: Axes,
    test: Sequence[Row],
    methods: Sequence[str],
    suite: Suite,
    name: str,
    expert_returns: NDArray[np.float64],
) -> None:
    values = np.array([context[name] for context in suite.contexts])
    step = float(np.diff(np.unique(values)).min())
    signed = {f.name: f.encoding == "signed" for f in suite.family.features}[name]
    shown = []
    for reference, style in REFERENCE_STYLES.items():
        x, y, *_ = _against([row for row in test if row["method"] == reference], name)
        if reference == EXPERT and len(suite.features) == 1:
            order = np.argsort(values)
            x, y = values[order], expert_returns[order]
        if reference != BLIND:
            shown.append(y)
        width, zorder = (1.4, 2) if reference == EXPERT else (1.2, 1)
        for ids in _stretches(x, signed):
            label = _once(axes, reference)
            axes.plot(x[ids], y[ids], label=label, linewidth=width, zorder=zorder, **style)
    dodge = step * min(DODGE, MOST_DODGED / max(1, len(methods) - 1))
    points = [_against([row for row in test if row["method"] == m], name) for m in methods]
    for i, (method, found) in enumerate(zip(methods, points, strict=True)):
        shown += [found.low, found.high]
        moved = found._replace(x=found.x + (i - (len(methods) - 1) / 2) * dodge)
        _errorbars(axes, moved, method, method_style(i), zorder=3 + len(methods) - i)
    _leave_out_below(axes, np.concatenate(shown))
    _mark_held_out(axes, test, name)
    _say_what_bars_are(axes, points)
    feature = suite.family.selected([name])[0]
    axes.set_xlabel(f"{name} ({feature.unit})")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _errorbars(axes: Axes, found: Points, label: str, style: MethodStyle, zorder: int) -> None:
    """Means with their intervals, dotted and without caps where those are of a single fit."""
    several = ~found.of_one_fit
    axes.errorbar(
        found.x,
        found.mean,
        yerr=np.where(several, np.abs([found.low, found.high] - found.mean), np.nan),
        fmt=style.marker,
        color=style.colour,
        markersize=3.5 if style.again else 4.5,
        markerfacecolor=style.face,
        markeredgecolor=style.colour if style.again else "white",
        markeredgewidth=1.0 if style.again else 0.5,
        elinewidth=1.3,
        capsize=2,
        label=_once(axes, label),
        zorder=zorder,
    )
    x, low, high = (ends[~several] for ends in (found.x, found.low, found.high))
    axes.vlines(x, low, high, colors=style.colour, linestyles=ONE_FIT, linewidth=1.3, zorder=zorder)


def _say_what_bars_are(axes: Axes, points: Sequence[Points]) -> None:
    """In small print above a panel."""
    if over := what_intervals_redraw(points):
        dotted = " (dotted)" if any(found.of_one_fit.any() for found in points) else ""
        axes.set_title(f"95 % intervals {over}{dotted}", fontsize=8, color="#444444")


def _held_out_by(test: Sequence[Row]) -> str:
    """By how many splits, or from how many fits where all of them lack the same contexts."""
    held_out: dict[int, set[tuple[float, ...]]] = {}
    for row in test:
        held_out.setdefault(row["seed"], set()).add(tuple(row["context"].values()))
    seeds = len(held_out)
    if seeds > 1 and len({frozenset(contexts) for contexts in held_out.values()}) == 1:
        return f"from {seeds} fits"
    return f"by {seeds} split{'s' if seeds != 1 else ''}"


def _leave_out_below(axes: Axes, shown: NDArray[np.float64]) -> None:
    """Lets the best single expert's line leave the picture where it would flatten all others."""
    if len(shown):
        axes.set_ylim(bottom=lowest_followed(axes.get_ylim()[0], shown.min(), shown.max()))


def _mark_held_out(axes: Axes, test: Sequence[Row], name: str) -> None:
    held_out = sorted({row["context"][name] for row in test})
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.0), high)
    axes.plot(
        held_out,
        np.full(len(held_out), -0.022),
        linestyle="none",
        marker="^",
        markersize=4,
        color="#444444",
        clip_on=False,
        label=_once(axes, "held out by a split"),
        transform=axes.get_xaxis_transform(),
    )
    axes.tick_params(axis="x", pad=8)


def _against(rows: Sequence[Row], name: str) -> Points:
    return against(rows, lambda row: row["context"][name])


def _stretches(x: NDArray[np.float64], signed: bool) -> list[NDArray[np.intp]]:
    """Positions of `x` that one line may join: never across the jump between directions."""
    parts = [np.flatnonzero(x < 0), np.flatnonzero(x > 0)] if signed else [np.arange(len(x))]
    return [part for part in parts if len(part)]


def _once(axes: Axes, label: str) -> str | None:
    return None if label in axes.get_legend_handles_labels()[1] else label


def add_legend(figure: Figure, labelled: Mapping[str, Any]) -> None:
    """Below the panels, in as many columns as the figure is wide enough for.

    Args:
        figure: with a constrained layout.
        labelled: what is shown by its label.
    """
    for n_columns in range(MOST_COLUMNS, 0, -1):
        legend = figure.legend(
            labelled.values(),
            labelled.keys(),
            loc="outside lower center",
            ncols=n_columns,
            frameon=False,
        )
        if n_columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG, all or nothing."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    write_atomically(path, buffer.getvalue())


def write_figures(out: Path, suite: Suite, expert_returns: NDArray[np.float64]) -> list[Path]:
    """Writes the figures of the run in `out`; returns their paths.

    Args:
        out: a run's folder.
        suite: the run's suite.
        expert_returns: mean return (n_contexts,) of each context's own expert.
    """
    from zeroshot.grid_figures import few_shot, surfaces

    rows = judged(read_rows(out / ROWS))
    figures: dict[str, Figure | None] = {
        RETURN_VERSUS_CONTEXT: return_versus_context(rows, suite, expert_returns),
        SURFACES: surfaces(rows, suite),
    }
    if curves := few_shot_curves(rows):
        figures[RETURN_VERSUS_EPISODES] = few_shot(curves, f"{suite.name}: few-shot")
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    for name, figure in drawn.items():
        save_figure(figure, out / name)
    return [out / name for name in drawn]
