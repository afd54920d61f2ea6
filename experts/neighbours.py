"""Which contexts are near a context, how much each of them counts, and their experts' mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from experts.policy import MLPPolicies
from param_envs import Context, Family, Feature

SAME = 1e-9
"""Encoded contexts closer than this are one."""


def neighbours_of(
    known: NDArray[np.float64], asked: NDArray[np.float64], n: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The n nearest rows of `known` to every row of `asked`, and their shares.

    Args:
        known: encoded contexts (n_known, n_inputs).
        asked: encoded contexts (n_asked, n_inputs).
        n: how many, at most n_known.

    Returns:
        Indices (n_asked, n), nearest first, of equals the first in `known`; and shares (n_asked, n)
        in proportion to 1 / distance, which sum to 1. A distance of 0 gets everything.
    """
    distances = np.linalg.norm(asked[:, None] - known[None], axis=-1)
    ids = np.argsort(np.round(distances, 9), axis=1, kind="stable")[:, :n]
    near = np.take_along_axis(distances, ids, axis=1)
    exact = near < SAME
    shares = np.where(exact, 1.0, 0.0)
    apart = ~exact.any(axis=1)
    shares[apart] = 1.0 / near[apart]
    return ids, shares / shares.sum(axis=1, keepdims=True)


def directions(
    features: Sequence[Feature], contexts: Sequence[Mapping[str, float]]
) -> NDArray[np.bool_]:
    """Whether the signed ones of `features` are above 0, (n_contexts, n_signed)."""
    signed = [feature.name for feature in features if feature.encoding == "signed"]
    signs = [[context[name] > 0.0 for name in signed] for context in contexts]
    return np.array(signs, dtype=np.bool_).reshape(len(contexts), len(signed))


def neighbours_around(features: Sequence[str]) -> int:
    """Corners of a cell in a grid of so many features."""
    return int(2 ** len(features))


class Neighbours:
    """Known contexts, to be asked which of them are near another one.

    Distances are between encoded contexts, where a signed speed is a direction and a magnitude.
    Contexts of another direction are left out as long as there are some of the right one.

    Attributes:
        known: the encoded contexts, (n_known, n_inputs).
    """

    def __init__(
        self,
        family: Family,
        contexts: Sequence[Mapping[str, float]],
        features: tuple[str, ...],
        n: int | None = None,
    ) -> None:
        """Encodes the known contexts.

        Args:
            family: of the contexts.
            contexts: the known ones, at least one.
            features: names of the features that vary.
            n: neighbours of a context, all there are if there are fewer; None for as many as a
                cell of a grid of the features has corners.
        """
        self._family, self._features = family, features
        self.known = family.encode(contexts, features)
        self._selected = family.selected(features)
        self._directions = directions(self._selected, contexts)
        self._n = min(n or neighbours_around(features), len(contexts))

    def encoded(self, contexts: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
        """Encoded contexts (n_contexts, n_inputs), between which distances are measured.

        Raises:
            ValueError: if there is no context, or for an unknown feature or a value out of range.
        """
        return self._family.encode(self._validated(contexts), self._features)

    def shares(
        self, contexts: Sequence[Mapping[str, float]]
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Indices (n_contexts, n) of the known contexts near each one, and their shares.

        Shares are in proportion to 1 / distance. Where fewer than n have the right direction, the
        rest repeats one, at share 0.

        Raises:
            ValueError: if there is no context, or for an unknown feature or a value out of range.
        """
        validated = self._validated(contexts)
        encoded = self._family.encode(validated, self._features)
        ids = np.zeros((len(encoded), self._n), dtype=np.intp)
        shares = np.zeros((len(encoded), self._n))
        for row, direction in enumerate(directions(self._selected, validated)):
            allowed = np.flatnonzero((self._directions == direction).all(axis=1))
            if allowed.size == 0:  # none of this direction: any is as good
                allowed = np.arange(len(self.known))
            n = min(self._n, allowed.size)
            near, parts = neighbours_of(self.known[allowed], encoded[row : row + 1], n)
            ids[row] = allowed[near[0, 0]]
            ids[row, :n], shares[row, :n] = allowed[near[0]], parts[0]
        return ids, shares

    def _validated(self, contexts: Sequence[Mapping[str, float]]) -> list[Context]:
        if not contexts:
            raise ValueError("`contexts` must hold at least one context, got none")
        return [self._family.context(**context) for context in contexts]


class ActionMeans:
    """One weighted mean of k policies' actions a context."""

    def __init__(self, policies: MLPPolicies, shares: NDArray[np.float32]) -> None:
        """Takes n_contexts * k policies, context by context, and shares (n_contexts, k).

        Shares sum to 1. Below 0 they lead away from an action; means are clipped to [-1, 1].
        """
        self._policies, self._shares = policies, shares

    def act(self, observations: NDArray[np.floating]) -> NDArray[np.float32]:
        """Actions (n_contexts, n_envs, size) in [-1, 1] for (n_contexts, n_envs, obs_size)."""
        n, k = self._shares.shape
        actions = self._policies.act(np.repeat(observations, k, axis=0))
        means: NDArray[np.float32] = np.einsum(
            "nk,nkes->nes", self._shares, actions.reshape(n, k, *actions.shape[1:])
        )
        return np.clip(means, -1.0, 1.0, out=means)
