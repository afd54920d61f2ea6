"""Batched updates against Stable-Baselines3's own `train()`: same weights, same minibatches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import Tensor, nn

from experts.offpolicy.learner import Learner
from experts.offpolicy.networks import StackedMLPs
from experts.offpolicy.replay import Batch
from experts.offpolicy.sac import SACLearner
from experts.offpolicy.td3 import TD3Learner
from experts.sb3 import training_env
from param_envs import family_of

FAMILY = family_of("ParamCheetah-v0")
N_AGENTS = 3
BATCH = 16
HIDDEN = (12, 10)
N_UPDATES = 6
OBSERVATIONS, ACTIONS = FAMILY.observation_size, FAMILY.action_size
SETTINGS: dict[str, dict[str, Any]] = {
    "td3": {"target_policy_noise": 0.4, "target_noise_clip": 0.5, "policy_delay": 2},
    "td3-delay-3": {"target_policy_noise": 2.0, "target_noise_clip": 0.3, "policy_delay": 3},
    "sac": {},
}


def sb3_model(name: str, seed: int) -> Any:
    environment, _ = training_env(FAMILY, FAMILY.context(speed=2.0), "track", 1)
    cls = SAC if name == "sac" else TD3
    model = cls(
        "MlpPolicy",
        environment,
        learning_rate=1e-3,
        tau=0.02,
        gamma=0.97,
        buffer_size=1,
        seed=seed,
        device="cpu",
        policy_kwargs={"net_arch": list(HIDDEN)},
        **SETTINGS[name],
    )
    model.set_logger(Logger(None, []))
    return model


def linears(network: nn.Module) -> list[nn.Linear]:
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


def sb3_layers(model: Any, name: str) -> list[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Weights (in, out) and biases of policy and both critics (and their targets) of a model."""
    policy = model.policy
    networks = [linears(policy.critic.qf0), linears(policy.critic.qf1)]
    networks += [linears(policy.critic_target.qf0), linears(policy.critic_target.qf1)]
    if name == "sac":
        networks.append(linears(policy.actor.latent_pi))
    else:
        networks += [linears(policy.actor.mu), linears(policy.actor_target.mu)]
    layers = [
        ([n.weight.detach().numpy().T for n in net], [n.bias.detach().numpy() for n in net])
        for net in networks
    ]
    if name == "sac":
        heads = (policy.actor.mu, policy.actor.log_std)
        layers[-1][0].append(np.concatenate([h.weight.detach().numpy().T for h in heads], axis=1))
        layers[-1][1].append(np.concatenate([h.bias.detach().numpy() for h in heads]))
    return layers


def learner_of(models: list[Any], name: str) -> Learner:
    """The batched learner that begins where the models stand."""
    n = len(models)
    actor = StackedMLPs(n, (OBSERVATIONS, *HIDDEN, ACTIONS * (1 + (name == "sac"))), "relu")
    critics = StackedMLPs(2 * n, (OBSERVATIONS + ACTIONS, *HIDDEN, 1), "relu")
    for i, model in enumerate(models):
        first, second, _, _, policy, *_ = sb3_layers(model, name)
        critics.fill(i, *first)
        critics.fill(n + i, *second)
        actor.fill(i, *policy)
    shared = {"discount": 0.97, "tau": 0.02, "learning_rate": 1e-3}
    if name == "sac":
        return SACLearner(actor, critics, **shared)
    settings = dict(SETTINGS[name])
    settings["target_noise"] = settings.pop("target_policy_noise")
    return TD3Learner(actor, critics, **shared, **settings)


def random_batch(generator: torch.Generator, n: int = N_AGENTS, size: int = BATCH) -> Batch:
    observations = torch.randn(n, size, OBSERVATIONS, generator=generator)
    actions = torch.rand(n, size, ACTIONS, generator=generator) * 2 - 1
    return Batch(
        inputs=torch.cat([observations, actions], dim=-1),
        observations=observations,
        rewards=torch.rand(n, size, generator=generator),
        dones=(torch.rand(n, size, generator=generator) < 0.2).float(),
        next_observations=observations + torch.randn(n, size, OBSERVATIONS, generator=generator),
        outcomes=torch.zeros(n, size, 0),
    )


def sb3_batch(batch: Batch, i: int) -> ReplayBufferSamples:
    return ReplayBufferSamples(
        observations=batch.observations[i],
        actions=batch.inputs[i, :, OBSERVATIONS:],
        next_observations=batch.next_observations[i],
        dones=batch.dones[i, :, None],
        rewards=batch.rewards[i, :, None],
    )


def noise_of(seed: int, name: str) -> Tensor:
    """What SB3 draws in one update after `torch.manual_seed(seed)`, as unit normals."""
    torch.manual_seed(seed)
    if name == "sac":
        return torch.stack([torch.normal(torch.zeros(BATCH, ACTIONS), 1.0) for _ in range(2)])
    return torch.empty(BATCH, ACTIONS).normal_(0, 1)


