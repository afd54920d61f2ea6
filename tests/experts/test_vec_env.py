import numpy as np
import pytest
from stable_baselines3.common.env_checker import check_env

from experts.vec_env import ParamVecEnv, RetryingVecEnv
from param_envs import FAMILIES, ParamEnv, ParamVectorEnv, family_of


def make(n: int = 3, **kwargs: object) -> ParamVectorEnv:
    family = family_of("ParamCheetah-v0")
    return ParamVectorEnv(family, n, autoreset_mode="SameStep", n_threads=1, **kwargs)


def test_observations_are_not_copied() -> None:
    env = make()
    handed = []
    step = env.step

    def spy(actions: np.ndarray) -> tuple:
        result = step(actions)
        handed.append(result[0])
        return result

    env.step = spy  # type: ignore[method-assign]
    wrapped = ParamVecEnv(env)
    wrapped.reset()
    observation, *_ = wrapped.step(np.zeros((3, 6), np.float32))
    assert observation is handed[0]


def test_ended_episodes_follow_sb3() -> None:
    wrapped = ParamVecEnv(make(speed=[1.0, 2.0, 3.0], max_episode_steps=5))
    reference = make(speed=[1.0, 2.0, 3.0], max_episode_steps=6)
    wrapped.seed(7)
    np.testing.assert_array_equal(wrapped.reset(), reference.reset(seed=7)[0])
    actions = np.full((3, 6), 0.3, np.float32)
    for t in range(5):
        observation, _, done, infos = wrapped.step(actions)
        expected, *_ = reference.step(actions)
        assert done.all() == (t == 4)
    for i, info in enumerate(infos):
        np.testing.assert_array_equal(info["terminal_observation"], expected[i])
        assert info["TimeLimit.truncated"] is True
        assert info["context"]["speed"] == i + 1.0
    assert (observation != expected).any()


def test_failures_are_not_time_limits() -> None:
    family = family_of("ParamAnt-v0")
    env = ParamVectorEnv(family, 2, autoreset_mode="SameStep", n_threads=1)
    wrapped = ParamVecEnv(env)
    wrapped.reset()
    simulation = env.simulation
    qpos, qvel = simulation.state.qpos.copy(), simulation.state.qvel.copy()
    qpos[0, 2] = 3.0
    simulation.place(np.arange(2), qpos, qvel)
    _, _, done, infos = wrapped.step(np.zeros((2, 8), np.float32))
    assert done.tolist() == [True, False]
    assert infos[0]["TimeLimit.truncated"] is False
    assert infos[1] == {}


def test_other_autoreset_modes_are_refused() -> None:
    env = ParamVectorEnv(family_of("ParamCheetah-v0"), 2)
    with pytest.raises(ValueError, match="`env` must be made with autoreset_mode='SameStep'"):
        ParamVecEnv(env)


def test_step_needs_actions_first() -> None:
    with pytest.raises(RuntimeError, match="step_async"):
        ParamVecEnv(make()).step_wait()


def test_attributes_and_methods() -> None:
    wrapped = ParamVecEnv(make())
    assert wrapped.get_attr("reward_mode") == ["track"] * 3
    assert wrapped.get_attr("reward_mode", indices=[0]) == ["track"]
    wrapped.set_attr("max_episode_steps", 9)
    assert wrapped.env.max_episode_steps == 9
    with pytest.raises(ValueError, match="`indices` must be all 3 slots"):
        wrapped.set_attr("max_episode_steps", 9, indices=[1])
    assert wrapped.env_is_wrapped(object) == [False] * 3


@pytest.mark.parametrize("env_id", FAMILIES)
def test_sb3_accepts_every_family(env_id: str) -> None:
    check_env(ParamEnv(family_of(env_id)), warn=True, skip_render_check=True)


def test_starts_of_failed_episodes_come_back_and_others_go_on() -> None:
    """Slot 0 fails in its second episode, the first whose start is known."""
    plain, env = ParamVecEnv(make(max_episode_steps=2)), make(max_episode_steps=2)
    retrying = RetryingVecEnv(env, share=1.0, seed=0)
    step, rewards = env.step, np.ones(3)

    def rewarded(actions: np.ndarray) -> tuple:
        observation, _, *rest = step(actions)
        return observation, rewards.copy(), *rest

    env.step = rewarded  # type: ignore[method-assign]
    starts: dict[str, list[np.ndarray]] = {"plain": [], "retrying": []}
    for name, wrapped in (("plain", plain), ("retrying", retrying)):
        wrapped.seed(3)
        starts[name].append(wrapped.reset())
        for episode in range(5):
            rewards[0] = 0.0 if episode == 1 else 1.0
            for _ in range(2):
                observation, *_ = wrapped.step(np.zeros((3, 6), np.float32))
            starts[name].append(observation)
    expected = [start.copy() for start in starts["plain"]]
    for episode, source in ((3, 1), (4, 3), (5, 4)):
        expected[episode][0] = starts["plain"][source][0]
    np.testing.assert_array_equal(starts["retrying"], expected)
    assert retrying.n_failed == 0, "it did not fail again"


def test_the_share_of_retries_is_checked() -> None:
    with pytest.raises(ValueError, match=r"`share` must be in \[0, 1\], got 1.5"):
        RetryingVecEnv(make(), share=1.5, seed=0)


def test_costs_alone_are_no_failure() -> None:
    """Episodes that all end alike are typical, also where returns are negative."""
    family = family_of("ParamCheetahVel-v0")
    env = ParamVectorEnv(
        family, 8, autoreset_mode="SameStep", n_threads=1, velocity=2.0, max_episode_steps=10
    )
    retrying = RetryingVecEnv(env, share=1.0, seed=0)
    retrying.reset()
    for _ in range(30):
        retrying.step(np.zeros((8, 6), np.float32))
    assert not retrying._failed
