"""Networks of HypLatent: autoencoder of policies, generator, discriminator with auxiliary head.

Every network maps a row to a row. Normalisation is within a row (layer normalisation, where the
predecessor's code has batch normalisation), so that no sample's output depends on its company.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from experts.embedding import initialise, linear


class Autoencoder(nn.Module):
    """Vectors (n, size) to codes (n, n_chunks * latent_size) and back: E and D of equation 1.

    As in Make-An-Agent, a linear map a chunk without offset, each way. Here chunks are cut by
    length alone, and inputs are centred, so that there is no layer normalisation of the codes: it
    would take away how far a policy is from the mean.

    Linear maps lose least, by equation 1, between a chunk and its coordinates along the principal
    directions of the training policies, so that is where they begin.
    """

    def __init__(self, directions: Sequence[Tensor]) -> None:
        """Builds the maps.

        Args:
            directions: of each chunk of a vector, (latent_size, length), orthonormal ones first
                and zeros where there are fewer.
        """
        super().__init__()
        self.lengths = [each.shape[1] for each in directions]
        self.latent_size = len(directions[0])
        self.encoders = nn.ParameterList(nn.Parameter(each.T.clone()) for each in directions)
        self.decoders = nn.ParameterList(nn.Parameter(each.clone()) for each in directions)

    @property
    def code_size(self) -> int:
        """Length of a whole vector's code."""
        return len(self.lengths) * self.latent_size

    def encode(self, vectors: Tensor) -> Tensor:
        """Codes (n, code_size) of scaled vectors (n, size)."""
        parts = vectors.split(self.lengths, dim=1)
        codes = [part @ encoder for part, encoder in zip(parts, self.encoders, strict=True)]
        return torch.cat(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Scaled vectors (n, size) of codes (n, code_size)."""
        parts = codes.split(self.latent_size, dim=1)
        vectors = [part @ decoder for part, decoder in zip(parts, self.decoders, strict=True)]
        return torch.cat(vectors, dim=1)


class Block(nn.Module):
    """A linear layer, normalised within each row, GELU."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.layer = linear(fan_in, fan_out)
        self.norm = nn.LayerNorm(fan_out)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (n, fan_out) of inputs (n, fan_in)."""
        return nn.functional.gelu(self.norm(self.layer(inputs)))


class Generator(nn.Module):
    """G of equation 2: conditions (n, n_inputs) and noise (n, noise_size) to (n, size).

    The paper's "1D UNet" as its predecessor's code has it: a perceptron that narrows and widens
    again, with the way down added to the way up at each width; there are no convolutions.
    """

    def __init__(
        self,
        n_inputs: int,
        noise_size: int,
        size: int,
        *,
        widths: Sequence[int],
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.noise_size, self._dropout = noise_size, dropout
        self.first = linear(n_inputs + noise_size, widths[0])
        self.down = nn.ModuleList(Block(a, b) for a, b in pairwise(widths))
        self.up = nn.ModuleList(Block(b, a) for a, b in reversed(list(pairwise(widths))))
        self.last = linear(widths[0], size)
        draw_weights(self, generator)

    def forward(
        self, conditions: Tensor, noise: Tensor, masks: torch.Generator | None = None
    ) -> Tensor:
        """Scaled vectors or codes (n, size); units are left out where `masks` are drawn from."""
        hidden = self.first(torch.cat([conditions, noise], dim=1))
        skips = []
        for block in self.down:
            skips.append(hidden)
            hidden = self._thinned(block(hidden), masks)
        for block, skip in zip(self.up, reversed(skips), strict=True):
            hidden = self._thinned(block(hidden), masks) + skip
        return self.last(hidden)

    def _thinned(self, hidden: Tensor, masks: torch.Generator | None) -> Tensor:
        if masks is None or not self._dropout:
            return hidden
        kept = torch.rand(hidden.shape, generator=masks).to(hidden.device) >= self._dropout
        return hidden * kept / (1.0 - self._dropout)


class Discriminator(nn.Module):
    """F of equation 3 and Q of equation 4: scaled vectors or codes (n, size) to two answers.

    Q stands on F's last hidden layer, as in the predecessor's code: of the scalar F itself, which
    the equation's notation gives it, no condition could be told.
    """

    def __init__(
        self, size: int, n_inputs: int, *, widths: Sequence[int], generator: torch.Generator
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise((size, *widths)):
            layers += [linear(fan_in, fan_out), nn.GELU()]
        self.trunk = nn.Sequential(*layers)
        self.head = linear(widths[-1], 1)
        self.auxiliary = nn.Sequential(
            linear(widths[-1], widths[-1]), nn.GELU(), linear(widths[-1], n_inputs)
        )
        draw_weights(self, generator)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n,) of being real, and conditions (n, n_inputs) told from the vectors."""
        features = self.trunk(vectors)
        return self.head(features).squeeze(-1), self.auxiliary(features)


def draw_weights(network: nn.Module, generator: torch.Generator) -> None:
    """Draws the initial weights of all linear layers of a network."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            initialise(layer, "uniform", generator)
