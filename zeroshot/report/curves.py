"""Sections of one run that are curves: return against features and shots, profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroshot.references import BLIND, EXPERT
from zeroshot.report.charts import (
    Line,
    Style,
    legend,
    line_chart,
    reference_style,
    responsive,
)
from zeroshot.report.markup import Html, element, joined
from zeroshot.report.runs import RunFolder
from zeroshot.report.sections import Section, Styles, table
from zeroshot.report.series import (
    Points,
    against,
    profile,
    ratio_interval,
    what_intervals_redraw,
)
from zeroshot.results import Row

DRAWN_REFERENCES = ("nearest", "best-of-direction", BLIND)
"""References in the charts of returns; random and zero would only press the others together."""

MOST_TICKS = 9
"""Values of a feature that each have a tick of their own."""

SHARES = np.linspace(0.0, 1.1, 111)
"""Shares of the expert's return at which profiles are drawn."""


def curves(run: RunFolder, prefix: str, styles: Styles) -> Section | None:
    """Return against each feature, with intervals; with several features, averaged over others."""
    if not run.test or not run.features:
        return None
    body = []
    for place, feature in enumerate(run.features):
        lines, points = _lines_against(run, feature, styles)
        grid = sorted({key[place] for key in run.expert_returns})
        held = {float(row["context"][feature]) for row in run.test}
        rug = [(value, value in held) for value in sorted({*grid, *held})]
        ticks = grid if 2 <= len(grid) <= MOST_TICKS else None
        label = run.label(feature)

        def draw(width: float, lines: Any = lines, rug: Any = rug, label: str = label,
                 ticks: Any = ticks) -> Html:  # fmt: skip
            return line_chart(
                lines,
                width=width,
                label=f"Return against {label}",
                x_label=label,
                y_label="return of an episode",
                rug=rug,
                x_ticks=ticks or None,
            )

        shown = [(line.name, line.style) for line in reversed(lines)]
        body.append(
            element(
                "figure",
                responsive(draw),
                legend(shown),
                element("figcaption", f"Return against {label}.{_bands(points, styles)}"),
                _numbers(points, feature),
            )
        )
    several = len(run.features) > 1
    other = ", averaged over the other features" if several else ""
    line = (
        "the mean of the experts of the same held-out contexts"
        if several
        else "each context's own expert, held out or not"
    )
    return Section(
        id=f"{prefix}-curves",
        title="Return against each feature",
        lead="Each point is the mean return in contexts while they were held out"
        f"{other}; bands are 95 % bootstrap intervals of it. They redraw whole fits, each by its "
        "mean; of a value that one fit alone played only the contexts or episodes of that fit, "
        "which says nothing of other fits. The captions tell how many, the numbers where. Filled "
        "triangles are values that some split held out, hollow ones were always learned from. "
        f"Higher is better; the expert's line is {line}. The best single expert's line is not "
        "followed far below the others.",
        body=joined(body),
    )


def few_shot(run: RunFolder, prefix: str, styles: Styles) -> Section | None:
    """Ratio against the number of episodes of the test context, a chart a protocol."""
    protocols = sorted({str(r.get("protocol")) for r in run.rows if r.get("shots")})
    body = []
    for protocol in protocols:
        points = _by_shots(run, protocol)
        lines = [
            Line(
                name=name,
                x=found.x,
                y=found.mean,
                low=found.low,
                high=found.high,
                style=styles.get(name, reference_style(name)),
            )
            for name, found in points.items()
        ]
        shots = sorted({float(x) for found in points.values() for x in found.x})

        def draw(width: float, lines: Any = lines, shots: Any = shots) -> Html:
            return line_chart(
                lines,
                width=width,
                label="Ratio against the number of episodes of the test context",
                x_label="episodes of the test context",
                y_label="ratio to the experts",
                x_ticks=shots,
            )

        body.append(
            element(
                "figure",
                responsive(draw),
                legend([(line.name, line.style) for line in lines]),
                element("figcaption", f"Protocol: {protocol}."),
                _numbers(points, "episodes", ".3f"),
            )
        )
    if not body:
        return None
    return Section(
        id=f"{prefix}-few-shot",
        title="Few-shot",
        lead="Ratio to the experts' return (1 plus the difference over its size) against how many "
        "episodes of the test context a method may use; at 0 it is zero-shot. Bands are 95 % "
        "bootstrap intervals.",
        body=joined(body),
    )


