"""HyperZero: generating policies, and training against a step that generates them per sample."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from experts import Rollouts, collect
from experts.embedding import context_inputs
from experts.minibatches import Minibatches, States, Transitions
from hyper import HyperZero, HyperZeroConfig
from hyper.hyperzero import HyperNetwork, action_loss, td_loss, value_loss
from zeroshot.run import experts_of
from zeroshot.suites import suite_of

SUITE = "cheetah-speed"
PER_SAMPLE_BATCH = 512
"""Samples a step of the released code."""
STEPS_PER_ROUND = 5


@pytest.fixture(scope="module")
def data() -> Rollouts:
    """Short rollouts of the suite's experts: 34 training contexts."""
    suite = suite_of(SUITE)
    experts = experts_of(suite).select(range(34))
    return collect(experts, features=suite.features, noise=(0.0, 0.3), seed=0, n_steps=250)


def test_policy_from_a_context(data, comparison, quick):
    """One policy from one context in under 1 ms; acting for one episode takes far longer."""
    fitted = HyperZero(HyperZeroConfig(updates=5)).fit(data, seed=0)
    contexts = [data.family.context(speed=s) for s in (3.3, -7.1, 0.2, 9.9)]
    observations = data.observations[0, 0, :, None, None]
    policies = fitted.policies(contexts[:1])
    batched = fitted.policies(contexts)
    first = policies.act(observations[0])
    torch.testing.assert_close(
        first, batched.select([0]).act(observations[0]), rtol=1e-4, atol=1e-5
    )

    def generate():
        for context in contexts:
            fitted.policies([context])

    def act():
        for observation in observations:
            policies.act(observation)

    comparison.measure(generate, act, rounds=100)
    seconds = comparison.seconds / len(contexts)
    episode = comparison.reference_seconds / len(observations) * data.family.max_episode_steps
    comparison.record(policy_ms=1e3 * seconds, ratio_to_acting_an_episode=seconds / episode)
    comparison.require(seconds < 1e-3, "generating one policy takes under 1 ms")


def test_training_throughput(data, comparison, quick):
    """Grouped by task, training sees at least 30 times the samples of per-sample generation.

    Both train the same network on the same loss; the reference draws 512 samples from all contexts
    and generates a set of weights for each, as HyperZero's released code does.
    """
    config = HyperZeroConfig()
    share = config.batch_transitions / config.batch_states
    grouped, grouped_batch = grouped_step(data, config)
    per_sample = per_sample_step(data, config, round(share * PER_SAMPLE_BATCH))

    def repeat(step: Callable[[], Tensor]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(STEPS_PER_ROUND):
                assert torch.isfinite(step())

        return run

    comparison.measure(repeat(grouped), repeat(per_sample), rounds=15)
    samples = STEPS_PER_ROUND * grouped_batch / comparison.seconds
    reference = STEPS_PER_ROUND * PER_SAMPLE_BATCH / comparison.reference_seconds
    comparison.record(
        ratio_to_per_sample=samples / reference,
        samples_per_second=samples,
        per_sample_samples_per_second=reference,
    )
    comparison.require(samples >= 30 * reference, "grouping by task is 30 times faster")


def test_both_steps_have_the_same_loss(data):
    """With one sample a task, grouping changes nothing: the reference is the same computation."""
    config = HyperZeroConfig(batch_states=1, batch_transitions=1)
    network, batches, contexts = network_and_batches(data, config)
    tasks = torch.arange(len(data))
    generator = torch.Generator().manual_seed(0)
    states = batches.states(tasks, 1, generator)
    transitions = batches.transitions(tasks, 1, generator)
    grouped = total_loss(network, contexts[tasks], states, transitions, config)
    flat = per_sample_loss(network, contexts, tasks, states, tasks, transitions, config)
    torch.testing.assert_close(grouped, flat, rtol=1e-5, atol=1e-6)


def network_and_batches(
    data: Rollouts, config: HyperZeroConfig
) -> tuple[HyperNetwork, Minibatches, Tensor]:
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
    config: HyperZeroConfig,
) -> Tensor:
    """HyperZero's loss on minibatches grouped by task."""
    policy, value = network(inputs)
    return (
        action_loss(policy, states)
        + config.value_weight * value_loss(value, transitions)
        + config.td_weight * td_loss(policy, value, transitions)
    )


def per_sample_loss(
    network: HyperNetwork,
    contexts: Tensor,
    state_tasks: Tensor,
    states: States,
    transition_tasks: Tensor,
    transitions: Transitions,
    config: HyperZeroConfig,
) -> Tensor:
    """The same loss, with weights generated anew for every sample: (n_samples, 1) minibatches."""
    loss = action_loss(network.policy(contexts[state_tasks]), states)
    policy, value = network(contexts[transition_tasks])
    return (
        loss
        + config.value_weight * value_loss(value, transitions)
        + config.td_weight * td_loss(policy, value, transitions)
    )


def grouped_step(data: Rollouts, config: HyperZeroConfig) -> tuple[Callable[[], Tensor], int]:
    """HyperZero's own training step, and how many states it learns from."""
    network, batches, contexts = network_and_batches(data, config)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    generator = torch.Generator().manual_seed(1)
    n_tasks = min(config.batch_tasks, len(data))

    def step() -> Tensor:
        tasks = batches.tasks(n_tasks, generator)
        states = batches.states(tasks, config.batch_states, generator)
        transitions = batches.transitions(tasks, config.batch_transitions, generator)
        return _descend(
            optimiser, total_loss(network, contexts[tasks], states, transitions, config)
        )

    return step, n_tasks * config.batch_states


def per_sample_step(
    data: Rollouts, config: HyperZeroConfig, n_transitions: int
) -> Callable[[], Tensor]:
    """A step on PER_SAMPLE_BATCH states and n_transitions transitions, each with own weights."""
    network, batches, contexts = network_and_batches(data, config)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    generator = torch.Generator().manual_seed(1)

    def step() -> Tensor:
        state_tasks = torch.randint(len(data), (PER_SAMPLE_BATCH,), generator=generator)
        transition_tasks = torch.randint(len(data), (n_transitions,), generator=generator)
        states = batches.states(state_tasks, 1, generator)
        transitions = batches.transitions(transition_tasks, 1, generator)
        return _descend(
            optimiser,
            per_sample_loss(
                network, contexts, state_tasks, states, transition_tasks, transitions, config
            ),
        )

    return step


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.detach()
