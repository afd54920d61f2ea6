"""Weights on the line through two training experts, between them or beyond.

Experts that were trained one from another's weights, as those of a range of speeds are, can be
mixed weight for weight: what lies between two of them often runs at a speed in between, and beyond
the last one the line through the last two goes on. Sometimes it falls instead, so a mix has to be
watched before it is handed out (`hyper.calibration`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experts import MLPPolicies

REACHES = (0.5, 1.0, 1.5)
"""Times the way from the nearest expert to where a speed has its place on the line. Half way
between two experts, mixes are a quarter, a half and three quarters of the way to the other one."""

FARTHEST = 1.0
"""A speed beyond the last expert has its place at most this many times the last two's difference
farther on."""


def reaches_of(features: Sequence[str]) -> tuple[float, ...]:
    """The reaches of the mixes that are worth watching, where so many features vary.

    Where bodies vary with speeds, none is: mixes of their experts fall.
    """
    return REACHES if len(features) == 1 else ()


class SpeedLines(NamedTuple):
    """Where n speeds have their places between known ones.

    Attributes:
        ids: of the nearest known speed, and of the one that the line leads to from there, (n, 2):
            the nearest on the other side, or where there is none, the next nearest.
        ways: shares (n,) of the way from the first to the second, below 0 beyond the first.
    """

    ids: NDArray[np.intp]
    ways: NDArray[np.float64]

    @classmethod
    def through(cls, known: NDArray[np.float64], asked: NDArray[np.float64]) -> SpeedLines:
        """Of speeds `asked` (n,) among `known` ones (n_known,), of the same sign if there are any.

        Where only one is known, the line is a point.
        """
        ids = np.zeros((len(asked), 2), dtype=np.intp)
        for row, speed in enumerate(asked):
            alike = np.flatnonzero((known > 0.0) == (speed > 0.0))
            allowed = alike if alike.size else np.arange(len(known))
            near = allowed[np.argsort(np.abs(known[allowed] - speed), kind="stable")]
            across = near[(known[near] > speed) != (known[near[0]] > speed)]
            ids[row] = near[0], next(iter([*across, *near[1:], near[0]]))
        first, second = known[ids].T
        apart = np.where(first == second, np.inf, second - first)
        return cls(ids, np.clip((asked - first) / apart, -FARTHEST, FARTHEST))

    def mixed(self, experts: MLPPolicies, reach: float) -> MLPPolicies:
        """One mix of `experts`, one a known speed, for each place: `reach` of the way to it."""
        shares = np.stack([1.0 - reach * self.ways, reach * self.ways], axis=1)
        return experts.mixed(self.ids, shares)
