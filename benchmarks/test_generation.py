"""HyperZero: generating policies, and training against a step that generates them per sample."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.per_sample import (
    PER_SAMPLE_BATCH,
    labelled,
    network_and_batches,
    per_sample_step,
    total_loss,
)
from experts import Rollouts, collect
from experts.minibatches import Transitions
from hyper import HyperZero, HyperZeroConfig
from zeroshot.run import experts_of
from zeroshot.suites import suite_of

SUITE = "cheetah-speed"
STEPS_PER_ROUND = 5
UPDATES = 100
"""Of a timed `fit`; a real one has twenty times as many."""
QUICK_UPDATES = 5
LIKE_FOR_LIKE = 10.0
"""Times the samples a second that grouping alone is worth."""


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
    """`HyperZero.fit` sees at least 30 times the states of steps that generate per sample.

    The subject is `fit` with the defaults, its preparations included: weights once a task, critics
    for some of the tasks. The reference is the released code's step: 512 samples from all contexts,
    a policy and a critic generated for each, all three losses on each. `ratio_like_for_like` is
    that of `fit` with a critic for every task and all three losses on as many samples.
    """
    config = HyperZeroConfig(updates=QUICK_UPDATES if quick else UPDATES)
    everything = replace(config, batch_critics=len(data), batch_states=256, batch_transitions=256)
    per_sample = per_sample_step(data, config)

    def reference() -> None:
        for _ in range(STEPS_PER_ROUND):
            assert torch.isfinite(per_sample())

    comparison.measure(fitting(data, config), reference, rounds=5)
    samples = states_seen(data, config) / comparison.seconds
    per_sample_samples = STEPS_PER_ROUND * PER_SAMPLE_BATCH / comparison.reference_seconds
    seconds = _best_seconds(fitting(data, everything), quick)
    like_for_like = states_seen(data, everything) / seconds / per_sample_samples
    comparison.record(
        ratio_to_per_sample=samples / per_sample_samples,
        ratio_like_for_like=like_for_like,
        samples_per_second=samples,
        per_sample_samples_per_second=per_sample_samples,
    )
    comparison.require(samples >= 30 * per_sample_samples, "grouping by task is 30 times faster")
    comparison.require(like_for_like >= LIKE_FOR_LIKE, f"{LIKE_FOR_LIKE:g} times, like for like")


def fitting(data: Rollouts, config: HyperZeroConfig) -> Callable[[], None]:
    """A whole `fit`; every one ends with the same finite losses."""

    def fit() -> None:
        losses = HyperZero(config).fit(data, seed=0).losses
        assert set(losses) == {"action", "value", "td"} and np.isfinite(list(losses.values())).all()

    return fit


def states_seen(data: Rollouts, config: HyperZeroConfig) -> int:
    """Labelled states behind the action terms of one `fit`."""
    return config.updates * min(config.batch_tasks, len(data)) * config.batch_states


def _best_seconds(run: Callable[[], None], quick: bool) -> float:
    seconds = []
    for _ in range(2 if quick else 4):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def test_both_steps_have_the_same_loss(data):
    """Grouping changes nothing: the reference is the same loss, with every sample a task."""
    config = HyperZeroConfig(batch_states=3, batch_critics=len(data), batch_transitions=3)
    network, batches, contexts = network_and_batches(data, config)
    tasks = torch.arange(len(data))
    transitions = batches.transitions(tasks, 3, torch.Generator().manual_seed(0))
    grouped = total_loss(network, contexts, labelled(transitions), transitions, len(data), config)
    samples = tasks.repeat_interleave(3)
    flat = Transitions(*(entry.reshape(-1, 1, *entry.shape[2:]) for entry in transitions))
    per_sample = total_loss(network, contexts[samples], labelled(flat), flat, len(samples), config)
    torch.testing.assert_close(grouped, per_sample, rtol=1e-5, atol=1e-6)
