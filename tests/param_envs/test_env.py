"""The contract of the single environment, over every registered family."""

import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from param_envs import ListSampler, ParamEnv, UniformSampler, family_of
from tests.param_envs.cases import ENV_IDS, actions, spread

CHEETAH = "ParamCheetah-v0"


def play(env, family, n_steps: int = 30) -> np.ndarray:
    """Observations and rewards (n_steps, size + 1) under fixed actions, from where `env` is."""
    rows = []
    for action in actions(family, n_steps, 1):
        observation, reward, *_ = env.step(action[0])
        rows.append(np.append(observation, reward))
    return np.array(rows)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_gymnasiums_own_check(env_id) -> None:
    check_env(gym.make(env_id).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_api(env_id) -> None:
    family = family_of(env_id)
    env = gym.make(env_id)
    observation, info = env.reset(seed=0)
    assert observation.shape == (family.observation_size,)
    assert observation.dtype == np.float64
    assert env.observation_space.contains(observation)
    assert env.action_space == gym.spaces.Box(-1, 1, (family.action_size,), np.float32)
    assert info["context"] == family.context()
    keys = set(info)
    assert keys == {"context", "truncation_reason", *family.outcome_names}
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    assert set(info) == keys
    assert env.observation_space.contains(observation)
    assert isinstance(reward, float)
    assert (terminated, truncated, info["truncation_reason"]) == (False, False, "")


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_the_seed_decides(env_id) -> None:
    family = family_of(env_id)
    env, other = gym.make(env_id), gym.make(env_id)
    start = env.reset(seed=5)[0]
    np.testing.assert_array_equal(other.reset(seed=5)[0], start)
    np.testing.assert_array_equal(play(env, family), play(other, family))
    np.testing.assert_array_equal(env.reset()[0], other.reset()[0])
    assert not np.array_equal(env.reset(seed=6)[0], start)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_pickling_keeps_what_it_was_made_with(env_id) -> None:
    family = family_of(env_id)
    context = spread(family, 3)[2]
    env = ParamEnv(family, reward=family.reward_modes[-1], **context)
    copy = pickle.loads(pickle.dumps(env))
    assert copy.context == context
    assert copy.reward_mode == family.reward_modes[-1]
    np.testing.assert_array_equal(env.reset(seed=1)[0], copy.reset(seed=1)[0])
    np.testing.assert_array_equal(play(env, family), play(copy, family))


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_specs_make_the_same_environment_again(env_id) -> None:
    family = family_of(env_id)
    context = spread(family, 3)[1]
    env = gym.make(env_id, **context)
    again = gym.make(env.spec)
    assert again.unwrapped.context == context
    np.testing.assert_array_equal(env.reset(seed=1)[0], again.reset(seed=1)[0])


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_reset_changes_features_and_keeps_the_others(env_id) -> None:
    family = family_of(env_id)
    env = gym.make(env_id)
    first, second = spread(family, 2)
    name, other = (feature.name for feature in family.features)
    _, info = env.reset(seed=0, options={"context": {name: first[name]}})
    assert info["context"] == family.context(**{name: first[name]})
    _, info = env.reset(options={"context": {other: second[other]}})
    assert info["context"] == {name: first[name], other: second[other]}
    _, info = env.reset()
    assert info["context"] == {name: first[name], other: second[other]}
    assert env.step(np.zeros(family.action_size, np.float32))[4]["context"] == info["context"]


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_a_body_made_at_reset_is_a_body_made_at_once(env_id) -> None:
    family = family_of(env_id)
    context = spread(family, 3)[0]
    made, changed = gym.make(env_id, **context), gym.make(env_id)
    changed.reset(seed=9)
    np.testing.assert_array_equal(
        made.reset(seed=2)[0], changed.reset(seed=2, options={"context": dict(context)})[0]
    )
    np.testing.assert_array_equal(play(made, family), play(changed, family))


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_episodes_end_at_their_limit(env_id) -> None:
    family = family_of(env_id)
    assert gym.spec(env_id).max_episode_steps == family.max_episode_steps
    env = gym.make(env_id, max_episode_steps=3)
    env.reset(seed=0)
    rest = np.zeros(family.action_size, np.float32)
    assert [env.step(rest)[3] for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    ("env_id", "low", "high"),
    [
        ("ParamCheetah-v0", 99.5, 100.7),
        ("ParamWalker-v0", 19.0, 36.0),
        ("ParamFinger-v0", 99.9, 100.1),
        ("ParamAnt-v0", 190.0, 210.0),
        ("ParamCheetahVel-v0", -301.0, -299.0),  # 200 steps at 1.5 m/s from the default velocity
    ],
)
def test_returns_of_doing_nothing(env_id, low, high) -> None:
    reward = "reach" if env_id in ("ParamCheetah-v0", "ParamWalker-v0", "ParamFinger-v0") else None
    env = gym.make(env_id, reward=reward)
    rest = np.zeros(env.action_space.shape, np.float32)
    for seed in range(2):
        env.reset(seed=seed)
        total, done = 0.0, False
        while not done:
            _, reward_now, terminated, truncated, _ = env.step(rest)
            total += reward_now
            done = terminated or truncated
        assert low < total < high


def test_cheetah_vel_returns_of_doing_nothing_over_macaws_test_tasks() -> None:
    returns = []
    for velocity in (0.225, 0.6, 1.2, 1.8, 2.025):
        env = gym.make("ParamCheetahVel-v0", velocity=velocity)
        env.reset(seed=0)
        returns.append(sum(env.step(np.zeros(6, np.float32))[1] for _ in range(200)))
    assert np.mean(returns) == pytest.approx(-234.2, abs=1.5)


def test_the_sampler_draws_at_every_reset_and_options_win() -> None:
    family = family_of(CHEETAH)
    env = gym.make(CHEETAH, sampler=UniformSampler(family, ["torso"]))
    drawn = [env.reset(seed=0)[1]["context"], env.reset()[1]["context"]]
    assert drawn[0] != drawn[1]
    assert {context["speed"] for context in drawn} == {10.0}
    again = [env.reset(seed=0)[1]["context"], env.reset()[1]["context"]]
    assert again == drawn
    asked = env.reset(options={"context": {"torso": 0.35}})[1]["context"]
    assert asked["torso"] == 0.35
    assert env.reset(seed=0)[1]["context"] == drawn[0]
    listed = gym.make(CHEETAH, sampler=ListSampler([{"speed": 2.0}, {"speed": 3.0}]))
    assert {listed.reset(seed=i)[1]["context"]["speed"] for i in range(12)} == {2.0, 3.0}


def test_what_a_sampler_does_not_draw_stays_as_the_environment_was_made() -> None:
    sampler = ListSampler([{"torso": 0.4}, {"torso": 0.6, "speed": -2.0}])
    env = gym.make(CHEETAH, speed=3.0, sampler=sampler)
    drawn = [env.reset(seed=i)[1]["context"] for i in range(12)]
    assert {(c["speed"], c["torso"]) for c in drawn} == {(3.0, 0.4), (-2.0, 0.6)}
    uniform = gym.make(CHEETAH, speed=3.0, sampler=UniformSampler(family_of(CHEETAH), ["torso"]))
    uniform.reset(seed=0, options={"context": {"speed": 5.0}})
    assert uniform.unwrapped.context["speed"] == 5.0
    assert uniform.reset()[1]["context"]["speed"] == 3.0


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"torso": 0.9}, r"`torso` must be in \[0.3, 0.7\] \(m\), got 0.9"),
        ({"torso": 0.70000001}, r"\(m\), got 0.70000001"),
        ({"speed": 10**400}, "`speed` must be a number in"),
        ({"speed": 0.0}, r"`speed` must be in \[-10, 10\] without 0"),
        ({"length": 0.2}, "unknown feature `length`"),
        ({"reward": "run"}, r"`reward` must be one of \['track', 'reach'\]"),
        ({"render_mode": "human"}, "`render_mode` must be None or 'rgb_array', got 'human'"),
        ({"width": 0}, "`width` must be an integer from 1 to 4096 pixels, got 0"),
        ({"height": -1}, "`height` must be an integer from 1 to 4096 pixels, got -1"),
    ],
)
def test_bad_arguments(kwargs, message) -> None:
    with pytest.raises(ValueError, match=message):
        ParamEnv(family_of(CHEETAH), **kwargs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contexts": {}}, r"`options` may have the keys \['context'\], got \['contexts'\]"),
        ({"context": {"torso": 3}}, "`torso` must be in"),
        ({"context": {"mass": 3}}, "unknown feature `mass`"),
        ({"context": 0.5}, "`context` must map feature names to values, got 0.5"),
    ],
)
def test_bad_options(options, message) -> None:
    env = ParamEnv(family_of(CHEETAH))
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.reset(seed=9, options=options)
    assert env.np_random_seed == 0
    assert env.context == family_of(CHEETAH).context()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            np.full(6, np.nan),
            r"finite and in \[-1, 1\], got nan in entry 0 \(6 of 6 entries are not",
        ),
        (
            np.array([0, 0, -np.inf, 0, 0, 0]),
            r"`action` must be finite .* got -inf in entry 2 \(1 of",
        ),
        (np.zeros(5), r"`action` must have shape \(6,\), got \(5,\)"),
        (np.zeros((1, 6)), r"got \(1, 6\)"),
        (0.0, r"got \(\)"),
    ],
)
def test_bad_actions(action, message) -> None:
    env = ParamEnv(family_of(CHEETAH))
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


