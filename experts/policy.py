"""Many small networks applied as one batched matrix product: policies, and their critics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Activation = Literal["tanh", "relu"]
Kind = tuple[tuple[tuple[int, ...], ...], Activation]
"""Shape (fan_in, fan_out) of every layer, and the activation."""


@dataclass(frozen=True, eq=False)
class MLPs:
    """n multi-layer perceptrons of one shape with a linear output.

    Attributes:
        weights: one array (n, fan_in, fan_out) a layer.
        biases: one array (n, fan_out) a layer.
        activation: between the layers.
        mean: (n or 1, input_size), subtracted from the input; None for 0.
        scale: (n or 1, input_size), the input is divided by it; None for 1.

    Raises:
        ValueError: if shapes do not fit each other, an entry is not finite, or a scale not above 0.
    """

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    activation: Activation = "tanh"
    mean: Floats | None = None
    scale: Floats | None = None

    def __post_init__(self) -> None:
        if self.activation not in ("tanh", "relu"):
            raise ValueError(f"`activation` must be 'tanh' or 'relu', got {self.activation!r}")
        if not self.weights or len(self.weights) != len(self.biases):
            raise ValueError(
                "`weights` and `biases` must have one array a layer each, "
                f"got {len(self.weights)} and {len(self.biases)}"
            )
        for name in ("weights", "biases"):
            arrays = tuple(np.ascontiguousarray(a, dtype=np.float32) for a in getattr(self, name))
            object.__setattr__(self, name, arrays)
        for name in ("mean", "scale"):
            if getattr(self, name) is not None:
                array = np.atleast_2d(np.asarray(getattr(self, name), dtype=np.float32))
                object.__setattr__(self, name, array)
        n, fan_in = self.weights[0].shape[:2]
        for name in ("mean", "scale"):
            if getattr(self, name) is not None:
                self._check_normalisation(name, getattr(self, name))
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if weight.shape[:2] != (n, fan_in) or bias.shape != (n, weight.shape[2]):
                raise ValueError(
                    f"layer {layer} must take ({n}, {fan_in}), got weights {weight.shape} "
                    f"and biases {bias.shape}"
                )
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise ValueError(f"layer {layer} has weights that are not finite")
            fan_in = weight.shape[2]

    def _check_normalisation(self, name: str, values: Floats) -> None:
        n, size = self.weights[0].shape[:2]
        if values.shape not in ((1, size), (n, size)):
            raise ValueError(
                f"`{name}` must have shape (1, {size}) or ({n}, {size}), got {values.shape}"
            )
        if not np.isfinite(values).all() or (name == "scale" and not (values > 0).all()):
            allowed = "finite" if name == "mean" else "finite and above 0"
            raise ValueError(f"`{name}` must be {allowed} in every entry")

    def __len__(self) -> int:
        return len(self.weights[0])

    @property
    def input_size(self) -> int:
        """Length of the vectors that the networks take."""
        return int(self.weights[0].shape[1])

    @property
    def output_size(self) -> int:
        """Length of the vectors that they return."""
        return int(self.weights[-1].shape[2])

    @property
    def kind(self) -> Kind:
        """Layers and activation, which `stack` needs alike."""
        return tuple(weight.shape[1:] for weight in self.weights), self.activation

    def apply(self, inputs: NDArray[np.floating]) -> Floats:
        """Outputs (n, m, output_size) of network i for its own inputs (n, m, input_size)."""
        hidden = np.asarray(inputs)
        if self.mean is not None:
            hidden = hidden - self.mean[:, None]
        if self.scale is not None:
            hidden = hidden / self.scale[:, None]
        hidden = hidden.astype(np.float32, copy=False)
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = np.matmul(hidden, weight)
            hidden += bias[:, None]
            if layer < last:
                if self.activation == "tanh":
                    np.tanh(hidden, out=hidden)
                else:
                    np.maximum(hidden, 0.0, out=hidden)
        return hidden

    def select(self, ids: Sequence[int] | NDArray[np.intp]) -> Self:
        """The networks `ids`, in that order; repeats are allowed."""
        rows = np.asarray(ids, dtype=np.intp)
        return replace(
            self,
            weights=tuple(weight[rows] for weight in self.weights),
            biases=tuple(bias[rows] for bias in self.biases),
            mean=_rows(self.mean, rows),
            scale=_rows(self.scale, rows),
        )

    def replaced(self, ids: Sequence[int] | NDArray[np.intp], others: MLPs) -> Self:
        """The networks with those at `ids` replaced by `others`, in order.

        Raises:
            ValueError: if there are not as many, or if their layers or activations differ.
        """
        if len(ids) != len(others):
            raise ValueError(f"`others` must be one for each of {len(ids)}, got {len(others)}")
        rows = np.arange(len(self))
        rows[np.asarray(ids, dtype=np.intp)] = len(self) + np.arange(len(others))
        return type(self).stack([self, others]).select(rows)

    def folded(self) -> Self:
        """The same networks of raw inputs: mean and scale are folded into the first layer."""
        weight, bias = self.weights[0].astype(np.float64), self.biases[0].astype(np.float64)
        if self.scale is not None:
            weight = weight / self.scale[:, :, None]
        if self.mean is not None:
            mean = np.broadcast_to(self.mean, weight.shape[:2])
            bias = bias - np.einsum("ni,nio->no", mean, weight)
        return replace(
            self,
            weights=(weight.astype(np.float32), *self.weights[1:]),
            biases=(bias.astype(np.float32), *self.biases[1:]),
            mean=None,
            scale=None,
        )

    def mixed(self, ids: NDArray[np.intp], shares: NDArray[np.floating]) -> Self:
        """Networks whose weights are sums of these, weight for weight, and take raw inputs.

        Args:
            ids: of k networks each, (n, k).
            shares: what each of these counts, (n, k).
        """
        n, k = ids.shape
        chosen = self.folded().select(ids.reshape(-1))

        def summed(stacked: Floats) -> Floats:
            grouped = stacked.reshape(n, k, *stacked.shape[1:]).astype(np.float64)
            return np.einsum("nk,nk...->n...", shares, grouped).astype(np.float32)

        return replace(
            chosen,
            weights=tuple(summed(weight) for weight in chosen.weights),
            biases=tuple(summed(bias) for bias in chosen.biases),
        )

    def behind(self, matrices: NDArray[np.floating]) -> Self:
        """The networks that do to x what these do to `matrices @ x`.

        Args:
            matrices: one a network, (n, m, m), m at most the input's length: what follows in an
                input goes through as it is. With a single network, for n of it.

        Raises:
            ValueError: if there are neither n networks nor one.
        """
        n, size = matrices.shape[:2]
        if len(self) not in (1, n):
            raise ValueError(f"`matrices` must be one a network, {len(self)}, got {n}")
        plain = self.folded().select(np.zeros(n, np.intp) if len(self) == 1 else range(n))
        first = plain.weights[0].astype(np.float64)
        first[:, :size] = matrices.transpose(0, 2, 1) @ first[:, :size]
        return replace(plain, weights=(first.astype(np.float32), *plain.weights[1:]))

    def layers(self, i: int) -> tuple[list[Floats], list[Floats]]:
        """Weights (fan_in, fan_out) and biases (fan_out,) of network i."""
        return [weight[i] for weight in self.weights], [bias[i] for bias in self.biases]

    def among(self, others: MLPs) -> NDArray[np.intp]:
        """Which of `others` each network is, number for number (n,); -1 for none of them."""
        if self.kind != others.kind:
            return np.full(len(self), -1)
        both = type(self).stack([self, others])
        statistics = [values for values in (both.mean, both.scale) if values is not None]
        arrays = [*both.weights, *both.biases, *statistics]
        keys = [b"".join(array[i].tobytes() for array in arrays) for i in range(len(both))]
        known = {key: i for i, key in reversed(list(enumerate(keys[len(self) :])))}
        return np.array([known.get(key, -1) for key in keys[: len(self)]], dtype=np.intp)

    @classmethod
    def stack(cls, parts: Sequence[MLPs]) -> Self:
        """One batch of several, in order.

        Raises:
            ValueError: if there is none, or if their layers or activations differ.
        """
        if not parts:
            raise ValueError("`parts` must hold at least one batch of networks, got none")
        first = parts[0]
        for part in parts[1:]:
            if part.kind != first.kind:
                raise ValueError(
                    "`parts` must have the same layers and activation to be stacked, got "
                    f"{first.kind} and {part.kind}"
                )
        layers = range(len(first.weights))
        return cls(
            tuple(np.concatenate([part.weights[layer] for part in parts]) for layer in layers),
            tuple(np.concatenate([part.biases[layer] for part in parts]) for layer in layers),
            first.activation,
            _stacked(parts, "mean", 0.0),
            _stacked(parts, "scale", 1.0),
        )


class MLPPolicies(MLPs):
    """n deterministic policies: networks of one shape with a tanh output, one a context."""

    @property
    def observation_size(self) -> int:
        """Length of the observations that the policies take."""
        return self.input_size

    @property
    def action_size(self) -> int:
        """Length of the actions that they return."""
        return self.output_size

    def act(self, observations: NDArray[np.floating]) -> Floats:
        """Actions (n, n_envs, action_size) in [-1, 1] for observations (n, n_envs, obs_size)."""
        actions = self.apply(observations)
        return np.tanh(actions, out=actions)


def _rows(array: Floats | None, rows: NDArray[np.intp]) -> Floats | None:
    return array if array is None or len(array) == 1 else array[rows]


def _stacked(parts: Sequence[MLPs], name: str, absent: float) -> Floats | None:
    if all(getattr(part, name) is None for part in parts):
        return None
    rows = []
    for part in parts:
        value = getattr(part, name)
        if value is None:
            value = np.full((1, part.input_size), absent, dtype=np.float32)
        rows.append(np.broadcast_to(value, (len(part), part.input_size)))
    return np.concatenate(rows)
