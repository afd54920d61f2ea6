"""What each option of HypLatent makes of its gradients, on networks small enough to do by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hyper import hyplatent_training
from hyper.hyplatent_codec import PolicyBank
from hyper.hyplatent_config import HypLatentConfig
from hyper.hyplatent_networks import Generator
from hyper.hyplatent_training import WeightGenerator, discriminator_loss, train_generator

LOG_3 = math.log(3.0)
"""A logit at which F is 3/4."""
CONFIG = HypLatentConfig(
    noise_size=0,
    dropout=0.0,
    reconstruction_weight=1.0,
    auxiliary_weight=0.0,
    noisy_labels=False,
    updates=1,
    batch_size=1,
)
LATENTS = replace(CONFIG, space="latents", chunk_size=1, latent_size=1)


class Line(nn.Module):
    """A generator: all entries are a slope times the one number of the condition."""

    def __init__(self, n_inputs: int, noise_size: int, size: int, **_: object) -> None:
        super().__init__()
        self.slopes = nn.Parameter(torch.ones(size))

    def forward(self, conditions: Tensor, noise: Tensor, masks: object = None) -> Tensor:
        return conditions * self.slopes


class Judge(nn.Module):
    """A discriminator of what entries sum to: logit LOG_3 times it, and a condition 3 times it."""

    def __init__(self, size: int, n_inputs: int, **_: object) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.tensor(LOG_3)), nn.Parameter(torch.zeros(()))
        self.told = nn.Parameter(torch.tensor(3.0))

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        total = vectors.sum(dim=1)
        return self.weight * total + self.bias, self.told * total[:, None]


class Whole(PolicyBank):
    """Every minibatch is the whole bank."""

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.arange(len(self.rows))


class Slopes(NamedTuple):
    """Gradients of one round, by parameter: none where a player has no step."""

    generator: list[Tensor]
    discriminator: list[Tensor]
    auxiliary: list[Tensor]
    trained: WeightGenerator


Train = Callable[[PolicyBank, HypLatentConfig], Slopes]


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Train:
    """One round with `Line` and `Judge`, in which nothing moves."""
    optimisers: list[Any] = []

    class Still(torch.optim.Adam):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.slopes: list[Tensor] = []
            optimisers.append(self)

        def step(self, closure: Any = None) -> Any:
            given = self.param_groups[0]["params"]
            self.slopes = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in given]

    def one_round(bank: PolicyBank, config: HypLatentConfig) -> Slopes:
        trained = train_generator(bank, [bank.rows.shape[1]], config, seed=0)
        generator, discriminator, auxiliary = (each.slopes for each in optimisers[-3:])
        return Slopes(generator, discriminator, auxiliary, trained)

    monkeypatch.setattr(torch.optim, "Adam", Still)
    monkeypatch.setattr(hyplatent_training, "Generator", Line)
    monkeypatch.setattr(hyplatent_training, "Discriminator", Judge)
    monkeypatch.setattr(  # of chunks of one entry: 1, and never -1
        hyplatent_training, "principal_directions", lambda rows: (rows.norm(dim=0), torch.eye(1))
    )
    return one_round


def one() -> PolicyBank:
    """A policy of one parameter and condition 1: `Line` gives 1, where scaling makes it 0.

    So F is 1/2 on the real one and 3/4 on the generated one, which says that its condition is 3.
    """
    return PolicyBank([np.zeros((1, 1), np.float32)], [np.ones(1)])


def pair() -> PolicyBank:
    """Policies of two parameters, ±(0.2, 1.4) when scaled, ±(1, 1) as codes; conditions ±1."""
    signs = [np.array([sign], np.float32) for sign in (-1, 1)]
    return Whole([sign * np.array([[1, 7]], np.float32) for sign in signs], signs)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, 2.0 + (3 / 4 - 1) * LOG_3, id="as-it-is"),
        pytest.param({"reconstruction_weight": 10.0}, 20.0 - LOG_3 / 4, id="reconstruction_weight"),
        pytest.param({"adversarial_weight": 0.0}, 2.0, id="no-adversary"),
        pytest.param({"adversarial_weight": 10.0}, 2.0 - 10 * LOG_3 / 4, id="adversarial_weight"),
        pytest.param({"saturating": True}, 2.0 - 3 / 4 * LOG_3, id="saturating"),
    ],
)
def test_the_generator_s_gradient_has_both_terms_of_equation_2(
    train: Train, change: dict[str, Any], expected: float
) -> None:
    """d/ds of s² at 1, and of -log F or log(1 - F): F - 1 or -F, times the logit's own."""
    (slope,) = train(one(), replace(CONFIG, **change)).generator
    assert slope.item() == pytest.approx(expected)


def test_the_discriminator_s_gradient_is_equation_3_s(train: Train) -> None:
    """By its logits F - 1 = -1/2 on the real one, F = 3/4 on the generated one; saturating or not,
    whatever the generator's terms weigh."""
    for change in ({}, {"saturating": True}, {"adversarial_weight": 10.0}):
        weight, bias, _ = train(one(), replace(CONFIG, **change)).discriminator
        assert (weight.item(), bias.item()) == pytest.approx((3 / 4, 3 / 4 - 1 / 2))
    assert not train(one(), replace(CONFIG, adversarial_weight=0.0)).discriminator


