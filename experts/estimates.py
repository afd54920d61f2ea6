"""What a build will take, before anything starts: core-hours, and wall time on so many workers."""

from __future__ import annotations

import heapq
import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from experts.jobs import Job, manifest_path, steps_of, unfinished
from experts.recipes import Recipe
from param_envs import Context, Family

MEASURED_SECONDS = 4.0
MEASURED_CYCLES = 100
"""A measurement ends after so many updates of PPO, or batches of steps, if it was not over yet."""
OFF_POLICY_CYCLE = 40
"""Steps of all environments, each with its updates, that are timed as one."""

_DECIDE_SPEED = (
    "algorithm",
    "n_envs",
    "hidden",
    "critic_hidden",
    "activation",
    "batch_size",
    "rollout_steps",
    "epochs",
    "updates_per_step",
    "normalise_reward",
)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What work will take.

    Attributes:
        pieces: to be done: experts, or units of a run.
        steps: environment steps.
        core_seconds: over all cores.
        wall_seconds: with `workers` at once.
        chain_seconds: of the longest chain of pieces that wait for each other, which no number of
            workers makes shorter.
        workers: pieces at once.
    """

    pieces: int
    steps: int
    core_seconds: float
    wall_seconds: float
    chain_seconds: float
    workers: int


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast experts train.

    Attributes:
        seconds_per_step: of one expert on one core, updates included.
        source: where the number is from.
    """

    seconds_per_step: float
    source: str


def estimate_jobs(
    jobs: Sequence[Job], *, recipe: Recipe, directory: Path, speed: Speed, workers: int
) -> Estimate:
    """What `run_jobs` will take for the experts that `directory` does not have yet.

    Args:
        jobs: parents before children.
        recipe: of the experts.
        directory: where they will be written.
        speed: of the training.
        workers: experts at once.

    Raises:
        ValueError: for a number of workers below 1.
    """
    todo = unfinished(jobs, directory)
    index = {manifest_path(directory, job.context): i for i, job in enumerate(todo)}
    parents = [None if job.warm_from is None else index.get(job.warm_from) for job in todo]
    steps = [steps_of(job, recipe) for job in todo]
    seconds = [count * speed.seconds_per_step for count in steps]
    return Estimate(
        pieces=len(todo),
        steps=sum(steps),
        core_seconds=sum(seconds),
        wall_seconds=wall_seconds(seconds, parents, workers),
        chain_seconds=wall_seconds(seconds, parents, max(1, len(todo))),
        workers=workers,
    )


def wall_seconds(seconds: Sequence[float], parents: Sequence[int | None], workers: int) -> float:
    """When the last piece ends, if pieces start in order as soon as a worker is free.

    Args:
        seconds: of each piece.
        parents: index of the piece that each waits for, None for none; parents may come later.
        workers: pieces at once.

    Raises:
        ValueError: for a number of workers below 1.
    """
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1, got {workers}")
    children: dict[int | None, list[int]] = {}
    for piece, parent in enumerate(parents):
        children.setdefault(parent, []).append(piece)
    ready, now = deque(children.get(None, ())), 0.0
    running: list[tuple[float, int]] = []
    while ready or running:
        while ready and len(running) < workers:
            piece = ready.popleft()
            heapq.heappush(running, (now + seconds[piece], piece))
        now, piece = heapq.heappop(running)
        ready.extend(children.get(piece, ()))
    return now


def recorded_speed(directory: Path, env_id: str, recipe: Recipe) -> Speed | None:
    """The median of the seconds a step in a folder's manifests, None without a comparable one.

    Comparable are experts of the same family and a recipe of the same cost a step.
    """
    found = []
    for path in sorted(directory.glob("*.json")) if directory.is_dir() else ():
        try:
            record = json.loads(path.read_text())
            same = record["env_id"] == env_id and _costs_as_much(record, recipe)
            if record.get("trained_together", 1) > 1:
                continue  # its seconds are its share of a batch's
            if same and record["seconds"] > 0:
                found.append(record["seconds"] / record["steps"])
        except (ValueError, KeyError, TypeError, ZeroDivisionError):
            continue  # not a trained expert: a build would complain, an estimate needs one less
    if not found:
        return None
    experts = "expert" if len(found) == 1 else "experts"
    return Speed(
        seconds_per_step=median(found),
        source=f"recorded with {len(found)} {experts} in {directory}",
    )


def measured_speed(
    family: Family,
    context: Context,
    *,
    reward: str,
    recipe: Recipe,
    seconds: float = MEASURED_SECONDS,
) -> Speed:
    """Trains for some seconds on one thread of this machine, and throws the result away.

    Args:
        family: the family.
        context: any of the build's.
        reward: meaning of the reward.
        recipe: of the experts.
        seconds: to time, after a first update that warms up.
    """
    import torch

    from experts.training import train

    on_policy = recipe.algorithm == "ppo"
    cycle = recipe.n_envs * (recipe.rollout_steps if on_policy else OFF_POLICY_CYCLE)
    warm_up = 0 if on_policy else 2 * recipe.batch_size
    # `train` reports every hundredth of its steps: here once a cycle, at the same point of each.
    short = replace(
        recipe,
        total_steps=MEASURED_CYCLES * cycle + warm_up,
        learning_starts=min(recipe.learning_starts, recipe.batch_size),
    )
    marks: list[tuple[int, float]] = []

    def on_steps(steps: int) -> None:
        if steps <= (cycle if on_policy else warm_up):
            return
        marks.append((steps, time.perf_counter()))
        if marks[-1][1] - marks[0][1] >= seconds:
            raise _Enough

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    began = time.perf_counter()
    try:
        train(family, context, reward=reward, recipe=short, seed=0, on_steps=on_steps)
    except _Enough:
        pass
    finally:
        torch.set_num_threads(n_threads)
    if len(marks) < 2:  # a recipe of so few steps that there is nothing to look at in between
        marks = [(0, began), (short.total_steps, time.perf_counter())]
    took = marks[-1][1] - marks[0][1]
    return Speed(
        seconds_per_step=took / (marks[-1][0] - marks[0][0]),
        source=f"measured for {took:.0f} s on one core of this machine, as busy as it is now",
    )


class _Enough(Exception):
    """The measurement is over."""


def _costs_as_much(record: dict[str, object], recipe: Recipe) -> bool:
    hyperparameters = record["hyperparameters"]
    assert isinstance(hyperparameters, dict)
    for name in _DECIDE_SPEED:
        value = getattr(recipe, name)
        plain = list(value) if isinstance(value, tuple) else value
        # A manifest from before there was such a setting counts as one with the same.
        if hyperparameters.get(name, plain) != plain:
            return False
    return True
