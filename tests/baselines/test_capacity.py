"""The baselines that are said to be as large as HyperZero are, on every family."""

from dataclasses import replace

import pytest
import torch

from baselines import capacity, conditioned, film, uvfa
from hyper.hyperzero import HyperNetwork, HyperZeroConfig
from param_envs import family_of
from zeroshot.methods import METHODS

FAMILIES = ("ParamCheetah-v0", "ParamWalker-v0", "ParamFinger-v0", "ParamAnt-v0")
NETWORKS = {
    "conditioned-wide": (conditioned.ConditionedNetwork, conditioned.n_parameters),
    "conditioned-uvfa-wide": (uvfa.UVFANetwork, uvfa.n_parameters),
    "film-wide": (film.FiLMNetwork, film.n_parameters),
}


def size(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def sizes_of(env_id: str) -> tuple[int, int, int]:
    family = family_of(env_id)
    n_inputs = family.encode([family.context()]).shape[1]
    return n_inputs, family.observation_size, family.action_size


@pytest.mark.parametrize("env_id", FAMILIES)
def test_hyperzero_is_counted_right(env_id):
    sizes = sizes_of(env_id)
    network = HyperNetwork(*sizes, HyperZeroConfig(), torch.Generator().manual_seed(0))
    config = conditioned.ConditionedConfig()
    assert capacity.hyperzero_parameters(config, *sizes) == size(network)


@pytest.mark.parametrize("env_id", FAMILIES)
@pytest.mark.parametrize("name", NETWORKS)
def test_wide_methods_are_as_large_as_hyperzero(name, env_id):
    sizes = sizes_of(env_id)
    hyperzero = HyperNetwork(*sizes, HyperZeroConfig(), torch.Generator().manual_seed(0))
    network_class, n_parameters = NETWORKS[name]
    method = METHODS[name].make()
    config = capacity.matched(method.config, n_parameters, *sizes)
    # Orthogonal initial weights of this size take seconds, and none are needed to count.
    network = network_class(*sizes, replace(config, init="uniform"), torch.Generator())
    assert size(network) == pytest.approx(size(hyperzero), rel=0.05)


def test_all_wide_methods_are_counted():
    assert set(NETWORKS) == {name for name in METHODS if name.endswith("-wide")}


def test_without_matching_nothing_changes():
    config = conditioned.ConditionedConfig()
    assert capacity.matched(config, conditioned.n_parameters, 2, 17, 6) is config


def test_parameters_by_hand():
    """2 → 3 is 2 * 3 + 3 = 9, and a block has two 3 → 3 of 12; then 3 → 4 is 16 and two of 20."""
    assert capacity.dense(2, 3) == 9
    assert capacity.embedding_parameters(2, (3, 4), 1) == 9 + 24 + 16 + 40
    config = conditioned.ConditionedConfig(embedding_sizes=(3, 4), n_blocks=1, hidden_size=5)
    assert conditioned.n_parameters(config, 2, 6, 7) == 89 + 11 * 5 + 6 * 7
    generated = 7 * 5 + 6 * 7 + 14 * 5 + 6 * 1
    assert capacity.hyperzero_parameters(config, 2, 6, 7) == 89 + 5 * generated
