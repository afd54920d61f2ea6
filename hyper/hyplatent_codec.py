"""What HypLatent's generator learns from, and how its outputs become policies' vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyper.hyplatent_config import Scale
from hyper.hyplatent_networks import Autoencoder

BLOCK = 256
"""Policies at once where all of them are looked at."""


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


class Codec(nn.Module):
    """Between vectors and what the generator puts out: scaling, and with latents an autoencoder."""

    def __init__(self, scaling: Scaling, autoencoder: Autoencoder | None = None) -> None:
        super().__init__()
        self.scaling, self.autoencoder = scaling, autoencoder
        self.code_scaling: Scaling | None = None

    @property
    def size(self) -> int:
        """Length of the generator's output."""
        codes = self.autoencoder
        return len(self.scaling.offset) if codes is None else codes.code_size

    def encode(self, vectors: Tensor) -> Tensor:
        """What the generator should put out for vectors (n, n_parameters): (n, size)."""
        scaled = self.scaling(vectors.float())
        if self.autoencoder is None or self.code_scaling is None:
            return scaled
        return self.code_scaling(self.autoencoder.encode(scaled))

    def scaled_parameters(self, outputs: Tensor) -> Tensor:
        """Scaled vectors (n, n_parameters) of the generator's outputs (n, size)."""
        if self.autoencoder is None or self.code_scaling is None:
            return outputs
        return self.autoencoder.decode(self.code_scaling.undone(outputs))

    def decode(self, outputs: Tensor) -> Tensor:
        """Vectors (n, n_parameters) of the generator's outputs (n, size)."""
        return self.scaling.undone(self.scaled_parameters(outputs))
