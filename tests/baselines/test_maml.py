from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines import MAML, FittedMAML, MAMLConfig
from baselines.conditioned import ConditionedNetwork
from baselines.maml import inner_loop, layer_loss, network_loss, query_losses
from experts import Rollouts
from experts.cloning import clone
from experts.minibatches import States
from tests.baselines.blind import blind_error, error

SMALL = {"embedding_sizes": (16, 32), "n_blocks": 1, "hidden_size": 32}
QUICK = MAMLConfig(**SMALL, updates=5, batch_states=8, batch_queries=8)
TINY = {"embedding_sizes": (4,), "n_blocks": 1, "hidden_size": 5}


def normal(*shape: int, seed: int = 9) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def states(seed: int, n_tasks: int = 2) -> States:
    return States(normal(n_tasks, 6, 3, seed=seed), normal(n_tasks, 6, 2, seed=seed + 1).tanh())


def network(config: MAMLConfig) -> ConditionedNetwork:
    return ConditionedNetwork(2, 3, 2, config, torch.Generator().manual_seed(0)).double()


@pytest.fixture(scope="module")
def trained(data: Rollouts) -> FittedMAML:
    config = MAMLConfig(
        **SMALL, updates=300, learning_rate=3e-3, batch_states=16, batch_queries=32, inner_steps=2
    )
    return MAML(config).fit(data, seed=0)


def test_inner_loop_by_hand():
    """Loss (w - 3)² at rate 0.1: w ← w - 0.2 (w - 3), so the distance shrinks by 0.8 a step."""

    def loss(weights, batch):
        return (weights["w"] - batch.labels).square().sum()

    batch = States(torch.zeros(1), torch.tensor([3.0]))
    found = inner_loop(loss, {"w": torch.tensor([1.0])}, batch, steps=2, rate=0.1)
    assert found["w"].item() == pytest.approx(3.0 - 2.0 * 0.64)


def test_layer_loss_by_hand():
    """One unit each: relu(2 * 3 + 1) = 7; tanh(0.1 * 7 - 0.2) against 0."""
    weights = {"weight0": [[2.0]], "bias0": [1.0], "weight1": [[0.1]], "bias1": [-0.2]}
    batch = States(torch.tensor([[3.0]]), torch.tensor([[0.0]]))
    found = layer_loss({name: torch.tensor(value) for name, value in weights.items()}, batch)
    assert found.item() == pytest.approx(np.tanh(0.5) ** 2)


@pytest.mark.parametrize("adapted", ["policy", "network"])
def test_outer_gradient_is_of_second_order(adapted):
    """Against finite differences, which the first-order gradient misses."""
    config = replace(QUICK, **TINY, adapted=adapted, inner_steps=3, inner_rate=0.5)
    net, contexts, support, queries = network(config), normal(2, 2), states(1), states(3)

    def outer() -> torch.Tensor:
        return query_losses(net, contexts, support, queries, config).mean()

    outer().backward()
    weight = net.hidden.weight
    exact = weight.grad.clone()
    step, flat = 1e-6, weight.detach().reshape(-1)
    for index in (0, 7, 20, 33):
        around = []
        for sign in (1.0, -2.0):
            flat[index] += sign * step
            around.append(outer().item())
        flat[index] += step
        estimate = (around[0] - around[1]) / (2.0 * step)
        assert exact.reshape(-1)[index].item() == pytest.approx(estimate, rel=1e-4, abs=1e-8)

    net.zero_grad()
    with_first_order = first_order(net, contexts, support, queries, config)
    assert (with_first_order - exact).abs().max() > 0.01 * exact.abs().max()


def first_order(net, contexts, support, queries, config) -> torch.Tensor:
    """The gradient at adapted weights, as if they did not depend on the initial ones otherwise."""
    total = torch.zeros_like(net.hidden.weight)
    for task in range(len(contexts)):
        mine, asked = (States(*(part[task] for part in batch)) for batch in (support, queries))

        def loss(weights, batch, task=task):
            return network_loss(net, contexts[task], weights, batch)

        weights = {name: p.detach() for name, p in net.named_parameters()}
        found = inner_loop(loss, weights, mine, steps=config.inner_steps, rate=config.inner_rate)
        total += torch.func.grad(loss)(found, asked)["hidden.weight"]
    return total / len(contexts)


