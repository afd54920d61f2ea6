"""Training of HypLatent on vectors and conditions: nothing here knows contexts or environments.

What a policy's condition is, is the caller's affair: a context's encoding, or an embedding of what
the policy does. Equations are GenHyper's; where its text, its algorithm and its predecessor's code
contradict each other, docs/genhyper.md says what was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experts.weight_space import chunk_lengths
from hyper.hyplatent_codec import (
    BLOCK,
    MOST_SPANNED,
    Codec,
    PolicyBank,
    Scaling,
    principal_directions,
    scaling_of,
    span_codec,
)
from hyper.hyplatent_config import HypLatentConfig
from hyper.hyplatent_networks import Autoencoder, Discriminator, Generator

LABEL_NOISE = (0.01, 0.2)
"""How far labels are moved from 1 and 0, uniformly, as in the discriminator's steps of the
predecessor's code; in the generator's own it goes up to 0.3."""
N_REPORTS = 100
AT_ONCE = 16
"""Vectors that are generated at once: few enough to stay in the processor's cache."""


def reconstruction_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Equation 1, and the second term of equation 2: mean squared error over policies, entries."""
    return nn.functional.mse_loss(found, wanted)


def generator_loss(logits: Tensor, labels: Tensor | None = None, *, saturating: bool) -> Tensor:
    """First term of equation 2, from the logits (n,) of generated ones; lower is better for G.

    log(1 - F(G)) if saturating; else the cross-entropy to `labels`, -log F(G) where they are 1.
    """
    if saturating:
        return -nn.functional.softplus(logits).mean()
    wanted = torch.ones_like(logits) if labels is None else labels
    return nn.functional.binary_cross_entropy_with_logits(logits, wanted)


def discriminator_loss(
    real: Tensor, generated: Tensor, labels: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Equation 3 with its sign changed: -log F(Z) - log(1 - F(Ẑ)), from logits (n,)."""
    ones, zeros = (torch.ones_like(real), torch.zeros_like(generated)) if labels is None else labels
    cross_entropy = nn.functional.binary_cross_entropy_with_logits
    return cross_entropy(real, ones) + cross_entropy(generated, zeros)


def auxiliary_loss(found: Tensor, conditions: Tensor) -> Tensor:
    """Equation 4 without λ_reg: mean squared error of the conditions that Q tells."""
    return nn.functional.mse_loss(found, conditions)


