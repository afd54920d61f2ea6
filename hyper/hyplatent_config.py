"""Hyperparameters of HypLatent, and the paper's and its predecessor code's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from experts.validation import require

Space = Literal["parameters", "latents"]
Scale = Literal["tensors", "limits"]
Answer = Literal["mean", "sample"]
Rates = Literal["cosine", "constant"]

_ALLOWED: dict[str, tuple[str, ...]] = {
    "space": ("parameters", "latents"),
    "scale": ("tensors", "limits"),
    "answer": ("mean", "sample"),
    "schedule": ("cosine", "constant"),
    "device": ("auto", "cpu", "cuda"),
}


@dataclass(frozen=True, kw_only=True)
class HypLatentConfig:
    """Hyperparameters of HypLatent.

    Attributes:
        space: `parameters` generates a policy's vector itself, `latents` the autoencoder's code.
        span: with `parameters`, generate coordinates in the span of training policies, as many as
            that has, where these are at least two, at most half as many as parameters and at most
            2,048; of no effect otherwise. A policy of least reconstruction error lies there
            anyway, and an update costs a hundredth.
        encode_contexts: give contexts in [-1, 1], an angle as (cos, sin); raw values otherwise.
        noise_size: length of the generator's noise n; 0 for none.
        widths: of the generator's layers on its way down; on its way up it has them in reverse.
        dropout: share of each block's units left out in the generator's training.
        discriminator_widths: of the layers of F.
        scale: `tensors` subtracts every entry's mean over the training policies and divides by one
            deviation a tensor; `limits` maps every entry's range to [-1, 1].
        reconstruction_weight: λ of equation 2.
        adversarial_weight: of the adversarial term beside it; 0 for no discriminator.
        auxiliary_weight: λ_reg of equation 4; 0 for no auxiliary head.
        saturating: log(1 - F(G)) as equation 2 has it; otherwise -log F(G).
        noisy_labels: real and generated ones are labelled 1 and 0, but for up to 0.2 of noise.
        generator_steps: of the generator for each one of the discriminator.
        reconstruct_decoded: measure equation 2's reconstruction on decoded parameters, not codes.
        updates: of the discriminator, and rounds of all.
        batch_size: policies a minibatch; tasks are drawn first, so that each counts alike.
        learning_rate: Adam's, at the start.
        momentum: Adam's first decay rate.
        weight_decay: added to the gradient, as torch's Adam has it.
        schedule: `cosine` falls to 0, `constant` stays.
        chunk_size: longest chunk of a vector that the autoencoder maps at once.
        latent_size: longest code of a chunk; shorter where its policies span less.
        autoencoder_updates: before the generator's training, from the principal directions of the
            training policies (of 2,048 drawn ones where there are more), which are the optimum
            where all are used; 0 leaves it there.
        autoencoder_learning_rate: Adam's, falling to 0.
        joint_autoencoder: go on training the encoder with F and the decoder with the generator.
        answer: what `policies` gives: the policy of `mean_samples` samples' mean parameters, or one
            sample.
        mean_samples: number of noises; the same for all contexts.
        device: `cpu`, `cuda`, or `auto` for a GPU where there is one.

    Raises:
        ValueError: for a number or name that makes no sense, named.
    """

    space: Space = "parameters"
    span: bool = True
    encode_contexts: bool = True
    noise_size: int = 4
    widths: tuple[int, ...] = (64, 64, 32)
    dropout: float = 0.0
    discriminator_widths: tuple[int, ...] = (64, 64, 32)
    scale: Scale = "tensors"
    reconstruction_weight: float = 1e3
    adversarial_weight: float = 1.0
    auxiliary_weight: float = 1e3
    saturating: bool = False
    noisy_labels: bool = True
    generator_steps: int = 1
    reconstruct_decoded: bool = False
    updates: int = 1500
    batch_size: int = 32
    learning_rate: float = 1e-3
    momentum: float = 0.5
    weight_decay: float = 1e-5
    schedule: Rates = "cosine"
    chunk_size: int = 16_384
    latent_size: int = 32
    autoencoder_updates: int = 0
    autoencoder_learning_rate: float = 1e-3
    joint_autoencoder: bool = False
    answer: Answer = "mean"
    mean_samples: int = 16
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            require(name, value, value in allowed, f"one of {allowed}")
        for name in ("widths", "discriminator_widths"):
            sizes = getattr(self, name)
            require(name, sizes, sizes and min(sizes) >= 1, "widths of at least 1")
        counts = ("generator_steps", "updates", "batch_size", "chunk_size", "latent_size")
        for name in (*counts, "mean_samples"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("noise_size", "autoencoder_updates"):
            require(name, getattr(self, name), getattr(self, name) >= 0, "at least 0")
        for name in ("reconstruction_weight", "adversarial_weight", "auxiliary_weight"):
            value = getattr(self, name)
            require(name, value, 0 <= value < float("inf"), "at least 0 and finite")
        for name in ("learning_rate", "autoencoder_learning_rate"):
            require(name, getattr(self, name), 0 < getattr(self, name) <= 1, "in (0, 1]")
        for name in ("dropout", "momentum", "weight_decay"):
            require(name, getattr(self, name), 0 <= getattr(self, name) < 1, "in [0, 1)")
        for name in ("reconstruct_decoded", "joint_autoencoder"):
            value = getattr(self, name)
            require(name, value, not value or self.space == "latents", "False without latents")
        if self.auxiliary_weight > 0 and not self.adversarial_weight > 0:
            raise ValueError(
                "`auxiliary_weight` must be 0 where `adversarial_weight` is: its head stands on "
                f"the discriminator, got {self.auxiliary_weight}"
            )

    @classmethod
    def paper(cls, *, updates: int = 683_500) -> HypLatentConfig:
        """Sizes and rates of the predecessor's released code, on what the paper conditions on.

        5,000 epochs over 35 tasks × 500 policies in batches of 128 are 683,500 updates. Batches are
        drawn, not passed through in turn; layers are normalised within a sample, not a batch.
        """
        return cls(
            span=False,
            encode_contexts=False,
            widths=(2048, 1024, 512, 256),
            dropout=0.1,
            discriminator_widths=(1024, 1024, 512),
            scale="limits",
            generator_steps=2,
            updates=updates,
            batch_size=128,
            learning_rate=2e-4,
            schedule="constant",
            latent_size=1024,
            autoencoder_updates=1000,
            device="auto",
        )
