import numpy as np
import pytest

from experts import collect
from experts.synthetic import smooth_experts
from param_envs import family_of

CHEETAH = family_of("ParamCheetah-v0")


def experts(*speeds: float, seed: int = 0):
    contexts = [{"speed": speed} for speed in speeds]
    return smooth_experts(CHEETAH, contexts, features=["speed"], seed=seed)


def test_weights_are_affine_in_the_encoded_context():
    first, middle, last = experts(2.0, 3.0, 4.0).policies.weights[0]
    np.testing.assert_allclose(middle, (first + last) / 2, atol=1e-6)
    assert np.abs(last - first).max() > 0.01


def test_an_expert_does_not_depend_on_its_company_but_on_the_seed():
    together, alone = experts(2.0, 3.0), experts(3.0)
    np.testing.assert_array_equal(together.policies.weights[1][1], alone.policies.weights[1][0])
    assert not np.array_equal(alone.policies.weights[0], experts(3.0, seed=1).policies.weights[0])


def test_their_rollouts_are_data():
    data = collect(experts(-2.0, 3.0), features=["speed"], noise=(0.0, 0.1), seed=0, n_steps=10)
    assert data.labels.shape == (2, 2, 10, 6)
    assert data.discount == 0.9
    assert 0.2 < np.abs(data.labels).mean() < 0.8


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="`speed` must be in"):
        experts(11.0)
    with pytest.raises(ValueError, match="unknown feature `pace`"):
        smooth_experts(CHEETAH, [{"speed": 1.0}], features=["pace"], seed=0)
    with pytest.raises(ValueError, match="`reward` must be one of"):
        smooth_experts(CHEETAH, [{"speed": 1.0}], features=["speed"], seed=0, reward="fun")
