"""Pictures of an audit: the experts' returns over the grid, and the transfer matrix."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experts.audit import Audit
from zeroshot.figures import METHOD_COLOURS
from zeroshot.published import PUBLISHED_EXPERT_MEANS
from zeroshot.suites import Suite

Array = NDArray[np.float64]

COLOURS = "viridis"
MOST_LABELS = 12
"""Tick labels on one axis; more of them would touch."""


def audit_figure(audit: Audit, suite: Suite) -> Figure:
    """The returns over the grid (curve or heat map) on the left, the matrix on the right.

    Args:
        audit: of the suite's experts, all or some.
        suite: the suite; one feature that varies, or two.

    Raises:
        ValueError: for a suite with more than two features that vary.
    """
    if len(suite.features) > 2:
        raise ValueError(f"`suite` must vary at most 2 features, got {list(suite.features)}")
    figure = Figure(figsize=(12.4, 5.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    if len(suite.features) == 1:
        _curve(left, audit, suite)
    else:
        _heat_map(figure, left, audit, suite)
    _matrix(figure, right, audit, suite)
    some = "" if len(audit) == len(suite.contexts) else f", {len(audit)} of {len(suite.contexts)}"
    figure.suptitle(
        f"{suite.name}{some}: experts' mean return {audit.own.mean():.1f}, context relevance "
        f"{audit.context_relevance:z.2f}",
        fontsize=12,
    )
    return figure


def _curve(axes: Axes, audit: Audit, suite: Suite) -> None:
    (name,) = suite.features
    x = np.array([context[name] for context in audit.contexts])
    own, best = audit.own, audit.returns[audit.best_single]
    value = audit.contexts[audit.best_single][name]
    for i, ids in enumerate(_stretches(x, suite, name)):
        labels = ("expert of each context", f"best single expert ({name} {value:.3g})")
        axes.plot(
            x[ids],
            own[ids],
            color=METHOD_COLOURS[0],
            marker="o",
            markersize=3.5,
            linewidth=1.4,
            label=None if i else labels[0],
            zorder=3,
        )
        axes.plot(
            x[ids],
            best[ids],
            color="#888888",
            linestyle=(0, (1, 1.5)),
            linewidth=1.6,
            label=None if i else labels[1],
            zorder=2,
        )
    axes.axhline(
        own.mean(),
        color=METHOD_COLOURS[0],
        linewidth=1.0,
        alpha=0.6,
        label=f"the experts' mean, {own.mean():.1f}",
    )
    published = PUBLISHED_EXPERT_MEANS.get(suite.name)
    if published is not None:
        axes.axhline(
            published,
            color=METHOD_COLOURS[1],
            linestyle=(0, (5, 2)),
            linewidth=1.4,
            label=f"published experts' mean, {published:.1f}",
        )
    beaten = np.flatnonzero(audit.beaten)
    if len(beaten):
        axes.plot(
            x[beaten],
            (audit.own + audit.regret)[beaten],
            linestyle="none",
            marker="^",
            markersize=6,
            color=METHOD_COLOURS[1],
            label=f"a rival more than {100 * audit.threshold:g} % better",
            zorder=4,
        )
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.0), high)
    axes.set_xlabel(_label(suite, name))
    axes.set_ylabel("return of an episode")
    axes.legend(frameon=False, fontsize=9)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _heat_map(figure: Figure, axes: Axes, audit: Audit, suite: Suite) -> None:
    columns, rows = suite.features
    x = sorted({context[columns] for context in suite.contexts})
    y = sorted({context[rows] for context in suite.contexts})
    cells = np.full((len(y), len(x)), np.nan)
    beaten = np.zeros(cells.shape, dtype=np.bool_)
    for i, context in enumerate(audit.contexts):
        cell = y.index(context[rows]), x.index(context[columns])
        cells[cell], beaten[cell] = audit.own[i], audit.beaten[i]
    shown = axes.imshow(cells, origin="lower", cmap=COLOURS, aspect="auto")
    low, high = float(np.nanmin(cells)), float(np.nanmax(cells))
    for (j, i), value in np.ndenumerate(cells):
        if not np.isnan(value):
            dark = value < low + 0.6 * (high - low)
            axes.text(
                i,
                j,
                f"{value:.0f}" + ("*" if beaten[j, i] else ""),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "black",
            )
    axes.set_xticks(range(len(x)), [f"{value:.3g}" for value in x])
    axes.set_yticks(range(len(y)), [f"{value:.3g}" for value in y])
    axes.set_xlabel(_label(suite, columns))
    axes.set_ylabel(_label(suite, rows))
    published = PUBLISHED_EXPERT_MEANS.get(suite.name)
    said = "" if published is None else f" (published mean {published:.1f})"
    star = f"; * beaten by over {100 * audit.threshold:g} %" if beaten.any() else ""
    axes.set_title(f"each context's expert{said}{star}", fontsize=10)
    figure.colorbar(shown, ax=axes, label="return of an episode")


def _matrix(figure: Figure, axes: Axes, audit: Audit, suite: Suite) -> None:
    shown = axes.imshow(audit.returns, cmap=COLOURS, interpolation="nearest")
    best = audit.returns.argmax(axis=0)
    axes.plot(
        np.arange(len(audit)),
        best,
        linestyle="none",
        marker=".",
        markersize=3,
        color=METHOD_COLOURS[1],
    )
    slow = suite.features[0]
    values = np.array([context[slow] for context in audit.contexts])
    if len(suite.features) == 1:
        ids = _spread(len(values))
        ticks, labels = [float(i) for i in ids], [f"{values[i]:.3g}" for i in ids]
        what = _label(suite, slow)
    else:
        groups = list(dict.fromkeys(values.tolist()))
        edges = [float(np.flatnonzero(values == value)[0]) - 0.5 for value in groups]
        for edge in edges[1:]:
            axes.axhline(edge, color="white", linewidth=0.6)
            axes.axvline(edge, color="white", linewidth=0.6)
        kept = [groups[i] for i in _spread(len(groups))]
        ticks = [float(np.flatnonzero(values == value).mean()) for value in kept]
        labels = [f"{value:.3g}" for value in kept]
        fast = [context[suite.features[1]] for context in audit.contexts]
        what = (
            f"{_label(suite, slow)}; within each group {suite.features[1]} "
            f"{min(fast):g} to {max(fast):g}"
        )
    axes.set_xticks(ticks, labels)
    axes.set_yticks(ticks, labels)
    axes.set_xlabel(f"played in: {what}", fontsize=9)
    axes.set_ylabel(f"expert of: {what}", fontsize=9)
    axes.set_title("return of every expert in every context; dots: the best one", fontsize=10)
    figure.colorbar(shown, ax=axes, label="return of an episode")


def _spread(n: int) -> list[int]:
    """At most `MOST_LABELS` positions of n, evenly apart, the first one included."""
    step = -(-n // MOST_LABELS)
    return list(range(0, n, step))


def _stretches(x: Array, suite: Suite, name: str) -> list[NDArray[np.intp]]:
    """Positions of `x` that one line may join: never across the jump between directions."""
    signed = suite.family.selected([name])[0].encoding == "signed"
    parts = [np.flatnonzero(x < 0), np.flatnonzero(x > 0)] if signed else [np.arange(len(x))]
    return [part for part in parts if len(part)]


def _label(suite: Suite, name: str) -> str:
    return f"{name} ({suite.family.selected([name])[0].unit})"
