from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experts import load_experts, transfer_matrix
from param_envs import family_of
from zeroshot.references import REFERENCES, Training, reference_names
from zeroshot.suites import Suite


@pytest.fixture
def training(suite: Suite, zoo: Path) -> Training:
    """Experts of speeds -3, -2, -1, 1, 2, 3, 4, 5 and a made-up transfer matrix."""
    experts = load_experts(zoo)
    transfer = np.zeros((8, 8))
    transfer[2] = [9, 9, 9, 0, 0, 0, 0, 0]  # best among the negative, mean 27 / 8
    transfer[4] = [0, 0, 0, 5, 5, 5, 5, 5]  # mean 25 / 8
    transfer[6] = [8, 8, 8, 1, 1, 1, 1, 1]  # best overall, mean 29 / 8
    return Training(experts=experts, features=("speed",), transfer=transfer, seed=0)


def test_nearest_takes_the_neighbour_and_never_the_other_direction(training: Training) -> None:
    speeds = [-2.4, -0.5, 0.5, 4.6, 10.0]
    assert _speeds_used(training, "nearest", speeds) == [-2.0, -1.0, 1.0, 5.0, 5.0]


def test_nearest_breaks_ties_in_the_order_of_the_grid(training: Training) -> None:
    assert _speeds_used(training, "nearest", [1.5, 3.5, -1.5]) == [1.0, 3.0, -2.0]


def test_best_single_is_one_expert_for_everything(training: Training) -> None:
    assert _speeds_used(training, "best-single", [-2.5, 0.5, 4.5]) == [4.0, 4.0, 4.0]


def test_best_of_direction_looks_within_its_direction_only(training: Training) -> None:
    assert _speeds_used(training, "best-of-direction", [-2.5, 0.5, 4.5]) == [-1.0, 2.0, 2.0]


def test_best_of_direction_falls_back_where_the_direction_was_never_seen(
    training: Training,
) -> None:
    ids = [3, 4, 5, 6, 7]
    forward = replace(
        training,
        experts=training.experts.select(ids),
        transfer=training.transfer[np.ix_(ids, ids)],
    )
    assert _speeds_used(forward, "best-of-direction", [-2.0, 2.0]) == [2.0, 2.0]


def test_random_and_zero_actions(training: Training) -> None:
    observations = np.zeros((2, 500, 17))
    contexts = training.experts.contexts[:2]
    zero = REFERENCES["zero"](training, contexts).act(observations)
    np.testing.assert_array_equal(zero, np.zeros((2, 500, 6)))
    random = REFERENCES["random"](training, contexts)
    actions = random.act(observations)
    assert actions.shape == (2, 500, 6) and np.abs(actions).max() <= 1.0
    assert abs(actions.mean()) < 0.03 and actions.std() == pytest.approx(3**-0.5, abs=0.02)
    assert not np.array_equal(random.act(observations), actions)
    again = REFERENCES["random"](training, contexts).act(observations)
    np.testing.assert_array_equal(again, actions)


def test_names_have_the_direction_row_only_where_there_are_two(suite: Suite, zoo: Path) -> None:
    experts = load_experts(zoo)
    everything = ["expert", "nearest", "best-of-direction", "best-single", "random", "zero"]
    assert reference_names(("speed",), experts) == everything
    without = [name for name in everything if name != "best-of-direction"]
    assert reference_names(("speed",), experts.select([3, 4, 5])) == without
    assert reference_names(("torso",), experts) == without
    ant = family_of("ParamAnt-v0")
    circle = replace(
        experts, family=ant, contexts=tuple(ant.context(direction=d) for d in np.arange(8) * 0.7)
    )
    assert reference_names(("direction",), circle) == without


def test_transfer_matrix_plays_every_expert_in_every_context(suite: Suite, zoo: Path) -> None:
    experts = load_experts(zoo).select([0, 3, 5])
    matrix = transfer_matrix(experts, n_episodes=2, seed=1, n_steps=10)
    assert matrix.shape == (3, 3)
    # Row i is one policy: the matrix of expert i alone, asked for in all three contexts.
    same = replace(experts, policies=experts.policies.select([1, 1, 1]))
    rows = transfer_matrix(same, n_episodes=2, seed=1, n_steps=10)
    np.testing.assert_allclose(rows[1], matrix[1], atol=1e-6)
    assert len({tuple(row) for row in matrix.round(6)}) == 3


def _speeds_used(training: Training, name: str, speeds: list[float]) -> list[float]:
    """Speeds of the experts that a reference uses at `speeds`, recognised by their actions."""
    family = training.experts.family
    contexts = [family.context(speed=speed) for speed in speeds]
    observation = np.random.default_rng(0).normal(size=(1, 1, family.observation_size))
    policies = REFERENCES[name](training, contexts)
    used = policies.act(np.repeat(observation, len(speeds), axis=0))
    known = training.experts.policies.act(np.repeat(observation, len(training.experts), axis=0))
    ids = [int(np.flatnonzero((known == row).all(axis=(1, 2)))[0]) for row in used]
    return [training.experts.contexts[i]["speed"] for i in ids]
