"""`train_many` on tiny networks: what it writes, exports, keeps, and takes up again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experts import Expert, MLPPolicies, load_expert, load_experts
from experts.offpolicy import CheckpointSchedule, Saving, load_checkpoints, train_many
from experts.offpolicy.agents import (
    WARM_DEVIATION,
    WARM_ENTROPY_WEIGHT,
    WARM_HOLD,
    experts_of,
    make_learner,
    start_from,
)
from experts.offpolicy.checkpoints import checkpoint_path
from experts.offpolicy.state import load_state, save_state
from experts.recipes import Recipe
from experts.sb3 import to_sb3
from experts.store import zoo_path
from param_envs import family_of
from tests.experts.factories import untrained

FAMILY = family_of("ParamCheetah-v0")
CONTEXTS = tuple(FAMILY.context(speed=speed) for speed in (2.0, -3.0))
TD3 = Recipe(
    name="tiny",
    algorithm="td3",
    total_steps=48,
    warm_steps=24,
    n_envs=2,
    hidden=(8,),
    activation="relu",
    learning_rate=1e-3,
    final_learning_rate=1e-4,
    batch_size=4,
    exploration=0.5,
    learning_starts=12,
    orthogonal=True,
    final_layer_scale=0.1,
    exploration_levels=(1.0, 0.2),
    updates_per_step=2,
)
RECIPES = {
    "td3": replace(TD3, n_candidates=2),
    "sac": replace(TD3, algorithm="sac", critic_hidden=(6, 6)),
}


class Killed(Exception):
    pass


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def trained(recipe: Recipe, contexts=CONTEXTS, **options) -> list[Expert]:
    options = {"seed": 0, "n_threads": 1, **options}
    return train_many(FAMILY, contexts, reward="track", recipe=recipe, **options)


def killed_after(steps: int):
    def on_steps(done: int) -> None:
        if done >= steps:
            raise Killed

    return on_steps


def assert_same_experts(found: list[Expert], expected: list[Expert]) -> None:
    for own, other in zip(found, expected, strict=True):
        for network in ("policy", "critic"):
            pair = (getattr(own, network).weights, getattr(other, network).weights)
            for weight, wanted in zip(*pair, strict=True):
                np.testing.assert_array_equal(weight, wanted)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[Expert]]]:
    """Each algorithm's experts, written with their policy checkpoints."""
    found = {}
    for name, recipe in RECIPES.items():
        directory = tmp_path_factory.mktemp(name)
        schedule = CheckpointSchedule(
            directory=directory / "policies", every=10, start=20, flush_every=2
        )
        found[name] = (directory, trained(recipe, directory=directory, checkpoints=schedule))
    return found


@pytest.mark.parametrize("algorithm", RECIPES)
def test_sb3_predictions_equal_the_agents(runs, algorithm: str) -> None:
    directory, experts = runs[algorithm]
    loaded = load_experts(directory)
    assert len(loaded) == 2
    observations = np.random.default_rng(0).normal(0, 3, (64, FAMILY.observation_size))
    for expert in experts:
        model = to_sb3(expert)
        assert type(model).__name__.lower() == algorithm
        predicted, _ = model.predict(observations, deterministic=True)
        np.testing.assert_allclose(predicted, expert.policy.act(observations[None])[0], atol=2e-6)


@pytest.mark.parametrize("algorithm", RECIPES)
def test_experts_act_and_value_as_the_learner(algorithm: str) -> None:
    learner = make_learner(FAMILY, RECIPES[algorithm], [0, 1, 2], "cpu")
    records = [untrained({"speed": speed}).record for speed in (1.0, 2.0, 3.0)]
    observations = normal(3, 5, FAMILY.observation_size)
    actions = learner.act(observations)
    values = learner.critics.apply(torch.cat([observations, actions], dim=-1).repeat(2, 1, 1))
    for i, expert in enumerate(experts_of(learner, records)):
        acted = expert.policy.act(observations[i : i + 1].numpy())
        np.testing.assert_allclose(acted, actions[i : i + 1], atol=2e-6)
        inputs = torch.cat([observations[i], actions[i]], dim=-1)[None].numpy()
        np.testing.assert_allclose(
            expert.critic.apply(inputs), values[i : i + 1].detach(), atol=1e-5
        )
        assert expert.record["critic"] == "q"


def test_an_agents_start_does_not_depend_on_the_others() -> None:
    alone = make_learner(FAMILY, TD3, [7], "cpu")
    among = make_learner(FAMILY, TD3, [6, 7], "cpu")
    np.testing.assert_array_equal(alone.actor.arrays()[0][0][0], among.actor.arrays()[0][0][1])
    np.testing.assert_array_equal(alone.critics.arrays()[0][0][1], among.critics.arrays()[0][0][3])


