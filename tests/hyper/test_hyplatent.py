"""HypLatent on made-up policies that depend smoothly on the context, with noise around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from experts import Collection, Rollouts, collect
from experts.collections import collection_of_experts
from experts.synthetic import smooth_experts
from experts.weight_space import vectors_of
from hyper import FittedHypLatent, HypLatent, HypLatentConfig
from hyper.hyplatent_codec import PolicyBank
from hyper.hyplatent_training import train_generator
from param_envs import family_of

FAMILY = family_of("ParamAnt-v0")
FEATURES = ["direction"]
N_POLICIES = 8
NOISE = 0.1
"""Deviation of a task's policies around their mean, over that of the means over the tasks."""
TRAIN = tuple(FAMILY.context(direction=2 * np.pi * k / 12) for k in range(12))
HELD_OUT = tuple(FAMILY.context(direction=2 * np.pi * (k + 0.5) / 12) for k in (0, 3, 7, 10))
SMALL: dict[str, Any] = {"widths": (64, 32, 16), "discriminator_widths": (32, 32)}
QUICK = HypLatentConfig(**SMALL, updates=12, autoencoder_updates=12, batch_size=16)
LEARNING = HypLatentConfig(
    **SMALL,
    updates=250,
    batch_size=32,
    autoencoder_updates=250,
    autoencoder_learning_rate=1e-2,
    latent_size=8,
)
CHANGES: dict[str, dict[str, Any]] = {
    "parameters": {},
    "latents": {"space": "latents", "chunk_size": 100},
    "without-adversary": {"adversarial_weight": 0.0, "auxiliary_weight": 0.0},
    "regression": {"adversarial_weight": 0.0, "auxiliary_weight": 0.0, "noise_size": 0},
    "sample": {"answer": "sample"},
    "limits": {"scale": "limits"},
    "saturating": {"saturating": True, "noisy_labels": False},
    "decoded": {"space": "latents", "reconstruct_decoded": True},
    "joint": {"space": "latents", "joint_autoencoder": True},
}
USUAL = ("parameters", "latents", "regression")


def means(contexts: Any) -> np.ndarray:
    """Vectors (n_contexts, size) around which a context's policies lie."""
    experts = smooth_experts(FAMILY, contexts, features=FEATURES, seed=0)
    return vectors_of(experts.policies)


@pytest.fixture(scope="module")
def data() -> Rollouts:
    experts = smooth_experts(FAMILY, TRAIN, features=FEATURES, seed=0)
    played = collect(experts, features=FEATURES, noise=(0.0,), seed=0, n_steps=1)
    around = means(TRAIN)
    rng = np.random.default_rng(1)
    spread = NOISE * (around - around.mean(axis=0)).std()
    vectors = tuple(
        (row + spread * rng.normal(size=(N_POLICIES, len(row)))).astype(np.float16)
        for row in around
    )
    single = collection_of_experts(experts)
    steps = (np.arange(N_POLICIES),) * len(TRAIN)
    return replace(played, collection=replace(single, vectors=vectors, steps=steps))


def fit(data: Rollouts, config: HypLatentConfig, seed: int = 0) -> FittedHypLatent:
    return HypLatent(config).fit(data, seed=seed)


@pytest.fixture(scope="module")
def learned(data: Rollouts) -> Callable[[str], FittedHypLatent]:
    """Fits by the name of their change, each made once."""
    return cache(lambda name: fit(data, replace(LEARNING, **CHANGES[name])))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in USUAL else pytest.mark.slow) for n in CHANGES]
)
def test_a_held_out_policy_is_recovered_better_than_the_nearest_one_does(
    learned: Callable[[str], FittedHypLatent], name: str
) -> None:
    fitted = learned(name)
    wanted, known = means(HELD_OUT), means(TRAIN)
    found = vectors_of(fitted.policies(HELD_OUT))
    error = np.mean((found - wanted) ** 2, axis=1)
    nearest = ((known[None] - wanted[:, None]) ** 2).mean(axis=2).min(axis=1)
    assert (error < 0.5 * nearest).all()
    assert len(fitted.samples(HELD_OUT, 2, seed=0)) == 2 * len(HELD_OUT)


def test_the_adversary_and_the_head_learn(learned: Callable[[str], FittedHypLatent]) -> None:
    losses = learned("parameters").losses
    assert set(losses) == {"reconstruction", "discriminator", "adversarial", "auxiliary"}
    assert losses["auxiliary"] < 0.1, "conditions can be told from generated policies"
    assert losses["reconstruction"] < 0.2, "scaled entries have a variance of 1"
    assert set(learned("regression").losses) == {"reconstruction"}
    assert learned("latents").losses["autoencoder"] < 0.15, (
        "what two numbers decide; about 0.1 is noise"
    )


@pytest.mark.parametrize("name", ["parameters", "latents", "sample"])
def test_company_changes_nothing_at_all(data: Rollouts, name: str) -> None:
    fitted = fit(data, replace(QUICK, **CHANGES[name]))
    together = vectors_of(fitted.policies(HELD_OUT))
    for i, context in enumerate(HELD_OUT):
        np.testing.assert_array_equal(vectors_of(fitted.policies([context]))[0], together[i])


def test_training_networks_keep_samples_apart(data: Rollouts) -> None:
    """No normalisation over a batch: other rows do not change a row, in training mode either."""
    network = fit(data, QUICK).generator.network.train()
    drawn = torch.Generator().manual_seed(0)
    told, noise = (torch.randn(5, n, generator=drawn) for n in (2, 4))
    before = network(told, noise)[0]
    told[1:], noise[1:] = 100.0, -100.0
    torch.testing.assert_close(network(told, noise)[0], before, rtol=1e-5, atol=1e-6)


