import numpy as np
import pytest

from experts import collect, gather
from experts.rollouts import _discounted
from tests.experts.factories import untrained

EXPERTS = gather([untrained({"speed": s}, seed=i) for i, s in enumerate((2.0, -3.0))])


@pytest.fixture(scope="module")
def rollouts():
    return collect(EXPERTS, features=("speed",), noise=(0.0, 0.3), seed=3, n_steps=25)


def test_shapes_and_labels(rollouts) -> None:
    assert rollouts.observations.shape == (2, 2, 25, 17)
    assert rollouts.actions.shape == rollouts.labels.shape == (2, 2, 25, 6)
    assert rollouts.mask.all()
    flat = rollouts.observations.reshape(2, -1, 17)
    np.testing.assert_allclose(
        EXPERTS.policies.act(flat).reshape(rollouts.labels.shape), rollouts.labels, atol=1e-5
    )


def test_clean_episodes_execute_the_labels(rollouts) -> None:
    np.testing.assert_array_equal(rollouts.clean, [True, False])
    np.testing.assert_array_equal(rollouts.actions[:, 0], rollouts.labels[:, 0])
    deviation = (rollouts.actions[:, 1] - rollouts.labels[:, 1]).std()
    assert 0.2 < deviation < 0.35
    assert np.abs(rollouts.actions).max() <= 1.0


def test_transitions_are_contiguous(rollouts) -> None:
    np.testing.assert_array_equal(
        rollouts.next_observations[:, :, :-1], rollouts.observations[:, :, 1:]
    )


def test_monte_carlo_values_obey_bellman(rollouts) -> None:
    inner = rollouts.rewards[..., :-1] + rollouts.discount * rollouts.values[..., 1:]
    np.testing.assert_allclose(rollouts.values[..., :-1], inner, rtol=1e-4, atol=1e-5)


def test_discounted_returns_worked_by_hand() -> None:
    rewards = np.array([[[1.0, 2.0, 4.0], [1.0, 2.0, 9.0]]], dtype=np.float32)
    mask = np.array([[[True, True, True], [True, True, False]]])
    bootstrap = np.full_like(rewards, 8.0)
    failed = np.array([[False, True]])
    values = _discounted(rewards, mask, bootstrap, failed, 0.5)
    # Episode 0 goes on after its last step (8), episode 1 failed at its second.
    np.testing.assert_allclose(values, [[[4.0, 6.0, 8.0], [2.0, 2.0, 0.0]]])


def test_select_keeps_only_what_is_asked_for(rollouts) -> None:
    one = rollouts.select([1])
    assert one.contexts == (EXPERTS.contexts[1],) == one.experts.contexts
    np.testing.assert_array_equal(one.labels[0], rollouts.labels[1])
    assert not np.shares_memory(one.observations, rollouts.observations)


def test_same_seed_same_data() -> None:
    runs = [
        collect(EXPERTS, features=("speed",), noise=(0.2,), seed=seed, n_steps=8).actions
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()


def test_critic_values_are_the_critics(rollouts) -> None:
    data = collect(EXPERTS, features=("speed",), noise=(0.0,), seed=3, n_steps=5, value="critic")
    expected = EXPERTS.critics.apply(data.observations[:, 0])[..., 0]
    np.testing.assert_allclose(data.values[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": (-0.1,)}, "`noise` must be one number >= 0 an episode"),
        ({"noise": ()}, "`noise` must be one number >= 0 an episode"),
        ({"value": "guess"}, "`value` must be 'critic' or 'monte-carlo', got 'guess'"),
        ({"features": ("wings",)}, "unknown feature `wings`"),
    ],
)
def test_bad_requests_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collect(EXPERTS, **{"features": ("speed",), "noise": (0.0,), "seed": 0, **changes})
