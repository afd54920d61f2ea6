"""Every weight of a loss changes what is learned, in methods and baselines alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from baselines import PEARL, UVFA, PEARLConfig, UVFAConfig
from experts import Rollouts
from hyper import (
    HyperDistil,
    HyperDistilConfig,
    HyperZero,
    HyperZeroConfig,
    HypLatent,
    HypLatentConfig,
)

SMALL: dict[str, Any] = {"embedding_sizes": (16, 32), "n_blocks": 1, "updates": 3}
TINY: dict[str, Any] = {"hidden_size": 16, "batch_states": 8}
ZERO = HyperZeroConfig(**SMALL, **TINY, batch_transitions=4)
DISTIL = HyperDistilConfig(**SMALL, policy_sizes=(16,), batch_states=8, rounds=0)
LATENT = HypLatentConfig(
    widths=(16, 8),
    discriminator_widths=(16,),
    updates=3,
    batch_size=8,
    reconstruction_weight=1.0,
    auxiliary_weight=0.0,
    noisy_labels=False,
    autoencoder_updates=3,
    latent_size=4,
)
VALUED = UVFAConfig(**SMALL, **TINY, batch_transitions=4)
INFERRED = PEARLConfig(**SMALL, **TINY, encoder_sizes=(16,), latent_size=4, batch_encoded=6)
WEIGHTS = [
    (HyperZero, ZERO, "value_weight"),
    (HyperZero, ZERO, "td_weight"),
    (HyperDistil, DISTIL, "blend_weight"),
    (HypLatent, LATENT, "reconstruction_weight"),
    (HypLatent, LATENT, "adversarial_weight"),
    (HypLatent, LATENT, "auxiliary_weight"),
    (UVFA, VALUED, "value_weight"),
    (UVFA, VALUED, "td_weight"),
    (PEARL, INFERRED, "kl_weight"),
]


def actions(fitted: Any, data: Rollouts) -> np.ndarray:
    return fitted.policies(data.contexts).act(data.observations[:, 0])


@pytest.mark.parametrize(
    ("method", "config", "name"),
    [pytest.param(*row, id=f"{row[0].__name__}-{row[2]}") for row in WEIGHTS],
)
def test_a_weight_counts(method: Any, config: Any, name: str, data: Rollouts) -> None:
    """0 leaves the term out, 10 is more than 1, and nothing else makes a difference."""
    none, again, some, much = (
        actions(method(replace(config, **{name: weight})).fit(data, seed=0), data)
        for weight in (0.0, 0.0, 1.0, 10.0)
    )
    np.testing.assert_array_equal(none, again)
    for first, second in ((none, some), (some, much)):
        assert np.abs(first - second).max() > 1e-5


def test_noisy_labels_reach_both_players(data: Rollouts) -> None:
    """In the first round all else is drawn before them, and nothing moves at this rate."""
    still = replace(LATENT, updates=1, learning_rate=1e-12)
    exact, noisy = (
        HypLatent(replace(still, noisy_labels=choice)).fit(data, seed=0).losses
        for choice in (False, True)
    )
    assert exact["reconstruction"] == pytest.approx(noisy["reconstruction"], rel=1e-6)
    for player in ("discriminator", "adversarial"):
        assert exact[player] != pytest.approx(noisy[player], rel=1e-4)


@pytest.mark.parametrize("adversarial_weight", [0.0, 1.0])
def test_a_joint_autoencoder_learns_on(adversarial_weight: float, data: Rollouts) -> None:
    """The decoder with the generator; the encoder with the discriminator, if there is one."""
    config = replace(LATENT, space="latents", adversarial_weight=adversarial_weight)
    fixed, joint = (
        HypLatent(replace(config, joint_autoencoder=choice)).fit(data, seed=0)
        for choice in (False, True)
    )
    for half, learns in (("decoders", True), ("encoders", adversarial_weight > 0.0)):
        before, after = (
            torch.cat([p.flatten() for p in getattr(f.generator.codec.autoencoder, half)])
            for f in (fixed, joint)
        )
        assert bool((after - before).abs().max() > 1e-4) == learns
    assert np.abs(actions(fixed, data) - actions(joint, data)).max() > 1e-5
