"""From an embedding to the layers of one small network per context, and applying them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from experts import layers as stacked
from experts.embedding import initialise, linear
from experts.policy import Activation

FIRST_LAYER_BOUND = 0.05
"""Heads of all layers but the last start from U(±bound), as in HyperZero's released code."""

LAST_LAYER_BOUND = 0.008
"""Bound of the last layer's head: generated outputs start near 0."""

Layers = Sequence[tuple[Tensor, Tensor]]
"""Generated layers: weights (n, fan_in, fan_out) and biases (n, 1, fan_out)."""


class WeightHeads(nn.Module):
    """Linear heads, one a layer, that generate n multi-layer perceptrons from n embeddings.

    A head takes the target's shape (fan_in, fan_out), never a target module; the bias is the last
    row of the matrix that it generates.
    """

    def __init__(
        self,
        embedding_size: int,
        shapes: Sequence[tuple[int, int]],
        *,
        generator: torch.Generator,
    ) -> None:
        """Builds a head for every target shape (fan_in, fan_out), in order.

        Args:
            embedding_size: length of an embedding.
            shapes: shapes of the layers to generate.
            generator: source of the initial weights.
        """
        super().__init__()
        self.shapes = tuple(shapes)
        self.heads = nn.ModuleList()
        for layer, (fan_in, fan_out) in enumerate(self.shapes):
            head = linear(embedding_size, (fan_in + 1) * fan_out)
            last = layer == len(self.shapes) - 1
            bound = LAST_LAYER_BOUND if last else FIRST_LAYER_BOUND
            nn.init.uniform_(head.weight, -bound, bound, generator=generator)
            nn.init.zeros_(head.bias)
            self.heads.append(head)

    def forward(self, embeddings: Tensor) -> Layers:
        """Layers of n networks from embeddings (n, embedding_size)."""
        layers = []
        for head, (fan_in, fan_out) in zip(self.heads, self.shapes, strict=True):
            matrix = head(embeddings).reshape(-1, fan_in + 1, fan_out)
            layers.append((matrix[:, :-1], matrix[:, -1:]))
        return layers


class ToldLayers(nn.Module):
    """One multi-layer perceptron for all contexts, whose first layer is told the embedding.

    W1 [s, z] is S s + Z z, so that each context has the same weights and first biases of its own.
    """

    def __init__(
        self,
        embedding_size: int,
        shapes: Sequence[tuple[int, int]],
        *,
        generator: torch.Generator,
    ) -> None:
        """Builds the layers, see `WeightHeads`."""
        super().__init__()
        (fan_in, fan_out), *others = shapes
        self.observation_size = fan_in
        told = [(fan_in + embedding_size, fan_out), *others]
        layers = [linear(*shape) for shape in told]
        for layer in layers:
            initialise(layer, "orthogonal", generator)
        self.layers = nn.ModuleList(layers)

    def forward(self, embeddings: Tensor) -> Layers:
        """Layers of n networks from embeddings (n, embedding_size)."""
        n, layers = len(embeddings), []
        for i, layer in enumerate(self.layers):
            weight: Tensor = layer.get_parameter("weight")
            biases: Tensor = layer.get_parameter("bias").expand(n, -1)
            if i == 0:
                weight, told = weight.tensor_split([self.observation_size], dim=1)
                biases = biases + nn.functional.linear(embeddings, told)
            layers.append((weight.T.expand(n, -1, -1), biases[:, None]))
        return layers


def apply_layers(layers: Layers, inputs: Tensor, activation: Activation = "relu") -> Tensor:
    """Applies network i to all samples of task i.

    Args:
        layers: generated layers of n_tasks networks.
        inputs: (n_tasks, n_samples, fan_in of the first layer).
        activation: between the layers.

    Returns:
        What the last layer puts out, (n_tasks, n_samples, its fan_out), without an activation.
    """
    weights, biases = zip(*layers, strict=True)
    return stacked.apply_layers((weights, biases), inputs, activation)


def leading(layers: Layers, n: int) -> Layers:
    """The layers of the first n networks."""
    return [(weight[:n], bias[:n]) for weight, bias in layers]


def trailing(layers: Layers, n: int) -> Layers:
    """The layers of the last n networks."""
    return [(weight[-n:], bias[-n:]) for weight, bias in layers]
