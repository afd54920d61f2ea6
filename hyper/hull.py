"""Where a generator was taught: the convex hull of its training contexts.

Between training contexts a generator fills in. For bodies beyond them it makes things up, most of
all past the corners of a joint grid, and the policy of the nearest body that it can fill in does
better. Rewards are another matter: a policy for another desired speed misses the speed for certain,
and what is made up for the next speed often works.
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

EXACT = 1e4
"""Weight of the equations that must hold, among those of the encoded entries that should."""


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
        self._fixed = np.concatenate(
            [np.full(f.encoded_size, f.kind == "reward") for f in self._selected]
        )

    def nearest(self, contexts: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
        """For each context the nearest one in the hull with the same reward: itself if inside.

        Only features of the body change. A context whose reward nothing in the hull has stays as it
        is, one of another direction for instance; and all do if a feature is an angle, beyond whose
        range there is nothing.

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
                shares = _shares(self._encoded[known], encoded[i], self._fixed)
                off = np.abs(shares @ self._encoded[known] - encoded[i])
                if off.max() > INSIDE and off[self._fixed].max(initial=0.0) <= INSIDE:
                    values = _within(shares @ self._raw[known], self._raw[known])
                    body = {
                        feature.name: value
                        for feature, value in zip(self._selected, values.tolist(), strict=True)
                        if feature.kind == "dynamics"
                    }
                    validated[i] = self._family.context(**{**validated[i], **body})
        return validated


def _shares(
    known: NDArray[np.float64], asked: NDArray[np.float64], fixed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Shares (n,) of the rows of `known` (n, n_inputs) whose mean is nearest to `asked`.

    As far as that can be, it equals `asked` in the entries that are `fixed` (n_inputs,).
    """
    weights = np.where(fixed, EXACT, 1.0)
    equations = np.vstack([(known * weights).T, np.full(len(known), EXACT)])
    found, _ = nnls(equations, np.append(asked * weights, EXACT))
    shares: NDArray[np.float64] = found / found.sum()
    return shares


def _within(values: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """`values` (n,) without what rounding puts beyond all rows of `known` (m, n)."""
    return np.clip(values, known.min(axis=0), known.max(axis=0))
