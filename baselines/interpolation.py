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

from experts import Experts, MLPPolicies, Rollouts
from experts.neighbours import ActionMeans, Neighbours
from experts.validation import require

Blend = Literal["weights", "actions"]


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
    """The training contexts' experts, ready to be averaged.

    Attributes:
        neighbours: which of them each context is made of.
    """

    def __init__(
        self, experts: Experts, features: tuple[str, ...], config: InterpolationConfig
    ) -> None:
        self.config = config
        self._policies = experts.policies.folded()
        self.neighbours = Neighbours(experts.family, experts.contexts, features, config.neighbours)

    def policies(self, contexts: Sequence[Mapping[str, float]]) -> MLPPolicies | ActionMeans:
        """The averaged policy of each of n_contexts contexts.

        Raises:
            ValueError: if there is none, or for an unknown feature or a value out of range.
        """
        ids, shares = self.neighbours.shares(contexts)
        if self.config.blend == "actions":
            return ActionMeans(self._policies.select(ids.reshape(-1)), shares.astype(np.float32))
        return self._policies.mixed(ids, shares)
