"""The context embedding that HyperZero and its context-conditioned baseline share.

Residual stages of growing width, as in HyperZero's released code (and the hypernetworks of
Sarafian et al. 2021, arXiv 2106.06842, that it builds on); written anew from the description.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import skip_init

from param_envs import Family

Init = Literal["uniform", "orthogonal"]

LOG_FLOOR = 0.05
"""Share of the largest magnitude below which the logarithm of a speed stays where it is."""


def context_inputs(
    family: Family,
    contexts: Sequence[Mapping[str, float]],
    features: Iterable[str],
    *,
    encode: bool,
    log_speeds: bool = False,
) -> Tensor:
    """What a network is told of contexts, (n_contexts, n_inputs) float32.

    Args:
        family: the family of the contexts.
        contexts: the contexts, validated here; absent features take their defaults.
        features: names of the features to present.
        encode: `family.encode` (entries in [-1, 1], speeds as direction and magnitude) if true,
            else the raw values, as the paper's code feeds them.
        log_speeds: behind those the logarithm of each speed's magnitude, in [-1, 1]. Rewards count
            errors relative to the speed: from 0.5 m/s to 1 m/s a policy changes as from 5 to 10.

    Raises:
        ValueError: if there is no context, or for an unknown feature or a value out of range.
    """
    if not contexts:
        raise ValueError("`contexts` must hold at least one context, got none")
    validated = [family.context(**context) for context in contexts]
    columns = [(family.encode if encode else family.raw)(validated, features)]
    if log_speeds:
        columns += _log_magnitudes(family, validated, features)
    return torch.from_numpy(np.concatenate(columns, axis=1).astype(np.float32))


def _log_magnitudes(
    family: Family, contexts: Sequence[Mapping[str, float]], features: Iterable[str]
) -> list[NDArray[np.float64]]:
    """A column (n_contexts, 1) for each feature with a direction, entries in [-1, 1]."""
    columns = []
    for feature in family.selected(features):
        if feature.encoding == "signed":
            values = np.array([[context[feature.name]] for context in contexts])
            share = np.maximum(feature.magnitudes(values), LOG_FLOOR)
            columns.append(1.0 - 2.0 * np.log(share) / np.log(LOG_FLOOR))
    return columns


def linear(fan_in: int, fan_out: int) -> nn.Linear:
    """A linear layer without initial values, so that no global generator is drawn from."""
    return skip_init(nn.Linear, fan_in, fan_out)


class ResidualBlock(nn.Module):
    """x + W2 relu(W1 relu(x)), all of one width."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.first = linear(size, size)
        self.second = linear(size, size)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (n, size) for inputs (n, size)."""
        return inputs + self.second(torch.relu(self.first(torch.relu(inputs))))


class Embedding(nn.Module):
    """Contexts (n, n_inputs) to embeddings (n, sizes[-1]).

    Every stage is a linear layer to the stage's width and `n_blocks` residual blocks; there is no
    normalisation layer, and no activation after the stage's linear layer.
    """

    def __init__(
        self,
        n_inputs: int,
        *,
        sizes: Sequence[int],
        n_blocks: int,
        init: Init,
        generator: torch.Generator,
    ) -> None:
        """Builds the network.

        Args:
            n_inputs: length of a context's encoding.
            sizes: width of each stage.
            n_blocks: residual blocks a stage.
            init: `uniform` draws weights from U(±1 / (2 √fan_in)) and biases from U(±1 / √fan_in),
                HyperZero's way; `orthogonal` has orthogonal weights and zero biases, as the
                released baselines do.
            generator: source of the initial weights.
        """
        super().__init__()
        stages: list[nn.Module] = []
        for fan_in, size in zip((n_inputs, *sizes), sizes, strict=False):
            stages += [linear(fan_in, size), *(ResidualBlock(size) for _ in range(n_blocks))]
        self.stages = nn.Sequential(*stages)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                initialise(layer, init, generator)

    def forward(self, contexts: Tensor) -> Tensor:
        """Embeddings (n, sizes[-1]) of contexts (n, n_inputs)."""
        return self.stages(contexts)


def initialise(layer: nn.Linear, init: Init, generator: torch.Generator) -> None:
    """Draws a layer's initial weights and biases; the two ways are `Embedding`'s."""
    bound = layer.in_features**-0.5
    if init == "uniform":
        nn.init.uniform_(layer.weight, -bound / 2, bound / 2, generator=generator)
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    else:
        nn.init.orthogonal_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
