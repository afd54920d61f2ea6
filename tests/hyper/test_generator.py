import math

import pytest
import torch

from hyper.generator import (
    FIRST_LAYER_BOUND,
    LAST_LAYER_BOUND,
    ToldLayers,
    WeightHeads,
    apply_layers,
    leading,
)

SHAPES = [(5, 7), (7, 7), (7, 2)]


def heads(seed: int = 0) -> WeightHeads:
    return WeightHeads(4, SHAPES, generator=torch.Generator().manual_seed(seed))


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_generated_layers_have_the_target_shapes():
    layers = heads()(normal(3, 4))
    assert [tuple(weight.shape) for weight, _ in layers] == [(3, 5, 7), (3, 7, 7), (3, 7, 2)]
    assert [tuple(bias.shape) for _, bias in layers] == [(3, 1, 7), (3, 1, 7), (3, 1, 2)]


def test_heads_are_linear_in_the_embedding():
    network, first, second = heads(), normal(1, 4), normal(1, 4, seed=1)
    for one, two, both in zip(
        network(first), network(second), network(2.0 * first - second), strict=True
    ):
        torch.testing.assert_close(2.0 * one[0] - two[0], both[0])
        torch.testing.assert_close(2.0 * one[1] - two[1], both[1])


def test_heads_start_within_their_bounds():
    network = heads()
    for head, bound in zip(
        network.heads, (FIRST_LAYER_BOUND, FIRST_LAYER_BOUND, LAST_LAYER_BOUND), strict=True
    ):
        assert 0.8 * bound < head.weight.abs().max() <= bound
        assert not head.bias.any()


def test_initial_weights_come_from_the_generator_alone():
    state = torch.get_rng_state()
    first, same, other = heads(1), heads(1), heads(2)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.heads[0].weight, same.heads[0].weight)
    assert not torch.equal(first.heads[0].weight, other.heads[0].weight)


def test_a_generated_network_by_hand():
    """h = relu([1, 2] W1 + b1) = relu([1 - 2 + 0.5, 2 + 0]) = [0, 2]; h W2 + b2 = 6 - 1 = 5."""
    layers = [
        (torch.tensor([[[1.0, 0.0], [-1.0, 1.0]]]), torch.tensor([[[0.5, 0.0]]])),
        (torch.tensor([[[10.0], [3.0]]]), torch.tensor([[[-1.0]]])),
    ]
    inputs = torch.tensor([[[1.0, 2.0]]])
    assert apply_layers(layers, inputs).tolist() == [[[5.0]]]
    behind_tanh = 10.0 * math.tanh(-0.5) + 3.0 * math.tanh(2.0) - 1.0
    assert apply_layers(layers, inputs, "tanh").item() == pytest.approx(behind_tanh)


def test_grouped_by_task_equals_weights_generated_for_every_sample():
    network, embeddings, inputs = heads(), normal(3, 4), normal(3, 6, 5)
    grouped = apply_layers(network(embeddings), inputs)
    each = embeddings.repeat_interleave(6, dim=0)
    per_sample = apply_layers(network(each), inputs.reshape(18, 1, 5)).reshape(3, 6, 2)
    torch.testing.assert_close(grouped, per_sample)
    gradients = [
        torch.autograd.grad(out.square().mean(), list(network.parameters()))
        for out in (grouped, per_sample)
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_leading_networks_are_those_of_the_first_embeddings():
    network, embeddings, inputs = heads(), normal(3, 4), normal(3, 6, 5)
    layers = network(embeddings)
    outputs = apply_layers(leading(layers, 2), inputs[:2])
    torch.testing.assert_close(outputs, apply_layers(layers, inputs)[:2])
    assert outputs.shape == (2, 6, 2)


def test_networks_of_different_tasks_do_not_mix():
    network, embeddings, inputs = heads(), normal(3, 4), normal(3, 6, 5)
    alone = apply_layers(network(embeddings[1:2]), inputs[1:2])
    torch.testing.assert_close(apply_layers(network(embeddings), inputs)[1:2], alone)
    assert alone.shape == (1, 6, 2)


def test_told_layers_are_one_network_that_takes_the_embedding_beside_the_state():
    network = ToldLayers(4, SHAPES, generator=torch.Generator().manual_seed(0))
    embeddings, inputs = normal(3, 4), normal(3, 6, 5, seed=1)
    hidden = torch.cat([inputs, embeddings[:, None].expand(-1, 6, -1)], dim=-1)
    first, second, last = network.layers
    expected = last(torch.relu(second(torch.relu(first(hidden)))))
    torch.testing.assert_close(apply_layers(network(embeddings), inputs), expected)