def test_networks_start_as_the_recipe_says() -> None:
    learner = make_learner(FAMILY, TD3, [0], "cpu")
    weights, biases = learner.actor.arrays()
    np.testing.assert_allclose(weights[0][0].T @ weights[0][0], np.eye(8), atol=1e-5)
    np.testing.assert_allclose(weights[1][0].T @ weights[1][0], 0.01 * np.eye(6), atol=1e-6)
    assert not biases[0].any()
    assert make_learner(FAMILY, replace(TD3, policy_hold=7), [0], "cpu").held == 7
    sac = make_learner(FAMILY, RECIPES["sac"], [0], "cpu")
    bound = 1 / np.sqrt(FAMILY.observation_size)
    weights, biases = sac.actor.arrays()
    for array in (weights[0], biases[0]):
        assert 0.7 * bound < np.abs(array).max() <= bound
    assert sac.critics.sizes == (FAMILY.observation_size + FAMILY.action_size, 6, 6, 1)
    np.testing.assert_array_equal(sac.critics.flat, sac.critic_targets.flat)


@pytest.mark.parametrize("algorithm", RECIPES)
def test_manifest_tells_how_it_was_made(runs, algorithm: str) -> None:
    directory, experts = runs[algorithm]
    record = load_expert(directory / "speed=-3_torso=0.5.json").record
    assert record["algorithm"] == algorithm
    assert record["seed"] == 1
    assert record["steps"] == 48
    # Updates begin with the step after 12 transitions: (48 - 12) / 2 steps of 2.
    assert record["updates"] == 36
    assert record["trained_together"] == 2
    assert record["kept_from_step"] in ((36, 48) if algorithm == "td3" else (48,))
    assert record["hyperparameters"]["exploration_levels"] == [1.0, 0.2]
    assert {"return_mean", "velocity_mean"} <= set(record["evaluation"])
    assert record == {
        **experts[1].record,
        **{k: record[k] for k in ("format", "sha256", "activation")},
    }


@pytest.mark.parametrize("algorithm", RECIPES)
def test_agents_learn_something(runs, algorithm: str) -> None:
    before = make_learner(FAMILY, RECIPES[algorithm], [0, 1], "cpu").actor.arrays()[0]
    for i, expert in enumerate(runs[algorithm][1]):
        size = FAMILY.action_size
        assert (expert.policy.weights[1][0] != before[1][i][:, :size]).any()


def test_same_seed_same_experts(runs) -> None:
    assert_same_experts(trained(RECIPES["td3"]), runs["td3"][1])


def test_a_seed_an_agent_is_of_its_networks() -> None:
    still = replace(TD3, total_steps=12)  # ends before the first update
    experts = trained(still, seed=[3, 9])
    assert [expert.record["seed"] for expert in experts] == [3, 9]
    for expert in experts:
        alone = make_learner(FAMILY, still, [expert.record["seed"]], "cpu")
        np.testing.assert_array_equal(expert.policy.weights[0], alone.actor.arrays()[0][0])


@pytest.mark.parametrize("algorithm", RECIPES)
def test_policies_along_the_training_are_kept(runs, algorithm: str) -> None:
    directory, experts = runs[algorithm]
    for context, expert in zip(CONTEXTS, experts, strict=True):
        kept = load_checkpoints(checkpoint_path(directory / "policies", context))
        assert kept.steps.tolist() == [20, 30, 40]
        assert isinstance(kept.policies, MLPPolicies)
        assert kept.record["context"] == dict(context)
        assert kept.policies.observation_size == FAMILY.observation_size
        assert kept.policies.action_size == FAMILY.action_size
        assert (kept.policies.weights[0][0] != kept.policies.weights[0][2]).any()
        # Candidates are of the same run: close by, with a learning rate of 1e-3.
        distance = np.abs(kept.policies.weights[0][2] - expert.policy.weights[0][0]).max()
        assert distance < 0.05


def test_killed_training_goes_on_from_its_last_state(tmp_path: Path) -> None:
    saving = Saving(path=tmp_path / "state.safetensors", minutes=0.0)
    schedule = CheckpointSchedule(directory=tmp_path / "policies", every=4)
    with pytest.raises(Killed):
        trained(TD3, saving=saving, checkpoints=schedule, on_steps=killed_after(30))
    assert saving.path.exists()
    reported: list[int] = []
    experts = trained(TD3, saving=saving, checkpoints=schedule, on_steps=reported.append)
    assert min(reported) == 30, "the step that was reported as the kill came had not been saved"
    assert experts[0].record["steps"] == 48
    assert experts[0].record["updates"] == 36
    kept = load_checkpoints(checkpoint_path(schedule.directory, CONTEXTS[1]))
    assert kept.steps.tolist() == list(range(2, 49, 4))
    assert not saving.path.exists(), "a finished training leaves no state"


