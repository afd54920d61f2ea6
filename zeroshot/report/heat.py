"""Maps of numbers as inline SVG: a square a cell, colours that colour-blind readers tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zeroshot.report.charts import svg
from zeroshot.report.markup import Html, element
from zeroshot.report.scales import tick_text, ticks

Array = NDArray[np.float64]
Colour = tuple[int, int, int]

SEQUENTIAL = ("00224e", "123570", "3b496c", "575d6d", "707173", "8a8678", "a59c74", "c3b369",
              "e1cc55", "fee838")  # fmt: skip
"""Cividis (Nuñez, Anderton and Renslow 2018), made to look alike to colour-blind readers."""

DIVERGING = ("b35806", "e08214", "fdb863", "f7f7f7", "92c5de", "4393c3", "2166ac")
"""Orange below, blue above (after ColorBrewer's PuOr and RdBu)."""

LEVELS = 48
"""Shades of a map without tooltips, whose cells are drawn a shade at a time."""

MOST_TOOLTIPS = 150
"""Cells of a map in which each has a tooltip and, where it fits, its number."""

FIRST_DARK_TEXT = 0.42
"""Luminance of the cells from which on black is readable, not white."""


@dataclass(frozen=True, kw_only=True)
class Shades:
    """Which colour a value has.

    Attributes:
        low: value of the first colour, and of all below.
        high: of the last.
        diverging: whether 0 is in the middle.
    """

    low: float
    high: float
    diverging: bool = False

    def colour(self, value: float) -> Colour:
        """Of a value, interpolated."""
        stops = DIVERGING if self.diverging else SEQUENTIAL
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        place = min(max(share, 0.0), 1.0) * (len(stops) - 1)
        i = min(int(place), len(stops) - 2)
        mixed = [a + (place - i) * (b - a) for a, b in zip(_rgb(stops[i]), _rgb(stops[i + 1]))]  # noqa: B905
        return (round(mixed[0]), round(mixed[1]), round(mixed[2]))


def heat_map(
    values: Array,
    *,
    x_ticks: Sequence[str],
    y_ticks: Sequence[str],
    x_label: str,
    y_label: str,
    shades: Shades,
    label: str,
    number: str = ".0f",
    size: float = 340.0,
    outlined: NDArray[np.bool_] | None = None,
) -> Html:
    """A map with its scale below.

    Args:
        values: (n_y, n_x), the first row at the bottom, nan where there is nothing.
        x_ticks: n_x texts, of which as many are shown as fit.
        y_ticks: n_y texts.
        x_label: of the axis.
        y_label: of the axis.
        shades: values' colours.
        label: for those who cannot see it.
        number: format of the values.
        size: width of the drawing.
        outlined: cells with a frame, (n_y, n_x).
    """
    n_y, n_x = values.shape
    left, top, right = max(44.0, 12.0 + 6.6 * max(len(text) for text in y_ticks)), 22.0, 6.0
    step = (size - left - right) / n_x
    rise = step if n_y > 20 else min(max(step, 22.0), 34.0)
    bottom = top + rise * n_y
    parts = [element("text", y_label, x=4.0, y=13.0, text_anchor="start")]
    cells = values.size <= MOST_TOOLTIPS
    draw = _cells if cells else _levels
    parts += draw(values, left, bottom, step, rise, shades, x_ticks, y_ticks, number)
    if outlined is not None:
        parts += [  # light and dark, to be seen on all shades
            element("rect", x=left + i * step + 1.5, y=bottom - (j + 1) * rise + 1.5,
                    width=step - 3.0, height=rise - 3.0, class_=kind)
            for j, i in np.argwhere(outlined) for kind in ("framed", "framed inner")
        ]  # fmt: skip
    room = 7.0 * max(len(text) for text in x_ticks) + 6
    for i in _some(n_x, step, room):
        place = left + (i + 0.5) * step
        parts.append(element("text", x_ticks[i], x=place, y=bottom + 16, text_anchor="middle"))
    for i in _some(n_y, rise, 18.0):
        place = bottom - (i + 0.5) * rise + 4
        parts.append(element("text", y_ticks[i], x=left - 5, y=place, text_anchor="end"))
    centre = (left + size - right) / 2
    parts.append(element("text", x_label, x=centre, y=bottom + 34, text_anchor="middle"))
    parts += _scale(shades, left, size - right, bottom + 46)
    return svg(size, bottom + 78.0, label, parts)


def _cells(
    values: Array, left: float, bottom: float, step: float, rise: float, shades: Shades,
    x_ticks: Sequence[str], y_ticks: Sequence[str], number: str,
) -> list[Html]:  # fmt: skip
    parts = []
    for (j, i), value in np.ndenumerate(values):
        x, y = left + i * step, bottom - (j + 1) * rise
        if np.isnan(value):
            parts.append(element("rect", x=x, y=y, width=step, height=rise, class_="empty"))
            continue
        colour = shades.colour(float(value))
        text = f"{value:{number}}".replace("-", "−")
        tip = element("title", f"{x_ticks[i]}, {y_ticks[j]}: {text}")
        parts.append(element("rect", tip, x=x, y=y, width=step, height=rise, fill=_hex(colour)))
        if 6.3 * len(text) + 2 <= step:
            ink = "#000" if _luminance(colour) > FIRST_DARK_TEXT else "#fff"
            at = {"x": x + step / 2, "y": y + rise / 2 + 4}
            parts.append(
                element("text", text, **at, text_anchor="middle", fill=ink, class_="in-cell")
            )
    return parts


def _levels(
    values: Array, left: float, bottom: float, step: float, rise: float, shades: Shades,
    x_ticks: Sequence[str], y_ticks: Sequence[str], number: str,
) -> list[Html]:  # fmt: skip
    """One path a shade: a map of thousands of cells stays small."""
    share = (values - shades.low) / ((shades.high - shades.low) or 1.0)
    level = np.clip(np.nan_to_num(share), 0.0, 1.0) * (LEVELS - 1)
    found: dict[int, list[str]] = {}
    for (j, i), shade in np.ndenumerate(np.rint(level).astype(int)):
        if not np.isnan(values[j, i]):
            x, y = left + i * step, bottom - (j + 1) * rise
            found.setdefault(int(shade), []).append(
                f"M{x:.1f} {y:.1f}h{step + 0.3:.1f}v{rise + 0.3:.1f}h-{step + 0.3:.1f}z"
            )
    width = shades.high - shades.low
    return [
        element("path", d="".join(paths),
                fill=_hex(shades.colour(shades.low + width * shade / (LEVELS - 1))))
        for shade, paths in sorted(found.items())
    ]  # fmt: skip


def _scale(shades: Shades, left: float, right: float, top: float) -> list[Html]:
    n = 40
    width = (right - left) / n
    parts = [
        element(
            "rect",
            x=left + i * width,
            y=top,
            width=width + 0.3,
            height=9.0,
            fill=_hex(shades.colour(shades.low + (i + 0.5) / n * (shades.high - shades.low))),
        )
        for i in range(n)
    ]
    for tick in ticks(shades.low, shades.high, 4):
        place = left + (tick - shades.low) / ((shades.high - shades.low) or 1.0) * (right - left)
        parts.append(element("text", tick_text(tick), x=place, y=top + 24, text_anchor="middle"))
    return parts


def _some(count: int, step: float, room: float) -> range:
    """Every how manieth tick, so that each has its room."""
    return range(0, count, max(1, int(-(-room // step))))


def _rgb(text: str) -> Colour:
    return int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _luminance(colour: Colour) -> float:
    """Perceived lightness in [0, 1], roughly."""
    red, green, blue = (channel / 255.0 for channel in colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue
