import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from experts import Experts, MLPs, collect, gather
from experts.rollouts import NEGLIGIBLE, discounted_returns
from experts.synthetic import smooth_experts
from param_envs import Family, ParamVectorEnv, family_of
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
    values = discounted_returns(rewards, mask, np.array([[8.0, 0.0]]), 0.5)
    # Episode 0 goes on after its last step (8), episode 1 failed at its second.
    np.testing.assert_allclose(values, [[[4.0, 6.0, 8.0], [2.0, 2.0, 0.0]]])
    assert values.dtype == np.float32
    tail = discounted_returns(rewards, mask, np.array([[8.0, 6.0]]), 0.5)
    np.testing.assert_allclose(tail[0, 1], [3.5, 5.0, 0.0])


def test_clean_returns_are_means_of_noise_free_episodes(rollouts) -> None:
    mask = np.ones_like(rollouts.mask)
    mask[0, :, 3:] = False  # three steps an episode
    mask[1, rollouts.clean] = False
    found = replace(rollouts, mask=mask, rewards=np.full_like(rollouts.rewards, 2.0))
    assert found.clean_returns()[0] == 6.0 and np.isnan(found.clean_returns()[1])


def test_select_keeps_only_what_is_asked_for(rollouts) -> None:
    one = rollouts.select([1])
    assert one.contexts == (EXPERTS.contexts[1],) == one.experts.contexts
    for name in ("mask", "terminated", "seeds", "values"):
        np.testing.assert_array_equal(getattr(one, name)[0], getattr(rollouts, name)[1])
    bare = replace(rollouts, seeds=None, experts=None).select([1, 0])
    assert bare.seeds is None and bare.experts is None and bare.contexts == EXPERTS.contexts[::-1]
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
        ({"value": "guess"}, "`value` must be 'critic', 'monte-carlo' or None, got 'guess'"),
        ({"n_steps": 0}, "`n_steps` must be at least 1, got 0"),
        ({"features": ("wings",)}, "unknown feature `wings`"),
    ],
)
def test_bad_requests_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collect(EXPERTS, **{"features": ("speed",), "noise": (0.0,), "seed": 0, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"critic": "v", "discount": 0.9}, r"must share one discount, got \[0.9, 0.99\]"),
        ({"critic": "q"}, r"must share one critic, 'v' or 'q', got \['q', 'v'\]"),
    ],
)
def test_mixed_experts_are_refused(changes: dict, message: str) -> None:
    experts = gather([untrained({"speed": 2.0}), untrained({"speed": 3.0}, **changes)])
    with pytest.raises(ValueError, match=message):
        collect(experts, features=("speed",), noise=(0.0,), seed=0)