def assert_networks_equal(learner: Learner, models: list[Any], name: str) -> None:
    n = len(models)
    online, targets = learner.critics.arrays(), learner.critic_targets.arrays()
    policies = [learner.actor.arrays()]
    if isinstance(learner, TD3Learner):
        policies.append(learner.actor_target.arrays())
    for i, model in enumerate(models):
        rows = [(online, i), (online, n + i), (targets, i), (targets, n + i)]
        rows += [(policy, i) for policy in policies]
        for (found, row), expected in zip(rows, sb3_layers(model, name), strict=True):
            for kind in range(2):
                for own, theirs in zip(found[kind], expected[kind], strict=True):
                    np.testing.assert_allclose(own[row], theirs, rtol=0, atol=1e-5)


@pytest.fixture
def global_generator_restored():
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.usefixtures("global_generator_restored")
def test_updates_equal_sb3s(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [sb3_model(name, seed) for seed in range(N_AGENTS)]
    learner = learner_of(models, name)
    assert_networks_equal(learner, models, name)
    before = learner.actor.flat.clone()
    generator = torch.Generator().manual_seed(0)
    for update in range(1, N_UPDATES + 1):
        batch = random_batch(generator)
        noises = []
        for i, model in enumerate(models):
            seed = 100 * update + i
            noises.append(noise_of(seed, name))
            sample = sb3_batch(batch, i)
            monkeypatch.setattr(
                model.replay_buffer, "sample", lambda *_, sample=sample, **__: sample
            )
            torch.manual_seed(seed)
            model.train(gradient_steps=1, batch_size=BATCH)
        learner.update(batch, torch.stack(noises, dim=-3), learner.next_phase())
        assert_networks_equal(learner, models, name)
        if isinstance(learner, SACLearner):
            weights = [float(model.log_ent_coef.detach()) for model in models]
            np.testing.assert_allclose(learner.log_entropy_weight, weights, rtol=0, atol=1e-5)
    moved = float((learner.actor.flat - before).abs().max())
    assert moved > 1e-4, "the policies must have been updated for this test to say anything"


@pytest.mark.parametrize("name", SETTINGS)
def test_agents_do_not_mix(name: str) -> None:
    """Agent 0 learns the same whatever the others see."""
    models = [sb3_model(name, seed) for seed in range(2)]
    both, alone = learner_of(models, name), learner_of(models[:1], name)
    generator = torch.Generator().manual_seed(3)
    for _ in range(4):
        batch = random_batch(generator, n=2)
        noise = both.draw_noise(BATCH, generator)
        both.update(batch, noise, both.next_phase())
        first = Batch(*(entry[:1] for entry in batch))
        alone.update(first, noise[..., :1, :, :], alone.next_phase())
    for shared, own in zip(both.actor.arrays(), alone.actor.arrays(), strict=True):
        for layer, expected in zip(shared, own, strict=True):
            np.testing.assert_allclose(layer[:1], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["td3", "sac"])
def test_held_policies_stay_while_critics_learn(name: str) -> None:
    learner = learner_of([sb3_model(name, 0)], name)
    learner.held = 3
    generator = torch.Generator().manual_seed(1)
    actor = learner.actor.flat.clone()
    targets = learner.critic_targets.flat.clone()
    for update in range(1, 5):
        batch = random_batch(generator, n=1)
        learner.update(batch, learner.draw_noise(BATCH, generator), learner.next_phase())
        assert torch.equal(learner.actor.flat, actor) == (update <= 3)
    assert not torch.equal(learner.critic_targets.flat, targets)


@pytest.mark.parametrize("name", SETTINGS)
def test_learner_resumes_exactly(name: str) -> None:
    models = [sb3_model(name, 0)]
    learner, other = learner_of(models, name), learner_of([sb3_model(name, 5)], name)
    generator = torch.Generator().manual_seed(2)
    steps = [(random_batch(generator, n=1), learner.draw_noise(BATCH, generator)) for _ in range(7)]
    for batch, noise in steps[:4]:
        learner.update(batch, noise, learner.next_phase())
    saved = {key: value.clone() for key, value in learner.tensors().items()}
    other.load(saved, learner.n_updates)
    for batch, noise in steps[4:]:
        for each in (learner, other):
            each.update(batch, noise, each.next_phase())
    for key, value in learner.tensors().items():
        torch.testing.assert_close(other.tensors()[key], value, rtol=0, atol=0)


def test_rates_change_in_place() -> None:
    learner = learner_of([sb3_model("td3", 0)], "td3")
    learner.set_learning_rate(0.0)
    generator = torch.Generator().manual_seed(2)
    before = learner.critics.flat.clone()
    learner.update(random_batch(generator, n=1), learner.draw_noise(BATCH, generator))
    torch.testing.assert_close(learner.critics.flat, before, rtol=0, atol=0)


def test_critics_must_be_twins() -> None:
    actor = StackedMLPs(2, (OBSERVATIONS, 4, ACTIONS), "relu")
    critics = StackedMLPs(2, (OBSERVATIONS + ACTIONS, 4, 1), "relu")
    with pytest.raises(ValueError, match="`critics` must be 2 an agent, 4, got 2"):
        TD3Learner(actor, critics)
