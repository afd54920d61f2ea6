"""Networks as large as HyperZero's: how many parameters there are, and the widths to match them.

HyperZero's heads make it four to nine times as large as its published baselines of the same widths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from baselines.conditioned import ConditionedConfig

Config = TypeVar("Config", bound="ConditionedConfig")

N_HALVINGS = 40
"""Of the interval in which the factor lies; widths are whole numbers, so this is plenty."""


def dense(fan_in: int, fan_out: int) -> int:
    """Parameters of a linear layer."""
    return (fan_in + 1) * fan_out


def embedding_parameters(n_inputs: int, sizes: Sequence[int], n_blocks: int) -> int:
    """Parameters of an `experts.embedding.Embedding`."""
    stages = zip((n_inputs, *sizes), sizes, strict=False)
    return sum(dense(fan_in, size) + 2 * n_blocks * dense(size, size) for fan_in, size in stages)


def hyperzero_parameters(
    config: ConditionedConfig, n_inputs: int, observation_size: int, action_size: int
) -> int:
    """Parameters of the HyperZero, with a critic, that has the widths of `config`."""
    hidden = config.hidden_size
    generated = (
        dense(observation_size, hidden)
        + dense(hidden, action_size)
        + dense(observation_size + action_size, hidden)
        + dense(hidden, 1)
    )
    embedding = embedding_parameters(n_inputs, config.embedding_sizes, config.n_blocks)
    return embedding + dense(config.embedding_sizes[-1], generated)


def matched(
    config: Config,
    n_parameters: Callable[[Config, int, int, int], int],
    n_inputs: int,
    observation_size: int,
    action_size: int,
) -> Config:
    """The config with the widths of its network, all multiplied if `match_capacity` is set.

    Args:
        config: the widths to start from.
        n_parameters: size of the network of a config, given the three sizes that follow.
        n_inputs: length of a context's encoding.
        observation_size: of the family.
        action_size: of the family.

    Returns:
        `config` itself, or with the factor at which the network is as large as a HyperZero of the
        original widths: the largest factor that does not exceed it.
    """
    if not config.match_capacity:
        return config
    sizes = (n_inputs, observation_size, action_size)
    target = hyperzero_parameters(config, *sizes)
    low, high = 0.0, 64.0
    for _ in range(N_HALVINGS):
        factor = (low + high) / 2.0
        fits = n_parameters(_widened(config, factor), *sizes) <= target
        low, high = (factor, high) if fits else (low, factor)
    return _widened(config, low)


def _widened(config: Config, factor: float) -> Config:
    widths = tuple(max(1, round(factor * size)) for size in config.embedding_sizes)
    hidden = max(1, round(factor * config.hidden_size))
    return replace(config, embedding_sizes=widths, hidden_size=hidden)
