"""The contract of the batched environment: slot i is a single environment, to the last bit."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from param_envs import ListSampler, ParamVectorEnv, UniformSampler, family_of
from param_envs.engine import DataEngine
from tests.param_envs.cases import ENV_IDS, actions, spread

CHEETAH = family_of("ParamCheetah-v0")
N = 5
LIMIT = 12


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("env_id", ENV_IDS)
def test_next_step_autoreset_equals_single_environments(env_id, n_threads) -> None:
    family = family_of(env_id)
    contexts = spread(family, N)
    batched = ParamVectorEnv(
        family, N, contexts=contexts, max_episode_steps=LIMIT, n_threads=n_threads
    )
    singles = [gym.make(env_id, max_episode_steps=LIMIT, **context) for context in contexts]
    observation, info = batched.reset(seed=3)
    for i, single in enumerate(singles):
        assert_slot(i, observation, info, *single.reset(seed=3 + i))
    ended = [False] * N
    for action in actions(family, 2 * LIMIT + 3, N):
        observation, reward, terminated, truncated, info = batched.step(action)
        for i, single in enumerate(singles):
            if ended[i]:
                assert_slot(i, observation, info, *single.reset())
                assert (reward[i], terminated[i], truncated[i]) == (0.0, False, False)
                ended[i] = False
                continue
            mine = single.step(action[i])
            assert_slot(i, observation, info, mine[0], with_reason(mine))
            assert (reward[i], terminated[i], truncated[i]) == mine[1:4]
            ended[i] = bool(mine[2] or mine[3])


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("env_id", ENV_IDS)
def test_same_step_autoreset_equals_single_environments(env_id, n_threads) -> None:
    family = family_of(env_id)
    contexts = spread(family, N)
    batched = ParamVectorEnv(
        family,
        N,
        contexts=contexts,
        max_episode_steps=LIMIT,
        n_threads=n_threads,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    singles = [gym.make(env_id, max_episode_steps=LIMIT, **context) for context in contexts]
    batched.reset(seed=3)
    for i, single in enumerate(singles):
        single.reset(seed=3 + i)
    n_ended = 0
    for action in actions(family, 2 * LIMIT + 3, N):
        observation, reward, terminated, truncated, info = batched.step(action)
        for i, single in enumerate(singles):
            mine = single.step(action[i])
            assert (reward[i], terminated[i], truncated[i]) == mine[1:4]
            if not (mine[2] or mine[3]):
                assert_slot(i, observation, info, mine[0], mine[4])
                assert not info.get("_final_obs", np.zeros(N, bool))[i]
                continue
            n_ended += 1
            assert info["_final_obs"][i]
            assert info["_final_info"][i]
            np.testing.assert_array_equal(info["final_obs"][i], mine[0])
            assert_slot(i, info["final_obs"], info["final_info"], mine[0], with_reason(mine))
            assert_slot(i, observation, info, *single.reset())
    assert n_ended >= 2 * N


def with_reason(mine) -> dict:
    """A single environment's info; its time limit is a wrapper's, which gives no reason."""
    *_, truncated, info = mine
    at_the_limit = truncated and not info["truncation_reason"]
    return {**info, "truncation_reason": "time_limit"} if at_the_limit else info


def assert_slot(i, observation, info, mine, my_info) -> None:
    """Slot `i` of a batched observation and info equals a single environment's."""
    np.testing.assert_array_equal(observation[i], mine)
    assert {name: column[i] for name, column in info["context"].items()} == my_info["context"]
    for name, value in my_info.items():
        if name != "context":
            assert info[name][i] == value, name


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_a_time_limit_truncates_and_is_named_at_its_own_step_alone(mode) -> None:
    """The second slot began two steps later."""
    env = ParamVectorEnv(CHEETAH, 2, max_episode_steps=4, autoreset_mode=mode)
    env.reset(seed=0)
    seen = []
    for t, action in enumerate(actions(CHEETAH, 6, 2)):
        if t == 2:
            env.reset(options={"reset_mask": np.array([False, True])})
        _, _, terminated, truncated, info = env.step(action)
        final = info.get("final_info", info)
        seen.append((truncated.tolist(), final["truncation_reason"].tolist()))
        assert not terminated.any()
        if mode == "Disabled" and truncated.any():
            env.reset(options={"reset_mask": truncated})
    running = ([False, False], ["", ""])
    first, second = ([True, False], ["time_limit", ""]), ([False, True], ["", "time_limit"])
    assert seen == [running, running, running, first, running, second]


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_api(env_id) -> None:
    family = family_of(env_id)
    env = gym.make_vec(env_id, num_envs=3)
    assert isinstance(env, ParamVectorEnv)
    observation, info = env.reset(seed=0)
    assert observation.shape == (3, family.observation_size)
    assert env.observation_space.contains(observation)
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    keys = set(info)
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    assert set(info) == keys == {"context", "truncation_reason", *family.outcome_names}
    assert env.observation_space.contains(observation)
    assert reward.shape == terminated.shape == truncated.shape == (3,)
    assert terminated.dtype == truncated.dtype == np.bool_
    for name in family.outcome_names:
        assert info[name].shape == (3,)
    assert all(column.shape == (3,) for column in info["context"].values())
    env.close()


