"""Weights or actions of the nearest training experts, averaged: no learning at all.

A context gets the inverse-distance weighted mean (Shepard 1968) of its nearest training experts, by
default the 2 nearest on each axis: 2 experts for one feature, 4 for two. Distances are between
encoded contexts, where a signed speed is a direction and a magnitude. Experts of another direction
are left out as long as training has some of the right one.

`weights` averages their weights, each expert's observation statistics folded into its first layer
before, so that all take raw observations. That can only make sense where neighbours were trained
from each other's weights; experts that start independently agree on no order of hidden units.
`actions` averages their actions instead, an ensemble of as many networks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from experts import Experts, MLPPolicies, Rollouts
from experts.validation import require

Blend = Literal["weights", "actions"]

SAME = 1e-9
"""Encoded contexts closer than this are one."""


@dataclass(frozen=True, kw_only=True)
class InterpolationConfig:
    """What is averaged.

    Attributes:
        blend: `weights` or `actions`.
        neighbours: experts that are averaged, all there are if there are fewer; None for 2 to the
            power of the number of features that vary.
    """

    blend: Blend = "weights"
    neighbours: int | None = None

    def __post_init__(self) -> None:
        allowed = ("weights", "actions")
        require("blend", self.blend, self.blend in allowed, f"one of {allowed}")
        n = self.neighbours
        require("neighbours", n, n is None or n >= 1, "at least 1, or None")


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


class Interpolation:
    """The method: `fit` only keeps the training contexts' experts."""

    def __init__(self, config: InterpolationConfig | None = None) -> None:
        self.config = InterpolationConfig() if config is None else config

    def fit(
        self,
        data: Rollouts,
        *,
        seed: int,
        progress: Callable[[float], None] | None = None,
    ) -> FittedInterpolation:
        """Takes the experts that come with the data.

        Args:
            data: rollouts of the training contexts' experts, with `data.experts`.
            seed: not used; nothing is random.
            progress: called once, with 1.

        Raises:
            ValueError: if `data` came without experts.
        """
        if data.experts is None:
            raise ValueError("`data.experts` must be the training contexts' experts, got None")
        if progress is not None:
            progress(1.0)
        return FittedInterpolation(data.experts, data.features, self.config)


class FittedInterpolation:
    """The training contexts' experts, ready to be averaged."""

    def __init__(
        self, experts: Experts, features: tuple[str, ...], config: InterpolationConfig
    ) -> None:
        self.config = config
        self._family, self._features = experts.family, features
        self._policies = experts.policies.folded()
        self._known = self._family.encode(experts.contexts, features)
        self._directions = self._directions_of(experts.contexts)

    def policies(self, contexts: Sequence[Mapping[str, float]]) -> MLPPolicies | ActionMeans:
        """The averaged policy of each of n_contexts contexts.

        Raises:
            ValueError: if there is none, or for an unknown feature or a value out of range.
        """
        ids, shares = self.shares(contexts)
        chosen = self._policies.select(ids.reshape(-1))
        if self.config.blend == "actions":
            return ActionMeans(chosen, shares.astype(np.float32))
        return MLPPolicies(
            tuple(_means(weight, shares) for weight in chosen.weights),
            tuple(_means(bias, shares) for bias in chosen.biases),
            chosen.activation,
        )

    def shares(
        self, contexts: Sequence[Mapping[str, float]]
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Which training experts each context is made of, (n_contexts, k), and their shares.

        Where fewer than k experts have the right direction, the rest repeats one, at share 0.

        Raises:
            ValueError: as `policies` does.
        """
        if not contexts:
            raise ValueError("`contexts` must hold at least one context, got none")
        validated = [self._family.context(**context) for context in contexts]
        encoded = self._family.encode(validated, self._features)
        k = min(self.config.neighbours or 2 ** len(self._features), len(self._known))
        ids = np.zeros((len(encoded), k), dtype=np.intp)
        shares = np.zeros((len(encoded), k))
        for row, direction in enumerate(self._directions_of(validated)):
            allowed = np.flatnonzero((self._directions == direction).all(axis=1))
            if allowed.size == 0:  # no expert of this direction: any is as good
                allowed = np.arange(len(self._known))
            n = min(k, allowed.size)
            near, parts = neighbours_of(self._known[allowed], encoded[row : row + 1], n)
            ids[row] = allowed[near[0, 0]]
            ids[row, :n], shares[row, :n] = allowed[near[0]], parts[0]
        return ids, shares

    def _directions_of(self, contexts: Sequence[Mapping[str, float]]) -> NDArray[np.bool_]:
        """Signs (n_contexts, n) of the features that have a direction."""
        signed = [f.name for f in self._family.selected(self._features) if f.encoding == "signed"]
        signs = [[context[name] > 0.0 for name in signed] for context in contexts]
        return np.array(signs, dtype=np.bool_).reshape(len(contexts), len(signed))


class ActionMeans:
    """One weighted mean of k policies' actions a context."""

    def __init__(self, policies: MLPPolicies, shares: NDArray[np.float32]) -> None:
        """Takes n_contexts * k policies, context by context, and shares (n_contexts, k)."""
        self._policies, self._shares = policies, shares

    def act(self, observations: NDArray[np.floating]) -> NDArray[np.float32]:
        """Actions (n_contexts, n_envs, size) in [-1, 1] for (n_contexts, n_envs, obs_size)."""
        n, k = self._shares.shape
        actions = self._policies.act(np.repeat(observations, k, axis=0))
        means: NDArray[np.float32] = np.einsum(
            "nk,nkes->nes", self._shares, actions.reshape(n, k, *actions.shape[1:])
        )
        return means


def _means(stacked: NDArray[np.float32], shares: NDArray[np.float64]) -> NDArray[np.float32]:
    """Weighted means (n, ...) of stacked (n * k, ...), with shares (n, k)."""
    n, k = shares.shape
    grouped = stacked.reshape(n, k, *stacked.shape[1:]).astype(np.float64)
    return np.einsum("nk,nk...->n...", shares, grouped).astype(np.float32)
