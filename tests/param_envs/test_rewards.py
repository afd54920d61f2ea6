"""Rewards worked out by hand, and their purity: any data can be relabelled for another context."""

import numpy as np
import pytest

from param_envs import ParamVectorEnv, family_of, stack_contexts
from param_envs.families.speed_reward import REACH, TRACK, speed_reward
from param_envs.families.walker import standing_reward
from param_envs.simulation import Simulation
from tests.param_envs.cases import ENV_IDS, actions, spread


@pytest.mark.parametrize(
    ("speed", "desired", "expected"),
    [
        (-0.5, 5, 0.01),
        (0, 5, 0.1),
        (2.5, 5, 0.55),
        (4.9, 5, 0.982),
        (5, 5, 1.0),
        (8, 5, 1.0),
        (-0.56, 5, 0.0),  # zero from -5/9 on
        (2.5, -5, 0.0),
        (-2.5, -5, 0.55),
        (-8, -5, 1.0),
    ],
)
def test_reach_is_a_minimum_speed(speed, desired, expected) -> None:
    reward = speed_reward(np.array([speed], float), np.array([desired], float), REACH)
    assert reward == pytest.approx([expected], abs=1e-12)


@pytest.mark.parametrize(
    ("speed", "desired", "expected"),
    [
        (-0.5, 5, 0.01),
        (0, 5, 0.1),
        (2.5, 5, 0.55),
        (5, 5, 1.0),
        (7.5, 5, 0.55),
        (10, 5, 0.1),
        (11, 5, 0.0),
        (-7.5, -5, 0.55),
        (5, -5, 0.0),
    ],
)
def test_track_is_a_target_speed(speed, desired, expected) -> None:
    reward = speed_reward(np.array([speed], float), np.array([desired], float), TRACK)
    assert reward == pytest.approx([expected], abs=1e-12)


@pytest.mark.parametrize(
    ("height", "standing"), [(0.6, 0.1), (0.9, 0.562), (1.1, 0.938), (1.2, 1.0), (1.5, 1.0)]
)
def test_the_walker_stands(height, standing) -> None:
    upright = np.array([1.0, -1.0])
    reward = standing_reward(np.full(2, height), upright)
    assert reward == pytest.approx([(3 * standing + 1) / 4, 3 * standing / 4], abs=5e-4)


def test_walker() -> None:
    outcome = {"velocity": np.array([2.5]), "height": np.array([0.6]), "upright": np.array([0.0])}
    reward = family_of("ParamWalker-v0").reward(
        outcome, np.zeros((1, 6)), {"speed": np.array([5.0])}, TRACK
    )
    stand = (3 * 0.1 + 0.5) / 4
    assert reward == pytest.approx([stand * (5 * 0.55 + 1) / 6])


def test_ant() -> None:
    outcome = {"x_velocity": np.array([2.0, 2.0]), "y_velocity": np.array([1.0, 1.0])}
    columns = {"direction": np.array([0.0, np.pi / 2])}
    action = np.full((2, 8), 0.5)
    reward = family_of("ParamAnt-v0").reward(outcome, action, columns, "direction")
    assert reward == pytest.approx([2.0 - 1.0 + 1.0, 1.0 - 1.0 + 1.0])


def test_cheetah_vel() -> None:
    action = np.full((2, 6), 0.5)
    reward = family_of("ParamCheetahVel-v0").reward(
        {"velocity": np.array([1.0, 4.0])}, action, {"velocity": np.array([3.0, 3.0])}, "velocity"
    )
    assert reward == pytest.approx([-2.0 - 0.075, -1.0 - 0.075])


def test_the_ant_fails_outside_its_heights() -> None:
    family = family_of("ParamAnt-v0")
    env = ParamVectorEnv(family, 4, autoreset_mode="Disabled")
    env.reset(seed=0)
    state = env.simulation.state
    state.qpos[:, 2] = [0.19, 0.21, 0.99, 1.01]
    np.testing.assert_array_equal(family.terminated(state), [True, False, False, True])


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_relabelled_rewards_equal_those_of_the_other_context(env_id) -> None:
    family = family_of(env_id)
    n = 4
    others = [
        family.context(**{f.name: c[f.name] for f in family.features if f.kind == "reward"})
        for c in spread(family, n)
    ]
    default = [family.context()] * n
    for mode in family.reward_modes:
        played = Simulation(family, default, reward=mode)
        wanted = Simulation(family, others, reward=mode)
        for simulation, contexts in ((played, default), (wanted, others)):
            rngs = [np.random.default_rng(i) for i in range(n)]
            simulation.restart(np.arange(n), contexts, rngs)
        for action in actions(family, 40, n):
            action = action.astype(np.float64)
            outcome = played.advance(action).outcome
            relabelled = family.reward(outcome, action, stack_contexts(others), mode)
            np.testing.assert_array_equal(relabelled, wanted.advance(action).reward)


def test_unknown_rewards_name_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"`reward` must be one of \['track', 'reach'\], got 'run'"
    ):
        ParamVectorEnv(family_of("ParamCheetah-v0"), reward="run")
