from dataclasses import replace

import numpy as np
import pytest
import torch

from experts import MLPPolicies, Rollouts, collect
from experts.cloning import clone, cloning_loss
from experts.synthetic import smooth_experts
from param_envs import family_of

CHEETAH = family_of("ParamCheetah-v0")
SPEEDS = (-3.0, 1.0, 4.0)


@pytest.fixture(scope="module")
def demonstrations() -> Rollouts:
    contexts = [{"speed": speed} for speed in SPEEDS]
    experts = smooth_experts(CHEETAH, contexts, features=["speed"], seed=0)
    return collect(experts, features=["speed"], noise=(0.0, 0.0), seed=0, n_steps=60)


def start(n: int = 3, activation: str = "relu") -> MLPPolicies:
    """The same weights for each of n contexts."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(0.0, 0.2, shape).astype("f4") for shape in ((17, 32), (32, 6))]
    return MLPPolicies(
        tuple(np.repeat(weight[None], n, axis=0) for weight in weights),
        (np.zeros((n, 32), "f4"), np.zeros((n, 6), "f4")),
        activation,  # type: ignore[arg-type]
        mean=np.full((1, 17), 0.1, "f4"),
        scale=np.linspace(1.0, 3.0, 17, dtype="f4")[None],
    )


def errors(policies: MLPPolicies, rollouts: Rollouts) -> np.ndarray:
    n = len(rollouts)
    actions = policies.act(rollouts.observations.reshape(n, -1, 17))
    return ((actions - rollouts.labels.reshape(n, -1, 6)) ** 2).mean(axis=(1, 2))


def test_loss_by_hand():
    """Two policies: actions 0.5 and 0 for labels 0 and 1, over two samples each: 0.25 + 1."""
    outputs = torch.tensor([[[0.5], [0.5]], [[0.0], [0.0]]]).atanh()
    labels = torch.tensor([[[0.0], [0.0]], [[1.0], [1.0]]])
    assert cloning_loss(outputs, labels).item() == pytest.approx(1.25)


def test_one_step_by_hand():
    """Adam's first step is the rate against each gradient's sign; here on tanh(w s + b) alone."""
    data = rollouts_of([[2.0]], [[0.5]])
    policies = MLPPolicies((np.zeros((1, 1, 1), "f4"),), (np.zeros((1, 1), "f4"),))
    cloned = clone(policies, data, epochs=1, learning_rate=0.1, seed=0)
    assert cloned.weights[0].item() == pytest.approx(0.1)
    assert cloned.biases[0].item() == pytest.approx(0.1)


def rollouts_of(observations: list[list[float]], labels: list[list[float]]) -> Rollouts:
    """One context, one step an episode."""
    shape = (1, len(observations), 1, -1)
    zeros = np.zeros(shape[:3], "f4")
    return Rollouts(
        family=CHEETAH,
        features=("speed",),
        reward="track",
        discount=0.9,
        contexts=(CHEETAH.context(speed=1.0),),
        observations=np.array(observations, "f4").reshape(shape),
        actions=np.array(labels, "f4").reshape(shape),
        labels=np.array(labels, "f4").reshape(shape),
        rewards=zeros,
        next_observations=np.array(observations, "f4").reshape(shape),
        values=zeros,
        mask=np.ones(shape[:3], np.bool_),
        terminated=np.zeros(shape[:2], np.bool_),
        noise=zeros[0, :, 0],
    )


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_all_policies_learn_their_own_context(demonstrations, activation):
    before = start(activation=activation)
    after = clone(before, demonstrations, epochs=100, batch=40, learning_rate=3e-3, seed=0)
    assert (errors(after, demonstrations) < 0.1 * errors(before, demonstrations)).all()
    others = errors(after, demonstrations.select([1, 2, 0]))
    assert (errors(after, demonstrations) < others).all()
    assert after.activation == activation
    np.testing.assert_array_equal(after.mean, before.mean)
    np.testing.assert_array_equal(after.scale, before.scale)


def test_company_and_order_do_not_matter(demonstrations):
    together = clone(start(), demonstrations, batch=16, seed=3)
    for ids in ([1], [2, 0]):
        some = clone(start(len(ids)), demonstrations.select(ids), batch=16, seed=3)
        for found, expected in zip(some.weights, together.weights, strict=True):
            np.testing.assert_allclose(found, expected[ids], atol=1e-5)


def test_company_of_another_length_does_not_matter(demonstrations):
    """Nor does what stands past the end of an episode."""
    mask, observations = demonstrations.mask.copy(), demonstrations.observations.copy()
    mask[1, 0, 7:] = False
    observations[~mask] = 1e6
    shortened = replace(demonstrations, mask=mask, observations=observations)
    together = clone(start(), shortened, batch=16, seed=3)
    alone = clone(start(1), shortened.select([1]), batch=16, seed=3)
    whole = clone(start(), demonstrations, batch=16, seed=3)
    np.testing.assert_allclose(together.weights[0][1], alone.weights[0][0], atol=1e-5)
    np.testing.assert_allclose(together.weights[0][0], whole.weights[0][0], atol=1e-5)
    assert np.abs(together.weights[0][1] - whole.weights[0][1]).max() > 1e-4


def test_seeds_decide_the_order_and_nothing_else_is_random(demonstrations):
    state = torch.get_rng_state()
    first, second, other = (clone(start(), demonstrations, batch=16, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.weights[0], second.weights[0])
    assert (first.weights[0] != other.weights[0]).any()
    assert torch.equal(torch.get_rng_state(), state)


def test_the_start_is_not_written_to_and_no_epochs_change_nothing(demonstrations):
    before, kept = start(), start()
    clone(before, demonstrations, seed=0)
    same = clone(before, demonstrations, epochs=0, seed=0)
    for policies in (before, same):
        for found, expected in zip(policies.weights, kept.weights, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.0}, r"`learning_rate` must be in \(0, 1\], got 0\.0"),
        ({"epochs": -1}, "`epochs` must be at least 0, got -1"),
        ({"batch": 0}, "`batch` must be at least 1, got 0"),
    ],
)
def test_bad_numbers_are_refused(demonstrations, changes, message):
    with pytest.raises(ValueError, match=message):
        clone(start(), demonstrations, **changes, seed=0)


def test_bad_demonstrations_are_refused(demonstrations):
    with pytest.raises(ValueError, match="as many as the demonstrations' contexts, got 2 and 3"):
        clone(start(2), demonstrations, seed=0)
    mask = demonstrations.mask.copy()
    mask[1] = False
    with pytest.raises(ValueError, match="must have a step of every context, not"):
        clone(start(), replace(demonstrations, mask=mask), seed=0)
    labels = demonstrations.labels.copy()
    labels[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"`demonstrations\.labels` must be finite, got 1 entries"):
        clone(start(), replace(demonstrations, labels=labels), seed=0)
