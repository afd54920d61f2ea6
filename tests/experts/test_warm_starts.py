"""What a training of PPO takes on from another expert: one of PPO, or the policy of any other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experts import Expert
from experts.recipes import Recipe
from experts.training import train
from param_envs import family_of
from tests.experts.factories import ENV_ID, TINY, untrained

FAMILY = family_of(ENV_ID)
STILL = replace(TINY, learning_rate=1e-12, final_learning_rate=1e-12)
LIVELY = replace(TINY, learning_rate=1e-2, final_learning_rate=1e-2, warm_steps=64)
OF_SAC = untrained({"speed": 2.0}, algorithm="sac", critic="q")
OBSERVATIONS = np.random.default_rng(0).normal(0, 0.5, (1, 50, FAMILY.observation_size))


@pytest.fixture(autouse=True)
def _without_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experts.training.evaluated", lambda expert: expert)


def child_of(parent: Expert, recipe: Recipe) -> Expert:
    return train(FAMILY, parent.context, reward="track", recipe=recipe, seed=0, warm_start=parent)


def test_a_ppo_expert_hands_on_its_critic_and_the_scale_of_its_rewards() -> None:
    parent = replace(
        untrained({"speed": 2.0}),
        extras={"log_std": np.zeros(6, np.float32), "reward_scale": np.array([3.0], np.float32)},
    )
    child = child_of(parent, STILL)
    assert child.critic is not None and parent.critic is not None
    values = parent.critic.apply(OBSERVATIONS)
    assert np.abs(values).max() > 0.5
    np.testing.assert_allclose(child.critic.apply(OBSERVATIONS), values, atol=2e-3)
    np.testing.assert_allclose(
        child.policy.act(OBSERVATIONS), parent.policy.act(OBSERVATIONS), atol=2e-3
    )
    assert child.extras["reward_scale"] == pytest.approx([3.0], rel=1e-3)


def moved(child: Expert) -> float:
    return np.abs(child.policy.act(OBSERVATIONS) - OF_SAC.policy.act(OBSERVATIONS)).max()


def test_the_policy_of_a_sac_expert_rests_while_the_critic_learns() -> None:
    resting, untouched = (
        child_of(OF_SAC, recipe) for recipe in (replace(LIVELY, critic_steps=10**9), STILL)
    )
    assert moved(resting) < 2e-3 and moved(untouched) < 2e-3
    assert resting.critic is not None and untouched.critic is not None
    assert np.abs(resting.critic.weights[0] - untouched.critic.weights[0]).max() > 5e-3
    assert resting.record["critic"] == "v"


@pytest.mark.parametrize(("critic_steps", "learns"), [(0, True), (32, True), (33, False)])
def test_the_policy_of_a_sac_expert_learns_after_critic_steps(
    critic_steps: int, learns: bool
) -> None:
    """Rollouts begin at 0 and 32 steps."""
    child = child_of(OF_SAC, replace(LIVELY, critic_steps=critic_steps))
    assert moved(child) > 5e-3 if learns else moved(child) < 2e-3
