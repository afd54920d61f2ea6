import math

import numpy as np
import pytest
import torch

from experts.embedding import Embedding, context_inputs
from param_envs import family_of

CHEETAH = family_of("ParamCheetah-v0")


def embedding(seed: int, *, init: str = "uniform") -> Embedding:
    generator = torch.Generator().manual_seed(seed)
    return Embedding(2, sizes=(8, 16), n_blocks=1, init=init, generator=generator)


def test_encoded_inputs_are_direction_and_magnitude():
    inputs = context_inputs(CHEETAH, [{"speed": -10.0}, {"speed": 5.0}], ["speed"], encode=True)
    np.testing.assert_allclose(
        inputs.numpy(), CHEETAH.encode([{"speed": -10.0}, {"speed": 5.0}], ["speed"])
    )
    assert inputs.dtype == torch.float32
    assert inputs[0, 0] == -1.0 and inputs[1, 0] == 1.0


def test_logarithms_of_speeds_stand_behind():
    contexts = [{"speed": speed, "torso": 0.3} for speed in (-10.0, 5.0, 2.5, 0.5, 0.001)]
    inputs = context_inputs(CHEETAH, contexts, ["speed", "torso"], encode=True, log_speeds=True)
    assert inputs.dtype == torch.float32 and inputs.shape == (5, 4)
    np.testing.assert_allclose(inputs[:, :3], CHEETAH.encode(contexts, ["speed", "torso"]))
    half = 2.0 * math.log(2.0) / math.log(20.0)  # of a speed; the range is twenty times the least
    expected = [1.0, 1.0 - half, 1.0 - 2.0 * half, -1.0, -1.0]
    np.testing.assert_allclose(inputs[:, 3], expected, rtol=1e-6)


def test_features_without_a_direction_have_no_logarithm():
    contexts = [{"torso": 0.3}, {}]
    inputs = context_inputs(CHEETAH, contexts, ["torso"], encode=True, log_speeds=True)
    np.testing.assert_allclose(inputs.numpy(), [[-1.0], [0.0]], atol=1e-6)


def test_raw_inputs_are_the_values():
    contexts = [{"speed": -10.0}, {"speed": 5.0, "torso": 0.3}]
    inputs = context_inputs(CHEETAH, contexts, ["speed", "torso"], encode=False)
    np.testing.assert_allclose(inputs.numpy(), [[-10.0, 0.5], [5.0, 0.3]], rtol=1e-6)


@pytest.mark.parametrize(
    ("contexts", "features", "message"),
    [
        ([], ["speed"], "`contexts` must hold at least one context, got none"),
        ([{"speed": 11.0}], ["speed"], r"`speed` must be in \[-10, 10\]"),
        ([{"pace": 1.0}], ["speed"], "pace"),
        ([{"speed": 1.0}], ["pace"], "unknown feature `pace`"),
    ],
)
def test_bad_contexts_are_refused(contexts, features, message):
    with pytest.raises(ValueError, match=message):
        context_inputs(CHEETAH, contexts, features, encode=True)


def test_embedding_is_stages_of_linear_and_residual_blocks():
    network = embedding(0)
    inputs = torch.tensor([[0.5, -1.0]])
    hidden = inputs
    for stage in (0, 2):
        dense, block = network.stages[stage], network.stages[stage + 1]
        hidden = hidden @ dense.weight.T + dense.bias
        inner = torch.relu(hidden) @ block.first.weight.T + block.first.bias
        hidden = hidden + torch.relu(inner) @ block.second.weight.T + block.second.bias
    torch.testing.assert_close(network(inputs), hidden)
    assert network(inputs).shape == (1, 16)


def test_parameter_count_of_the_paper():
    network = Embedding(
        1, sizes=(64, 128, 256), n_blocks=2, init="uniform", generator=torch.Generator()
    )
    assert sum(p.numel() for p in network.parameters()) == 387_328


def test_uniform_initialisation_stays_within_its_bounds():
    for layer in embedding(0).modules():
        if isinstance(layer, torch.nn.Linear):
            bound = 1.0 / math.sqrt(layer.in_features)
            assert 0.3 * bound < layer.weight.abs().max() <= bound / 2
            assert 0.3 * bound < layer.bias.abs().max() <= bound


def test_orthogonal_initialisation_has_orthogonal_weights_and_zero_biases():
    block = embedding(0, init="orthogonal").stages[1]
    torch.testing.assert_close(block.first.weight @ block.first.weight.T, torch.eye(8))
    assert not block.first.bias.any()


@pytest.mark.parametrize("init", ["uniform", "orthogonal"])
def test_initial_weights_come_from_the_generator_alone(init):
    state = torch.get_rng_state()
    first, second, other = (embedding(seed, init=init) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name])
    assert not torch.equal(first.stages[0].weight, other.stages[0].weight)
