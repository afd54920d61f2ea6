from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from experts import Expert, MLPPolicies, load_expert, save_expert
from experts.finetune import fine_tune
from experts.sb3 import TanhMeanPolicy, export, to_sb3, training_env
from experts.training import best_step, train
from param_envs import family_of
from tests.experts.factories import ENV_ID, TINY, noted_environments

FAMILY = family_of(ENV_ID)
CONTEXT = FAMILY.context(speed=2.0)
OFF_POLICY = replace(
    TINY, n_envs=1, batch_size=8, learning_starts=10, total_steps=30, activation="relu"
)
RECIPES = {
    "ppo": TINY,
    "td3": replace(OFF_POLICY, algorithm="td3", orthogonal=True, exploration_steps=20),
    "sac": replace(OFF_POLICY, algorithm="sac"),
}


@pytest.fixture(scope="module")
def trained() -> dict:
    return {
        name: train(FAMILY, CONTEXT, reward="track", recipe=recipe, seed=0)
        for name, recipe in RECIPES.items()
    }


@pytest.mark.parametrize("algorithm", RECIPES)
def test_sb3_predictions_equal_the_experts(trained: dict, algorithm: str, tmp_path: Path) -> None:
    expert = load_expert(save_expert(trained[algorithm], tmp_path))
    model = to_sb3(expert)
    observations = np.random.default_rng(0).normal(0, 3, (64, FAMILY.observation_size))
    predicted, _ = model.predict(observations, deterministic=True)
    np.testing.assert_allclose(predicted, expert.policy.act(observations[None])[0], atol=2e-6)
    assert type(model).__name__.lower() == algorithm


def test_noise_reaches_the_actions_of_a_saturated_policy() -> None:
    environment, batched = training_env(FAMILY, CONTEXT, "track", 2)
    model = PPO(TanhMeanPolicy, environment, seed=0, device="cpu")
    policy: Any = model.policy
    with torch.no_grad():
        policy.action_net.bias.fill_(20.0)
        policy.log_std.fill_(np.log(0.3))
        actions, _, log_probabilities = policy(torch.zeros(4000, FAMILY.observation_size))
    batched.close()
    assert torch.isfinite(log_probabilities).all()
    np.testing.assert_allclose(actions.mean(dim=0), 1.0, atol=0.03)
    np.testing.assert_allclose(actions.std(dim=0), 0.3, atol=0.03)


def test_training_episodes_can_be_shorter_than_the_familys() -> None:
    environment, batched = training_env(FAMILY, CONTEXT, "track", 2, episode_steps=7)
    environment.reset()
    ends = [environment.step(np.zeros((2, FAMILY.action_size)))[2].all() for _ in range(14)]
    batched.close()
    assert np.flatnonzero(ends).tolist() == [6, 13]


