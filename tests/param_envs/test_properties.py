"""What holds for any context, seed and actions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from param_envs import Context, Family, ParamEnv, ParamVectorEnv, family_of
from tests.param_envs.cases import ENV_IDS, SPEED_ENV_IDS


def contexts(family: Family) -> st.SearchStrategy[Context]:
    """Any context; dynamics on a grid of a hundred values, so that few bodies are compiled."""
    values = {}
    for feature in family.features:
        if feature.kind == "dynamics":
            grid = np.linspace(feature.low, feature.high, 101).tolist()
            values[feature.name] = st.sampled_from(grid)
        else:
            numbers = st.floats(feature.low, feature.high, allow_subnormal=False)
            values[feature.name] = numbers.filter(
                lambda x, f=feature: f.encoding != "signed" or x != 0.0
            )
    return st.fixed_dictionaries(values).map(lambda chosen: family.context(**chosen))


@pytest.mark.parametrize("env_id", ENV_IDS)
@settings(max_examples=20)
@given(data=st.data())
def test_observations_and_rewards_stay_in_their_ranges(env_id, data) -> None:
    family = family_of(env_id)
    context = data.draw(contexts(family))
    seed = data.draw(st.integers(0, 2**31))
    mode = data.draw(st.sampled_from(family.reward_modes))
    scale = data.draw(st.floats(0.0, 2.0))
    env = ParamEnv(family, reward=mode, **context)
    observation, info = env.reset(seed=seed)
    assert info["context"] == context
    rng = np.random.default_rng(seed)
    for _ in range(15):
        assert env.observation_space.contains(observation)
        action = scale * rng.uniform(-1.0, 1.0, family.action_size)
        observation, reward, terminated, truncated, info = env.step(action)
        assert not truncated
        if env_id in SPEED_ENV_IDS:
            assert 0.0 <= reward <= 1.0
        else:
            assert np.isfinite(reward)
        again = family.reward(
            {name: np.array([info[name]]) for name in family.outcome_names},
            np.clip(action, -1.0, 1.0)[None],
            {name: np.array([value]) for name, value in context.items()},
            mode,
        )
        assert again[0] == reward
        if terminated:
            break


@pytest.mark.parametrize("env_id", ENV_IDS)
@settings(max_examples=10)
@given(data=st.data())
def test_a_slot_depends_on_nothing_but_its_own_context_seed_and_actions(env_id, data) -> None:
    family = family_of(env_id)
    mine = data.draw(contexts(family))
    others = data.draw(st.lists(contexts(family), min_size=1, max_size=3))
    place = data.draw(st.integers(0, len(others)))
    seed = data.draw(st.integers(0, 2**31))
    slots = [*others[:place], mine, *others[place:]]
    batched, alone = ParamVectorEnv(family, len(slots), contexts=slots), ParamEnv(family, **mine)
    seeds = [seed if i == place else seed + 1 + i for i in range(len(slots))]
    observation = batched.reset(seed=seeds)[0][place]
    np.testing.assert_array_equal(observation, alone.reset(seed=seed)[0])
    rng = np.random.default_rng(seed)
    for _ in range(8):
        action = rng.uniform(-1.0, 1.0, (len(slots), family.action_size))
        observation, reward, terminated, *_ = batched.step(action)
        expected = alone.step(action[place])
        np.testing.assert_array_equal(observation[place], expected[0])
        assert reward[place] == expected[1]
        if terminated[place]:
            break


@pytest.mark.parametrize("env_id", ENV_IDS)
@settings(max_examples=50)
@given(data=st.data())
def test_contexts_encode_into_the_unit_box(env_id, data) -> None:
    family = family_of(env_id)
    drawn = data.draw(st.lists(contexts(family), min_size=1, max_size=4))
    encoded = family.encode(drawn)
    assert encoded.shape == (len(drawn), sum(f.encoded_size for f in family.features))
    assert (np.abs(encoded) <= 1.0 + 1e-12).all()


@pytest.mark.parametrize("env_id", ENV_IDS)
@settings(max_examples=30)
@given(data=st.data())
def test_values_out_of_range_are_refused(env_id, data) -> None:
    family = family_of(env_id)
    feature = data.draw(st.sampled_from(family.features))
    wrong = data.draw(
        st.one_of(
            st.floats(max_value=feature.low, exclude_max=True),
            st.floats(min_value=feature.high, exclude_min=True),
            st.just(float("nan")),
        )
    )
    with pytest.raises(ValueError, match=f"`{feature.name}` must be in"):
        family.context(**{feature.name: wrong})
