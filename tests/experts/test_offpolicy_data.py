"""Replay and environments of many agents: what is stored, and what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experts.layers import apply_layers
from experts.offpolicy.crowd import Crowd
from experts.offpolicy.networks import StackedMLPs
from experts.offpolicy.replay import Replay
from experts.offpolicy.updates import Updates
from param_envs import ParamVectorEnv, family_of

FAMILY = family_of("ParamCheetah-v0")
N_AGENTS, N_ENVS = 2, 3


def add_numbered(replay: Replay, number: int) -> None:
    """A step whose entries tell agent, environment and number."""
    base = torch.arange(N_AGENTS)[:, None] * 1000.0 + torch.arange(N_ENVS) * 100.0 + number
    replay.add(
        base[..., None].expand(-1, -1, 2),
        -base[..., None],
        base + 0.25,
        torch.full((N_AGENTS, N_ENVS), float(number % 2)),
        base[..., None].expand(-1, -1, 2) + 0.5,
    )


def test_agents_draw_their_own_transitions_whole() -> None:
    replay = Replay(N_AGENTS, N_ENVS, 30, observation_size=2, action_size=1)
    for number in range(4):
        add_numbered(replay, number)
    assert len(replay) == 12
    batch = replay.draw(400, torch.Generator().manual_seed(0))
    for agent in range(N_AGENTS):
        base = batch.observations[agent, :, 0]
        seen = {int(value) for value in base}
        assert seen == {1000 * agent + 100 * env + n for env in range(N_ENVS) for n in range(4)}
        torch.testing.assert_close(batch.inputs[agent, :, 2], -base)
        torch.testing.assert_close(batch.rewards[agent], base + 0.25)
        torch.testing.assert_close(batch.dones[agent], base % 2)
        torch.testing.assert_close(batch.next_observations[agent, :, 1], base + 0.5)
    assert (batch.observations[0] != batch.observations[1] - 1000).any(), "drawn independently"


def test_full_replay_forgets_the_oldest() -> None:
    replay = Replay(N_AGENTS, N_ENVS, 11, observation_size=2, action_size=1)
    for number in range(8):
        add_numbered(replay, number)
    assert len(replay) == replay.capacity == 9
    batch = replay.draw(200, torch.Generator().manual_seed(0))
    assert {int(value) % 100 for value in batch.observations[0, :, 0]} == {5, 6, 7}


def test_saved_replay_is_the_same() -> None:
    replay, other = (Replay(N_AGENTS, N_ENVS, 9, 2, 1) for _ in range(2))
    for number in range(5):
        add_numbered(replay, number)
    other.load({name: t.clone() for name, t in replay.tensors().items()}, replay.written)
    for each in (replay, other):
        add_numbered(each, 5)
    draws = [each.draw(50, torch.Generator().manual_seed(1)) for each in (replay, other)]
    for own, theirs in zip(*draws, strict=True):
        torch.testing.assert_close(own, theirs)


def test_capacity_holds_a_step() -> None:
    with pytest.raises(ValueError, match="`capacity` must be at least `n_envs` 3, got 2"):
        Replay(N_AGENTS, N_ENVS, 2, 2, 1)


def crowd(family=FAMILY, **features) -> Crowd:
    contexts = [family.context(**features) for _ in range(N_AGENTS)]
    return Crowd(family, contexts, reward=family.reward_modes[0], n_envs=N_ENVS, seed=(0,))


def test_time_limits_are_no_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a truncated episode led to is stored, and is not the start of the next one."""
    people = crowd()
    people._env._deadlines[:] = [2, 2, 5, 5, 5, 2]
    people._env._next_deadline = 2
    actions = torch.full((N_AGENTS, N_ENVS, FAMILY.action_size), 0.3)
    mirror = ParamVectorEnv(
        FAMILY, 6, contexts=people._env.contexts, autoreset_mode="Disabled", max_episode_steps=99
    )
    seeds = [
        int(np.random.SeedSequence([0, i, j]).generate_state(1)[0])
        for i in range(2)
        for j in range(3)
    ]
    mirror.reset(seed=seeds)
    rewards = np.zeros(6)
    for step in (1, 2):
        expected, earned, *_, info = mirror.step(actions.numpy().reshape(6, -1))
        rewards += earned
        reward, dones, reached, outcomes = people.step(actions)
        torch.testing.assert_close(reward.flatten(), torch.from_numpy(earned.astype(np.float32)))
        np.testing.assert_allclose(reached.reshape(6, -1), expected.astype(np.float32))
        np.testing.assert_allclose(outcomes.flatten(), info["velocity"].astype(np.float32))
        assert not dones.any()
        started_anew = (people.observations != reached).any(dim=-1)
        wanted = [False] * 6 if step == 1 else [True, True, False, False, False, True]
        assert started_anew.flatten().tolist() == wanted
    assert [len(finished) for finished in people.finished] == [2, 1]
    np.testing.assert_allclose(people.finished[0], rewards[:2])
    people.close()
    mirror.close()


