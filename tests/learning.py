"""Rollouts of made-up experts in the cheetah: training contexts, and two held out between them."""

import pytest

from experts import Rollouts, collect
from experts.synthetic import smooth_experts
from param_envs import family_of

CHEETAH = family_of("ParamCheetah-v0")
HELD_OUT = (-2.5, 1.5)


def rollouts(speeds: tuple[float, ...]) -> Rollouts:
    contexts = [{"speed": speed} for speed in speeds]
    experts = smooth_experts(CHEETAH, contexts, features=["speed"], seed=0)
    return collect(experts, features=["speed"], noise=(0.0, 0.0, 0.2), seed=0, n_steps=40)


@pytest.fixture(scope="session")
def data() -> Rollouts:
    speeds = [0.5 * k for k in range(-8, 9) if k != 0]
    return rollouts(tuple(speed for speed in speeds if speed not in HELD_OUT))


@pytest.fixture(scope="session")
def held_out() -> Rollouts:
    return rollouts(HELD_OUT)
