import dataclasses
import json

import numpy as np
import pytest
import torch

from baselines import Conditioned, ConditionedConfig, FittedConditioned
from baselines.conditioned import ConditionedNetwork, action_loss
from experts import Rollouts
from experts.minibatches import States

SMALL = {"embedding_sizes": (16, 32), "n_blocks": 1, "hidden_size": 64}
QUICK = ConditionedConfig(**SMALL, updates=5, batch_states=8)


def network(seed: int = 0) -> ConditionedNetwork:
    return ConditionedNetwork(2, 3, 2, QUICK, torch.Generator().manual_seed(seed))


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(9))


@pytest.fixture(scope="module")
def trained(data: Rollouts) -> FittedConditioned:
    config = ConditionedConfig(**SMALL, updates=1500, batch_states=32, learning_rate=3e-3)
    return Conditioned(config).fit(data, seed=0)


def test_the_split_product_is_that_of_the_concatenation():
    net, contexts, observations = network(), normal(4, 2), normal(4, 5, 3)
    embeddings = net.embedding(contexts)[:, None].expand(-1, 5, -1)
    hidden = torch.relu(net.hidden(torch.cat([observations, embeddings], dim=-1)))
    torch.testing.assert_close(net(contexts, observations), torch.tanh(net.output(hidden)))


def test_action_loss_by_hand():
    """With output weights 0 and biases artanh(0.5), 0: errors 0.5 and 0 everywhere: 0.25 / 2."""
    net = network()
    with torch.no_grad():
        net.output.weight.zero_()
        net.output.bias.copy_(torch.tensor([0.5, 0.0]).atanh())
    states = States(normal(4, 5, 3), torch.zeros(4, 5, 2))
    assert action_loss(net, normal(4, 2), states).item() == pytest.approx(0.125)


def test_folded_policies_equal_the_network(trained, data):
    contexts, observations = data.contexts[:4], data.observations[:4, 0]
    encoded = torch.tensor(data.family.encode(contexts, ["speed"]), dtype=torch.float32)
    drawn = data.observations.reshape(-1, 17)
    normalised = torch.from_numpy((observations - drawn.mean(0)) / drawn.std(0))
    with torch.no_grad():
        actions = trained.network(encoded, normalised).numpy()
    policies = trained.policies(contexts)
    np.testing.assert_allclose(policies.act(observations), actions, atol=1e-5)
    assert np.ptp(policies.biases[0], axis=0).max() > 0.01
    assert not np.ptp(policies.weights[0], axis=0).any()


@pytest.mark.parametrize("which", ["data", "held_out"])
def test_it_acts_like_the_experts(trained, which, request):
    """In training contexts and in contexts between them, to 5 % of the actions' variance."""
    rollouts = request.getfixturevalue(which)
    labels = rollouts.labels.reshape(len(rollouts), -1, 6)
    observations = rollouts.observations.reshape(len(rollouts), -1, 17)
    actions = trained.policies(rollouts.contexts).act(observations)
    assert np.mean((actions - labels) ** 2) < 0.05 * labels.var()


def test_same_seed_same_weights(data):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first, second, other = (
        Conditioned(QUICK).fit(data, seed=seed).network.state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["hidden.weight"], other["hidden.weight"])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_progress_is_told_as_rising_fractions(data):
    seen: list[float] = []
    Conditioned(QUICK).fit(data, seed=0, progress=seen.append)
    assert seen == [0.2, 0.4, 0.6, 0.8, 1.0]


def test_paper_preset(data):
    config = ConditionedConfig.paper(updates=2)
    assert config.batch_tasks * config.batch_states == 512
    assert (config.init, config.learning_rate, config.schedule) == ("orthogonal", 1e-4, "constant")
    policies = Conditioned(config).fit(data, seed=0).policies([{"speed": 2.0}])
    assert not policies.mean.any() and (policies.scale == 1.0).all()


def test_size_of_the_paper_s_network():
    net = ConditionedNetwork(1, 17, 6, ConditionedConfig.paper(), torch.Generator())
    assert sum(p.numel() for p in net.parameters()) == 387_328 + 273 * 256 + 256 + 256 * 6 + 6


def test_config_is_plain_data():
    config = ConditionedConfig()
    restored = json.loads(json.dumps(dataclasses.asdict(config)))
    restored["embedding_sizes"] = tuple(restored["embedding_sizes"])
    assert ConditionedConfig(**restored) == config
    assert Conditioned().config == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"updates": 0}, "`updates` must be at least 1, got 0"),
        ({"hidden_size": 0}, "`hidden_size` must be at least 1, got 0"),
        ({"batch_states": 0}, "`batch_states` must be at least 1, got 0"),
        ({"batch_tasks": 0}, "`batch_tasks` must be at least 1, got 0"),
        ({"n_blocks": -1}, "`n_blocks` must be at least 0, got -1"),
        ({"embedding_sizes": (4, 0)}, "`embedding_sizes` must be widths of at least 1"),
        ({"learning_rate": 2.0}, r"`learning_rate` must be in \(0, 1\], got 2.0"),
        ({"init": "zeros"}, r"`init` must be one of \('uniform', 'orthogonal'\), got 'zeros'"),
        ({"schedule": ""}, r"`schedule` must be one of \('one-cycle', 'constant'\), got ''"),
    ],
)
def test_bad_configs_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ConditionedConfig(**changes)


def test_bad_data_and_contexts_are_refused(data, trained):
    with pytest.raises(ValueError, match="`data` must have at least 2 contexts, got 1"):
        Conditioned(QUICK).fit(data.select([0]), seed=0)
    labels = data.labels.copy()
    labels[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"`data\.labels` must be finite, got 1 entries"):
        Conditioned(QUICK).fit(dataclasses.replace(data, labels=labels), seed=0)
    with pytest.raises(ValueError, match=r"`speed` must be in \[-10, 10\]"):
        trained.policies([{"speed": 0.0}])
