"""Training many experts on several processes; what is finished stays finished."""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experts.recipes import Recipe
from experts.store import expert_name, load_expert, save_expert
from param_envs import Context, Family

POLL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class BuildProgress:
    """Where a build stands.

    Attributes:
        finished: experts on disk.
        failed: experts whose training raised.
        total: experts asked for.
        steps_done: environment steps of this run, over all experts.
        steps_total: environment steps that this run has to do.
        seconds: since this run began.
        running: names of the experts in training.
    """

    finished: int
    failed: int
    total: int
    steps_done: int
    steps_total: int
    seconds: float
    running: tuple[str, ...]

    @property
    def remaining_seconds(self) -> float | None:
        """Estimated from the rate so far; None until there is one."""
        if self.steps_done == 0:
            return None
        left = max(0, self.steps_total - self.steps_done)
        return self.seconds * left / self.steps_done


class BuildError(RuntimeError):
    """Some experts failed; the others are on disk."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One expert to train.

    Attributes:
        context: of the expert.
        seed: of its training.
        warm_from: manifest of the expert that it starts from, which may be one that another job is
            yet to write; None to train from scratch.
    """

    context: Context
    seed: int
    warm_from: Path | None = None


def manifest_path(directory: Path, context: Context) -> Path:
    """Where the manifest of a context's expert stands, or will."""
    return directory / f"{expert_name(context)}.json"


def run_jobs(
    jobs: Sequence[Job],
    family: Family,
    *,
    reward: str,
    recipe: Recipe,
    directory: Path,
    workers: int,
    on_progress: Callable[[BuildProgress], None] | None = None,
) -> None:
    """Trains the experts of `jobs` that `directory` does not have yet.

    Args:
        jobs: parents before children.
        family: the family.
        reward: meaning of the reward.
        recipe: algorithm and hyperparameters.
        directory: where experts are written, each as soon as it is done.
        workers: processes, each on one thread.
        on_progress: called about twice a second.

    Raises:
        ValueError: for a number of workers below 1, or warm starts with a recipe that has none.
        BuildError: at the end, if experts failed; names them and why.
    """
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1, got {workers}")
    if recipe.algorithm != "ppo" and any(job.warm_from is not None for job in jobs):
        raise ValueError(f"warm starts need a PPO recipe, got {recipe.name!r}")
    _discard_torn_writes(directory)
    todo = [job for job in jobs if not manifest_path(directory, job.context).exists()]
    board = _Board(jobs=list(jobs), todo=todo, recipe=recipe)
    if not todo:
        board.report(on_progress)
        return
    spawn = multiprocessing.get_context("spawn")
    steps: Any = spawn.Queue()
    with ProcessPoolExecutor(
        min(workers, len(todo)), mp_context=spawn, initializer=_start_worker, initargs=(steps,)
    ) as pool:
        try:
            while board.pending or board.futures:
                for job in board.ready():
                    arguments = (family.env_id, job, reward, recipe, directory)
                    board.futures[pool.submit(_train_one, *arguments)] = job
                done, _ = wait(board.futures, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                _drain(steps, board.steps)
                for future in done:
                    board.finish(future)
                board.report(on_progress)
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if board.errors:
        lines = "; ".join(f"{name}: {error}" for name, error in board.errors.items())
        raise BuildError(f"{len(board.errors)} of {len(jobs)} experts failed: {lines}")


@dataclass
class _Board:
    jobs: list[Job]
    todo: list[Job]
    recipe: Recipe
    pending: list[Job] = field(init=False)
    futures: dict[Future[None], Job] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    done: int = 0
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.pending = list(self.todo)

    def ready(self) -> list[Job]:
        """Takes the jobs that can start; those whose parent failed fail too."""
        ready, waiting = [], []
        for job in self.pending:
            if job.warm_from is None or job.warm_from.exists():
                ready.append(job)
            elif job.warm_from.stem in self.errors:
                self.errors[expert_name(job.context)] = f"{job.warm_from.stem} failed"
            else:
                waiting.append(job)
        self.pending = waiting
        return ready

    def finish(self, future: Future[None]) -> None:
        """Counts a finished job, or keeps its error."""
        job = self.futures.pop(future)
        name = expert_name(job.context)
        self.steps[name] = self._planned(job)
        error = future.exception()
        if error is None:
            self.done += 1
        else:
            self.errors[name] = f"{type(error).__name__}: {error}"

    def _planned(self, job: Job) -> int:
        return self.recipe.total_steps if job.warm_from is None else self.recipe.warm_steps

    def report(self, on_progress: Callable[[BuildProgress], None] | None) -> None:
        """Tells `on_progress` where the build stands."""
        if on_progress is None:
            return
        running = [expert_name(job.context) for job in self.futures.values()]
        on_progress(
            BuildProgress(
                finished=len(self.jobs) - len(self.todo) + self.done,
                failed=len(self.errors),
                total=len(self.jobs),
                steps_done=sum(self.steps.values()),
                steps_total=sum(self._planned(job) for job in self.todo),
                seconds=time.perf_counter() - self.began,
                running=tuple(name for name in running if name in self.steps),
            )
        )


_STEPS: Any = None


def _start_worker(steps: Any) -> None:
    global _STEPS
    _STEPS = steps
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    import torch

    torch.set_num_threads(1)


def _leave_with(parent: int) -> None:
    """Ends this worker soon after the build was killed, in training or idle."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


def _train_one(env_id: str, job: Job, reward: str, recipe: Recipe, directory: Path) -> None:
    from experts.training import train
    from param_envs import family_of

    name = expert_name(job.context)

    def report(steps: int) -> None:
        _STEPS.put((name, steps))

    report(0)
    expert = train(
        family_of(env_id),
        job.context,
        reward=reward,
        recipe=recipe,
        seed=job.seed,
        warm_start=None if job.warm_from is None else load_expert(job.warm_from),
        on_steps=report,
    )
    save_expert(expert, directory)


def _discard_torn_writes(directory: Path) -> None:
    for part in directory.glob(".*.part"):
        part.unlink(missing_ok=True)


def _drain(steps: Any, into: dict[str, int]) -> None:
    while True:
        try:
            name, count = steps.get_nowait()
        except queue.Empty:
            return
        into[name] = count