def test_rates_fall_over_all_steps_of_the_generator(
    data: Rollouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """12 updates, of the generator two steps each."""
    falling = []
    true_rates = torch.optim.lr_scheduler.LambdaLR

    def spying(*args: Any, **options: Any) -> Any:
        falling.append(true_rates(*args, **options))
        return falling[-1]

    monkeypatch.setattr(torch.optim.lr_scheduler, "LambdaLR", spying)
    fit(data, replace(QUICK, generator_steps=2))
    steps = [rates.last_epoch for rates in falling]
    assert sorted(steps) == [12, 12, 24]
    for rates, n in zip(falling, steps, strict=True):
        assert rates.lr_lambdas[0](n // 2) == pytest.approx(0.5) and rates.lr_lambdas[0](n) == 0.0


def test_a_seed_decides_the_fit_and_the_samples(data: Rollouts) -> None:
    fits = [fit(data, QUICK, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (vectors_of(fitted.policies(HELD_OUT)) for fitted in fits)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    drawn = [vectors_of(fits[0].samples(HELD_OUT, 3, seed=seed)) for seed in (7, 7, 8)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


def test_samples_differ_and_the_mean_is_theirs(data: Rollouts) -> None:
    fitted = fit(data, QUICK)
    drawn = vectors_of(fitted.samples(HELD_OUT, QUICK.mean_samples, seed=0))
    by_context = drawn.reshape(len(HELD_OUT), QUICK.mean_samples, -1)
    assert (by_context.std(axis=1) > 0).any()
    mean = vectors_of(fitted.mean_policies(HELD_OUT))
    np.testing.assert_allclose(by_context.mean(axis=1), mean, atol=1e-6)
    sample = fit(data, replace(QUICK, answer="sample")).policies(HELD_OUT)
    np.testing.assert_allclose(vectors_of(sample), by_context[:, 0], atol=1e-6)
    with pytest.raises(ValueError, match="`n` must be at least 1, got 0"):
        fitted.samples(HELD_OUT, 0, seed=0)


def test_a_direction_goes_round_unless_it_is_a_raw_number(data: Rollouts) -> None:
    ends = [FAMILY.context(direction=0.0), FAMILY.context(direction=2 * np.pi)]
    apart = {}
    for encode in (True, False):
        fitted = fit(data, replace(QUICK, encode_contexts=encode))
        first, last = vectors_of(fitted.policies(ends))
        apart[encode] = np.abs(first - last).max()
    assert apart[True] < 1e-5 < 1e-3 < apart[False]


def test_without_a_collection_the_experts_are_the_policies(data: Rollouts) -> None:
    fitted = fit(replace(data, collection=None), QUICK)
    assert len(fitted.policies(HELD_OUT)) == len(HELD_OUT)
    with pytest.raises(ValueError, match="`data` must have a collection or experts, it has nei"):
        fit(replace(data, collection=None, experts=None), QUICK)
    collection = data.collection
    assert isinstance(collection, Collection)
    swapped = collection.select([1, 0, *range(2, len(TRAIN))])
    with pytest.raises(ValueError, match=r"`data\.collection` must be of the contexts of the data"):
        fit(replace(data, collection=swapped), QUICK)


def test_conditions_can_belong_to_policies_and_nothing_needs_an_environment() -> None:
    """As an embedding of what a policy does would: here it tells which half a policy is of."""
    rng = np.random.default_rng(0)
    told = [rng.choice([-1.0, 1.0], (40, 1)) for _ in range(3)]
    vectors = [np.tile(c, (1, 6)) * np.arange(1, 7) + 0.01 * rng.normal(size=(40, 6)) for c in told]
    bank = PolicyBank([v.astype(np.float32) for v in vectors], told)
    generator = train_generator(bank, [6], replace(LEARNING, updates=200), seed=0)
    found = generator.vectors(np.array([[1.0], [-1.0]]), np.zeros((1, 4)))
    np.testing.assert_allclose(found[0, 0], np.arange(1, 7), atol=0.5)
    np.testing.assert_allclose(found[1, 0], -np.arange(1.0, 7.0), atol=0.5)


def test_progress_reaches_one(data: Rollouts) -> None:
    for space in ("parameters", "latents"):
        told: list[float] = []
        HypLatent(replace(QUICK, space=space)).fit(data, seed=0, progress=told.append)
        assert told == sorted(told) and told[0] > 0 and told[-1] == 1.0


def test_a_diverging_fit_is_named(data: Rollouts) -> None:
    with pytest.raises(FloatingPointError, match=r"loss is \w+ after update \d+ of 12"):
        fit(data, replace(QUICK, learning_rate=1.0, reconstruction_weight=1e38))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"space": "weights"},
            r"`space` must be one of \('parameters', 'latents'\), got 'weights'",
        ),
        ({"widths": ()}, "`widths` must be widths of at least 1"),
        ({"noise_size": -1}, "`noise_size` must be at least 0, got -1"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\), got 1"),
        ({"joint_autoencoder": True}, "`joint_autoencoder` must be False without latents"),
        ({"adversarial_weight": 0.0}, "`auxiliary_weight` must be 0 where `adversarial_weight` is"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        HypLatentConfig(**changes)
    assert HypLatentConfig.paper().noise_size == 4
