"""What a batched build will take: some seconds of a batch of the same size, thrown away."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from experts.batched_build import Batch
from experts.offpolicy.loop import Loop
from experts.recipes import Recipe
from param_envs import Context, Family

MEASURED_SECONDS = 4.0
CYCLE = 10
"""Steps of all environments, each with its updates, that are timed as one."""
MEASURED_CYCLES = 100


@dataclass(frozen=True, kw_only=True)
class BatchSpeed:
    """How fast a batch trains.

    Attributes:
        n_agents: in the batch.
        seconds_per_step: of all its agents' environments, updates included.
        agent_updates_per_second: updates a step, times agents, a second.
        measured_seconds: that were timed.
    """

    n_agents: int
    seconds_per_step: float
    agent_updates_per_second: float
    measured_seconds: float


@dataclass(frozen=True, kw_only=True)
class BatchedEstimate:
    """What a batched build takes.

    Attributes:
        pieces: experts to train.
        steps: environment steps of all of them.
        wall_seconds: one batch after the other; playing the finished experts is not in it.
    """

    pieces: int
    steps: int
    wall_seconds: float


def estimate_batches(
    batches: Sequence[Batch], *, recipe: Recipe, speeds: Sequence[BatchSpeed]
) -> BatchedEstimate:
    """What training these batches takes.

    Args:
        batches: as `plan_batches` plans them; what an interrupted one has done is not counted.
        recipe: of the experts.
        speeds: one of each size among the batches.
    """
    per_step = {speed.n_agents: speed.seconds_per_step for speed in speeds}
    left = [max(0, recipe.total_steps - batch.steps_done) for batch in batches]
    sizes = [len(batch.jobs) for batch in batches]
    pairs = list(zip(sizes, left, strict=True))
    return BatchedEstimate(
        pieces=sum(sizes),
        steps=sum(size * steps for size, steps in pairs),
        wall_seconds=sum(per_step[size] * steps / recipe.n_envs for size, steps in pairs),
    )


def measured_batch_speed(
    family: Family,
    contexts: Sequence[Context],
    *,
    reward: str,
    recipe: Recipe,
    device: torch.device,
    seconds: float = MEASURED_SECONDS,
) -> BatchSpeed:
    """Trains a batch for some seconds on as many threads as torch has, and throws it away.

    Args:
        family: the family.
        contexts: of the batch.
        reward: meaning of the reward.
        recipe: of TD3 or SAC.
        device: where networks and replay live.
        seconds: to time at least, after a first cycle that warms up, if there is as much to do.
    """
    cycle = recipe.n_envs * CYCLE
    starts = min(recipe.learning_starts, recipe.batch_size)
    # The loop reports every hundredth of its steps: here once a cycle.
    total = MEASURED_CYCLES * cycle + starts
    short = replace(
        recipe, total_steps=total, learning_starts=starts, policy_hold=0, n_candidates=1
    )
    loop = Loop(
        family,
        contexts,
        reward=reward,
        recipe=short,
        seeds=list(range(len(contexts))),
        device=device,
        n_threads=torch.get_num_threads(),
        warm_starts=None,
        identity={},
        recorder=None,
        saving=None,
    )
    marks: list[tuple[int, float]] = []

    def on_steps(steps: int) -> None:
        # Updates begin after `starts` steps; the first ones of them allocate, or are captured.
        if steps < starts + cycle:
            return
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        marks.append((steps, time.perf_counter()))
        if len(marks) > 1 and marks[-1][1] - marks[0][1] >= seconds:
            raise _Enough

    try:
        loop.run(on_steps)
    except _Enough:
        pass
    took = marks[-1][1] - marks[0][1]
    n_steps = (marks[-1][0] - marks[0][0]) // recipe.n_envs
    return BatchSpeed(
        n_agents=len(contexts),
        seconds_per_step=took / n_steps,
        agent_updates_per_second=n_steps * recipe.updates_per_step * len(contexts) / took,
        measured_seconds=took,
    )


class _Enough(Exception):
    """The measurement is over."""
