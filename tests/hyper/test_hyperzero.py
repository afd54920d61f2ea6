import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from experts import Rollouts
from hyper import FittedHyperZero, HyperZero, HyperZeroConfig
from hyper.hyperzero import HyperNetwork, actions_of, values_of

SMALL = {"embedding_sizes": (16, 32), "n_blocks": 1, "hidden_size": 32}
QUICK = HyperZeroConfig(**SMALL, updates=5, batch_states=8, batch_transitions=4)


def weights_of(fitted: FittedHyperZero) -> dict[str, torch.Tensor]:
    return fitted.network.state_dict()


def same(first: FittedHyperZero, second: FittedHyperZero) -> bool:
    one, other = weights_of(first), weights_of(second)
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def trained(data: Rollouts) -> FittedHyperZero:
    config = HyperZeroConfig(
        **SMALL, updates=600, batch_states=32, batch_transitions=16, learning_rate=3e-3
    )
    return HyperZero(config).fit(data, seed=0)


@pytest.mark.parametrize("which", ["data", "held_out"])
def test_generated_policies_act_like_the_experts(trained, which, request):
    """In training contexts and in contexts between them, to 2 % of the actions' variance."""
    rollouts = request.getfixturevalue(which)
    labels = rollouts.labels.reshape(len(rollouts), -1, 6)
    observations = rollouts.observations.reshape(len(rollouts), -1, 17)
    actions = trained.policies(rollouts.contexts).act(observations)
    assert np.mean((actions - labels) ** 2) < 0.02 * labels.var()


def test_generated_critics_value_like_the_data(trained, data):
    observations = data.observations[:, 0]
    values = trained.values(data.contexts, observations, data.labels[:, 0])
    assert values.shape == data.values[:, 0].shape
    assert np.mean((values - data.values[:, 0]) ** 2) < 0.3 * data.values[:, 0].var()


def test_policies_are_the_network_with_its_scaling(trained, data):
    contexts, observations = data.contexts[:3], data.observations[:3, 0]
    encoded = torch.tensor(data.family.encode(contexts, ["speed"]), dtype=torch.float32)
    drawn = data.observations.reshape(-1, 17)
    normalised = torch.from_numpy((observations - drawn.mean(0)) / drawn.std(0))
    with torch.no_grad():
        policy, value = trained.network(encoded)
        actions = actions_of(policy, normalised).numpy()
        scaled = values_of(value, normalised, torch.from_numpy(actions)).numpy()
    np.testing.assert_allclose(trained.policies(contexts).act(observations), actions, atol=1e-5)
    clean = data.values[:, data.clean]
    np.testing.assert_allclose(
        trained.values(contexts, observations, actions), scaled * clean.std() + clean.mean(),
        rtol=1e-3, atol=1e-3,
    )  # fmt: skip


def test_a_policy_does_not_depend_on_its_company(trained):
    contexts = [{"speed": 1.0}, {"speed": -3.3}]
    together, alone = trained.policies(contexts), trained.policies(contexts[1:])
    for all_weights, weights in zip(together.weights, alone.weights, strict=True):
        np.testing.assert_allclose(all_weights[1:], weights, atol=1e-6)


def test_same_seed_same_weights(data):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first, second, other = (HyperZero(QUICK).fit(data, seed=seed) for seed in (1, 1, 2))
    assert same(first, second) and not same(first, other)
    assert first.losses == second.losses
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_progress_is_told_as_rising_fractions(data):
    seen: list[float] = []
    HyperZero(QUICK).fit(data, seed=0, progress=seen.append)
    assert seen == [0.2, 0.4, 0.6, 0.8, 1.0]


def test_without_td_nothing_depends_on_what_comes_next(data):
    config = replace(QUICK, td_weight=0.0)
    later = replace(
        data, next_observations=data.next_observations + 1.0, rewards=data.rewards + 1.0
    )
    assert same(HyperZero(config).fit(data, seed=0), HyperZero(config).fit(later, seed=0))
    assert not same(HyperZero(QUICK).fit(data, seed=0), HyperZero(QUICK).fit(later, seed=0))
    assert sorted(HyperZero(config).fit(data, seed=0).losses) == ["action", "value"]


def test_without_values_no_critic_is_generated(data):
    config = replace(QUICK, value_weight=0.0, td_weight=0.0)
    fitted = HyperZero(config).fit(data, seed=0)
    assert not any(name.startswith("value") for name in weights_of(fitted))
    changed = replace(data, values=-data.values, noise=data.noise + np.float32(0.1))
    assert same(fitted, HyperZero(config).fit(changed, seed=0))
    with pytest.raises(ValueError, match="`value_weight` or `td_weight` must be above 0"):
        fitted.values(data.contexts[:1], np.zeros((1, 1, 17)), np.zeros((1, 1, 6)))