def test_noisy_labels_are_within_0_2_of_the_exact_ones_for_both_players(train: Train) -> None:
    """Labels y by the gradients F - y: of real ones 1, of generated ones 0, the generator's own 1;
    the weight sees the generated one alone, as the real one is 0."""

    def labels(noisy: bool) -> tuple[float, float, float]:
        found = train(one(), replace(CONFIG, noisy_labels=noisy, reconstruction_weight=0.0))
        weight, bias, _ = found.discriminator
        real, generated = 1 / 2 - (bias - weight).item(), 3 / 4 - weight.item()
        return real, generated, 3 / 4 - found.generator[0].item() / LOG_3

    assert labels(False) == pytest.approx((1.0, 0.0, 1.0), abs=1e-6)
    real, generated, wanted = labels(True)
    assert 0.8 <= real <= 0.99 and 0.01 <= generated <= 0.2 and 0.8 <= wanted <= 0.99
    assert len({real, 1.0 - generated, wanted}) == 3, "each is drawn for itself"


@pytest.mark.parametrize("weight", [0.5, 1.0, 100.0])
def test_the_auxiliary_gradient_is_equation_4_s_times_its_weight(
    train: Train, weight: float
) -> None:
    """Of (q s - 1)² at q = 3 and s = 1: 2 · 2 q by the generator's s, 2 · 2 s by the head's q."""
    found = train(one(), replace(CONFIG, auxiliary_weight=weight))
    slope, *_, told = found.auxiliary
    assert (slope.item(), told.item()) == pytest.approx((12 * weight, 4 * weight))
    assert found.trained.losses["auxiliary"] == pytest.approx(4.0)
    plain = train(one(), CONFIG)
    assert not plain.auxiliary and plain.generator[0] == found.generator[0]


@pytest.mark.parametrize(
    ("decoded", "expected"),
    [(False, [2.0, 2.0]), (True, [2 * 0.2**2, 2 * 1.4**2])],
    ids=["codes", "decoded"],
)
def test_reconstruction_counts_codes_alike_or_as_much_as_they_decode_to(
    train: Train, monkeypatch: pytest.MonkeyPatch, decoded: bool, expected: list[float]
) -> None:
    """Slopes 3 are 2 too high in units of a code, which decodes to 0.2 or 1.4: errors (2 u)²,
    with derivatives 2 · 2 u · u, averaged over the two."""
    monkeypatch.setattr(hyplatent_training, "Generator", tripled)
    config = replace(LATENTS, adversarial_weight=0.0, reconstruct_decoded=decoded)
    found = train(pair(), config)
    assert found.generator[0].tolist() == pytest.approx(expected)
    assert found.trained.losses["reconstruction"] == pytest.approx(4.0), "(0.2² + 1.4²) / 2 is 1"


def tripled(*args: Any, **options: Any) -> Line:
    network = Line(*args, **options)
    network.slopes.data *= 3.0
    return network


def test_a_joint_autoencoder_learns_from_both_players(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder's d, 1 at first, makes errors u (3 d - 1): derivatives 2 · 2 u · 3 u, halved.

    The encoder's e makes codes ±e, of both parameters, and logits ±2 LOG_3, of which F is 9/10 or
    1/10: derivatives ((9/10 - 1) LOG_3 - (1/10 - 1) LOG_3) / 2.
    """
    monkeypatch.setattr(hyplatent_training, "Generator", tripled)
    joint = train(pair(), replace(LATENTS, joint_autoencoder=True))
    _, *decoders = joint.generator
    _, _, _, *encoders = joint.discriminator
    assert [d.item() for d in decoders] == pytest.approx([6 * 0.2**2, 6 * 1.4**2])
    assert [e.item() for e in encoders] == pytest.approx([0.4 * LOG_3] * 2)
    fixed = train(pair(), LATENTS)
    assert len(fixed.generator) == 1 and len(fixed.discriminator) == 3


@pytest.mark.parametrize("dropout", [0.0, 1.0 - 1e-6])
def test_units_are_left_out_in_every_player_s_step(
    train: Train, monkeypatch: pytest.MonkeyPatch, dropout: float
) -> None:
    """Of all but one in a million units left out, first and last layer remain, joined by skips."""
    monkeypatch.setattr(hyplatent_training, "Generator", Generator)
    found = train(one(), replace(CONFIG, widths=(4, 2), dropout=dropout, auxiliary_weight=1.0))
    network: Any = found.trained.network
    names = [name for name, _ in network.named_parameters()]
    for slopes in (found.generator, found.auxiliary[: len(names)]):
        learning = {name for name, slope in zip(names, slopes, strict=True) if slope.any()}
        assert {"first.weight", "last.weight"} < learning
        assert any(name.startswith(("down", "up")) for name in learning) == (dropout == 0.0)
    logit, _ = Judge(1, 1)(network.last(network.first(torch.ones(1, 1))))
    without_blocks = discriminator_loss(torch.zeros(1), logit).item()
    loss = found.trained.losses["discriminator"]
    assert (loss == pytest.approx(without_blocks, rel=1e-5)) == (dropout > 0.0)
