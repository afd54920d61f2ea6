from dataclasses import replace

import numpy as np
import pytest

from baselines import FittedInterpolation, Interpolation, InterpolationConfig
from experts import MLPPolicies, Rollouts, collect
from experts.neighbours import neighbours_of
from experts.synthetic import smooth_experts
from param_envs import family_of
from tests.baselines.blind import blind_error, error

CHEETAH = family_of("ParamCheetah-v0")


def fitted(data: Rollouts, **config: object) -> FittedInterpolation:
    return Interpolation(InterpolationConfig(**config)).fit(data, seed=0)  # type: ignore[arg-type]


def test_shares_by_hand():
    """On a line at 0, 1, 4: from 3, distances 1 (to 4), 2, 3; 1 : 1/2 are 2/3 and 1/3."""
    known = np.array([[0.0], [1.0], [4.0]])
    ids, shares = neighbours_of(known, np.array([[3.0], [1.0], [0.5]]), 2)
    np.testing.assert_array_equal(ids, [[2, 1], [1, 0], [0, 1]])
    np.testing.assert_allclose(shares, [[2 / 3, 1 / 3], [1.0, 0.0], [0.5, 0.5]])


def normalised_policies(n: int = 3) -> MLPPolicies:
    rng = np.random.default_rng(0)
    return MLPPolicies(
        (rng.normal(size=(n, 4, 5)), rng.normal(size=(n, 5, 2))),
        (rng.normal(size=(n, 5)), rng.normal(size=(n, 2))),
        mean=rng.normal(size=(n, 4)),
        scale=rng.uniform(0.5, 2.0, size=(n, 4)),
    )


@pytest.mark.parametrize("shared", [False, True])
def test_folded_statistics_change_no_action(shared):
    policies = normalised_policies()
    if shared:
        policies = replace(policies, mean=policies.mean[:1], scale=policies.scale[:1])
    raw = policies.folded()
    assert raw.mean is None and raw.scale is None
    observations = np.random.default_rng(1).normal(size=(3, 7, 4))
    np.testing.assert_allclose(raw.act(observations), policies.act(observations), atol=1e-5)


def test_a_training_context_gets_its_own_expert(data):
    for blend in ("weights", "actions"):
        policies = fitted(data, blend=blend).policies(data.contexts[2:4])
        observations = data.observations[2:4, 0]
        expected = data.experts.policies.select([2, 3]).act(observations)
        np.testing.assert_allclose(policies.act(observations), expected, atol=1e-5)


def test_one_feature_takes_two_experts(data):
    """1.5 lies between 1 and 2, and -2.5 between -3 and -2."""
    ids, shares = fitted(data).neighbours.shares([{"speed": 1.5}, {"speed": -2.5}])
    speeds = [[data.contexts[i]["speed"] for i in row] for row in ids]
    assert [sorted(row) for row in speeds] == [[1.0, 2.0], [-3.0, -2.0]]
    np.testing.assert_allclose(shares, 0.5)


def test_weights_are_averaged(data):
    policies = fitted(data).policies([{"speed": 1.5}])
    of = {context["speed"]: i for i, context in enumerate(data.contexts)}
    experts = data.experts.policies.select([of[1.0], of[2.0]])
    for found, both in zip(policies.weights, experts.weights, strict=True):
        np.testing.assert_allclose(found[0], both.mean(axis=0), atol=1e-6)


def test_actions_are_averaged(data, held_out):
    policies = fitted(data, blend="actions", neighbours=3).policies(held_out.contexts)
    ids, shares = fitted(data, neighbours=3).neighbours.shares(held_out.contexts)
    observations = held_out.observations[:, 0]
    expected = sum(
        shares[:, k, None, None] * data.experts.policies.select(ids[:, k]).act(observations)
        for k in range(3)
    )
    np.testing.assert_allclose(policies.act(observations), expected, atol=1e-5)


def test_no_expert_of_the_other_direction_is_asked(data):
    """Near 0.5 only 0.5, 1, ... count, however many are wanted."""
    ids, shares = fitted(data, neighbours=10).neighbours.shares([{"speed": 0.6}])
    assert all(data.contexts[i]["speed"] > 0 for i in ids[0])
    assert shares[0].sum() == pytest.approx(1.0)
    assert (shares[0] > 0).sum() == sum(context["speed"] > 0 for context in data.contexts)


def test_without_an_expert_of_its_direction_any_may_help(data):
    forwards = data.select([i for i, c in enumerate(data.contexts) if c["speed"] > 0])
    ids, shares = fitted(forwards).neighbours.shares([{"speed": -0.5}])
    assert forwards.contexts[ids[0, 0]]["speed"] == 0.5
    assert shares[0].sum() == pytest.approx(1.0)


def test_two_features_take_four_experts():
    contexts = [{"speed": s, "torso": t} for s in (1.0, 2.0, 3.0) for t in (0.3, 0.4, 0.5)]
    experts = smooth_experts(CHEETAH, contexts, features=["speed", "torso"], seed=0)
    data = collect(experts, features=["speed", "torso"], noise=(0.0,), seed=0, n_steps=2)
    ids, _ = fitted(data).neighbours.shares([{"speed": 1.5, "torso": 0.45}])
    found = {(contexts[i]["speed"], contexts[i]["torso"]) for i in ids[0]}
    assert found == {(1.0, 0.4), (1.0, 0.5), (2.0, 0.4), (2.0, 0.5)}


@pytest.mark.parametrize("blend", ["weights", "actions"])
def test_it_acts_better_than_without_the_context(data, held_out, blend):
    policies = fitted(data, blend=blend).policies(held_out.contexts)
    assert error(policies, held_out) < 0.3 * blind_error(data, held_out)


def test_company_does_not_matter(data, held_out):
    together = fitted(data).policies(held_out.contexts)
    alone = fitted(data).policies(held_out.contexts[1:])
    np.testing.assert_array_equal(together.weights[0][1], alone.weights[0][0])


def test_progress_is_told_and_what_is_missing_is_refused(data):
    seen: list[float] = []
    Interpolation().fit(data, seed=0, progress=seen.append)
    assert seen == [1.0]
    with pytest.raises(ValueError, match=r"`data\.experts` must be the training contexts' experts"):
        fitted(replace(data, experts=None))
    with pytest.raises(ValueError, match="`contexts` must hold at least one context, got none"):
        fitted(data).policies([])
    with pytest.raises(ValueError, match=r"`speed` must be in \[-10, 10\]"):
        fitted(data).policies([{"speed": 0.0}])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blend": "votes"}, r"`blend` must be one of \('weights', 'actions'\), got 'votes'"),
        ({"neighbours": 0}, "`neighbours` must be at least 1, or None, got 0"),
    ],
)
def test_bad_configs_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        InterpolationConfig(**changes)