def test_critics_of_some_contexts_are_those_of_all():
    network = HyperNetwork(2, 17, 6, HyperZeroConfig(**SMALL), torch.Generator().manual_seed(0))
    contexts = torch.tensor([[1.0, 0.2], [-1.0, 0.4], [1.0, 0.6]])
    policy, value = network(contexts)
    some_policy, some_value = network(contexts, 2)
    torch.testing.assert_close(some_policy, policy)
    for (some, _), (weight, _) in zip(some_value, value, strict=True):
        torch.testing.assert_close(some, weight[:2])
        assert len(some) == 2


def test_with_the_td_term_alone(data):
    fitted = HyperZero(replace(QUICK, value_weight=0.0)).fit(data, seed=0)
    assert sorted(fitted.losses) == ["action", "td"]


def test_size_of_the_paper_s_networks():
    network = HyperNetwork(1, 17, 6, HyperZeroConfig.paper(), torch.Generator())
    assert sum(p.numel() for p in network.parameters()) == 3_612_935
    layers = network.policy(torch.zeros(1, 1))
    assert sum(weight.numel() + bias.numel() for weight, bias in layers) == 6_150


def test_paper_preset_feeds_everything_raw(data):
    config = HyperZeroConfig.paper(updates=3)
    fitted = HyperZero(config).fit(data, seed=0)
    assert config.batch_tasks * config.batch_states == 512
    assert config.batch_critics * config.batch_transitions == 512
    assert (config.value_weight, config.td_weight) == (0.01, 0.01)
    policies = fitted.policies([{"speed": 2.0}])
    assert not policies.mean.any() and (policies.scale == 1.0).all()
    with torch.no_grad():
        (weight, _), _ = fitted.network.policy(torch.tensor([[2.0]]))
    np.testing.assert_allclose(policies.weights[0], weight.numpy())
    assert HyperZeroConfig.paper().updates == 500 * -(-34 * 10_000 // 512)


def test_config_is_plain_data():
    config = HyperZeroConfig()
    restored = json.loads(json.dumps(dataclasses.asdict(config)))
    restored["embedding_sizes"] = tuple(restored["embedding_sizes"])
    assert HyperZeroConfig(**restored) == config
    assert HyperZero().config == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"updates": 0}, "`updates` must be at least 1, got 0"),
        ({"hidden_size": 0}, "`hidden_size` must be at least 1, got 0"),
        ({"batch_states": 0}, "`batch_states` must be at least 1, got 0"),
        ({"batch_transitions": -1}, "`batch_transitions` must be at least 1, got -1"),
        ({"batch_critics": 0}, "`batch_critics` must be at least 1, got 0"),
        ({"batch_tasks": 0}, "`batch_tasks` must be at least 1, got 0"),
        ({"n_blocks": -1}, "`n_blocks` must be at least 0, got -1"),
        ({"embedding_sizes": ()}, r"`embedding_sizes` must be widths of at least 1, got \(\)"),
        ({"value_weight": -1.0}, "`value_weight` must be at least 0 and finite, got -1.0"),
        ({"td_weight": float("nan")}, "`td_weight` must be at least 0 and finite, got nan"),
        ({"learning_rate": 0.0}, r"`learning_rate` must be in \(0, 1\], got 0.0"),
        ({"schedule": "cosine"}, r"`schedule` must be one of \('one-cycle', 'constant'\), got"),
    ],
)
def test_bad_configs_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        HyperZeroConfig(**changes)


def test_data_without_clean_episodes_is_refused(data):
    noisy = replace(data, noise=np.full(3, 0.1, dtype=np.float32))
    with pytest.raises(ValueError, match="`data` must have a noise-free episode of every context"):
        HyperZero(QUICK).fit(noisy, seed=0)


def test_one_context_is_refused(data):
    with pytest.raises(ValueError, match="`data` must have at least 2 contexts, got 1"):
        HyperZero(QUICK).fit(data.select([0]), seed=0)


def test_divergence_is_told(data):
    huge = replace(data, values=data.values * np.float32(1e30))
    config = replace(QUICK, normalise_values=False)
    with pytest.raises(FloatingPointError, match=r"try a `learning_rate` below 0\.002"):
        HyperZero(config).fit(huge, seed=0)


def test_bad_contexts_are_refused(trained):
    with pytest.raises(ValueError, match=r"`speed` must be in \[-10, 10\]"):
        trained.policies([{"speed": 99.0}])
    with pytest.raises(ValueError, match="`contexts` must hold at least one context, got none"):
        trained.policies([])
