from dataclasses import replace

import numpy as np
import pytest
import torch

from experts import Rollouts, collect
from experts.minibatches import Minibatches
from experts.synthetic import smooth_experts
from param_envs import family_of

CHEETAH = family_of("ParamCheetah-v0")
N_STEPS = 20


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def data() -> Rollouts:
    contexts = [{"speed": speed} for speed in (-3.0, -1.0, 2.0, 4.0)]
    experts = smooth_experts(CHEETAH, contexts, features=["speed"], seed=0)
    return collect(experts, features=["speed"], noise=(0.0, 0.3), seed=0, n_steps=N_STEPS)


@pytest.fixture(scope="module")
def batches(data: Rollouts) -> Minibatches:
    return Minibatches(data, normalise_observations=True, normalise_values=True)


def rows_of(table: np.ndarray, batch: torch.Tensor, task: int) -> set[int]:
    """Which rows of a task's flattened table (n, dim) a batch (n_samples, dim) consists of."""
    flat = table[task].reshape(-1, table.shape[-1])
    equal = np.isclose(flat[None], batch.numpy()[:, None], atol=1e-6).all(-1)
    assert (equal.sum(1) == 1).all()
    return set(equal.argmax(1))


def test_tasks_are_different_and_at_most_all(batches):
    assert sorted(batches.tasks(10, generator()).tolist()) == [0, 1, 2, 3]
    drawn = [tuple(batches.tasks(2, generator(seed)).tolist()) for seed in range(20)]
    assert all(len(set(tasks)) == 2 for tasks in drawn)
    assert set().union(*drawn) == {0, 1, 2, 3}


def test_states_are_of_their_task_and_of_all_episodes(data, batches):
    tasks = torch.tensor([2, 0])
    states = batches.states(tasks, 200, generator())
    assert states.observations.shape == (2, 200, 17)
    assert states.labels.shape == (2, 200, 6)
    for row, task in enumerate(tasks.tolist()):
        drawn = rows_of(data.labels, states.labels[row], task)
        assert min(drawn) < N_STEPS <= max(drawn)
        raw = states.observations[row].numpy() * batches.observation_scale
        flat = data.observations[task].reshape(-1, 17)
        assert (
            np.isclose(flat[None], (raw + batches.observation_mean)[:, None], atol=1e-4)
            .all(-1)
            .any(1)
            .all()
        )


def test_transitions_are_of_clean_episodes_where_actions_are_labels(data, batches):
    batch = batches.transitions(torch.tensor([1, 3]), 200, generator())
    for row, task in enumerate((1, 3)):
        assert max(rows_of(data.labels, batch.actions[row], task)) < N_STEPS


def test_observations_have_mean_0_and_deviation_1(data, batches):
    normalised = (data.observations - batches.observation_mean) / batches.observation_scale
    np.testing.assert_allclose(normalised.mean((0, 1, 2)), 0.0, atol=1e-4)
    np.testing.assert_allclose(normalised.std((0, 1, 2)), 1.0, rtol=1e-3)


def test_scaled_rewards_and_values_keep_the_bellman_equation(data):
    """values = rewards + discounts * next values, scaled or not, as in the data itself."""
    for normalise in (False, True):
        batches = Minibatches(data, normalise_observations=False, normalise_values=normalise)
        values = (data.values[:, 0] - batches.value_mean) / batches.value_scale
        batch = batches.transitions(torch.tensor([2]), 300, generator())
        for sample in range(300):
            step = int(np.abs(values[2] - float(batch.values[0, sample])).argmin())
            if step < N_STEPS - 1:
                target = batch.rewards[0, sample] + batch.discounts[0, sample] * values[2, step + 1]
                assert float(target) == pytest.approx(values[2, step], abs=1e-4)


def test_values_have_mean_0_and_deviation_1_over_clean_steps(data, batches):
    scaled = (data.values[:, 0] - batches.value_mean) / batches.value_scale
    assert scaled.mean() == pytest.approx(0.0, abs=1e-5)
    assert scaled.std() == pytest.approx(1.0, rel=1e-5)


def test_without_normalisation_everything_is_as_recorded(data):
    batches = Minibatches(data, normalise_observations=False, normalise_values=False)
    batch = batches.transitions(torch.tensor([0, 1]), 50, generator())
    assert (batches.value_mean, batches.value_scale) == (0.0, 1.0)
    for row, task in enumerate((0, 1)):
        drawn = rows_of(data.observations, batch.observations[row], task)
        assert drawn == rows_of(data.next_observations, batch.next_observations[row], task)
    assert torch.all(batch.discounts == np.float32(data.discount))


def test_steps_after_an_end_are_never_drawn_and_ends_are_not_bootstrapped(data):
    mask = data.mask.copy()
    mask[1, 0, 5:] = False
    observations = data.observations.copy()
    observations[1, 0, 5:] = np.nan
    terminated = data.terminated.copy()
    terminated[1, 0] = True
    ended = replace(data, mask=mask, observations=observations, terminated=terminated)
    batches = Minibatches(ended, normalise_observations=False, normalise_values=False)
    batch = batches.transitions(torch.tensor([1, 0]), 400, generator())
    assert rows_of(data.labels, batch.actions[0], 1) == {0, 1, 2, 3, 4}
    last = np.isclose(batch.actions[0].numpy(), data.labels[1, 0, 4], atol=1e-6).all(-1)
    assert last.any()
    assert torch.equal(batch.discounts[0] == 0.0, torch.from_numpy(last))
    assert torch.all(batch.discounts[1] > 0.0)
    assert torch.isfinite(batches.states(torch.tensor([1]), 400, generator()).observations).all()


