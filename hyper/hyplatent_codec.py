"""What HypLatent's generator learns from, and how its outputs become policies' vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyper.hyplatent_config import Scale
from hyper.hyplatent_networks import Autoencoder

BLOCK = 256
"""Policies at once where all of them are looked at."""
MOST_SPANNED = 2048
"""Policies whose span is worked out: the cost grows with their number squared."""
RANK_TOLERANCE = 1e-6
"""Directions with less of the largest one's variance are rounding."""


class PolicyBank:
    """All training policies as one matrix, with their conditions.

    Attributes:
        rows: vectors (n, size), in the precision in which they came.
        conditions: (n, n_inputs).
    """

    def __init__(
        self,
        vectors: Sequence[NDArray[np.floating]],
        conditions: Sequence[NDArray[np.floating]],
        device: torch.device | str = "cpu",
    ) -> None:
        """Takes the policies task by task.

        Args:
            vectors: of each task, (n_policies, size).
            conditions: of each task, (n_inputs,), or (n_policies, n_inputs), one a policy.
            device: where they are kept.

        Raises:
            ValueError: if there is no task, or conditions do not fit the vectors.
        """
        if not vectors or len(vectors) != len(conditions):
            raise ValueError(
                "`conditions` must be one or more, one for each task, "
                f"got {len(conditions)} for {len(vectors)}"
            )
        told = []
        for own, condition in zip(vectors, conditions, strict=True):
            given = np.atleast_2d(np.asarray(condition, dtype=np.float32))
            if len(given) not in (1, len(own)):
                raise ValueError(
                    f"`conditions` must be one a task, or one for each of its {len(own)} policies, "
                    f"got {len(given)}"
                )
            told.append(np.broadcast_to(given, (len(own), given.shape[1])))
        self.rows = torch.from_numpy(np.concatenate(vectors)).to(device)
        self.conditions = torch.from_numpy(np.concatenate(told)).to(device)
        counts = torch.tensor([len(own) for own in vectors])
        self._counts, self._starts = counts, counts.cumsum(0) - counts

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Positions (n,) of policies: a task is drawn, then one of its policies."""
        tasks = torch.randint(len(self._counts), (n,), generator=generator)
        share = torch.rand(n, generator=generator, dtype=torch.float64)
        return (self._starts[tasks] + (share * self._counts[tasks]).long()).to(self.rows.device)


class Scaling(nn.Module):
    """(x - offset) / unit, entry by entry."""

    offset: Tensor
    unit: Tensor

    def __init__(self, offset: Tensor, unit: Tensor) -> None:
        super().__init__()
        self.register_buffer("offset", offset)
        self.register_buffer("unit", torch.where(unit > 0, unit, 1.0))

    def forward(self, values: Tensor) -> Tensor:
        """Scaled values (n, size)."""
        return (values - self.offset) / self.unit

    def undone(self, scaled: Tensor) -> Tensor:
        """Values (n, size) that are scaled to these."""
        return scaled * self.unit + self.offset


def scaling_of(rows: Tensor, lengths: Sequence[int], kind: Scale) -> Scaling:
    """The scaling that rows (n, size) call for.

    Args:
        rows: what is to be scaled.
        lengths: of the tensors in a row; each has one unit if `kind` is `tensors`.
        kind: `tensors` or `limits`, see `HypLatentConfig`.
    """
    if kind == "limits":
        low, high = rows.amin(dim=0).float(), rows.amax(dim=0).float()
        return Scaling((low + high) / 2, (high - low) / 2)
    mean = sum(block.double().sum(dim=0) for block in rows.split(BLOCK)) / len(rows)
    spread = sum((block - mean).square().sum(dim=0) for block in rows.split(BLOCK)) / len(rows)
    units = [part.mean().sqrt().expand(len(part)) for part in spread.split(list(lengths))]
    return Scaling(mean.float(), torch.cat(units).float())


class Span(nn.Module):
    """Coordinates in the linear span of rows, and back; lossless for the rows themselves."""

    basis: Tensor

    def __init__(self, basis: Tensor) -> None:
        """Takes orthonormal directions (k, size)."""
        super().__init__()
        self.register_buffer("basis", basis)

    @property
    def code_size(self) -> int:
        """Number of coordinates."""
        return len(self.basis)

    def encode(self, vectors: Tensor) -> Tensor:
        """Coordinates (n, k) of vectors (n, size)."""
        return vectors @ self.basis.T

    def decode(self, codes: Tensor) -> Tensor:
        """Vectors (n, size) of coordinates (n, k)."""
        return codes @ self.basis


def principal_directions(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths (k,) of rows (n, size) along orthonormal directions (k, size), the least first.

    The directions are the rows' span, without what rounding put into it; k is 0 for rows of zeros.
    """
    variances, directions = torch.linalg.eigh((rows @ rows.T).double())
    kept = variances > RANK_TOLERANCE * variances[-1]
    lengths = variances[kept].sqrt()
    return lengths, (directions[:, kept] / lengths).float().T @ rows


