"""A training step of HyperZero that generates a policy and a critic for each sample, as released.

Here a minibatch is grouped by task and networks are generated once a task; the loss is the same.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from experts import Rollouts
from experts.embedding import context_inputs
from experts.minibatches import Minibatches, States, Transitions
from hyper import HyperZeroConfig
from hyper.generator import leading
from hyper.hyperzero import HyperNetwork, action_loss, td_loss, value_loss

PER_SAMPLE_BATCH = 512
"""Samples a step of the released code."""


def network_and_batches(
    data: Rollouts, config: HyperZeroConfig
) -> tuple[HyperNetwork, Minibatches, Tensor]:
    """An untrained hypernetwork, what draws minibatches, and the tasks' inputs (n_tasks, n)."""
    contexts = context_inputs(data.family, data.contexts, data.features, encode=True)
    network = HyperNetwork(
        contexts.shape[1],
        data.family.observation_size,
        data.family.action_size,
        config,
        torch.Generator().manual_seed(0),
    )
    return network, Minibatches(data, normalise_observations=True, normalise_values=True), contexts


def total_loss(
    network: HyperNetwork,
    inputs: Tensor,
    states: States,
    transitions: Transitions,
    n_critics: int,
    config: HyperZeroConfig,
) -> Tensor:
    """HyperZero's loss on minibatches grouped by task; the leading n_critics tasks have critics."""
    policy, value = network(inputs, n_critics)
    leaders = leading(policy, len(transitions.rewards))
    return (
        action_loss(policy, states)
        + config.value_weight * value_loss(value, transitions)
        + config.td_weight * td_loss(leaders, value, transitions)
    )


def labelled(transitions: Transitions) -> States:
    """The states of noise-free transitions, labelled with what was done there."""
    return States(transitions.observations, transitions.actions)


def per_sample_step(data: Rollouts, config: HyperZeroConfig) -> Callable[[], Tensor]:
    """A step on `PER_SAMPLE_BATCH` transitions, each with a policy and a critic of its own."""
    network, batches, contexts = network_and_batches(data, config)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    generator = torch.Generator().manual_seed(1)

    def step() -> Tensor:
        tasks = torch.randint(len(data), (PER_SAMPLE_BATCH,), generator=generator)
        transitions = batches.transitions(tasks, 1, generator)
        states = labelled(transitions)
        return _descend(
            optimiser,
            total_loss(network, contexts[tasks], states, transitions, PER_SAMPLE_BATCH, config),
        )

    return step


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.detach()