class WeightGenerator:
    """A trained generator: vectors for any condition.

    Attributes:
        losses: the last terms of each loss, unweighted: `reconstruction`, and if there are such,
            `autoencoder`, `discriminator`, `adversarial` and `auxiliary`.
    """

    def __init__(self, network: Generator, codec: Codec, losses: dict[str, float]) -> None:
        self.network, self.codec, self.losses = network.eval(), codec.eval(), losses

    def vectors(
        self, conditions: NDArray[np.floating], noise: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Vectors (n, m, n_parameters) of conditions (n, n_inputs), each with noise (m, size).

        Condition by condition: what one gets does not depend on the others.
        """
        device = next(self.network.parameters()).device
        draws = torch.from_numpy(np.asarray(noise, dtype=np.float32)).to(device)
        told = torch.from_numpy(np.asarray(conditions, dtype=np.float32)).to(device)
        size = self.codec.n_parameters
        found = np.empty((len(told), len(draws), size), np.float32)
        with torch.no_grad():
            for i, row in enumerate(told):
                for start in range(0, len(draws), AT_ONCE):
                    part = draws[start : start + AT_ONCE]
                    codes = self.network(row.expand(len(part), -1), part)
                    found[i, start : start + len(part)] = self.codec.decode(codes).cpu().numpy()
        return found


def train_generator(
    bank: PolicyBank,
    lengths: Sequence[int],
    config: HypLatentConfig,
    *,
    seed: int,
    progress: Callable[[float], None] | None = None,
) -> WeightGenerator:
    """Trains autoencoder, generator and discriminator on a bank's policies.

    Args:
        bank: the training policies.
        lengths: of the tensors that a vector is made of.
        config: of everything.
        seed: decides initial weights, minibatches and noise.
        progress: called with the fraction done, in (0, 1].

    Raises:
        FloatingPointError: if a loss is no longer finite.
    """
    draws = torch.Generator().manual_seed(seed)
    device = bank.rows.device
    losses: dict[str, float] = {}
    share = 0.5 if config.space == "latents" and config.autoencoder_updates else 0.0
    codec = Codec(scaling_of(bank.rows, lengths, config.scale))
    targets = None
    if config.space == "latents":
        codec = _with_autoencoder(bank, codec.scaling, config, draws, losses, share, progress)
        targets = None if config.joint_autoencoder else _encoded(bank, codec)
    elif config.span and 1 < len(bank.rows) <= min(MOST_SPANNED, bank.rows.shape[1] // 2):
        codec = span_codec(bank.rows, codec.scaling)
        targets = _encoded(bank, codec)
    n_inputs = bank.conditions.shape[1]
    network = Generator(
        n_inputs,
        config.noise_size,
        codec.size,
        widths=config.widths,
        dropout=config.dropout,
        generator=draws,
    ).to(device)
    judge = Discriminator(
        codec.size, n_inputs, widths=config.discriminator_widths, generator=draws
    ).to(device)
    decoder, encoder = _halves(codec if config.joint_autoencoder else None)
    improve = _Descent(
        [*network.parameters(), *decoder], config, steps_an_update=config.generator_steps
    )
    judging = _Descent([*judge.parameters(), *encoder], config)
    ground = _Descent([*network.parameters(), *judge.parameters()], config)
    adversarial = config.adversarial_weight > 0

    def judged(vectors: Tensor) -> tuple[Tensor, Tensor]:
        logits, guessed = judge(codec.judged(vectors))
        return logits, guessed

    every = max(1, config.updates // N_REPORTS)
    for update in range(1, config.updates + 1):
        ids = bank.draw(config.batch_size, draws)
        told = bank.conditions[ids]
        noise = torch.randn(len(ids), config.noise_size, generator=draws).to(device)
        real = codec.encode(bank.rows[ids]) if targets is None else targets[ids]
        terms: dict[str, Tensor] = {}
        if adversarial:
            with torch.no_grad():
                generated = network(told, noise, draws)
            labels = _labels(len(ids), draws, device) if config.noisy_labels else None
            terms["discriminator"] = discriminator_loss(
                judged(real)[0], judged(generated)[0], labels
            )
            judging.step(terms["discriminator"])
        for _ in range(config.generator_steps):
            generated = network(told, noise, draws)
            if config.reconstruct_decoded or config.joint_autoencoder:
                wanted = codec.scaling(bank.rows[ids].float())
                error = reconstruction_loss(codec.scaled_parameters(generated), wanted)
            else:
                error = codec.error(generated, real.detach())
            terms["reconstruction"] = error
            total = config.reconstruction_weight * error
            if adversarial:
                ones = _labels(len(ids), draws, device)[0] if config.noisy_labels else None
                fooled = generator_loss(judged(generated)[0], ones, saturating=config.saturating)
                terms["adversarial"] = fooled
                total = total + config.adversarial_weight * fooled
            improve.step(total)
        if config.auxiliary_weight > 0:
            guessed = judged(network(told, noise, draws))[1]
            terms["auxiliary"] = auxiliary_loss(guessed, told)
            ground.step(config.auxiliary_weight * terms["auxiliary"])
        if update % every == 0 or update == config.updates:
            losses.update(_checked(terms, update, config.updates))
            if progress is not None:
                progress(share + (1.0 - share) * update / config.updates)
    return WeightGenerator(network, codec, losses)


class _Descent:
    """Adam with the config's rates, on some of the parameters."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        config: HypLatentConfig,
        *,
        learning_rate: float | None = None,
        updates: int | None = None,
        steps_an_update: int = 1,
    ) -> None:
        self._optimiser = torch.optim.Adam(
            list(parameters),
            lr=learning_rate or config.learning_rate,
            betas=(config.momentum, 0.999),
            weight_decay=config.weight_decay,
            fused=True,
        )
        total = (updates or config.updates) * steps_an_update
        falls = config.schedule == "cosine" or updates is not None
        self._rates = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser,
            lambda done: 0.5 * (1.0 + math.cos(math.pi * min(1.0, done / total))) if falls else 1.0,
        )

    def step(self, loss: Tensor) -> None:
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        self._rates.step()