def span_codec(rows: Tensor, scaling: Scaling) -> Codec:
    """The codec whose outputs are coordinates in the span of scaled rows (n, size).

    Each has variance 1 over the rows, and counts in the error by what it had before. So the
    generator learns all of them at one rate; but n rows are equally far from each other then,
    whatever they are, and a discriminator has to see them as `judged` gives them.

    Raises:
        ValueError: if all rows are equal.
    """
    scaled = torch.cat([scaling(block.float()) for block in rows.split(BLOCK)])
    lengths, basis = principal_directions(scaled)
    if len(lengths) == 0:
        raise ValueError(f"policies must differ to span anything, got {len(rows)} equal ones")
    codec = Codec(scaling, Span(basis))
    unit = (lengths / math.sqrt(len(rows))).float()
    codec.code_scaling = Scaling(torch.zeros_like(unit), unit)
    codec.error_weights = unit.square() * (len(unit) / rows.shape[1])
    codec.relative_units = unit / unit.square().mean().sqrt()
    return codec


class Codec(nn.Module):
    """Between vectors and what the generator puts out: scaling, and then a span or autoencoder."""

    def __init__(self, scaling: Scaling, autoencoder: Autoencoder | Span | None = None) -> None:
        super().__init__()
        self.scaling, self.autoencoder = scaling, autoencoder
        self.code_scaling: Scaling | None = None
        self.error_weights: Tensor | None = None
        self.relative_units: Tensor | None = None

    @property
    def size(self) -> int:
        """Length of the generator's output."""
        codes = self.autoencoder
        return self.n_parameters if codes is None else codes.code_size

    @property
    def n_parameters(self) -> int:
        """Length of a vector."""
        return len(self.scaling.offset)

    def encode(self, vectors: Tensor) -> Tensor:
        """What the generator should put out for vectors (n, n_parameters): (n, size)."""
        scaled = self.scaling(vectors.float())
        if self.autoencoder is None or self.code_scaling is None:
            return scaled
        return self.code_scaling(self.autoencoder.encode(scaled))

    def error(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Mean squared error of outputs (n, size); in a span, that of the scaled parameters."""
        squares = (outputs - wanted).square()
        return (squares if self.error_weights is None else squares * self.error_weights).mean()

    def judged(self, outputs: Tensor) -> Tensor:
        """Outputs (n, size) as a discriminator sees them: as far apart as the scaled parameters."""
        return outputs if self.relative_units is None else outputs * self.relative_units

    def scaled_parameters(self, outputs: Tensor) -> Tensor:
        """Scaled vectors (n, n_parameters) of the generator's outputs (n, size)."""
        if self.autoencoder is None or self.code_scaling is None:
            return outputs
        return self.autoencoder.decode(self.code_scaling.undone(outputs))

    def decode(self, outputs: Tensor) -> Tensor:
        """Vectors (n, n_parameters) of the generator's outputs (n, size)."""
        return self.scaling.undone(self.scaled_parameters(outputs))