def test_closing_ends_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("param_envs.simulation.make_engine", DataEngine)  # of any MuJoCo
    env = ParamVectorEnv(CHEETAH, 3, n_threads=2)
    env.reset(seed=0)
    env.close()
    env.close_extras()  # a second time does nothing
    with pytest.raises(RuntimeError, match="after shutdown"):
        env.step(np.zeros((3, CHEETAH.action_size), np.float32))


def test_what_a_step_returned_stays_as_it_was() -> None:
    env = ParamVectorEnv(CHEETAH, 3, max_episode_steps=4)
    kept = [env.reset(seed=0)]
    copies = [kept[0][0].copy()]
    for action in actions(CHEETAH, 6, 3):
        kept.append(env.step(action))
        copies.append(kept[-1][0].copy())
    for result, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(result[0], copy)
    contexts = kept[0][1]["context"]
    with pytest.raises(ValueError, match="read-only"):
        contexts["speed"][:] = 1.0
    env.reset(options={"context": {"speed": 2.0}})
    np.testing.assert_array_equal(contexts["speed"], 10.0)


def test_features_are_numbers_or_arrays() -> None:
    env = gym.make_vec("ParamCheetah-v0", num_envs=3, speed=2.0, torso=[0.3, 0.4, 0.5])
    assert [context["torso"] for context in env.unwrapped.contexts] == [0.3, 0.4, 0.5]
    assert {context["speed"] for context in env.unwrapped.contexts} == {2.0}


def test_reset_options() -> None:
    env = ParamVectorEnv(CHEETAH, 3)
    start, _ = env.reset(seed=0)
    _, info = env.reset(options={"context": {"torso": [0.3, 0.4, 0.5]}})
    np.testing.assert_array_equal(info["context"]["torso"], [0.3, 0.4, 0.5])
    _, info = env.reset(options={"context": [{"speed": 1}, {"speed": 2}, {"torso": 0.6}]})
    np.testing.assert_array_equal(info["context"]["speed"], [1, 2, 10])
    np.testing.assert_array_equal(info["context"]["torso"], [0.3, 0.4, 0.6])
    before = env.simulation.observation()
    mask = np.array([False, True, False])
    after, info = env.reset(options={"reset_mask": mask, "context": {"torso": 0.7}})
    np.testing.assert_array_equal(info["context"]["torso"], [0.3, 0.7, 0.6])
    np.testing.assert_array_equal(after[~mask], before[~mask])
    assert not np.array_equal(after[1], before[1])
    again, _ = env.reset(seed=[0, None, 2], options={"context": {"speed": 10.0, "torso": 0.5}})
    np.testing.assert_array_equal(again[[0, 2]], start[[0, 2]])


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_the_sampler_survives_autoreset(mode) -> None:
    env = gym.make_vec(
        "ParamWalker-v0",
        num_envs=3,
        sampler=UniformSampler(family_of("ParamWalker-v0")),
        max_episode_steps=2,
        autoreset_mode=mode,
    )
    seen = [env.reset(seed=0)[1]["context"]]
    for action in actions(family_of("ParamWalker-v0"), 6, 3):
        seen.append(env.step(action)[4]["context"])
    torsos = np.array([context["torso"] for context in seen])
    assert len(np.unique(torsos[:, 0])) >= 3
    # The body follows: what info says is what is stepped.
    context = {name: float(column[0]) for name, column in seen[-1].items()}
    assert env.unwrapped.contexts[0] == context
    single = gym.make("ParamWalker-v0", sampler=UniformSampler(family_of("ParamWalker-v0")))
    single.reset(seed=0)
    assert single.reset()[1]["context"]["torso"] in torsos[:, 0]


def test_without_autoreset_ended_slots_have_to_be_reset() -> None:
    env = ParamVectorEnv(
        CHEETAH, 3, max_episode_steps=5, autoreset_mode="Disabled", torso=[0.3, 0.4, 0.5]
    )
    env.reset(seed=0)
    rest = np.zeros((3, 6), np.float32)
    for _ in range(3):
        env.step(rest)
    env.reset(options={"reset_mask": np.array([True, False, False])})
    for _ in range(2):
        truncated = env.step(rest)[3]
    np.testing.assert_array_equal(truncated, [False, True, True])
    with pytest.raises(ValueError, match=r"slots \[1, 2\] have ended: reset them with"):
        env.step(rest)
    env.reset(options={"reset_mask": truncated})
    np.testing.assert_array_equal(env.step(rest)[3], [False, False, False])


