"""The terms of a fine-tuned policy's loss: gradients worked out by hand, of linear networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from experts import MLPPolicies
from experts.finetune_sac import FineTunedSAC
from tests.experts.test_finetune import FAMILY, TINY, filled, state

Array = NDArray[np.float64]

ALPHA, WEIGHT = 0.2, 10.0
LINEAR = replace(TINY, critic_hidden=(), log_std=-1.0, entropy_weight=ALPHA, td_weight=0.0)
DEVIATION = np.exp(LINEAR.log_std)
BATCH = 32


class Batch(NamedTuple):
    """A minibatch in double precision: each (n,) or (n, size)."""

    observations: Array
    actions: Array
    rewards: Array
    dones: Array
    following: Array


def start() -> MLPPolicies:
    rng = np.random.default_rng(1)
    shapes = (1, FAMILY.observation_size, FAMILY.action_size), (1, FAMILY.action_size)
    weight, bias = (rng.normal(0, 0.2, shape).astype(np.float32) for shape in shapes)
    return MLPPolicies((weight,), (bias,))


def last_batch(model: FineTunedSAC) -> Batch:
    found = model.replay_buffer.last
    columns = found.observations, found.actions, found.rewards[:, 0], found.dones[:, 0]
    return Batch(*(x.numpy().astype(np.float64) for x in (*columns, found.next_observations)))


def linear_critics(module: torch.nn.Module) -> tuple[Array, Array]:
    """Weights (2, sizes) and biases (2, 1) of two critics without hidden layers."""
    arrays = [array.astype(np.float64) for array in state(module)]
    return np.concatenate(arrays[::2]), np.stack(arrays[1::2])


def values(critics: tuple[Array, Array], observations: Array, actions: Array) -> Array:
    """Q (2, n)."""
    return critics[0] @ np.hstack([observations, actions]).T + critics[1]


def slopes(model: FineTunedSAC) -> list[Array]:
    """Gradients of the last update by the mean's and the logarithmic deviation's offset."""
    heads: tuple[Any, Any] = model.actor.mu, model.actor.log_std
    return [head.bias.grad.numpy().astype(np.float64) for head in heads]


def td_slopes(
    target: tuple[Array, Array], mean: Array, drawn: Array, now: Array, batch: Batch, only: bool
) -> tuple[list[Array], Array]:
    """Gradients of mean(½ δ²), and δ, at actions a' = tanh(u), u = μ + σ ε that were drawn.

    dV / dμ = dQ' / da' (1 - a'²) - α 2 a' and dV / d log σ = dQ' / da' (1 - a'²) σ ε
    - α (2 a' σ ε - 1), since log π = Σ -½ ε² - log σ - ½ log 2π - log(1 - a'²).
    """
    moved = np.arctanh(drawn) - mean
    log_pi = -0.5 * (moved / DEVIATION) ** 2 - np.log(DEVIATION) - 0.5 * np.log(2 * np.pi)
    log_prob = (log_pi - np.log(1 - drawn**2)).sum(axis=1)
    ahead = values(target, batch.following, drawn)
    delta = batch.rewards - now
    delta += 0.99 * (1 - batch.dones) * (ahead.min(axis=0) - ALPHA * log_prob)
    counted = np.minimum(delta, 0.0) if only else delta
    by_action = target[0][ahead.argmin(axis=0), FAMILY.observation_size :] * (1 - drawn**2)
    by_mean = by_action - ALPHA * 2 * drawn
    by_log_std = by_action * moved - ALPHA * (2 * drawn * moved - 1)
    scale = (counted * 0.99 * (1 - batch.dones))[:, None]
    return [(scale * part).mean(axis=0) for part in (by_mean, by_log_std)], delta


@pytest.mark.parametrize("only", [False, True])
def test_the_td_term_s_gradient_reaches_the_policy_by_value_and_entropy(
    monkeypatch: pytest.MonkeyPatch, only: bool
) -> None:
    found = []
    for weight in (0.0, WEIGHT):
        model = filled(replace(LINEAR, td_weight=weight, td_overestimated_only=only), start())
        target, drawn = linear_critics(model.critic_target), drawn_by(model, monkeypatch)
        model.train(1, BATCH)
        found.append(slopes(model))
    batch, (weights, biases) = last_batch(model), start().layers(0)
    now = values(linear_critics(model.critic), batch.observations, batch.actions).min(axis=0)
    mean = batch.following @ weights[0] + biases[0]
    expected, delta = td_slopes(target, mean, drawn[-1], now, batch, only)
    assert (delta > 0.0).any() and (delta < 0.0).any()
    for plain, whole, each in zip(*found, expected, strict=True):
        np.testing.assert_allclose(whole - plain, WEIGHT * each, rtol=1e-3, atol=1e-4)
        assert abs(WEIGHT * each).max() > 0.1


def drawn_by(model: FineTunedSAC, monkeypatch: pytest.MonkeyPatch) -> list[Array]:
    """Collects the actions (n, action_size) that the policy draws from here on."""
    drawn: list[Array] = []
    draw = model.actor.action_log_prob

    def spying(observations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        actions, log_prob = draw(observations)
        drawn.append(actions.detach().numpy().astype(np.float64))
        return actions, log_prob

    monkeypatch.setattr(model.actor, "action_log_prob", spying)
    return drawn


@pytest.mark.parametrize("size", [1.0, 20.0])
def test_the_anchor_s_gradient_grows_with_the_deviation_of_values(size: float) -> None:
    """Of λ q mean |a - a₀|² it is λ q mean 2 (a - a₀) (1 - a²), where a = tanh(μ + 0.3)."""
    found = []
    for weight in (0.0, WEIGHT):
        model = filled(replace(LINEAR, anchor_weight=weight, critic_updates=1), start())
        model.warm_up(BATCH)
        mean: Any = model.actor.mu
        with torch.no_grad():
            mean.bias.add_(0.3)
            for parameter in model.critic.parameters():
                parameter.mul_(size)
        model.train(1, BATCH)
        found.append(slopes(model)[0])
    batch, (weights, biases) = last_batch(model), start().layers(0)
    now = values(linear_critics(model.critic), batch.observations, batch.actions).min(axis=0)
    given, own = (np.tanh(batch.observations @ weights[0] + biases[0] + by) for by in (0.0, 0.3))
    by_mean = (2 * (own - given) * (1 - own**2)).mean(axis=0)
    assert abs(now.std(ddof=1) - 1.0) > 0.1, "or nothing would tell that it counts"
    expected = WEIGHT * now.std(ddof=1) * by_mean
    np.testing.assert_allclose(found[1] - found[0], expected, rtol=1e-3, atol=1e-4)
