"""From numbers to pixels: linear scales, their ticks, and labels that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

TICK_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
MOST_BELOW = 0.5
"""How far below all others a line is followed that may leave, as a share of their span."""


@dataclass(frozen=True)
class Scale:
    """A linear map from [low, high] to [start, end] pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        width = self.high - self.low
        return self.start + (value - self.low) / (width or 1.0) * (self.end - self.start)

    def clipped(self, value: float) -> float:
        """The pixel of a value, at the nearest end if it is outside."""
        return self(min(max(value, self.low), self.high))


def lowest_followed(lowest: float, low: float, high: float) -> float:
    """The lower end of an axis whose other lines span [low, high], for one down to `lowest`."""
    return max(lowest, low - MOST_BELOW * (high - low))


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers within [low, high], about `count` of them."""
    if not high > low:
        return [low]
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in TICK_STEPS if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def tick_text(value: float) -> str:
    """A tick's label, with a true minus sign."""
    return f"{value:g}".replace("-", "−")


def path_above(values: Sequence[float], heights: Sequence[float], x: Scale, y: Scale) -> str:
    """A path through points, of which nothing is drawn below the axis' lower end."""
    path, reached = "", (float("nan"), float("nan"))
    for (a, start), (b, end) in pairwise(zip(values, heights, strict=True)):
        if max(start, end) < y.low:
            continue
        crossing = a + (b - a) * (y.low - start) / ((end - start) or 1.0)
        first = (a, start) if start >= y.low else (crossing, y.low)
        last = (b, end) if end >= y.low else (crossing, y.low)
        path += "" if first == reached else f"M{x(first[0]):.1f} {y(first[1]):.1f}"
        path += f"L{x(last[0]):.1f} {y(last[1]):.1f}"
        reached = last
    return path


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions nearest to those wanted, at least `gap` apart and within [low, high].

    Where there is no room for all, they are `gap` apart from `low` on.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed: list[float] = []
    for i in order:
        placed.append(max(wanted[i], placed[-1] + gap) if placed else max(wanted[i], low))
    limit = high
    for k in reversed(range(len(placed))):
        placed[k] = min(placed[k], limit)
        limit = placed[k] - gap
    if placed and placed[0] < low:
        placed = [low + k * gap for k in range(len(placed))]
    found = [0.0] * len(wanted)
    for k, i in enumerate(order):
        found[i] = placed[k]
    return found