def test_gymnasiums_statistics() -> None:
    env = RecordEpisodeStatistics(gym.make_vec("ParamCheetah-v0", num_envs=3, max_episode_steps=4))
    env.reset(seed=0)
    total = np.zeros(3)
    for action in actions(CHEETAH, 4, 3):
        _, reward, _, _, info = env.step(action)
        total += reward
    np.testing.assert_array_equal(info["episode"]["l"], [4, 4, 4])
    np.testing.assert_allclose(info["episode"]["r"], total)


@pytest.mark.filterwarnings("ignore:.*unstable.*")
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_a_diverged_slot_keeps_its_state_while_another_is_reset(mode) -> None:
    env = ParamVectorEnv(CHEETAH, 2, autoreset_mode=mode, max_episode_steps=3)
    env.reset(seed=0)
    env.reset(options={"reset_mask": np.array([False, True])})
    rest = np.zeros((2, 6), np.float32)
    if mode is AutoresetMode.NEXT_STEP:
        env.step(rest)
        env.reset(options={"reset_mask": np.array([False, True])})  # its clock begins anew
        env.step(rest)
        env.step(rest)  # the first slot ends, and is reset in the step in which the other diverges
    state = env.simulation.state
    env.simulation.place(np.array([1]), state.qpos[1:2], np.full((1, state.qvel.shape[1]), 9e5))
    observation, _, _, truncated, info = env.step(rest)
    assert info["truncation_reason"][1] == "diverged" and truncated[1]
    assert env.single_observation_space.contains(observation[1])
    if mode is AutoresetMode.DISABLED:
        observation, info = env.reset(options={"reset_mask": np.array([True, False])})
        assert env.single_observation_space.contains(observation[1])
        assert np.abs(info["velocity"]).max() < 1e6


@pytest.mark.filterwarnings("ignore:.*unstable.*")
@pytest.mark.parametrize("env_id", ENV_IDS)
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_one_diverged_slot_leaves_the_others_alone(env_id, mode) -> None:
    family = family_of(env_id)
    env, calm = (ParamVectorEnv(family, 3, autoreset_mode=mode) for _ in range(2))
    env.reset(seed=0)
    calm.reset(seed=0)
    state = env.simulation.state
    env.simulation.place(np.array([1]), state.qpos[1:2], np.full((1, state.qvel.shape[1]), 9e5))
    diverged_at = None
    for step, action in enumerate(actions(family, 8, 3)):
        observation, reward, _, truncated, info = env.step(0.3 * action)
        expected = calm.step(0.3 * action)
        np.testing.assert_array_equal(observation[[0, 2]], expected[0][[0, 2]])
        np.testing.assert_array_equal(reward[[0, 2]], expected[1][[0, 2]])
        assert np.isfinite(observation).all()
        assert np.isfinite(reward).all()
        if truncated[1] and diverged_at is None:
            diverged_at = step
            last = info["final_info"] if mode is AutoresetMode.SAME_STEP else info
            assert last["truncation_reason"].tolist() == ["", "diverged", ""]
    assert diverged_at is not None
    assert not truncated[1]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_envs": 0}, "`num_envs` must be an integer of at least 1, got 0"),
        ({"num_envs": 2.5}, "`num_envs` must be an integer of at least 1, got 2.5"),
        ({"num_envs": "4"}, "`num_envs` must be an integer of at least 1, got '4'"),
        ({"torso": "long"}, "`torso` must be a number or an array of them, got 'long'"),
        ({"contexts": {"torso": [0.3] * 3}}, "`contexts` must be a sequence of mappings from"),
        ({"contexts": [1, 2, 3]}, "`contexts` must be a sequence of mappings from features"),
        ({"max_episode_steps": 0}, "`max_episode_steps` must be an integer of at least 1, got 0"),
        ({"max_episode_steps": 5.5}, "`max_episode_steps` must be an integer of at least 1"),
        ({"reward": ""}, "`reward` must be one of"),
        ({"torso": [0.3, 0.4]}, r"`torso` must be a number or have shape \(3,\), got \(2,\)"),
        ({"torso": [0.3, 0.4, 0.9]}, "`torso` must be in"),
        ({"mass": 1.0}, "unknown feature `mass`"),
        ({"contexts": [{}]}, "`contexts` must hold 3 contexts, got 1"),
        ({"contexts": [{}] * 3, "torso": 0.4}, r"either `contexts` or features, .* \['torso'\]"),
        ({"autoreset_mode": "Never"}, "must be one of .*'SAME_STEP'.*'SameStep'.*'Never'"),
        ({"max_episode_steps": -1}, "`max_episode_steps` must be an integer of at least 1"),
        ({"reward": "run"}, "`reward` must be one of"),
        ({"render_mode": "human"}, "`render_mode` must be None or 'rgb_array'"),
    ],
)
def test_bad_arguments(kwargs, message) -> None:
    with pytest.raises(ValueError, match=message):
        ParamVectorEnv(CHEETAH, **{"num_envs": 3, **kwargs})


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"options": {"mask": 1}}, r"keys \['context', 'reset_mask'\], got \['mask'\]"),
        ({"options": {"reset_mask": [True]}}, r"`reset_mask` must be a boolean array \(3,\)"),
        ({"options": {"reset_mask": np.zeros(3, bool)}}, "with a True in it"),
        ({"options": {"reset_mask": np.ones(3)}}, "`reset_mask` must be a boolean array"),
        ({"options": {"context": [{}]}}, "`context` must hold 3 contexts, got 1"),
        ({"options": {"context": {"torso": [0.3]}}}, r"`torso` must be a number or have shape"),
        ({"options": {"context": {"torso": 3}}}, "`torso` must be in"),
        ({"seed": [1, 2]}, "`seed` must hold 3 seeds, got 2"),
        ({"seed": 1.5}, "`seed` must be an integer, or one a slot, got 1.5"),
        ({"options": {"context": 5}}, "`context` must be a sequence of mappings from features"),
    ],
)
def test_bad_resets(kwargs, message) -> None:
    env, other = (ParamVectorEnv(CHEETAH, 3) for _ in range(2))
    env.reset(seed=0)
    other.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.reset(**{"seed": 9, **kwargs})
    assert env.np_random_seed == (0, 1, 2)
    np.testing.assert_array_equal(env.reset()[0], other.reset()[0])