def _with_autoencoder(
    bank: PolicyBank,
    scaling: Scaling,
    config: HypLatentConfig,
    draws: torch.Generator,
    losses: dict[str, float],
    share: float,
    progress: Callable[[float], None] | None,
) -> Codec:
    """The autoencoder by equation 1, begun at its optimum; its codes are scaled as vectors are."""
    chunks = chunk_lengths(bank.rows.shape[1], config.chunk_size)
    autoencoder = _principal_autoencoder(bank, scaling, chunks, config.latent_size, draws)
    updates = config.autoencoder_updates

    def error(ids: Tensor) -> Tensor:
        vectors = scaling(bank.rows[ids].float())
        return reconstruction_loss(autoencoder.decode(autoencoder.encode(vectors)), vectors)

    descent = _Descent(
        autoencoder.parameters(),
        config,
        learning_rate=config.autoencoder_learning_rate,
        updates=max(1, updates),
    )
    every = max(1, updates // N_REPORTS)
    for update in range(1, updates + 1):
        loss = error(bank.draw(config.batch_size, draws))
        descent.step(loss)
        if update % every == 0 or update == updates:
            _checked({"autoencoder": loss}, update, updates)
            if progress is not None:
                progress(share * update / updates)
    with torch.no_grad():
        losses["autoencoder"] = float(error(bank.draw(BLOCK, draws)))
    codec = Codec(scaling, autoencoder)
    with torch.no_grad():
        codes = torch.cat(
            [autoencoder.encode(scaling(block.float())) for block in bank.rows.split(BLOCK)]
        )
    lengths = [autoencoder.latent_size] * len(chunks)
    codec.code_scaling = scaling_of(codes, lengths, config.scale)
    if not config.joint_autoencoder:
        autoencoder.requires_grad_(False)
    return codec


def _principal_autoencoder(
    bank: PolicyBank,
    scaling: Scaling,
    chunks: Sequence[int],
    latent_size: int,
    draws: torch.Generator,
) -> Autoencoder:
    """Its codes are coordinates along the principal directions of each chunk.

    Those of `MOST_SPANNED` policies, where there are more.
    """
    order = torch.randperm(len(bank.rows), generator=draws)[:MOST_SPANNED]
    rows = scaling(bank.rows[order.to(bank.rows.device)].float())
    found = [principal_directions(chunk)[1] for chunk in rows.split(list(chunks), dim=1)]
    size = max(1, min(latent_size, max(len(directions) for directions in found)))
    kept = [directions[-size:] for directions in found]
    return Autoencoder(
        [
            torch.cat([each, each.new_zeros(size - len(each), each.shape[1])])  # equal in all
            for each in kept
        ]
    )


def _encoded(bank: PolicyBank, codec: Codec) -> Tensor:
    with torch.no_grad():
        return torch.cat([codec.encode(block) for block in bank.rows.split(BLOCK)])


def _halves(codec: Codec | None) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters of the decoder and of the encoder that go on learning."""
    if codec is None or not isinstance(codec.autoencoder, Autoencoder):
        return [], []
    return list(codec.autoencoder.decoders), list(codec.autoencoder.encoders)


def _labels(n: int, draws: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
    """Labels (n,) near 1 and near 0."""
    low, high = LABEL_NOISE
    noise = low + (high - low) * torch.rand(2, n, generator=draws)
    return (1.0 - noise[0]).to(device), noise[1].to(device)


def _checked(terms: dict[str, Tensor], update: int, updates: int) -> dict[str, float]:
    found = {name: float(term.detach()) for name, term in terms.items()}
    for name, value in found.items():
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the {name} loss is {value} after update {update} of {updates}; "
                "try a lower `learning_rate`"
            )
    return found
