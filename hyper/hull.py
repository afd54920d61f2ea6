"""Where a generator was taught: the convex hull of its training contexts.

Between training contexts a generator fills in; beyond them it makes things up, most of all past the
corners of a joint grid. There the policy of the nearest context that it can fill in does better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from experts.neighbours import directions
from param_envs import Family

INSIDE = 1e-6
"""Encoded contexts no farther than this from the hull are in it."""

SUM_WEIGHT = 1e3
"""Of the equation that shares sum to 1, among those of the encoded entries."""


class Hull:
    """The convex hulls of known contexts, encoded, one for each direction of signed features."""

    def __init__(
        self,
        family: Family,
        contexts: Sequence[Mapping[str, float]],
        features: tuple[str, ...],
    ) -> None:
        """Encodes the known contexts.

        Args:
            family: of the contexts.
            contexts: the known ones, at least one.
            features: names of the features that vary.
        """
        self._family, self._features = family, features
        self._selected = family.selected(features)
        self._encoded = family.encode(contexts, features)
        self._raw = family.raw(contexts, features)
        self._directions = directions(self._selected, contexts)

    def nearest(self, contexts: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
        """For each context the nearest one in the hull of its direction: itself where it is inside.

        A context of a direction that none of the known ones has stays as it is, and all do if a
        feature is an angle, beyond whose range there is nothing.

        Raises:
            ValueError: for an unknown feature or a value out of range.
        """
        validated: list[Mapping[str, float]] = [self._family.context(**c) for c in contexts]
        if not validated or any(feature.encoding == "angle" for feature in self._selected):
            return validated
        encoded = self._family.encode(validated, self._features)
        for i, direction in enumerate(directions(self._selected, validated)):
            known = np.flatnonzero((self._directions == direction).all(axis=1))
            if known.size:
                shares = _shares(self._encoded[known], encoded[i])
                if np.linalg.norm(shares @ self._encoded[known] - encoded[i]) > INSIDE:
                    values = _within(shares @ self._raw[known], self._raw[known])
                    entries = dict(zip(self._features, values.tolist(), strict=True))
                    validated[i] = self._family.context(**{**validated[i], **entries})
        return validated


def _shares(known: NDArray[np.float64], asked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares (n,) of the rows of `known` (n, n_inputs) whose mean is nearest to `asked`."""
    equations = np.vstack([known.T, np.full(len(known), SUM_WEIGHT)])
    found, _ = nnls(equations, np.append(asked, SUM_WEIGHT))
    shares: NDArray[np.float64] = found / found.sum()
    return shares


def _within(values: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """`values` (n,) without what rounding puts beyond all rows of `known` (m, n)."""
    return np.clip(values, known.min(axis=0), known.max(axis=0))