def test_numbers_whose_squares_overflow_are_clipped_like_others() -> None:
    env = ParamEnv(family_of(CHEETAH))
    env.reset(seed=0)
    far = env.step(np.full(6, 1e300))[0]
    env.reset(seed=0)
    assert np.array_equal(far, env.step(np.ones(6))[0])


def test_actions_out_of_range_are_clipped() -> None:
    family = family_of("ParamAnt-v0")
    env, clipped = ParamEnv(family), ParamEnv(family)
    env.reset(seed=0)
    clipped.reset(seed=0)
    wild = np.linspace(-3, 3, 8)
    for _ in range(3):
        one, other = env.step(wild), clipped.step(np.clip(wild, -1, 1))
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1] == other[1]


@pytest.mark.filterwarnings("ignore:.*unstable.*")
@pytest.mark.parametrize("env_id", ENV_IDS)
def test_a_diverged_simulation_is_truncated_with_the_reason(env_id) -> None:
    family = family_of(env_id)
    env = gym.make(env_id)
    env.reset(seed=0)
    simulation = env.unwrapped.simulation
    state = simulation.state
    simulation.place(np.array([0]), state.qpos, np.full_like(state.qvel, 9e5))
    before = simulation.observation()[0]
    for _ in range(20):
        observation, reward, _, truncated, info = env.step(np.ones(family.action_size, np.float32))
        assert np.isfinite(observation).all()
        assert np.isfinite(reward)
        assert env.observation_space.contains(observation)
        if truncated:
            break
        before = observation
    assert truncated
    assert info["truncation_reason"] == "diverged"
    np.testing.assert_array_equal(observation, before)
    observation, info = env.reset(seed=1)
    assert info["truncation_reason"] == ""
    np.testing.assert_array_equal(observation, gym.make(env_id).reset(seed=1)[0])
    assert not env.step(np.zeros(family.action_size, np.float32))[3]


def test_the_module_prefix_needs_no_import() -> None:
    env = gym.make("param_envs:ParamCheetah-v0", speed=2.0, torso=0.4)
    assert env.unwrapped.context == {"speed": 2.0, "torso": 0.4}
