"""Networks of one shape on a device, applied and descended as one batched matrix product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experts.layers import ACTIVATIONS, apply_layers
from experts.policy import Floats


class StackedMLPs:
    """n multi-layer perceptrons of one shape, with a linear output.

    All parameters lie in one flat tensor, layer by layer, so that Adam and the averaging of target
    networks are single operations whatever the number of networks and layers.

    Attributes:
        flat: all parameters, (n_parameters,).
        weights: views of `flat`, (n, fan_in, fan_out) a layer; leaves of the autograd graph.
        biases: views of `flat`, (n, 1, fan_out) a layer; leaves of the autograd graph.
        activation: between the layers, `relu` or `tanh`.
    """

    def __init__(
        self, n: int, sizes: Sequence[int], activation: str, device: torch.device | str = "cpu"
    ) -> None:
        """Makes networks whose parameters are all 0.

        Args:
            n: networks.
            sizes: of input, hidden layers and output.
            activation: `relu` or `tanh`.
            device: where the parameters live.

        Raises:
            ValueError: for another activation.
        """
        if activation not in ACTIVATIONS:
            raise ValueError(f"`activation` must be 'relu' or 'tanh', got {activation!r}")
        self.activation = activation
        self.sizes = tuple(sizes)
        shapes = [shape for i, o in pairwise(self.sizes) for shape in ((n, i, o), (n, 1, o))]
        self.flat = torch.zeros(sum(math.prod(shape) for shape in shapes), device=device)
        views = [
            part.view(shape).requires_grad_()
            for part, shape in zip(
                self.flat.split([math.prod(shape) for shape in shapes]), shapes, strict=True
            )
        ]
        self.weights = tuple(views[0::2])
        self.biases = tuple(views[1::2])

    def __len__(self) -> int:
        return len(self.weights[0])

    @property
    def parameters(self) -> list[Tensor]:
        """Weight and bias of each layer, in the order of `flat`."""
        pairs = zip(self.weights, self.biases, strict=True)
        return [tensor for pair in pairs for tensor in pair]

    def apply(self, inputs: Tensor) -> Tensor:
        """Outputs (n, m, output_size) of network i for its own inputs (n, m, input_size)."""
        return apply_layers((self.weights, self.biases), inputs, self.activation)

    def apply_fixed(self, inputs: Tensor, count: int | None = None) -> Tensor:
        """The same with gradients to the inputs alone, by the first `count` networks."""
        weights = tuple(weight.detach()[:count] for weight in self.weights)
        biases = tuple(bias.detach()[:count] for bias in self.biases)
        return apply_layers((weights, biases), inputs, self.activation)

    def gradient(self, loss: Tensor) -> None:
        """Sets `flat.grad` to the loss's gradient; the buffer keeps its address."""
        gradients = torch.autograd.grad(loss, self.parameters)
        if self.flat.grad is None:
            self.flat.grad = torch.zeros_like(self.flat)
        torch.cat([part.reshape(-1) for part in gradients], out=self.flat.grad)

    def average_towards(self, other: StackedMLPs, rate: float) -> None:
        """Polyak averaging: (1 - rate) of the own parameters plus rate of the other's."""
        with torch.no_grad():
            self.flat.mul_(1.0 - rate)
            self.flat.add_(other.flat, alpha=rate)

    def copy_from(self, other: StackedMLPs) -> None:
        """Takes the parameters of networks of the same shape."""
        with torch.no_grad():
            self.flat.copy_(other.flat)

    def fill(
        self,
        index: int,
        weights: Sequence[NDArray[np.floating]],
        biases: Sequence[NDArray[np.floating]],
    ) -> None:
        """Sets network `index`: weights (fan_in, fan_out) and biases (fan_out,) a layer.

        Raises:
            ValueError: if a layer has another shape.
        """
        with torch.no_grad():
            for own, given in zip(self.weights, weights, strict=True):
                if own.shape[1:] != given.shape:
                    shapes = [tuple(weight.shape[1:]) for weight in self.weights]
                    raise ValueError(
                        f"`weights` must have the shapes {shapes}, "
                        f"got {[weight.shape for weight in weights]}"
                    )
                own[index] = torch.from_numpy(np.array(given, dtype=np.float32))
            for own, given in zip(self.biases, biases, strict=True):
                own[index, 0] = torch.from_numpy(np.array(given, dtype=np.float32))

    def arrays(self, rows: slice = slice(None)) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
        """Copies: weights (n, fan_in, fan_out) and biases (n, fan_out) of the networks `rows`."""
        weights = tuple(_array(weight[rows]) for weight in self.weights)
        return weights, tuple(_array(bias[rows, 0]) for bias in self.biases)


def initialise(
    networks: StackedMLPs, index: int, generator: torch.Generator, *, orthogonal: bool = False
) -> None:
    """Draws the parameters of network `index`.

    Args:
        networks: changed in place.
        index: of the network.
        generator: on the CPU, so that a seed means the same on every device.
        orthogonal: orthogonal weights and zero biases. By default torch's own for linear layers,
            which Stable-Baselines3 keeps: uniform within ±1 / √fan_in.
    """
    weights, biases = [], []
    for fan_in, fan_out in pairwise(networks.sizes):
        weight, bias = torch.empty(fan_out, fan_in), torch.zeros(fan_out)
        if orthogonal:
            nn.init.orthogonal_(weight, generator=generator)
        else:
            bound = 1.0 / math.sqrt(fan_in)
            weight.uniform_(-bound, bound, generator=generator)
            bias.uniform_(-bound, bound, generator=generator)
        weights.append(weight.T.numpy())
        biases.append(bias.numpy())
    networks.fill(index, weights, biases)


def scale_last_layer(networks: StackedMLPs, scale: float) -> None:
    """Multiplies the output of all networks, in place."""
    with torch.no_grad():
        networks.weights[-1].mul_(scale)
        networks.biases[-1].mul_(scale)


def _array(tensor: Tensor) -> Floats:
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float32)
