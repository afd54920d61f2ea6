"""What every registered method has to do, on a few steps of made-up experts."""

import pickle
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from experts import MLPPolicies, Rollouts, collect, play
from experts.cloning import clone
from experts.synthetic import smooth_experts
from param_envs import family_of
from zeroshot.methods import METHODS, config_of
from zeroshot.protocol import Adaptable, Fitted, Observing, Policies

CHEETAH = family_of("ParamCheetah-v0")
SPEEDS = (-3.0, -2.0, 1.0, 2.0, 4.0)
NEW = ({"speed": -2.5}, {"speed": 1.5}, {"speed": 3.0})
SMALL: Mapping[str, Any] = {
    "embedding_sizes": (8, 8),
    "n_blocks": 1,
    "hidden_size": 8,
    "updates": 2,
    "batch_states": 4,
    "batch_queries": 4,
    "batch_transitions": 4,
    "batch_encoded": 4,
    "latent_size": 4,
    "autoencoder_updates": 2,
    "widths": (16, 8),
    "discriminator_widths": (8, 8),
}
"""Fields that make a fit quick, for those configs that have them."""


def rollouts(contexts: tuple[dict[str, float], ...], noise: tuple[float, ...]) -> Rollouts:
    experts = smooth_experts(CHEETAH, contexts, features=["speed"], seed=0)
    return collect(experts, features=["speed"], noise=noise, seed=0, n_steps=12)


@pytest.fixture(scope="module")
def data() -> Rollouts:
    return rollouts(tuple({"speed": speed} for speed in SPEEDS), (0.0, 0.2))


@pytest.fixture(scope="module")
def demonstrations() -> Rollouts:
    return rollouts(NEW, (0.0, 0.0))


def fit(name: str, data: Rollouts, seed: int = 0) -> Fitted:
    method = METHODS[name].make()
    config = method.config  # type: ignore[attr-defined]
    names = {field.name for field in fields(config)}
    small = {key: value for key, value in SMALL.items() if key in names}
    method.config = replace(config, **small)  # type: ignore[attr-defined]
    return method.fit(data, seed=seed)


def played(policies: Policies, n_envs: int = 2) -> np.ndarray:
    """Actions (n_steps, n_contexts, n_envs, size) on made-up observations, observing them."""
    rng = np.random.default_rng(0)
    n_contexts = len(NEW)
    if isinstance(policies, Observing):
        policies.reset()
    found = []
    for _ in range(3):
        before, after = rng.normal(size=(2, n_contexts, n_envs, 17))
        actions = policies.act(before)
        found.append(actions)
        if isinstance(policies, Observing):
            running = np.zeros((n_contexts, n_envs), dtype=np.bool_)
            policies.observe(before, actions, rng.random((n_contexts, n_envs)), after, running)
    return np.array(found)


@pytest.mark.parametrize("name", METHODS)
def test_a_fit_answers_for_new_contexts(name: str, data: Rollouts) -> None:
    fitted = fit(name, data)
    assert isinstance(fitted, Fitted)
    policies = fitted.policies(NEW)
    assert isinstance(policies, Policies)
    actions = played(policies)
    assert actions.shape == (3, 3, 2, 6)
    assert np.isfinite(actions).all() and (np.abs(actions) <= 1.0).all()
    np.testing.assert_array_equal(played(policies), actions)
    with pytest.raises(ValueError, match=r"`speed` must be in \[-10, 10\]"):
        fitted.policies([{"speed": 0.0}])
    with pytest.raises(ValueError, match="`contexts` must hold at least one context"):
        fitted.policies([])


@pytest.mark.parametrize("name", METHODS)
def test_the_seed_decides_everything(name: str, data: Rollouts) -> None:
    first, again = (played(fit(name, data, seed=3).policies(NEW)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", METHODS)
def test_company_does_not_change_a_context_s_policy(name: str, data: Rollouts) -> None:
    fitted = fit(name, data)
    observations = np.random.default_rng(0).normal(size=(3, 2, 17))
    together = fitted.policies(NEW).act(observations)
    alone = fitted.policies(NEW[1:2]).act(observations[1:2])
    np.testing.assert_allclose(alone[0], together[1], atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_policies_can_be_played(name: str, data: Rollouts) -> None:
    policies = fit(name, data).policies(NEW)
    settings: dict[str, Any] = {"reward": "track", "n_episodes": 2, "seed": 0, "n_steps": 4}
    found = play(policies, CHEETAH, NEW, **settings)
    assert found.returns.shape == (3, 2) and np.isfinite(found.returns).all()


@pytest.mark.parametrize("name", METHODS)
def test_it_can_learn_from_demonstrations(
    name: str, data: Rollouts, demonstrations: Rollouts
) -> None:
    """By `adapt`, or by cloning where policies are networks; the seed decides, nothing drifts."""
    fitted = fit(name, data)
    before = fitted.policies(NEW)

    def adapted(of: Rollouts) -> Policies:
        if isinstance(fitted, Adaptable):
            return fitted.adapt(of, seed=1)
        start = fitted.policies(of.contexts)
        assert isinstance(start, MLPPolicies)
        return clone(start, of, seed=1)

    if not isinstance(fitted, Adaptable) and not isinstance(before, MLPPolicies):
        assert name == "interpolation-actions", "an ensemble has no weights of its own"
        return
    actions = played(before)
    after = played(adapted(demonstrations))
    assert after.shape == actions.shape and (after != actions).any()
    np.testing.assert_array_equal(played(adapted(demonstrations)), after)
    np.testing.assert_array_equal(played(fitted.policies(NEW)), actions)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_can_be_sent_to_another_process(name: str) -> None:
    method = METHODS[name].make()
    assert config_of(pickle.loads(pickle.dumps(method))) == config_of(method)
