"""The layers of n networks of one shape in torch, applied as one batched matrix product."""

from __future__ import annotations

import torch
from torch import Tensor

Layers = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
"""Weights (n, fan_in, fan_out) and biases (n, 1, fan_out) of each layer."""

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}


def apply_layers(layers: Layers, inputs: Tensor, activation: str) -> Tensor:
    """Outputs (n, m, output_size) of n networks for inputs (n, m, input_size).

    Args:
        layers: of the networks.
        inputs: of each.
        activation: between the layers, `relu` or `tanh`.
    """
    between = ACTIVATIONS[activation]
    hidden = inputs
    weights, biases = layers
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if layer:
            hidden = between(hidden)
        hidden = torch.baddbmm(bias, hidden, weight)
    return hidden
