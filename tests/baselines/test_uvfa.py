from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines import UVFA, FittedUVFA, UVFAConfig
from baselines.capacity import hyperzero_parameters, matched
from baselines.uvfa import UVFANetwork, n_parameters, td_loss, value_loss
from experts import Rollouts
from experts.minibatches import Transitions
from tests.baselines.blind import blind_error, error

SMALL = {"embedding_sizes": (16, 32), "n_blocks": 1, "hidden_size": 64}
QUICK = UVFAConfig(**SMALL, updates=5, batch_states=8, batch_transitions=4)


def network() -> UVFANetwork:
    return UVFANetwork(2, 3, 2, QUICK, torch.Generator().manual_seed(0))


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(9))


def transitions() -> Transitions:
    """Two tasks, two samples; rewards 1, discounts 0.5 and (terminated) 0, values 2 and 3."""
    return Transitions(
        observations=normal(2, 2, 3),
        actions=normal(2, 2, 2),
        rewards=torch.ones(2, 2),
        discounts=torch.tensor([[0.5, 0.0], [0.5, 0.0]]),
        next_observations=normal(2, 2, 3),
        values=torch.tensor([[2.0, 3.0], [2.0, 3.0]]),
    )


@pytest.fixture(scope="module")
def trained(data: Rollouts) -> FittedUVFA:
    config = UVFAConfig(**SMALL, updates=500, batch_states=32)
    return UVFA(config).fit(data, seed=0)


def test_the_split_product_is_that_of_the_concatenation():
    net, embeddings = network(), normal(4, 32)
    observations, actions = normal(4, 5, 3), normal(4, 5, 2)
    joined = torch.cat([embeddings[:, None].expand(-1, 5, -1), observations, actions], dim=-1)
    expected = net.value_output(torch.relu(net.value_hidden(joined))).squeeze(-1)
    torch.testing.assert_close(net.values(embeddings, observations, actions), expected)


def test_losses_by_hand():
    """With Q = 4 everywhere: value errors 2 and 1: 5 / 2. Targets 1 + 0.5 * 4 and 1 for 2 and 3."""
    net = network()
    with torch.no_grad():
        net.value_output.weight.zero_()
        net.value_output.bias.fill_(4.0)
    embeddings = normal(2, 32)
    assert value_loss(net, embeddings, transitions()).item() == pytest.approx((4.0 + 1.0) / 2)
    assert td_loss(net, embeddings, transitions()).item() == pytest.approx((1.0 + 4.0) / 2)


def test_td_loss_sends_no_gradient_through_the_next_action():
    net, embeddings = network(), normal(2, 32)
    td_loss(net, embeddings, transitions()).backward()
    assert net.output.weight.grad is None and net.hidden.weight.grad is None
    assert net.value_hidden.weight.grad is not None


@pytest.mark.parametrize("which", ["data", "held_out"])
def test_it_acts_better_than_without_the_context(trained, data, which, request):
    rollouts = request.getfixturevalue(which)
    policies = trained.policies(rollouts.contexts)
    assert error(policies, rollouts) < 0.3 * blind_error(data, rollouts)


def test_values_are_in_the_units_of_the_data(trained, data):
    clean = data.clean
    observations = data.observations[:, clean].reshape(len(data), -1, 17)
    actions = data.labels[:, clean].reshape(len(data), -1, 6)
    values = trained.values(data.contexts, observations, actions)
    true = data.values[:, clean].reshape(len(data), -1)
    assert np.mean((values - true) ** 2) < 0.5 * true.var()


def test_a_context_s_policy_and_the_seed(data):
    first, second, other = (UVFA(QUICK).fit(data, seed=seed) for seed in (1, 1, 2))
    alone, among = (first.policies(data.contexts[a:b]) for a, b in ((2, 3), (0, 5)))
    np.testing.assert_allclose(alone.biases[0][0], among.biases[0][2], atol=1e-6)
    states = [fitted.network.state_dict() for fitted in (first, second, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["value_hidden.weight"], states[2]["value_hidden.weight"])


def test_sizes_and_capacity(data):
    def counted(config: UVFAConfig) -> int:
        net = UVFANetwork(2, 17, 6, config, torch.Generator())
        return sum(p.numel() for p in net.parameters())

    config = replace(QUICK, match_capacity=True)
    wide = matched(config, n_parameters, 2, 17, 6)
    assert counted(QUICK) == n_parameters(QUICK, 2, 17, 6)
    assert counted(wide) == pytest.approx(hyperzero_parameters(config, 2, 17, 6), rel=0.05)
    assert UVFA(config).fit(data, seed=0).config == wide


def test_paper_preset(data):
    config = UVFAConfig.paper(updates=2)
    assert (config.value_weight, config.td_weight) == (0.01, 0.01)
    assert not (config.encode_contexts or config.normalise_observations or config.normalise_values)
    assert config.batch_tasks * config.batch_transitions == 512
    policies = UVFA(config).fit(data, seed=0).policies([{"speed": 2.0}])
    assert not policies.mean.any() and (policies.scale == 1.0).all()


def test_data_without_clean_episodes_is_refused(data):
    noisy = replace(data, noise=np.full_like(data.noise, 0.1))
    with pytest.raises(ValueError, match="must have a noise-free episode of every context"):
        UVFA(QUICK).fit(noisy, seed=0)
    policy_alone = replace(QUICK, value_weight=0.0, td_weight=0.0)
    assert UVFA(policy_alone).fit(noisy, seed=0).losses.keys() == {"action"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_transitions": 0}, "`batch_transitions` must be at least 1, got 0"),
        ({"value_weight": -1.0}, r"`value_weight` must be at least 0 and finite, got -1\.0"),
        ({"td_weight": float("inf")}, "`td_weight` must be at least 0 and finite, got inf"),
        ({"updates": 0}, "`updates` must be at least 1, got 0"),
    ],
)
def test_bad_configs_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        UVFAConfig(**changes)