def test_killed_after_the_last_step_only_plays_again(
    runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving = Saving(path=tmp_path / "state.safetensors")

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("experts.offpolicy.training.best_step", killed)
        with pytest.raises(Killed):
            trained(RECIPES["td3"], saving=saving)
    reported: list[int] = []
    experts = trained(RECIPES["td3"], saving=saving, on_steps=reported.append)
    assert reported == []
    assert_same_experts(experts, runs["td3"][1])
    assert [own.record["kept_from_step"] for own in experts] == [
        other.record["kept_from_step"] for other in runs["td3"][1]
    ]
    assert not saving.path.exists()


def test_state_without_replay_collects_anew(tmp_path: Path) -> None:
    saving = Saving(path=tmp_path / "state.safetensors", minutes=0.0, with_replay=False)
    with pytest.raises(Killed):
        trained(TD3, saving=saving, on_steps=killed_after(30))
    # Resumed after 28 steps: 12 transitions (6 steps) without updates, then 4 steps of 2.
    experts = trained(TD3, saving=saving)
    assert experts[0].record["updates"] == (28 - 12) + 8


def test_state_of_another_training_is_refused(tmp_path: Path) -> None:
    saving = Saving(path=tmp_path / "state.safetensors", minutes=0.0)
    with pytest.raises(Killed):
        trained(TD3, saving=saving, on_steps=killed_after(10))
    with pytest.raises(ValueError, match=r"another training, with `seed` 0 instead of 5"):
        trained(TD3, saving=saving, seed=5)
    with pytest.raises(ValueError, match=r"with `batch_size` 4 instead of 8"):
        trained(replace(TD3, batch_size=8), saving=saving)
    saving.path.write_bytes(saving.path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"state\.safetensors: cannot be read as a training's"):
        trained(TD3, saving=saving)


@pytest.mark.parametrize("algorithm", RECIPES)
def test_warm_start_begins_where_the_parent_ended(runs, algorithm: str) -> None:
    directory, _ = runs[algorithm]
    parent = load_expert(directory / "speed=-3_torso=0.5.json")
    still = replace(
        RECIPES[algorithm], learning_rate=1e-12, final_learning_rate=1e-12, n_candidates=1
    )
    [child] = trained(still, CONTEXTS[1:], seed=3, warm_starts=[parent])
    inputs = np.random.default_rng(0).normal(size=(1, 9, FAMILY.observation_size))
    np.testing.assert_allclose(child.policy.act(inputs), parent.policy.act(inputs), atol=1e-6)
    for name, value in parent.extras.items():
        np.testing.assert_allclose(child.extras[name], value, atol=1e-6)
    assert child.record["recipe"] == "tiny-chained"
    assert child.record["warm_start"] == {"expert": "speed=-3_torso=0.5", "reward": "track"}
    assert child.record["steps"] == 24


@pytest.mark.parametrize(("n_candidates", "kept"), [(2, 0), (1, 24)])
def test_a_parent_that_training_only_spoils_stays(
    n_candidates: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shipped expert of its own context, and a rate at which nothing survives."""
    monkeypatch.setattr("experts.offpolicy.agents.WARM_HOLD", 0)
    expert = load_expert(zoo_path("cheetah-speed") / "speed=2_torso=0.5.json")
    recipe = replace(TD3, hidden=(64, 64), activation="tanh", learning_rate=0.05)
    recipe = replace(recipe, final_learning_rate=0.05, n_candidates=n_candidates)
    [child] = trained(recipe, CONTEXTS[:1], warm_starts=[expert])
    assert child.record["kept_from_step"] == kept
    assert (child.record["evaluation"]["return_mean"] > 900.0) == (kept == 0)


def test_warm_start_folds_statistics_and_holds_the_policy() -> None:
    parent = untrained({"speed": 2.0})
    recipe = replace(TD3, activation="tanh")
    learner = make_learner(FAMILY, recipe, [0], "cpu")
    start_from(learner, [parent])
    observations = np.random.default_rng(0).normal(size=(1, 9, FAMILY.observation_size))
    acted = learner.act(torch.from_numpy(observations.astype(np.float32)))
    np.testing.assert_allclose(acted, parent.policy.act(observations), atol=1e-5)
    assert learner.held == WARM_HOLD
    assert torch.equal(learner.actor.flat, learner.actor_target.flat)  # type: ignore[attr-defined]


def test_sac_explores_a_little_around_a_parent_without_deviations() -> None:
    parent = untrained({"speed": 2.0})
    recipe = replace(RECIPES["sac"], activation="tanh")
    learner = make_learner(FAMILY, recipe, [0], "cpu")
    start_from(learner, [parent])
    observations = normal(1, 500, FAMILY.observation_size)
    spread = learner.explore(observations, torch.ones(1), torch.Generator().manual_seed(0))
    own = torch.from_numpy(parent.policy.act(observations.numpy()))
    free = own.abs() < 0.99  # elsewhere tanh has no slope
    noise = (spread.clamp(-0.9999, 0.9999).atanh() - own.atanh())[free]
    assert noise.std().item() == pytest.approx(WARM_DEVIATION, rel=0.1)
    assert learner.log_entropy_weight.exp().item() == pytest.approx(WARM_ENTROPY_WEIGHT)  # type: ignore[attr-defined]


def test_a_warm_start_may_learn_at_a_rate_of_its_own() -> None:
    def moved(parent: Expert, rate: float | None) -> float:
        recipe = replace(
            TD3, warm_learning_rate=rate, final_learning_rate=1e-12, n_candidates=1, policy_delay=1
        )
        [child] = trained(recipe, CONTEXTS[:1], warm_starts=[parent])
        return float(np.abs(child.critic.weights[0] - parent.critic.weights[0]).max())

    [parent] = trained(TD3, CONTEXTS[:1])
    assert moved(parent, 1e-12) < 1e-6 < moved(parent, None)


def test_what_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must have hidden layers \(8,\) \(relu\), got .*tanh"):
        trained(TD3, warm_starts=[untrained(context) for context in CONTEXTS])
    with pytest.raises(ValueError, match="`warm_starts` must be one expert a context, 2, got 1"):
        trained(TD3, warm_starts=[untrained(CONTEXTS[0])])
    with pytest.raises(ValueError, match=r"`seed` must be one, or one a context, 2, got \[7\]"):
        trained(TD3, seed=[7])
    same = CheckpointSchedule(directory=tmp_path, every=1)
    with pytest.raises(ValueError, match=r"`checkpoints\.directory` must not be the experts' own"):
        trained(TD3, directory=tmp_path, checkpoints=same)
    with pytest.raises(ValueError, match=r"`recipe\.algorithm` must be td3 or sac, got 'ppo'"):
        trained(replace(TD3, algorithm="ppo"))
    with pytest.raises(ValueError, match="`contexts` must be at least one, all different"):
        train_many(FAMILY, CONTEXTS[:1] * 2, reward="track", recipe=TD3, seed=0)
    alike = [FAMILY.context(speed=speed) for speed in (2.0, 2.0000001)]
    with pytest.raises(ValueError, match=r"all different in six digits, got \['speed=2_torso"):
        train_many(FAMILY, alike, reward="track", recipe=TD3, seed=0)


def test_nothing_is_learnt_before_there_are_transitions() -> None:
    """With `learning_starts` of 0, the first step comes before the first update."""
    (expert,) = trained(replace(TD3, learning_starts=0), contexts=CONTEXTS[:1])
    steps = TD3.total_steps // TD3.n_envs
    assert expert.record["updates"] == TD3.updates_per_step * (steps - 1)


def test_a_state_of_another_kind_of_device_goes_on(tmp_path: Path) -> None:
    saving = Saving(path=tmp_path / "state.safetensors", minutes=0.0)
    with pytest.raises(Killed):
        trained(TD3, saving=saving, on_steps=killed_after(30))
    tensors, facts = load_state(saving.path)
    assert facts["device"] == "cpu"
    as_on_gpu = {**tensors, "generator": torch.zeros(16, dtype=torch.uint8)}
    save_state(saving.path, as_on_gpu, {**facts, "device": "cuda"})
    (first, _) = trained(TD3, saving=saving)
    assert first.record["steps"] == TD3.total_steps


def test_broken_weights_end_the_training(tmp_path: Path) -> None:
    diverging = replace(TD3, learning_rate=1e38, final_learning_rate=1e38)
    with pytest.raises(FloatingPointError, match=r"the policy for .*speed.* is not finite after"):
        trained(diverging)
    schedule = CheckpointSchedule(directory=tmp_path / "policies", every=2)
    with pytest.raises(FloatingPointError, match=r"the policy for .*speed.* is not finite after"):
        trained(diverging, checkpoints=schedule)


def test_manifests_are_json(runs) -> None:
    for _, experts in runs.values():
        for expert in experts:
            assert json.loads(json.dumps(expert.record)) == expert.record
