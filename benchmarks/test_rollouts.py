"""Rollouts are regenerated rather than shipped: how long that takes, and writing and reading them.

A suite of 40 contexts, 10 episodes each of 1,000 steps, in under a minute. The reference plays one
environment at a time, as collecting scripts usually do.
"""

from __future__ import annotations

import shutil
import time

import gymnasium as gym
import numpy as np
import pytest

from experts import Experts, Rollouts, collect, load_experts
from experts.minari import from_minari, to_minari
from experts.rollouts import DEFAULT_NOISE
from experts.store import ZOO
from experts.synthetic import smooth_experts
from zeroshot.suites import SUITES, Suite

SECONDS = 60.0
LOOP_STEPS = 100
"""Control steps of the reference."""
CASES = ("cheetah-speed", "walker-speed", "finger-speed")
"""One suite a body; the walker's physics is the slowest."""


def experts_of(suite: Suite) -> Experts:
    """The shipped experts, or where one is lacking experts with made-up weights."""
    if any((ZOO / suite.zoo).glob("*.json")):
        found = load_experts(ZOO / suite.zoo)
        if set(suite.contexts) <= set(found.contexts):
            return found.select([found.contexts.index(context) for context in suite.contexts])
    return smooth_experts(
        suite.family, suite.contexts, features=suite.features, seed=0, reward=suite.reward
    )


@pytest.mark.parametrize("value", ["monte-carlo", "critic"])
@pytest.mark.parametrize("name", CASES)
def test_rollouts_of_a_suite(name, value, comparison, quick):
    """All rollouts of a suite with 30 to 40 contexts in under a minute, q* included."""
    suite = SUITES[name]
    experts = experts_of(suite)
    n_steps = 50 if quick else suite.family.max_episode_steps
    found: dict[str, Rollouts] = {}

    def regenerate():
        found["data"] = collect(
            experts, features=suite.features, seed=0, n_steps=n_steps, value=value
        )

    def loop():
        env = gym.make(suite.env_id, reward=suite.reward, **suite.contexts[0]).unwrapped
        observation, _ = env.reset(seed=0)
        policy = experts.policies.select([0])
        for _ in range(LOOP_STEPS):
            observation, *_ = env.step(policy.act(observation[None, None])[0, 0])

    comparison.measure(regenerate, loop, rounds=1)
    data = found["data"]
    assert data.labels.shape[:3] == (len(suite.contexts), len(DEFAULT_NOISE), n_steps)
    assert np.isfinite(data.values).all() and data.mask.all()
    steps_per_second = data.mask.sum() / comparison.seconds
    comparison.record(
        seconds=comparison.seconds,
        steps_per_second=steps_per_second,
        ratio_to_single_environments=steps_per_second * comparison.reference_seconds / LOOP_STEPS,
        megabytes=sum(array.nbytes for array in (data.observations, data.next_observations)) / 1e6,
    )
    comparison.require(comparison.seconds < SECONDS, "rollouts of a suite take under a minute")


def test_minari_out_and_in(comparison, quick, tmp_path):
    """Writing a suite's rollouts as a Minari dataset, and reading them, checksum included."""
    suite = SUITES["cheetah-speed"]
    data = collect(
        experts_of(suite), features=suite.features, seed=0, n_steps=50 if quick else None
    )
    name = "cheetah/speed-v0"
    path = to_minari(data, name, folder=tmp_path)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    seconds: list[float] = []

    def write():
        shutil.rmtree(path)
        start = time.perf_counter()
        to_minari(data, name, folder=tmp_path)
        seconds.append(time.perf_counter() - start)

    found: dict[str, Rollouts] = {}

    def read():
        found["data"] = from_minari(name, folder=tmp_path)

    comparison.measure(read, write, rounds=2)
    np.testing.assert_array_equal(found["data"].values, data.values)
    np.testing.assert_array_equal(found["data"].next_observations, data.next_observations)
    comparison.record(
        read_seconds=comparison.seconds,
        write_seconds=min(seconds),
        megabytes=size / 1e6,
        bytes_per_step=size / data.mask.sum(),
        ratio_of_reading_to_writing=comparison.seconds / min(seconds),
    )
    comparison.require(
        comparison.seconds + min(seconds) < SECONDS, "out and in take under a minute"
    )
