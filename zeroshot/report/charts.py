"""Charts as inline SVG that takes its colours from the page's style sheet.

Every chart is drawn twice, for wide and for narrow screens, so that its text is readable on both;
the style sheet shows one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zeroshot.report.markup import Html, element, joined
from zeroshot.report.scales import Scale, lowest_followed, path_above, spread, tick_text, ticks

Array = NDArray[np.float64]

WIDE, NARROW = 820.0, 328.0
"""Widths of the two drawings; a phone of 360 px leaves 328 px between the margins."""

N_COLOURS = 6
"""Of `--c0` to `--c5` in the style sheet: Okabe and Ito's palette."""

MOST_DIRECT_LABELS = 6
"""Curves that are labelled at their ends; with more, the legend alone is easier to read."""

CHARACTER = 7.0
"""Width of a character, pixels, on the safe side."""

MOST_FOR_NAMES = 0.4
"""Share of a drawing's width."""

LOW_START = 0.4
"""An axis begins at 0 unless all values are above this share of the highest."""

REFERENCE_STYLES = {
    "expert": ("var(--ink)", ""),
    "nearest": ("var(--muted)", "7 3"),
    "best-of-direction": ("var(--muted)", "7 3 2 3"),
    "best-single": ("var(--muted)", "2 3"),
}
"""Colour and dashes of the references that are drawn as lines."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """How one method looks, in every chart of the page.

    Attributes:
        colour: any CSS colour.
        dash: of its line, SVG's `stroke-dasharray`; empty for a solid one.
        marker: number of its marker, None for none.
    """

    colour: str
    dash: str = ""
    marker: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """One curve.

    Attributes:
        name: for its label.
        x: (n_points,).
        y: (n_points,).
        low: lower end of its band (n_points,), None for no band.
        high: upper end.
        style: how it looks.
        breaks_at_zero: no line is drawn from a negative to a positive x.
        may_leave: it is not followed down where it would press all others together.
    """

    name: str
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None
    style: Style
    breaks_at_zero: bool = False
    may_leave: bool = False

    def stretches(self) -> list[NDArray[np.intp]]:
        """Positions that one line may join."""
        if not self.breaks_at_zero:
            return [np.arange(len(self.x))]
        parts = (np.flatnonzero(self.x < 0), np.flatnonzero(self.x > 0))
        return [part for part in parts if len(part)]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A value with its interval, a row of an interval chart."""

    name: str
    value: float
    low: float
    high: float
    style: Style


def method_style(index: int) -> Style:
    """The style of a page's learned method number `index`; colour and marker are unique to 36."""
    i = index % N_COLOURS
    again = index // N_COLOURS
    return Style(colour=f"var(--c{i})", dash="6 2" if again else "", marker=(i + again) % N_COLOURS)


def reference_style(name: str) -> Style:
    """The style of a reference row."""
    colour, dash = REFERENCE_STYLES.get(name, ("var(--muted)", "1 2"))
    return Style(colour=colour, dash=dash)


def responsive(draw: Callable[[float], Html]) -> Html:
    """Both drawings of a chart, given by its width."""
    return joined(
        element("div", draw(WIDE), class_="chart wide"),
        element("div", draw(NARROW), class_="chart narrow"),
    )


def line_chart(
    lines: Sequence[Line],
    *,
    width: float,
    label: str,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    rug: Sequence[tuple[float, bool]] = (),
    x_ticks: Sequence[float] | None = None,
    direct_labels: bool = True,
) -> Html:
    """Curves with bands and markers; direct labels at the right where there is room.

    Args:
        lines: the curves, the most important last.
        width: of the drawing.
        label: for those who cannot see it.
        x_label: of the axis.
        y_label: of the axis.
        y_range: of the axis; from 0 or the lowest value to the highest by default.
        rug: x values to mark below the axis, filled if True.
        x_ticks: where to put ticks, chosen by default.
        direct_labels: whether a few curves may be labelled at their ends.
    """
    narrow = width < WIDE
    height = 270.0 if narrow else 350.0
    labelled = direct_labels and not narrow and len(lines) <= MOST_DIRECT_LABELS
    right = 24.0 + _names_width([line.name for line in lines], width) if labelled else 12.0
    all_x = np.concatenate([line.x for line in lines] + [np.array([x for x, _ in rug])])
    low, high = y_range or _extent(lines)
    pad = 0.02 * (float(all_x.max() - all_x.min()) or 1.0)
    x = Scale(float(all_x.min()) - pad, float(all_x.max()) + pad, 46.0, width - right)
    y = Scale(low, high, height - 52.0, 24.0)
    parts = [_axes(x, y, x_label, y_label, x_ticks or ticks(x.low, x.high, 5 if narrow else 8))]
    parts += [
        element(
            "path",
            d=f"M{x(value):.1f} {y.start + 4:.1f}l3 6h-6z",
            class_="rug held" if held else "rug",
        )
        for value, held in rug
    ]
    parts += [band for line in lines for band in _bands(line, x, y)]
    parts += [part for line in lines for part in _curve(line, x, y)]
    if labelled:
        parts += _direct_labels(lines, x, y, right - 24.0)
    return svg(width, height, label, parts)