def test_an_end_by_time_is_bootstrapped_and_a_failure_at_the_last_step_is_not(data):
    mask, terminated = data.mask.copy(), np.zeros_like(data.terminated)
    mask[1, 0, 5:] = False  # cut early, not failed
    terminated[0, 0] = True  # failed in the last recorded step
    cut = replace(data, mask=mask, terminated=terminated)
    batches = Minibatches(cut, normalise_observations=False, normalise_values=False)
    batch = batches.transitions(torch.tensor([1, 0]), 400, generator())
    assert torch.all(batch.discounts[0] > 0.0)
    last = np.isclose(batch.actions[1].numpy(), data.labels[0, 0, -1], atol=1e-6).all(-1)
    assert last.any() and torch.equal(batch.discounts[1] == 0.0, torch.from_numpy(last))


def test_constant_entries_are_centred_but_not_blown_up(data):
    observations = data.observations.copy()
    observations[..., 3] = 7.0
    batches = Minibatches(
        replace(data, observations=observations), normalise_observations=True, normalise_values=True
    )
    assert batches.observation_scale[3] == 1.0
    assert not batches.states(torch.tensor([0]), 10, generator()).observations[..., 3].any()


def test_draws_follow_the_generator_alone(batches):
    state = torch.get_rng_state()
    tasks = torch.tensor([0, 1])
    first, second, other = (batches.states(tasks, 50, generator(s)).labels for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_one_context_is_refused(data):
    with pytest.raises(ValueError, match="`data` must have at least 2 contexts, got 1"):
        Minibatches(data.select([0]), normalise_observations=True, normalise_values=True)


@pytest.mark.parametrize("name", ["observations", "labels", "rewards", "values"])
def test_data_that_is_not_finite_is_refused(data, name):
    array = getattr(data, name).copy()
    array[1, 0, 3] = np.inf
    size = array[1, 0, 3].size
    with pytest.raises(ValueError, match=f"`data.{name}` must be finite, got {size} entries"):
        Minibatches(
            replace(data, **{name: array}), normalise_observations=True, normalise_values=True
        )


def test_a_context_without_steps_is_refused(data):
    mask = data.mask.copy()
    mask[2] = False
    with pytest.raises(ValueError, match=r"`data.mask` must have a step of every context.*2"):
        Minibatches(replace(data, mask=mask), normalise_observations=True, normalise_values=True)


def test_transitions_are_known_to_be_missing(data):
    noisy = replace(data, noise=np.array([0.1, 0.3], dtype=np.float32))
    batches = Minibatches(noisy, normalise_observations=True, normalise_values=True)
    assert not batches.has_transitions


def test_added_states_are_drawn_with_the_first_on_the_same_scale(data: Rollouts) -> None:
    assert data.experts is not None
    batches = Minibatches(data, normalise_observations=True, normalise_values=True)
    before = batches.transitions(torch.tensor([1]), 30, generator())
    more = collect(data.experts, features=["speed"], noise=(0.4,), seed=5, n_steps=N_STEPS)
    batches.add_states(more)
    states = batches.states(torch.tensor([3, 1]), 400, generator())
    raw = states.observations.numpy() * batches.observation_scale + batches.observation_mean
    for row, task in enumerate((3, 1)):
        both = np.concatenate([r.observations[task].reshape(-1, 17) for r in (data, more)])
        labels = np.concatenate([r.labels[task].reshape(-1, 6) for r in (data, more)])
        equal = np.isclose(both[None], raw[row][:, None], atol=1e-4).all(-1)
        assert equal.any(1).all()
        drawn = equal.argmax(1)
        assert drawn.min() < 2 * N_STEPS <= drawn.max(), "old ones and new ones"
        np.testing.assert_allclose(states.labels[row], labels[drawn], atol=1e-6)
    after = batches.transitions(torch.tensor([1]), 30, generator())
    assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))


def test_only_the_named_steps_are_added(data: Rollouts) -> None:
    batches = Minibatches(data, normalise_observations=True, normalise_values=True)
    steps = np.array([[7, 7, 3], [0, 1, 2], [5, 5, 5], [9, 8, 9]])
    batches.add_states(data, steps)
    n = data.mask[0].size
    states = batches.states(torch.tensor([2]), 40 * n, generator())
    raw = states.observations[0].numpy() * batches.observation_scale + batches.observation_mean
    of_step = np.isclose(raw, data.observations[2].reshape(n, -1)[5], atol=1e-4).all(axis=1)
    assert of_step.mean() == pytest.approx(4 / (n + 3), rel=0.2), "once before, three times since"


def test_added_states_must_be_of_the_same_contexts(data: Rollouts) -> None:
    batches = Minibatches(data, normalise_observations=True, normalise_values=True)
    with pytest.raises(ValueError, match="`data` must be of the same 4 contexts, got 2"):
        batches.add_states(data.select([0, 1]))
