"""Policies as vectors: which entries are which tensor, what is left out, and chunks of a vector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experts.policy import Floats, MLPPolicies
from experts.validation import require


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The tensors that a vector of parameters is made of, one after the other, in row-major order.

    Nothing here supposes layers: a network of any architecture has a schema.

    Attributes:
        names: of the tensors, all different.
        shapes: of the tensors.
        activation: between the layers, as whatever runs the network calls it.

    Raises:
        ValueError: if names repeat, or there is not one shape of positive sizes a name.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    activation: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "shapes", tuple(tuple(int(n) for n in s) for s in self.shapes))
        if not self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"`names` must be at least one, all different, got {self.names}")
        sizes = [size for shape in self.shapes for size in shape]
        if len(self.shapes) != len(self.names) or min(sizes, default=1) < 1:
            raise ValueError(
                f"`shapes` must be one of positive sizes for each of {len(self.names)} names, "
                f"got {self.shapes}"
            )

    @property
    def lengths(self) -> tuple[int, ...]:
        """Number of entries of each tensor."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def size(self) -> int:
        """Length of a vector."""
        return sum(self.lengths)

    def flatten(self, tensors: Mapping[str, NDArray[Any]]) -> Floats:
        """Vectors (n, size) of n networks' tensors, each (n, *shape).

        Raises:
            ValueError: for a tensor that is missing, unknown, or of another shape; names it.
        """
        unknown = sorted(set(tensors) ^ set(self.names))
        if unknown:
            raise ValueError(f"`tensors` must be {list(self.names)}, {unknown} differ")
        n = len(tensors[self.names[0]])
        for name, shape in zip(self.names, self.shapes, strict=True):
            if tensors[name].shape != (n, *shape):
                raise ValueError(
                    f"tensor {name!r} must have the shape {(n, *shape)}, got {tensors[name].shape}"
                )
        parts = [np.asarray(tensors[name]).reshape(n, -1) for name in self.names]
        return np.concatenate(parts, axis=1).astype(np.float32, copy=False)

    def unflatten(self, vectors: NDArray[np.floating]) -> dict[str, Floats]:
        """The tensors (n, *shape) of vectors (n, size).

        Raises:
            ValueError: if the vectors have another length.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.size:
            raise ValueError(f"`vectors` must be (n, {self.size}), got {vectors.shape}")
        parts = np.split(vectors, np.cumsum(self.lengths)[:-1], axis=1)
        return {
            name: part.reshape(len(vectors), *shape).astype(np.float32)
            for name, shape, part in zip(self.names, self.shapes, parts, strict=True)
        }


def schema_of(policies: MLPPolicies) -> Schema:
    """The schema of such policies: weights (fan_in, fan_out) and bias of each layer in turn."""
    names, shapes = [], []
    for layer, weight in enumerate(policies.weights):
        names += [f"{layer}.weight", f"{layer}.bias"]
        shapes += [weight.shape[1:], weight.shape[2:]]
    return Schema(names=tuple(names), shapes=tuple(shapes), activation=policies.activation)


def vectors_of(policies: MLPPolicies) -> Floats:
    """Vectors (n, size) of n policies, by `schema_of`.

    Observation statistics are folded into the first layer: a vector takes raw observations.
    """
    raw = policies.folded()
    tensors: dict[str, NDArray[Any]] = {}
    for layer, (weight, bias) in enumerate(zip(raw.weights, raw.biases, strict=True)):
        tensors[f"{layer}.weight"], tensors[f"{layer}.bias"] = weight, bias
    return schema_of(policies).flatten(tensors)


def policies_of(vectors: NDArray[np.floating], schema: Schema) -> MLPPolicies:
    """Policies whose vectors (n, size) these are.

    Raises:
        ValueError: if the schema is not that of `MLPPolicies`, or an entry is not finite.
    """
    layers = range(len(schema.names) // 2)
    names = [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
    if list(schema.names) != names:
        raise ValueError(f"`schema.names` must be {names} to be policies, got {schema.names}")
    tensors = schema.unflatten(vectors)
    return MLPPolicies(
        tuple(tensors[f"{layer}.weight"] for layer in layers),
        tuple(tensors[f"{layer}.bias"] for layer in layers),
        schema.activation,  # type: ignore[arg-type]
    )


def chunk_lengths(size: int, longest: int) -> tuple[int, ...]:
    """Lengths of the fewest chunks of a vector, none above `longest`, all equal but for one.

    Raises:
        ValueError: if a number is below 1.
    """
    require("size", size, size >= 1, "at least 1")
    require("longest", longest, longest >= 1, "at least 1")
    n = math.ceil(size / longest)
    shorter, longer = divmod(size, n)
    return tuple(shorter + (i < longer) for i in range(n))