def test_a_bad_seed_among_good_ones_changes_nothing() -> None:
    env = ParamVectorEnv(CHEETAH, 2)
    env.reset(seed=0)
    with pytest.raises(gym.error.Error):
        env.reset(seed=[5, -1])
    assert env.np_random_seed == (0, 1)


@pytest.mark.parametrize("n_threads", [-1, 1.5])
def test_bad_numbers_of_threads(n_threads) -> None:
    message = f"`n_threads` must be an integer of at least 0, got {n_threads}"
    with pytest.raises(ValueError, match=message):
        ParamVectorEnv(CHEETAH, 2, n_threads=n_threads)


def test_nothing_moves_before_the_first_reset() -> None:
    env = ParamVectorEnv(CHEETAH, 2, autoreset_mode="SAME_STEP")
    assert env.autoreset_mode is AutoresetMode.SAME_STEP
    with pytest.raises(gym.error.ResetNeeded, match="`reset` must be called before `step`"):
        env.step(np.zeros((2, 6), np.float32))
    with pytest.raises(gym.error.ResetNeeded, match="all slots must be reset first"):
        env.reset(options={"reset_mask": np.array([True, False])})
    env.reset(seed=5)
    assert env.np_random_seed == (5, 6)
    env.step(np.zeros((2, 6), np.float32))


def test_a_sampler_leaves_every_slot_what_it_does_not_draw() -> None:
    sampler = UniformSampler(CHEETAH, ["torso"])
    env = ParamVectorEnv(CHEETAH, 3, speed=[1.0, 2.0, 3.0], sampler=sampler)
    context = env.reset(seed=0)[1]["context"]
    assert context["speed"].tolist() == [1.0, 2.0, 3.0] and len(set(context["torso"])) == 3


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.diag([0.0, 0.0, np.nan])[:, [0, 0, 0, 1, 2, 0]], "got nan in slot 2, entry 4 "),
        (np.zeros((2, 6)), r"`action` must have shape \(3, 6\), got \(2, 6\)"),
        (np.zeros(6), r"got \(6,\)"),
    ],
)
def test_bad_actions(action, message) -> None:
    env = ParamVectorEnv(CHEETAH, 3)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


def test_a_list_sampler_gives_each_slot_a_draw_of_its_own() -> None:
    contexts = [CHEETAH.context(speed=speed) for speed in (1, 2, 3, 4)]
    env = ParamVectorEnv(CHEETAH, 8, sampler=ListSampler(contexts))
    _, info = env.reset(seed=0)
    assert len(set(info["context"]["speed"])) > 1
    assert len(env.np_random) == 8