def profiles(run: RunFolder, prefix: str, styles: Styles) -> Section | None:
    """In what share of the contexts each method reaches a score; for older runs, a ratio."""
    known = run.summary.get("profile") or {}
    reached = known.get("methods", {})
    if not reached and (not run.test or min(r["expert_return"] for r in run.test) <= 0.0):
        return None
    what = "score" if reached else "share of the expert's return"
    shares = np.asarray(known["taus"], dtype=float) if reached else SHARES
    lines = []
    for name in (*reversed(DRAWN_REFERENCES), *reversed(run.methods)):
        rows = [row for row in run.test if row["method"] == name]
        y = reached.get(name) if reached else profile(rows, shares) if rows else None
        if y is not None:
            style = styles.get(name, reference_style(name))
            plain = Style(colour=style.colour, dash=style.dash)
            lines.append(Line(name=name, x=shares, y=np.asarray(y, dtype=float), style=plain))
    if not lines:
        return None

    def draw(width: float) -> Html:
        return line_chart(
            lines,
            width=width,
            label="Performance profiles",
            x_label=what,
            y_label="share of held-out contexts that reach it",
            y_range=(0.0, 1.03),
            direct_labels=False,
        )

    shown = [(line.name, line.style) for line in reversed(lines)]
    return Section(
        id=f"{prefix}-profiles",
        title="Performance profiles",
        lead=f"Each curve tells in what share of the held-out contexts a method's {what} is above "
        "a value; a curve further up and right is better.",
        body=element("figure", responsive(draw), legend(shown)),
    )


def _lines_against(
    run: RunFolder, feature: str, styles: Styles
) -> tuple[list[Line], dict[str, Points]]:
    """Curves, expert first and best method last, and the numbers behind them.

    With several features all of it is over contexts that were held out, the expert's curve too;
    with one feature that has the whole grid, and no interval.
    """
    breaks = run.two_ways(feature)
    lines = []
    drawn = [*DRAWN_REFERENCES, *reversed(run.methods)]
    if len(run.features) > 1:
        drawn.insert(0, EXPERT)
    elif run.expert_returns:
        x = np.array([value for (value,) in run.expert_returns])
        y = np.array(list(run.expert_returns.values()))
        style = reference_style(EXPERT)
        lines.append(Line(name=EXPERT, x=x, y=y, style=style, breaks_at_zero=breaks))
    points: dict[str, Points] = {}
    for name in drawn:
        rows = [row for row in run.test if row["method"] == name]
        if not rows:
            continue
        found = points[name] = against(rows, lambda row: row["context"][feature])
        learned = name in styles
        lines.append(
            Line(
                name=name,
                x=found.x,
                y=found.mean,
                low=found.low if learned else None,
                high=found.high if learned else None,
                style=styles.get(name, reference_style(name)),
                breaks_at_zero=breaks,
                may_leave=name == BLIND,
            )
        )
    return lines, points


def _bands(points: Mapping[str, Points], styles: Styles) -> str:
    """A caption's sentence on what the bands of the methods are."""
    over = what_intervals_redraw(found for name, found in points.items() if name in styles)
    return f" Bands are 95 % intervals {over}." if over else ""


def _by_shots(run: RunFolder, protocol: str) -> dict[str, Points]:
    """Method to its ratios by shots: the summary's own, or for older runs from the rows."""
    found = {}
    for name, at in run.summary.get("few_shot", {}).get(protocol, {}).items():
        columns = [(point["shots"], point["ratio"], *point["ci"]) for point in at]
        if len(columns) > 1:
            found[name] = Points(*np.array(columns, dtype=float).T)
    if found:
        return found
    rows = [r for r in run.rows if r["split"] == "test" and _plays(r, protocol)]
    for name in dict.fromkeys(row["method"] for row in rows if row.get("shots")):
        found[name] = _against_shots([row for row in rows if row["method"] == name])
    return found


def _plays(row: Row, protocol: str) -> bool:
    """Whether a row belongs to a protocol's curve: zero-shot rows are where all of them begin."""
    return not row.get("shots") or str(row.get("protocol")) == protocol


def _against_shots(rows: Sequence[Row]) -> Points:
    shots = sorted({int(row.get("shots") or 0) for row in rows})
    found = [ratio_interval([r for r in rows if int(r.get("shots") or 0) == k]) for k in shots]
    mean, low, high = np.array(found).T
    return Points(np.array(shots, dtype=float), mean, low, high)


def _numbers(points: Mapping[str, Points], x_name: str, number: str = ".1f") -> Html | None:
    """The numbers of a chart as a table that opens."""
    if not points:
        return None
    values: list[NDArray[np.float64]] = [found.x for found in points.values()]
    grid = sorted({float(x) for found in values for x in found})
    rows = []
    for x in grid:
        cells, redrawn = [], set[str]()
        for found in points.values():
            at = np.flatnonzero(found.x == x)
            text = "" if not len(at) else (
                f"{found.mean[at[0]]:{number}} "
                f"[{found.low[at[0]]:{number}}, {found.high[at[0]]:{number}}]"
            )  # fmt: skip
            cells.append(element("td", text.replace("-", "−"), class_="n"))
            redrawn |= {str(found.redrawn[i]) for i in at if found.redrawn}
        if redrawn:
            cells.append(element("td", ", ".join(sorted(redrawn))))
        title = f"{x:g}".replace("-", "−")
        rows.append(element("tr", element("th", title, scope="row"), cells))
    last = ("redrawn",) if any(found.redrawn for found in points.values()) else ()
    return element(
        "details",
        element("summary", "The numbers"),
        table((x_name, *points, *last), rows, f"Means and 95 % intervals by {x_name}"),
    )
