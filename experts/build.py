"""Building a zoo: every context's expert, on several processes, resumable at any moment."""

from __future__ import annotations

import multiprocessing
import os
import queue
import time
from collections.abc import Callable, Mapping, Sequence
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
        warm_from: the context whose finished expert it starts from, or None.
    """

    context: Context
    warm_from: Context | None = None


def plan(
    family: Family,
    contexts: Sequence[Context],
    *,
    anchors: Sequence[Mapping[str, float]] = (),
) -> list[Job]:
    """Orders the contexts of a build, parents before children.

    Without anchors every context is independent. With them, each other context is chained to its
    nearest context that is nearer to an anchor; distances are in encoded contexts, so a chain
    never crosses a sign of speed if each sign has an anchor.

    Raises:
        ValueError: if an anchor is not among the contexts.
    """
    if not anchors:
        return [Job(context=context) for context in contexts]
    roots = [family.context(**anchor) for anchor in anchors]
    for root in roots:
        if root not in contexts:
            raise ValueError(f"`anchors` must be contexts of the build, got {root}")
    encoded = dict(zip(contexts, family.encode(contexts), strict=True))

    def distance(a: Context, b: Context) -> float:
        return float(((encoded[a] - encoded[b]) ** 2).sum())

    jobs = [Job(context=root) for root in roots]
    waiting = [context for context in contexts if context not in roots]
    while waiting:
        planned = [job.context for job in jobs]
        pairs = (
            (distance(child, parent), child, parent) for child in waiting for parent in planned
        )
        _, child, parent = min(pairs, key=lambda pair: pair[0])
        jobs.append(Job(context=child, warm_from=parent))
        waiting.remove(child)
    return jobs


def build(
    family: Family,
    contexts: Sequence[Context],
    *,
    reward: str,
    recipe: Recipe,
    directory: Path,
    anchors: Sequence[Mapping[str, float]] = (),
    anchor_zoo: Path | None = None,
    workers: int = 2,
    seed: int = 0,
    on_progress: Callable[[BuildProgress], None] | None = None,
) -> None:
    """Trains the experts that `directory` does not have yet.

    Killed at any moment and called again, it redoes at most the experts that were in training. One
    expert's failure does not stop the others.

    Args:
        family: the family.
        contexts: one expert each.
        reward: meaning of the reward.
        recipe: algorithm and hyperparameters.
        directory: where experts are written, each as soon as it is done.
        anchors: contexts trained from scratch; all others are then chained to them by warm starts.
            Without anchors, all are independent.
        anchor_zoo: folder of experts of the same family (of another reward, say) from which the
            anchors are warm-started in their turn, each from the expert of its own context.
        workers: processes, each on one thread.
        seed: of the build; expert i trains with seed + i.
        on_progress: called about twice a second.

    Raises:
        ValueError: for a number of workers below 1, an anchor that is not among the contexts or
            has no expert in `anchor_zoo`, or an `anchor_zoo` without anchors.
        BuildError: at the end, if experts failed; names them and why.
    """
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1, got {workers}")
    jobs = plan(family, contexts, anchors=anchors)
    warm = _warm_manifests(jobs, directory, anchor_zoo)
    _discard_torn_writes(directory)
    seeds = {context: seed + i for i, context in enumerate(contexts)}
    todo = [job for job in jobs if not _is_finished(directory, job.context)]
    board = _Board(jobs=jobs, todo=todo, recipe=recipe, warm=warm)
    if not todo:
        board.report(on_progress)
        return
    spawn = multiprocessing.get_context("spawn")
    steps: Any = spawn.Queue()
    with ProcessPoolExecutor(
        min(workers, len(todo)), mp_context=spawn, initializer=_start_worker, initargs=(steps,)
    ) as pool:
        try:
            _run(pool, board, steps, family, reward, recipe, directory, seeds, on_progress)
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if board.errors:
        lines = "; ".join(f"{name}: {error}" for name, error in board.errors.items())
        raise BuildError(f"{len(board.errors)} of {len(jobs)} experts failed: {lines}")


def _run(
    pool: ProcessPoolExecutor,
    board: _Board,
    steps: Any,
    family: Family,
    reward: str,
    recipe: Recipe,
    directory: Path,
    seeds: Mapping[Context, int],
    on_progress: Callable[[BuildProgress], None] | None,
) -> None:
    while board.pending or board.futures:
        for job in board.ready(directory):
            arguments = (family.env_id, job.context, reward, recipe, directory)
            warm = board.warm.get(job.context)
            future = pool.submit(_train_one, *arguments, seeds[job.context], warm)
            board.futures[future] = job
        done, _ = wait(board.futures, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        _drain(steps, board.steps)
        for future in done:
            board.finish(future)
        board.report(on_progress)


@dataclass
class _Board:
    jobs: list[Job]
    todo: list[Job]
    recipe: Recipe
    warm: Mapping[Context, Path]
    pending: list[Job] = field(init=False)
    futures: dict[Future[None], Job] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    done: int = 0
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.pending = list(self.todo)

    def ready(self, directory: Path) -> list[Job]:
        """Takes the jobs that can start; those whose parent failed fail too."""
        ready, waiting = [], []
        for job in self.pending:
            if job.warm_from is None or _is_finished(directory, job.warm_from):
                ready.append(job)
            elif expert_name(job.warm_from) in self.errors:
                self.errors[expert_name(job.context)] = f"{expert_name(job.warm_from)} failed"
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
        return self.recipe.warm_steps if job.context in self.warm else self.recipe.total_steps

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
    import torch

    torch.set_num_threads(1)


def _train_one(
    env_id: str,
    context: Context,
    reward: str,
    recipe: Recipe,
    directory: Path,
    seed: int,
    warm: Path | None,
) -> None:
    from experts.training import train
    from param_envs import family_of

    name, parent = expert_name(context), os.getppid()

    def report(steps: int) -> None:
        if os.getppid() != parent:
            os._exit(1)  # the build was killed; what is in training is redone by the next one
        _STEPS.put((name, steps))

    report(0)
    expert = train(
        family_of(env_id),
        context,
        reward=reward,
        recipe=recipe,
        seed=seed,
        warm_start=None if warm is None else load_expert(warm),
        on_steps=report,
    )
    save_expert(expert, directory)


def _warm_manifests(
    jobs: Sequence[Job], directory: Path, anchor_zoo: Path | None
) -> dict[Context, Path]:
    warm = {job.context: _manifest(directory, job.warm_from) for job in jobs if job.warm_from}
    if anchor_zoo is None:
        return warm
    if not warm:
        raise ValueError(f"`anchor_zoo` must come with `anchors`, got {anchor_zoo} alone")
    for job in jobs:
        if job.warm_from is None:
            warm[job.context] = _manifest(anchor_zoo, job.context)
            if not warm[job.context].exists():
                raise ValueError(f"`anchor_zoo` must have {warm[job.context]}, it is absent")
    return warm


def _discard_torn_writes(directory: Path) -> None:
    for part in directory.glob(".*.part"):
        part.unlink(missing_ok=True)


def _manifest(directory: Path, context: Context) -> Path:
    return directory / f"{expert_name(context)}.json"


def _is_finished(directory: Path, context: Context) -> bool:
    return _manifest(directory, context).exists()


def _drain(steps: Any, into: dict[str, int]) -> None:
    while True:
        try:
            name, count = steps.get_nowait()
        except queue.Empty:
            return
        into[name] = count