@pytest.mark.parametrize(
    ("experts", "message"),
    [
        (replace(EXPERTS, critics=None), "must have critics of one shape"),
        (gather([untrained({"speed": 2.0}, critic="z")]), r"'v' or 'q'.*got \['z'\]"),
    ],
)
def test_unusable_critics_are_refused(experts: Experts, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collect(experts, features=("speed",), noise=(0.0,), seed=0, value="critic")


def test_without_critics_the_experts_play_on() -> None:
    """q* is the discounted return of a much longer episode, of which only the start is kept."""
    settings = {"features": ("speed",), "noise": (0.0,), "seed": 1}
    data = collect(replace(EXPERTS, critics=None), n_steps=5, **settings)
    long = collect(EXPERTS, n_steps=800, **settings)
    np.testing.assert_array_equal(data.rewards, long.rewards[:, :, :5])
    assert data.values.shape == data.mask.shape == (len(EXPERTS), 1, 5) and data.mask.all()
    n_more = math.ceil(math.log(NEGLIGIBLE) / math.log(data.discount))
    weights = data.discount ** np.arange(5 + n_more)
    expected = (long.rewards[:, :, : 5 + n_more] * weights).sum(axis=2)
    np.testing.assert_allclose(data.values[:, :, 0], expected, rtol=1e-4)


def test_without_critics_nothing_follows_a_failure(falling) -> None:
    data = falling["without critics"]
    assert data.terminated.any()
    np.testing.assert_array_equal(data.mask, falling["monte-carlo"].mask)
    same = data.terminated
    np.testing.assert_allclose(data.values[same], falling["monte-carlo"].values[same], rtol=1e-5)


def with_q_critics(family: Family, n_contexts: int, features: tuple[str, ...]) -> Experts:
    """Experts whose critics take an action too, as those of TD3 and SAC do."""
    feature = family.selected(features)[0]
    contexts = [{feature.name: feature.low + 0.1 * (i + 1)} for i in range(n_contexts)]
    experts = smooth_experts(family, contexts, features=features, seed=0)
    rng = np.random.default_rng(5)
    sizes = (family.observation_size + family.action_size, 8, 1)
    weights = [rng.normal(0, 0.3, (n_contexts, *s)) for s in pairwise(sizes)]
    critics = MLPs(
        tuple(weight.astype(np.float32) for weight in weights),
        (np.zeros((n_contexts, 8), np.float32), np.ones((n_contexts, 1), np.float32)),
    )
    records = tuple({**record, "critic": "q"} for record in experts.records)
    return replace(experts, critics=critics, records=records)


def test_q_critics_judge_the_label_and_not_the_noisy_action() -> None:
    experts = with_q_critics(family_of("ParamCheetah-v0"), 2, ("speed",))
    settings = {"features": ("speed",), "noise": (0.0, 0.5), "seed": 1, "n_steps": 6}
    data = collect(experts, value="critic", **settings)
    for i in range(2):
        for e in range(2):
            state, label = data.observations[i, e], data.labels[i, e]
            own = experts.critics.select([i])
            expected = own.apply(np.concatenate([state, label], axis=1)[None])[0, :, 0]
            np.testing.assert_allclose(data.values[i, e], expected, rtol=1e-5, atol=1e-5)
    executed = np.concatenate([data.observations, data.actions], axis=-1)[:, 1]
    assert np.abs(experts.critics.apply(executed)[..., 0] - data.values[:, 1]).max() > 0.01


def test_monte_carlo_goes_on_with_the_q_of_the_experts_next_action() -> None:
    experts = with_q_critics(family_of("ParamCheetah-v0"), 2, ("speed",))
    data = collect(experts, features=("speed",), noise=(0.0, 0.5), seed=1, n_steps=4)
    last = data.next_observations[:, :, -1]
    then = np.concatenate([last, experts.policies.act(last)], axis=-1)
    after = experts.critics.apply(then)[..., 0]
    expected = data.rewards[..., -1] + data.discount * after
    np.testing.assert_allclose(data.values[..., -1], expected, rtol=1e-5)
    for t in (2, 1, 0):
        expected = data.rewards[..., t] + data.discount * expected
        np.testing.assert_allclose(data.values[..., t], expected, rtol=1e-5)


def test_monte_carlo_goes_on_with_the_v_of_the_last_state(rollouts) -> None:
    after = EXPERTS.critics.apply(rollouts.next_observations[:, :, -1])[..., 0]
    expected = rollouts.rewards[..., -1] + rollouts.discount * after
    np.testing.assert_allclose(rollouts.values[..., -1], expected, rtol=1e-5)


@pytest.fixture(scope="module")
def falling():
    """An ant that falls over under strong noise, so that episodes fail."""
    family = family_of("ParamAnt-v0")
    experts = smooth_experts(
        family, [{"direction": d} for d in (0.0, 1.0)], features=("direction",), seed=0
    )
    loud = replace(
        experts.policies, weights=tuple(20.0 * weight for weight in experts.policies.weights)
    )
    experts = replace(experts, policies=loud)
    settings = {"features": ("direction",), "noise": (0.0, 1.0), "seed": 0}
    return {
        "critic": collect(experts, value="critic", **settings),
        "monte-carlo": collect(experts, **settings),
        "without critics": collect(replace(experts, critics=None), **settings),
    }


def test_a_failed_episode_ends_there(falling) -> None:
    data = falling["monte-carlo"]
    lengths = data.mask.sum(axis=2)
    assert data.terminated.any() and (lengths[data.terminated] < data.mask.shape[2]).all()
    assert (lengths[~data.terminated] == data.mask.shape[2]).all()
    i, e = np.argwhere(data.terminated)[0]
    end = lengths[i, e] - 1
    assert data.mask[i, e, : end + 1].all()
    assert data.values[i, e, end] == data.rewards[i, e, end], "nothing follows a failure"


@pytest.mark.filterwarnings("ignore:.*unstable.*")
@pytest.mark.parametrize("has_critics", [True, False])
def test_nothing_follows_a_divergence(monkeypatch: pytest.MonkeyPatch, has_critics: bool) -> None:
    """The second episode of the first context starts with velocities that no physics stands."""
    reset = ParamVectorEnv.reset

    def reset_and_throw(env: ParamVectorEnv, **options: Any) -> Any:
        found = reset(env, **options)
        state = env.simulation.state
        thrown = np.full((1, state.qvel.shape[1]), 9e5)
        env.simulation.place(np.array([1]), state.qpos[1:2], thrown)
        return found

    monkeypatch.setattr(ParamVectorEnv, "reset", reset_and_throw)
    family = family_of("ParamCheetah-v0")
    experts = smooth_experts(
        family, [{"speed": s} for s in (1.0, 2.0)], features=("speed",), seed=0
    )
    experts = experts if has_critics else replace(experts, critics=None)
    data = collect(experts, features=("speed",), noise=(0.0, 0.0), seed=0, n_steps=30)
    assert data.terminated.tolist() == [[False, True], [False, False]]
    end = int(data.mask[0, 1].sum()) - 1
    assert end < 29
    assert data.values[0, 1, end] == data.rewards[0, 1, end]


def test_entries_past_the_end_are_zero(falling) -> None:
    for data in falling.values():
        names = ("observations", "actions", "labels", "rewards", "next_observations", "values")
        for name in names:
            assert (getattr(data, name)[~data.mask] == 0.0).all()
            assert np.abs(getattr(data, name)[data.mask]).max() > 0.0


def test_an_episode_starts_again_from_its_seed(rollouts) -> None:
    assert len(np.unique(rollouts.seeds)) == 4
    for i, context in enumerate(rollouts.contexts):
        env = gym.make("ParamCheetah-v0", **context)
        start, _ = env.reset(seed=int(rollouts.seeds[i, 1]))
        np.testing.assert_array_equal(start.astype(np.float32), rollouts.observations[i, 1, 0])
        after, reward, *_ = env.step(rollouts.actions[i, 1, 0])
        np.testing.assert_array_equal(after.astype("f4"), rollouts.next_observations[i, 1, 0])
        assert np.float32(reward) == rollouts.rewards[i, 1, 0]


def test_a_behaviour_acts_and_the_experts_label(rollouts) -> None:
    experts = rollouts.experts
    assert experts is not None
    others = experts.policies.select(list(range(len(experts)))[::-1])
    found = collect(
        experts, features=rollouts.features, noise=(1e-6,), seed=0, n_steps=5, behaviour=others
    )
    observations = found.observations[:, 0]
    np.testing.assert_allclose(found.actions[:, 0], others.act(observations), atol=1e-4)
    np.testing.assert_allclose(found.labels[:, 0], experts.policies.act(observations), atol=1e-5)
    assert not found.clean.any()
    with pytest.raises(
        ValueError, match=r"`noise` must be above 0 with a `behaviour`, got \[0.0\]"
    ):
        collect(experts, features=rollouts.features, noise=(0.0,), seed=0, behaviour=others)
