"""HypLatent: seconds to fit, and to generate 1,000 policies of 256 × 256 units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experts import MLPPolicies, Rollouts, collect
from hyper.hyplatent import HypLatent
from hyper.hyplatent_config import HypLatentConfig
from zeroshot.frozen import split_of
from zeroshot.run import experts_of
from zeroshot.splits import rule_of
from zeroshot.suites import suite_of

SUITE = "cheetah-vel"
N_TASKS = 15
N_POLICIES = 1000
QUICK_POLICIES = 20
UPDATES = 100
"""Of a timed `fit`; a real one has fifteen times as many."""
QUICK_UPDATES = 5
SPAN = 10.0
"""Times the speed of an output a parameter."""


@pytest.fixture(scope="module")
def data() -> Rollouts:
    """The training tasks' experts; what they do is not looked at."""
    suite = suite_of(SUITE)
    ids = split_of(suite, rule_of(f"tasks:{N_TASKS}", suite), seed=0).train
    experts = experts_of(suite).select(ids)
    played = collect(experts, features=suite.features, noise=(0.0,), seed=0, n_steps=2)
    assert len(played) == N_TASKS
    return played


def test_seconds_to_fit(data, comparison, quick, one_thread):
    """Coordinates in the span of the training policies, against an output a parameter.

    `seconds_of_a_fit` has the updates of a real fit, by those that were timed.
    """
    config = HypLatentConfig(updates=QUICK_UPDATES if quick else UPDATES)

    def fit(config: HypLatentConfig) -> None:
        losses = HypLatent(config).fit(data, seed=0).losses
        assert np.isfinite(list(losses.values())).all() and "adversarial" in losses

    comparison.measure(lambda: fit(config), lambda: fit(replace(config, span=False)), rounds=3)
    ratio = comparison.reference_seconds / comparison.seconds
    comparison.record(
        ratio_to_every_parameter=ratio,
        seconds_of_a_fit=comparison.seconds * HypLatentConfig().updates / config.updates,
    )
    comparison.require(ratio >= SPAN, f"the span is {SPAN:g} times as fast")


def test_seconds_for_a_thousand_policies(data, comparison, quick, one_thread):
    """1,000 samples of one context at once, against one after the other; both keep them all."""
    n = QUICK_POLICIES if quick else N_POLICIES
    fitted = HypLatent(HypLatentConfig(updates=QUICK_UPDATES)).fit(data, seed=0)
    context = data.contexts[N_TASKS // 2]

    def together() -> None:
        assert len(fitted.samples([context], n, seed=0)) == n

    def alone() -> None:
        kept = [fitted.samples([context], 1, seed=i) for i in range(n)]
        assert len(MLPPolicies.stack(kept)) == n  # what reads them wants one batch

    comparison.measure(together, alone, rounds=3)
    ratio = comparison.reference_seconds / comparison.seconds
    comparison.record(ratio_to_one_by_one=ratio, seconds_for_1000=1000 / n * comparison.seconds)
    comparison.require(ratio >= 1.0, "at once is not slower")