def test_failures_are_ends() -> None:
    """Of the families only the ant falls: its episodes end there, and nothing comes after."""
    people = crowd(family_of("ParamAnt-v0"))
    generator = torch.Generator().manual_seed(0)
    ends = 0
    for _ in range(150):  # shorter than its time limit
        actions = torch.rand(N_AGENTS, N_ENVS, people._env.family.action_size, generator=generator)
        _, dones, reached, _ = people.step(2.0 * actions - 1.0)
        anew = (people.observations != reached).any(dim=-1)
        assert torch.equal(dones.bool(), anew)
        ends += int(dones.sum())
    people.close()
    assert ends > 0


def test_layers_have_their_own_networks() -> None:
    networks = StackedMLPs(3, (4, 5, 2), "tanh")
    networks.flat.copy_(torch.randn(len(networks.flat), generator=torch.Generator().manual_seed(0)))
    inputs = torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(1))
    outputs = networks.apply(inputs)
    weights, biases = networks.arrays()
    for i in range(3):
        hidden = torch.tanh(inputs[i] @ torch.tensor(weights[0][i]) + torch.tensor(biases[0][i]))
        expected = hidden @ torch.tensor(weights[1][i]) + torch.tensor(biases[1][i])
        torch.testing.assert_close(outputs[i], expected)
    first = networks.apply_fixed(inputs[:2], 2)
    torch.testing.assert_close(first, outputs[:2])
    assert not first.requires_grad


def test_gradient_lies_where_the_parameters_do() -> None:
    networks = StackedMLPs(2, (3, 4, 1), "relu")
    networks.flat.copy_(torch.randn(len(networks.flat), generator=torch.Generator().manual_seed(0)))
    inputs = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1))
    networks.gradient(networks.apply(inputs).square().sum())
    address = networks.flat.grad.data_ptr()
    layers = tuple(
        tuple(t.detach().clone().requires_grad_() for t in group)
        for group in (networks.weights, networks.biases)
    )
    apply_layers(layers, inputs, "relu").square().sum().backward()
    pairs = zip(*layers, strict=True)
    expected = torch.cat([tensor.grad.reshape(-1) for pair in pairs for tensor in pair])
    torch.testing.assert_close(networks.flat.grad, expected)
    networks.gradient(2.0 * networks.apply(inputs).square().sum())
    assert networks.flat.grad.data_ptr() == address
    torch.testing.assert_close(networks.flat.grad, 2.0 * expected)


def test_bad_layers_are_refused() -> None:
    networks = StackedMLPs(1, (3, 4, 1), "relu")
    with pytest.raises(ValueError, match=r"`weights` must have the shapes \[\(3, 4\), \(4, 1\)\]"):
        networks.fill(0, [np.zeros((3, 5)), np.zeros((5, 1))], [np.zeros(5), np.zeros(1)])
    with pytest.raises(ValueError, match="`activation` must be 'relu' or 'tanh', got 'gelu'"):
        StackedMLPs(1, (3, 1), "gelu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("algorithm", ["td3", "sac"])
def test_captured_updates_equal_eager_ones(algorithm: str) -> None:
    from experts.offpolicy.agents import make_learner
    from tests.experts.test_offpolicy_training import RECIPES

    results = []
    for captures in (True, False):
        learner = make_learner(FAMILY, RECIPES[algorithm], [0, 1], "cuda")
        sizes = (FAMILY.observation_size, FAMILY.action_size)
        replay = Replay(2, 4, 40, *sizes, device="cuda")
        noise = torch.Generator().manual_seed(3)
        for _ in range(10):
            replay.add(
                torch.randn(2, 4, sizes[0], generator=noise),
                torch.rand(2, 4, sizes[1], generator=noise),
                torch.rand(2, 4, generator=noise),
                torch.zeros(2, 4),
                torch.randn(2, 4, sizes[0], generator=noise),
            )
        generator = torch.Generator(device="cuda").manual_seed(0)
        updates = Updates(learner, replay, batch_size=16, generator=generator)
        updates._side = updates._side if captures else None
        updates.run(12)
        learner.set_learning_rate(1e-5)
        updates.run(8)
        results.append(learner.tensors())
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name], rtol=1e-4, atol=1e-5)
