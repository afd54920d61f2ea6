from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines import FiLM, FiLMConfig, FittedConditioned
from baselines.capacity import hyperzero_parameters, matched
from baselines.conditioned import action_loss
from baselines.film import FiLMNetwork, n_parameters
from experts import Rollouts
from experts.minibatches import States
from tests.baselines.blind import blind_error, error

SMALL = {"embedding_sizes": (16, 32), "n_blocks": 1, "hidden_size": 64}
QUICK = FiLMConfig(**SMALL, updates=5, batch_states=8)


def network(config: FiLMConfig = QUICK) -> FiLMNetwork:
    return FiLMNetwork(2, 3, 2, config, torch.Generator().manual_seed(0))


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(9))


@pytest.fixture(scope="module")
def trained(data: Rollouts) -> FittedConditioned[FiLMNetwork]:
    return FiLM(FiLMConfig(**SMALL, updates=800, batch_states=32)).fit(data, seed=0)


def test_scale_and_shift_by_hand():
    """One input 3, W = 2, b = 1: 7; scale 1 + 0.5 and shift -4 make 6.5, and tanh(0.1 * 6.5)."""
    config = replace(QUICK, hidden_size=1)
    net = FiLMNetwork(1, 1, 1, config, torch.Generator().manual_seed(0))
    with torch.no_grad():
        net.hidden[0].weight.fill_(2.0)
        net.hidden[0].bias.fill_(1.0)
        net.modulations[0].weight.zero_()
        net.modulations[0].bias.copy_(torch.tensor([0.5, -4.0]))
        net.output.weight.fill_(0.1)
        net.output.bias.zero_()
    found = net(torch.ones(1, 1), torch.full((1, 1, 1), 3.0))
    assert found.item() == pytest.approx(np.tanh(0.65))


def test_action_loss_by_hand():
    net = network()
    with torch.no_grad():
        net.output.weight.zero_()
        net.output.bias.copy_(torch.tensor([0.5, 0.0]).atanh())
    states = States(normal(4, 5, 3), torch.zeros(4, 5, 2))
    assert action_loss(net, normal(4, 2), states).item() == pytest.approx(0.125)


@pytest.mark.parametrize("n_hidden", [1, 2])
def test_folded_layers_equal_the_network(n_hidden):
    net = network(replace(QUICK, n_hidden=n_hidden))
    contexts, hidden = normal(4, 2), normal(4, 5, 3)
    layers = net.layers(contexts)
    assert len(layers) == n_hidden + 1
    for layer, (weight, bias) in enumerate(layers):
        hidden = torch.baddbmm(bias[:, None], torch.relu(hidden) if layer else hidden, weight)
    torch.testing.assert_close(torch.tanh(hidden), net(contexts, normal(4, 5, 3)))


def test_contexts_change_weights_and_biases(trained, data):
    policies = trained.policies(data.contexts[:4])
    assert np.ptp(policies.weights[0], axis=0).max() > 0.01
    assert np.ptp(policies.biases[0], axis=0).max() > 0.01
    assert not np.ptp(policies.weights[1], axis=0).any()


@pytest.mark.parametrize("which", ["data", "held_out"])
def test_it_acts_better_than_without_the_context(trained, data, which, request):
    rollouts = request.getfixturevalue(which)
    policies = trained.policies(rollouts.contexts)
    assert error(policies, rollouts) < 0.3 * blind_error(data, rollouts)


def test_a_context_s_policy_and_the_seed(data):
    first, second, other = (FiLM(QUICK).fit(data, seed=seed) for seed in (1, 1, 2))
    alone, among = (first.policies(data.contexts[a:b]) for a, b in ((2, 3), (0, 5)))
    np.testing.assert_allclose(alone.weights[0][0], among.weights[0][2], atol=1e-6)
    states = [fitted.network.state_dict() for fitted in (first, second, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["output.weight"], states[2]["output.weight"])


@pytest.mark.parametrize("n_hidden", [1, 2])
def test_sizes_and_capacity(n_hidden):
    def counted(config: FiLMConfig) -> int:
        net = FiLMNetwork(2, 17, 6, config, torch.Generator())
        return sum(p.numel() for p in net.parameters())

    config = replace(QUICK, n_hidden=n_hidden, match_capacity=True)
    assert counted(config) == n_parameters(config, 2, 17, 6)
    wide = matched(config, n_parameters, 2, 17, 6)
    assert counted(wide) == pytest.approx(hyperzero_parameters(config, 2, 17, 6), rel=0.05)


def test_paper_preset(data):
    config = FiLMConfig.paper(updates=2)
    assert config.batch_tasks * config.batch_states == 512
    assert (config.learning_rate, config.schedule) == (1e-4, "constant")
    FiLM(config).fit(data, seed=0)


def test_bad_config_is_refused():
    with pytest.raises(ValueError, match="`n_hidden` must be at least 1, got 0"):
        FiLMConfig(n_hidden=0)
