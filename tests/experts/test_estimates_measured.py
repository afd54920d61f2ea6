"""Measured speeds by a clock that stands still but while environments step."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from experts.batched_estimates import measured_batch_speed
from experts.estimates import measured_speed
from experts.offpolicy.crowd import Crowd
from param_envs import ParamVectorEnv, family_of
from tests.experts.factories import ENV_ID, TINY

FAMILY = family_of(ENV_ID)
CONTEXTS = [FAMILY.context(speed=speed) for speed in (1.0, 2.0)]
WARMING_UP = 40.0
"""Seconds more that a step takes before a measurement may begin."""


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def slowed(
    step: Callable[..., Any], clock: Clock, seconds: float, *, slow: int, calls: list[int]
) -> Callable[..., Any]:
    """`step` in so many seconds of the clock, the first `slow` times in `WARMING_UP` more."""

    def timed(*arguments: Any) -> Any:
        clock.now += seconds + WARMING_UP * (len(calls) < slow)
        calls.append(torch.get_num_threads())
        return step(*arguments)

    return timed


@pytest.mark.parametrize(
    ("algorithm", "cycle", "warm_up"), [("ppo", 2 * 8, 2 * 8), ("td3", 2 * 40, 2 * 8)]
)
def test_seconds_a_step_are_one_environments(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, algorithm: str, cycle: int, warm_up: int
) -> None:
    """Two environments step in 2 s; timed are as many cycles as 100 s have, but not the first."""
    recipe = replace(TINY, algorithm=algorithm, n_envs=2, batch_size=8, buffer_size=1000)
    calls: list[int] = []
    monkeypatch.setattr("experts.estimates.time", clock)
    step = slowed(ParamVectorEnv.step, clock, 2.0, slow=warm_up // 2, calls=calls)
    monkeypatch.setattr(ParamVectorEnv, "step", step)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = measured_speed(FAMILY, CONTEXTS[0], reward="track", recipe=recipe, seconds=100.0)
        assert torch.get_num_threads() == 2 and set(calls) == {1}, "one thread, and back to two"
    finally:
        torch.set_num_threads(n_threads)
    assert found.seconds_per_step == 1.0
    timed = cycle * -(-100 // cycle)
    said = f"measured for {timed} s on one core of this machine, as busy as it is now"
    assert found.source == said
    assert timed + warm_up <= 2 * len(calls) <= timed + warm_up + cycle, "it stops then"


def test_a_training_with_nothing_to_look_at_is_timed_whole(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    def train(*_: Any, recipe: Any, on_steps: Callable[[int], None], **__: Any) -> None:
        clock.now += 2.5 * recipe.total_steps
        on_steps(recipe.total_steps)

    monkeypatch.setattr("experts.estimates.time", clock)
    monkeypatch.setattr("experts.training.train", train)
    found = measured_speed(FAMILY, CONTEXTS[0], reward="track", recipe=TINY)
    assert found.seconds_per_step == 2.5


def test_seconds_a_step_are_a_whole_batchs(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """A cycle is 10 steps of a second each; the second cycle ends the 12 s."""
    recipe = replace(
        TINY, algorithm="sac", n_envs=2, batch_size=8, buffer_size=1000, updates_per_step=3
    )
    step = slowed(Crowd.step, clock, 1.0, slow=8 // 2 + 10, calls=[])
    monkeypatch.setattr(Crowd, "step", step)
    monkeypatch.setattr("experts.batched_estimates.time", clock)
    found = measured_batch_speed(
        FAMILY, CONTEXTS, reward="track", recipe=recipe, device=torch.device("cpu"), seconds=12.0
    )
    assert (found.n_agents, found.seconds_per_step, found.measured_seconds) == (2, 1.0, 20.0)
    assert found.agent_updates_per_second == 3 * 2