@pytest.mark.parametrize("algorithm", RECIPES)
def test_export_of_an_exported_model_is_the_same_policy(trained: dict, algorithm: str) -> None:
    expert = trained[algorithm]
    again = export(to_sb3(expert), None, expert.record)
    observations = np.random.default_rng(1).normal(0, 3, (1, 64, FAMILY.observation_size))
    np.testing.assert_allclose(
        again.policy.act(observations), expert.policy.act(observations), atol=2e-6
    )
    inputs = observations
    if algorithm != "ppo":
        inputs = np.concatenate([observations, np.zeros((1, 64, FAMILY.action_size))], axis=-1)
    np.testing.assert_allclose(
        again.critic.apply(inputs), expert.critic.apply(inputs), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(("algorithm", "n_kept"), [("td3", 4), ("sac", 7)])
def test_what_a_warm_start_needs_comes_along(trained: dict, algorithm: str, n_kept: int) -> None:
    """Twin critic of two layers; SAC's deviations and log entropy weight too; also back to SB3."""
    expert = trained[algorithm]
    assert len(expert.extras) == n_kept
    model = to_sb3(expert, buffer_size=10)
    assert model.gamma == expert.record["discount"] and model.buffer_size == 10
    again = export(model, None, expert.record)
    for name in expert.extras:
        np.testing.assert_array_equal(again.extras[name], expert.extras[name])
    twin, own = expert.extras["twin.0.weight"], expert.critic.weights[0][0]
    assert twin.shape == own.shape and (twin != own).any()


@pytest.mark.parametrize("algorithm", RECIPES)
def test_manifest_tells_how_it_was_made(trained: dict, algorithm: str) -> None:
    record = trained[algorithm].record
    assert record["context"] == {"speed": 2.0, "torso": 0.5}
    assert record["hyperparameters"]["learning_rate"] == TINY.learning_rate
    assert record["steps"] >= RECIPES[algorithm].total_steps
    assert record["evaluation"]["episodes"] == 10
    assert {"return_mean", "return_min", "velocity_mean"} <= set(record["evaluation"])
    assert {"mujoco", "torch", "stable-baselines3"} <= set(record["versions"])
    assert record["warm_start"] is None


def test_same_seed_same_expert(trained: dict) -> None:
    again = train(FAMILY, CONTEXT, reward="track", recipe=TINY, seed=0)
    other = train(FAMILY, CONTEXT, reward="track", recipe=TINY, seed=1)
    np.testing.assert_array_equal(again.policy.weights[0], trained["ppo"].policy.weights[0])
    assert (other.policy.weights[0] != again.policy.weights[0]).any()


def test_the_best_of_several_policies_is_found_in_any_order() -> None:
    """At a desired velocity of 0, standing still costs less than full force."""
    family = family_of("ParamCheetahVel-v0")

    def constant(action: float) -> Expert:
        weights = np.zeros((1, family.observation_size, family.action_size), np.float32)
        biases = np.full((1, family.action_size), np.arctanh(action), np.float32)
        return Expert(policy=MLPPolicies((weights,), (biases,)), critic=None, extras={}, record={})

    context, still, forceful = family.context(velocity=0.0), constant(0.0), constant(0.9)
    assert best_step({10: still, 20: forceful}, family, context, "velocity") == 10
    assert best_step({10: forceful, 20: still}, family, context, "velocity") == 20


def test_the_chosen_snapshot_is_the_expert(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots come after three quarters, at the start of a rollout of 32 steps, and at the end"""
    seen: dict[int, Expert] = {}

    def first(candidates: dict[int, Expert], *_: object) -> int:
        seen.update(candidates)
        return min(candidates)

    monkeypatch.setattr("experts.training.best_step", first)
    monkeypatch.setattr("experts.training.evaluated", lambda expert: expert)
    recipe = replace(TINY, total_steps=128, n_candidates=2)
    expert = train(FAMILY, CONTEXT, reward="track", recipe=recipe, seed=0)
    assert list(seen) == [96, 128]
    assert (seen[96].policy.weights[0] != seen[128].policy.weights[0]).any()
    assert expert.policy is seen[96].policy
    assert expert.record["kept_from_step"] == 96


def test_warm_start_begins_where_the_neighbour_ended(trained: dict) -> None:
    still = replace(TINY, learning_rate=1e-12, final_learning_rate=1e-12)
    neighbour = trained["ppo"]
    expert = train(
        FAMILY,
        FAMILY.context(speed=2.5),
        reward="track",
        recipe=still,
        seed=0,
        warm_start=neighbour,
    )
    np.testing.assert_allclose(expert.policy.weights[0], neighbour.policy.weights[0], atol=1e-6)
    np.testing.assert_allclose(expert.policy.mean, neighbour.policy.mean, atol=1e-2)
    assert expert.record["recipe"] == "tiny-chained"
    assert expert.record["warm_start"] == {"expert": "speed=2_torso=0.5", "reward": "track"}


def test_warm_start_needs_the_same_layers(trained: dict) -> None:
    with pytest.raises(ValueError, match=r"must have hidden layers \(16,\) \(tanh\), got \(8,\)"):
        train(
            FAMILY,
            CONTEXT,
            reward="track",
            recipe=replace(TINY, hidden=(16,)),
            seed=0,
            warm_start=trained["ppo"],
        )
    with pytest.raises(ValueError, match="warm starts need a PPO recipe"):
        train(
            FAMILY,
            CONTEXT,
            reward="track",
            recipe=RECIPES["sac"],
            seed=0,
            warm_start=trained["ppo"],
        )


def test_clipping_policies_cannot_be_exported() -> None:
    environment, _ = training_env(FAMILY, CONTEXT, "track", 2)
    model = PPO("MlpPolicy", environment, device="cpu")
    with pytest.raises(ValueError, match="PPO with TanhMeanPolicy, got PPO with ActorC"):
        export(model, None, {})


def test_the_environments_are_closed_however_it_ends(
    trained: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = noted_environments(monkeypatch)

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(FAMILY, CONTEXT, reward="track", recipe=TINY, seed=0, on_steps=stop)
    with pytest.raises(ValueError, match="warm starts need a PPO recipe"):
        train(
            FAMILY,
            CONTEXT,
            reward="track",
            recipe=RECIPES["sac"],
            seed=0,
            warm_start=trained["ppo"],
        )
    two = MLPPolicies.stack([trained["sac"].policy] * 2)
    with pytest.raises(ValueError, match="`start` must be one policy, got 2"):
        fine_tune(two, FAMILY, CONTEXT, reward="track", n_steps=1, seed=0)
    strange = replace(trained["ppo"], record={**trained["ppo"].record, "algorithm": "dqn"})
    with pytest.raises(ValueError, match="`algorithm` must be ppo, td3 or sac, got 'dqn'"):
        to_sb3(strange)
    assert [env.closed for env in made] == [True] * 4
    model = to_sb3(trained["ppo"])
    assert not made[-1].closed, "it can be trained on"
    model.get_env().close()
    assert made[-1].closed