@pytest.mark.parametrize("adapted", ["policy", "network"])
def test_tasks_are_adapted_alone(adapted):
    config = replace(QUICK, **TINY, adapted=adapted, inner_rate=0.5)
    net, contexts, support, queries = network(config), normal(3, 2), states(1, 3), states(3, 3)
    together = query_losses(net, contexts, support, queries, config)
    for task in range(3):
        rows = slice(task, task + 1)
        one = [States(*(part[rows] for part in batch)) for batch in (support, queries)]
        torch.testing.assert_close(
            query_losses(net, contexts[rows], *one, config), together[rows], rtol=1e-9, atol=0
        )


def test_adapting_the_network_or_the_policy_starts_from_the_same_actions():
    net, batch, contexts = network(QUICK), states(1), normal(2, 2)
    losses = [
        query_losses(net, contexts, batch, batch, replace(QUICK, adapted=adapted, inner_rate=1e-12))
        for adapted in ("policy", "network")
    ]
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(
        losses[0].mean(), torch.nn.functional.mse_loss(net(contexts, batch[0]), batch[1])
    )


@pytest.mark.parametrize("which", ["data", "held_out"])
def test_it_acts_better_than_without_the_context(trained, data, which, request):
    rollouts = request.getfixturevalue(which)
    policies = trained.policies(rollouts.contexts)
    assert error(policies, rollouts) < 0.3 * blind_error(data, rollouts)


@pytest.mark.parametrize("adapted", ["policy", "network"])
@pytest.mark.parametrize("few_shot", ["inner", "cloning"])
def test_adapt_comes_closer_to_the_demonstrations(trained, held_out, adapted, few_shot):
    config = replace(trained.config, adapted=adapted, few_shot=few_shot, inner_rate=0.1)
    fitted = copy(trained)
    fitted.config = config
    before, after = fitted.policies(held_out.contexts), fitted.adapt(held_out, seed=0)
    assert len(after) == len(held_out)
    assert error(after, held_out) < error(before, held_out)
    alone = fitted.adapt(held_out.select([1]), seed=0)
    np.testing.assert_allclose(alone.weights[0][0], after.weights[0][1], atol=1e-5)
    if few_shot == "cloning":
        cloned = clone(before, held_out, seed=0)
        np.testing.assert_array_equal(cloned.weights[0], after.weights[0])


def test_demonstrations_without_a_step_are_refused(trained, held_out):
    fitted = copy(trained)
    fitted.config = replace(trained.config, few_shot="inner")
    mask = held_out.mask.copy()
    mask[1] = False
    with pytest.raises(ValueError, match="must have a step of every context, not"):
        fitted.adapt(replace(held_out, mask=mask), seed=0)


def test_a_context_s_policy_and_the_seed(data):
    first, second, other = (MAML(QUICK).fit(data, seed=seed) for seed in (1, 1, 2))
    alone, among = (first.policies(data.contexts[a:b]) for a, b in ((2, 3), (0, 5)))
    np.testing.assert_allclose(alone.biases[0][0], among.biases[0][2], atol=1e-6)
    nets = [fitted.network.state_dict() for fitted in (first, second, other)]
    assert all(torch.equal(nets[0][name], nets[1][name]) for name in nets[0])
    assert not torch.equal(nets[0]["output.weight"], nets[2]["output.weight"])


def test_paper_preset(data):
    config = MAMLConfig.paper()
    assert (config.updates, config.inner_rate, config.inner_steps) == (500, 0.01, 5)
    assert (config.adapted, config.few_shot) == ("network", "cloning")
    small = replace(config, updates=1, batch_states=4, batch_queries=4, **SMALL)
    policies = MAML(small).fit(data, seed=0).policies([{"speed": 2.0}])
    assert not policies.mean.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inner_steps": 0}, "`inner_steps` must be at least 1, got 0"),
        ({"batch_queries": 0}, "`batch_queries` must be at least 1, got 0"),
        ({"inner_rate": 0.0}, r"`inner_rate` must be in \(0, 10\], got 0\.0"),
        ({"adapted": "head"}, r"`adapted` must be one of \('policy', 'network'\), got 'head'"),
        ({"few_shot": ""}, r"`few_shot` must be one of \('inner', 'cloning'\), got ''"),
        ({"match_capacity": True}, "`match_capacity` must be False for MAML, got True"),
    ],
)
def test_bad_configs_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        MAMLConfig(**changes)