def interval_chart(
    bars: Sequence[Bar],
    *,
    width: float,
    label: str,
    x_label: str,
    x_range: tuple[float, float],
    filled: bool = False,
) -> Html:
    """A row a method: its value and its interval; what lies left of the range is an arrow.

    Args:
        bars: from top to bottom.
        width: of the drawing.
        label: for those who cannot see it.
        x_label: of the axis.
        x_range: of the axis.
        filled: also draw a bar from 0.
    """
    narrow = width < WIDE
    room = _names_width([bar.name for bar in bars], width)
    left, row = (10.0, 36.0) if narrow else (18.0 + room, 26.0)
    height = row * len(bars) + 56.0
    x = Scale(*x_range, left, width - 16.0)
    bottom = row * len(bars) + 10.0
    parts: list[Html] = []
    for tick in ticks(*x_range, 4 if narrow else 8):
        place = x(tick)
        strong = " zero" if tick in (0.0, 1.0) else ""
        parts.append(element("path", d=f"M{place:.1f} 6V{bottom:.1f}", class_=f"grid{strong}"))
        parts.append(_text(place, bottom + 16, tick_text(tick), "middle"))
    parts.append(_text((x.start + x.end) / 2, bottom + 36, x_label, "middle"))
    for i, bar in enumerate(bars):
        middle = row * i + (26.0 if narrow else 21.0)
        at = (x.start, middle - 10, "start") if narrow else (left - 12, middle + 4, "end")
        parts.append(_text(*at[:2], _shortened(bar.name, width - 20.0 if narrow else room), at[2]))
        parts += _bar(bar, x, middle, filled)
    return svg(width, height, label, parts)


def legend(entries: Sequence[tuple[str, Style]]) -> Html:
    """Names beside a sample of their line and marker."""
    return element(
        "ul",
        [
            element("li", svg(30.0, 12.0, "", _sample(style), class_="key"), " ", name)
            for name, style in entries
        ],
        class_="legend",
    )


def svg(
    width: float, height: float, label: str, parts: Sequence[Html], class_: str | None = None
) -> Html:
    """A drawing; decoration if it has no label."""
    return element(
        "svg",
        parts,
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img" if label else None,
        aria_label=label or None,
        aria_hidden=None if label else "true",
        class_=class_,
    )


