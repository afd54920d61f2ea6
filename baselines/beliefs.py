"""Gaussian beliefs about a task, and the network that makes them of transitions, for PEARL."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from experts.embedding import Init, initialise, linear

MAX_LOG_PRECISION = 10.0
"""A transition's factor is neither sharper nor flatter than this, so that nothing overflows."""


class Evidence(NamedTuple):
    """Gaussians, or products of some: precisions 1 / σ² and μ / σ², each (..., latent_size).

    In these terms a product is a sum, in whatever order.
    """

    precision: Tensor
    weighted_mean: Tensor

    @property
    def mean(self) -> Tensor:
        """μ, (..., latent_size)."""
        return self.weighted_mean / self.precision


class Encoder(nn.Module):
    """Transitions to Gaussian factors."""

    def __init__(
        self,
        n_inputs: int,
        sizes: Sequence[int],
        latent_size: int,
        init: Init,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        widths = (n_inputs, *sizes, 2 * latent_size)
        layers = [linear(fan_in, fan_out) for fan_in, fan_out in pairwise(widths)]
        for layer in layers:
            initialise(layer, init, generator)
        self.linears = nn.ModuleList(layers)

    def forward(self, transitions: Tensor) -> Evidence:
        """Factors of transitions (..., n_inputs): entries are (..., latent_size)."""
        hidden = transitions
        for layer, linear_layer in enumerate(self.linears):
            hidden = linear_layer(hidden if layer == 0 else torch.relu(hidden))
        mean, log_precision = hidden.chunk(2, dim=-1)
        precision = torch.exp(torch.clamp(log_precision, -MAX_LOG_PRECISION, MAX_LOG_PRECISION))
        return Evidence(precision, precision * mean)


def kl_loss(posterior: Evidence) -> Tensor:
    """KL(q || N(0, 1)) in nats, summed over the entries of z, mean over tasks."""
    mean, precision = posterior.mean, posterior.precision
    return 0.5 * (1.0 / precision + mean.square() - 1.0 + precision.log()).sum(-1).mean()
