import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from param_envs import (
    ContextObservation,
    ContextVectorObservation,
    ListSampler,
    UniformSampler,
    family_of,
)
from tests.param_envs.cases import ENV_IDS, actions, spread


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_the_context_is_appended(env_id) -> None:
    family = family_of(env_id)
    context = spread(family, 3)[0]
    env = ContextObservation(gym.make(env_id, **context))
    observation, _ = env.reset(seed=0)
    encoded = family.encode([context])[0]
    np.testing.assert_array_equal(observation[family.observation_size :], encoded)
    np.testing.assert_array_equal(
        observation[: family.observation_size], gym.make(env_id, **context).reset(seed=0)[0]
    )
    assert env.observation_space.contains(observation)
    assert env.observation_space.contains(env.step(env.action_space.sample())[0])
    assert (env.observation_space.high[family.observation_size :] == 1.0).all()


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_the_batched_wrapper_does_the_same(env_id) -> None:
    family = family_of(env_id)
    contexts = spread(family, 3)
    batched = ContextVectorObservation(gym.make_vec(env_id, num_envs=3, contexts=contexts))
    singles = [ContextObservation(gym.make(env_id, **context)) for context in contexts]
    observation, _ = batched.reset(seed=0)
    assert batched.observation_space.contains(observation)
    for i, single in enumerate(singles):
        np.testing.assert_array_equal(observation[i], single.reset(seed=i)[0])
    for action in actions(family, 3, 3):
        observation = batched.step(action)[0]
        for i, single in enumerate(singles):
            np.testing.assert_array_equal(observation[i], single.step(action[i])[0])


def test_some_features_can_be_chosen() -> None:
    env = ContextObservation(gym.make("ParamCheetah-v0", torso=0.7), ["torso"])
    observation, _ = env.reset(seed=0)
    assert observation.shape == (18,)
    assert observation[-1] == pytest.approx(1.0)


def test_the_context_follows_a_reset() -> None:
    env = ContextObservation(gym.make("ParamCheetah-v0"), ["torso"])
    env.reset(seed=0)
    observation, _ = env.reset(options={"context": {"torso": 0.3}})
    assert observation[-1] == pytest.approx(-1.0)


def test_final_observations_have_the_context_that_ended() -> None:
    family = family_of("ParamCheetah-v0")
    env = ContextVectorObservation(
        gym.make_vec(
            "ParamCheetah-v0",
            num_envs=4,
            max_episode_steps=3,
            autoreset_mode=AutoresetMode.SAME_STEP,
            sampler=UniformSampler(family),
        )
    )
    observation, _ = env.reset(seed=0)
    for action in actions(family, 3, 4):
        before = observation[:, 17:]
        observation, _, _, truncated, info = env.step(action)
    assert truncated.all()
    for i in range(4):
        assert info["final_obs"][i].shape == (20,)
        np.testing.assert_array_equal(info["final_obs"][i][17:], before[i])
    assert not np.array_equal(observation[:, 17:], before)
    assert info["_final_obs"].all()


def test_the_encoding_stays_in_its_range_wherever_the_sampler_goes() -> None:
    contexts = [{"direction": 0.0, "leg": 0.7}, {"direction": 2 * np.pi, "leg": 1.3}]
    env = ContextObservation(gym.make("ParamAnt-v0", sampler=ListSampler(contexts)))
    for seed in range(6):
        observation, _ = env.reset(seed=seed)
        assert env.observation_space.contains(observation)


def test_only_our_environments_have_a_context() -> None:
    with pytest.raises(ValueError, match="`env` must be a ParamEnv, got CartPoleEnv"):
        ContextObservation(gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="`env` must be a ParamVectorEnv, got SyncVectorEnv"):
        ContextVectorObservation(gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync"))
    with pytest.raises(ValueError, match="unknown feature `length`"):
        ContextObservation(gym.make("ParamCheetah-v0"), ["length"])
    for features, message in (
        ([], "`features` must name at least one feature, got none"),
        ("torso", "`features` must be a sequence of names, got 'torso'"),
    ):
        with pytest.raises(ValueError, match=message):
            ContextObservation(gym.make("ParamCheetah-v0"), features)
        with pytest.raises(ValueError, match=message):
            ContextVectorObservation(gym.make_vec("ParamCheetah-v0", num_envs=2), features)


def test_wrappers_underneath_keep_their_part_of_the_space() -> None:
    timed = gym.wrappers.TimeAwareObservation(gym.make("ParamCheetah-v0"), normalize_time=False)
    env = ContextObservation(timed, ["speed"])
    observation, _ = env.reset(seed=0)
    assert env.observation_space.shape == (17 + 1 + 2,)
    assert env.observation_space.contains(observation)
    assert env.observation_space.high[17] == timed.observation_space.high[17]
    nested = ContextVectorObservation(
        ContextVectorObservation(gym.make_vec("ParamCheetah-v0", num_envs=2), ["speed"]), ["torso"]
    )
    assert nested.observation_space.contains(nested.reset(seed=0)[0])