def marker(number: int, x: float, y: float, colour: str, title: str = "") -> Html:
    """One of six shapes, with a tooltip."""
    at = f"M{x:.1f} {y:.1f}"
    shapes = (
        f"{at}m-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0",
        f"{at}m-3.3 -3.3h6.6v6.6h-6.6z",
        f"{at}m0 -4.6l4.6 4.6l-4.6 4.6l-4.6 -4.6z",
        f"{at}m0 -4.4l4.4 7.6h-8.8z",
        f"{at}m0 4.4l4.4 -7.6h-8.8z",
        f"{at}m-1.5 -4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    )
    tip = element("title", title) if title else None
    return element("path", tip, d=shapes[number], fill=colour, class_="mark")


def _extent(lines: Sequence[Line]) -> tuple[float, float]:
    staying = [line for line in lines if not line.may_leave] or lines
    values = np.concatenate([v for i in staying for v in (i.y, i.low, i.high) if v is not None])
    low, high = float(values.min()), float(values.max())
    low = min([low, *(lowest_followed(i.y.min(), low, high) for i in lines if i.may_leave)])
    high = max(high, *(float(i.y.max()) for i in lines))
    if 0.0 < low < LOW_START * high:
        low = 0.0
    margin = 0.05 * (high - low or 1.0)
    return low if low == 0.0 else low - margin, high + margin


def _axes(x: Scale, y: Scale, x_label: str, y_label: str, x_ticks: Sequence[float]) -> Html:
    parts: list[Html] = []
    for tick in ticks(y.low, y.high, 5):
        parts.append(element("path", d=f"M{x.start:.1f} {y(tick):.1f}H{x.end:.1f}", class_="grid"))
        parts.append(_text(x.start - 6, y(tick) + 4, tick_text(tick), "end"))
    parts += [_text(x(tick), y.start + 26, tick_text(tick), "middle") for tick in x_ticks]
    parts.append(element("path", d=f"M{x.start:.1f} {y.start:.1f}H{x.end:.1f}", class_="axis"))
    parts.append(_text((x.start + x.end) / 2, y.start + 45, x_label, "middle"))
    parts.append(_text(4.0, 12.0, y_label, "start"))
    return joined(parts)


def _bands(line: Line, x: Scale, y: Scale) -> list[Html]:
    if line.low is None or line.high is None:
        return []
    found = []
    for ids in line.stretches():
        upper = [f"{x(line.x[i]):.1f} {y.clipped(line.high[i]):.1f}" for i in ids]
        lower = [f"{x(line.x[i]):.1f} {y.clipped(line.low[i]):.1f}" for i in ids[::-1]]
        path = f"M{'L'.join([*upper, *lower])}z"
        found.append(element("path", d=path, fill=line.style.colour, class_="band"))
    return found


def _curve(line: Line, x: Scale, y: Scale) -> list[Html]:
    parts = []
    for ids in line.stretches():
        if line.may_leave:
            path = path_above(line.x[ids].tolist(), line.y[ids].tolist(), x, y)
        else:
            points = [f"{x(line.x[i]):.1f} {y.clipped(line.y[i]):.1f}" for i in ids]
            path = f"M{'L'.join(points)}"
        parts.append(
            element(
                "path",
                element("title", line.name),
                d=path,
                stroke=line.style.colour,
                stroke_dasharray=line.style.dash or None,
                class_="line",
            )
        )
    if line.style.marker is not None:
        for i in range(len(line.x)):
            tip = f"{line.name}: {line.y[i]:.4g} at {line.x[i]:g}"
            if line.low is not None and line.high is not None:
                tip += f" [{line.low[i]:.4g}, {line.high[i]:.4g}]"
            at = (x(line.x[i]), y.clipped(line.y[i]))
            parts.append(marker(line.style.marker, *at, line.style.colour, tip))
    return parts


def _direct_labels(lines: Sequence[Line], x: Scale, y: Scale, room: float) -> list[Html]:
    """Names at the right ends, moved apart, each with a leader in its curve's colour."""
    ends = [y.clipped(line.y[-1]) for line in lines]
    parts = []
    for line, end, place in zip(lines, ends, spread(ends, 16.0, y.end, y.start), strict=True):
        start = x(float(line.x[-1])) + 6
        corner = x.end + 16
        parts.append(
            element(
                "path",
                d=f"M{start:.1f} {end:.1f}L{corner - 6:.1f} {place:.1f}H{corner:.1f}",
                stroke=line.style.colour,
                class_="leader",
            )
        )
        parts.append(_text(corner + 4, place + 4, _shortened(line.name, room), "start"))
    return parts


def _names_width(names: Sequence[str], width: float) -> float:
    """Room for names beside a drawing, at most a share of its width."""
    return min(CHARACTER * max(map(len, names)), MOST_FOR_NAMES * width)


def _shortened(name: str, room: float) -> str:
    """The end of a name that is too long for its room: import paths begin alike."""
    fitting = int(room / CHARACTER)
    return name if len(name) <= fitting else f"…{name[len(name) - fitting + 1 :]}"


def _bar(bar: Bar, x: Scale, middle: float, filled: bool) -> list[Html]:
    tip = f"{bar.name}: {bar.value:.3f} [{bar.low:.3f}, {bar.high:.3f}]"
    colour = bar.style.colour
    if bar.high < x.low:  # nothing of it is in sight
        arrow = f"M{x.start + 1:.1f} {middle:.1f}l8 -5v10z"
        return [
            element("path", element("title", tip), d=arrow, fill=colour),
            _text(x.start + 14, middle + 4, f"{bar.value:.2f}".replace("-", "−"), "start"),
        ]
    parts = []
    if filled:
        zero, end = x.clipped(0.0), x.clipped(bar.value)
        path = f"M{zero:.1f} {middle - 6:.1f}H{end:.1f}v12H{zero:.1f}z"
        parts.append(element("path", d=path, fill=colour, class_="bar"))
    low, high = x.clipped(bar.low), x.clipped(bar.high)
    parts.append(
        element("path", d=f"M{low:.1f} {middle:.1f}H{high:.1f}", stroke=colour, class_="interval")
    )
    number = 0 if bar.style.marker is None else bar.style.marker
    parts.append(marker(number, x.clipped(bar.value), middle, colour, tip))
    return parts


def _sample(style: Style) -> list[Html]:
    parts = [
        element(
            "path",
            d="M1 6H29",
            stroke=style.colour,
            stroke_dasharray=style.dash or None,
            class_="line",
        )
    ]
    if style.marker is not None:
        parts.append(marker(style.marker, 15.0, 6.0, style.colour))
    return parts


def _text(x: float, y: float, text: str, anchor: str) -> Html:
    return element("text", text, x=x, y=y, text_anchor=anchor)
