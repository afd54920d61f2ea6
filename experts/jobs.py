"""Training many experts at once, parents before children; what is finished stays finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from experts.engines import Engine, Failed, Finished, LocalEngine, Pool, Reported
from experts.legacies import Legacies
from experts.recipes import Recipe
from experts.store import expert_name, load_expert, read_manifest, save_expert, write_atomically
from experts.workers import Trained, Training, prepare_training
from param_envs import Context, Family

if TYPE_CHECKING:
    from experts.offpolicy import CheckpointSchedule  # imports torch

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


def unfinished(jobs: Sequence[Job], directory: Path) -> list[Job]:
    """The jobs whose expert `directory` does not have yet, in order."""
    return [job for job in jobs if not manifest_path(directory, job.context).exists()]


def steps_of(job: Job, recipe: Recipe) -> int:
    """Environment steps that a job takes."""
    return recipe.total_steps if job.warm_from is None else recipe.warm_steps


def run_jobs(
    jobs: Sequence[Job],
    family: Family,
    *,
    reward: str,
    recipe: Recipe,
    directory: Path,
    workers: int | None = None,
    engine: Engine | None = None,
    checkpoints: CheckpointSchedule | None = None,
    chained: bool = False,
    on_progress: Callable[[BuildProgress], None] | None = None,
) -> None:
    """Trains the experts of `jobs` that `directory` does not have yet.

    This process alone reads and writes `directory`: an expert to start from travels to the worker,
    and a trained one back.

    Args:
        jobs: parents before children.
        family: the family.
        reward: meaning of the reward.
        recipe: algorithm and hyperparameters.
        directory: where experts are written, each as soon as it is done.
        workers: experts at once, each on one thread; None for the engine's own number.
        engine: where they are trained, processes of this machine by default.
        checkpoints: which policies along the trainings are kept, and where; TD3 and SAC only.
        chained: whether what trainings leave is handed on, where the recipe says how much.
        on_progress: called about twice a second.

    Raises:
        ValueError: for a number of workers below 1, two jobs of one context, checkpoints with a
            recipe of PPO, or experts there of another family, reward, discount or context.
        BuildError: at the end, if experts failed; names them and why.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"`workers` must be at least 1, got {workers}")
    names = [expert_name(job.context) for job in jobs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"`jobs` must have distinct contexts, twice there are {twice}")
    if recipe.algorithm == "ppo" and checkpoints is not None:
        raise ValueError(f"`checkpoints` need a recipe of TD3 or SAC, got {recipe.name!r}")
    _discard_torn_writes(directory)
    contexts = [job.context for job in jobs]
    check_kept(directory, family, contexts, reward=reward, recipe=recipe)
    board = _Board(
        jobs=list(jobs),
        directory=directory,
        recipe=recipe,
        checkpoints=None if checkpoints is None else checkpoints.directory,
        legacies=_legacies(jobs, family, directory) if chained and recipe.handed_on else None,
    )
    if not board.todo:
        board.report(on_progress)
        return
    prepare = partial(prepare_training, family.env_id, reward, recipe, checkpoints)
    with (engine or LocalEngine()).open(prepare, workers=workers) as pool:
        while board.pending or board.submitted:
            board.submit_ready(pool)
            for event in pool.events(POLL_SECONDS) if board.submitted else ():
                if isinstance(event, Reported):
                    board.steps[str(event.key)] = int(event.value)
                else:
                    board.finish(event)
            board.report(on_progress)
    if board.errors:
        lines = "; ".join(f"{name}: {error}" for name, error in board.errors.items())
        raise BuildError(f"{len(board.errors)} of {len(jobs)} experts failed: {lines}")


@dataclass
class _Board:
    jobs: list[Job]
    directory: Path
    recipe: Recipe
    legacies: Legacies | None = None
    checkpoints: Path | None = None
    todo: list[Job] = field(init=False)
    pending: list[Job] = field(init=False)
    submitted: dict[str, Job] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    done: int = 0
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.todo = unfinished(self.jobs, self.directory)
        self.pending = list(self.todo)

    def submit_ready(self, pool: Pool) -> None:
        """Submits the jobs that can start; those whose parent failed fail too."""
        waiting = []
        coming = {
            manifest_path(self.directory, job.context)
            for job in (*self.pending, *self.submitted.values())
        }
        for job in self.pending:
            name = expert_name(job.context)
            if job.warm_from is not None and not job.warm_from.exists():
                if job.warm_from.stem in self.errors:
                    self.errors[name] = f"{job.warm_from.stem} failed"
                elif job.warm_from in coming:
                    waiting.append(job)
                else:
                    self.errors[name] = f"{job.warm_from} is absent"
                continue
            try:
                training = Training(
                    context=job.context,
                    seed=job.seed,
                    parent=None if job.warm_from is None else load_expert(job.warm_from),
                    legacy=None if self.legacies is None else self.legacies.of(job.context),
                    hands_on=self.legacies is not None,
                )
            except ValueError as error:
                self.errors[name] = f"ValueError: {error}"
                continue
            self.submitted[name] = job
            pool.submit(name, training)
        self.pending = waiting

    def finish(self, event: Finished | Failed) -> None:
        """Writes a finished expert and counts it, or keeps its error."""
        name = str(event.key)
        job = self.submitted.pop(name)
        self.steps[name] = steps_of(job, self.recipe)
        if isinstance(event, Failed):
            self.errors[name] = event.error
            return
        trained: Trained = event.result
        try:
            if self.checkpoints is not None and trained.checkpoints is not None:
                from experts.offpolicy.checkpoints import checkpoint_path  # imports torch

                self.checkpoints.mkdir(parents=True, exist_ok=True)
                path = checkpoint_path(self.checkpoints, job.context)
                write_atomically(path, trained.checkpoints)
            if self.legacies is not None and trained.legacy is not None:
                manifest = manifest_path(self.directory, job.context)
                self.legacies.keep(manifest, trained.legacy)
            save_expert(trained.expert, self.directory)  # last: the job is done when this is there
            if self.legacies is not None:
                self.legacies.settle(job.context)
        except OSError as error:
            self.errors[name] = f"{type(error).__name__}: {error}"
        else:
            self.done += 1

    def report(self, on_progress: Callable[[BuildProgress], None] | None) -> None:
        """Tells `on_progress` where the build stands."""
        if on_progress is None:
            return
        on_progress(
            BuildProgress(
                finished=len(self.jobs) - len(self.todo) + self.done,
                failed=len(self.errors),
                total=len(self.jobs),
                steps_done=sum(self.steps.values()),
                steps_total=sum(steps_of(job, self.recipe) for job in self.todo),
                seconds=time.perf_counter() - self.began,
                running=tuple(name for name in self.submitted if name in self.steps),
            )
        )


def _legacies(jobs: Sequence[Job], family: Family, directory: Path) -> Legacies:
    """What is handed on along the chains of a build, for the experts that are not there yet.

    An expert of another folder that one starts from has the same context.
    """
    known = {manifest_path(directory, job.context): job.context for job in jobs}
    origins = {}
    for job in unfinished(jobs, directory):
        if job.warm_from is None:
            continue
        parent = known.get(job.warm_from, job.context)
        if family.dynamics(parent) == family.dynamics(job.context):
            origins[job.context] = job.warm_from
    return Legacies(directory, origins)


def check_kept(
    directory: Path, family: Family, contexts: Sequence[Context], *, reward: str, recipe: Recipe
) -> None:
    """Checks that experts already in a folder are such as a build would write.

    A build keeps them by their names, and no rollouts can be had of experts that do not go
    together.

    Raises:
        ValueError: if one is of another family, reward, discount or context.
    """
    for context in contexts:
        path = manifest_path(directory, context)
        if not path.exists():
            continue
        record = read_manifest(path)
        for name, has, needs in (
            ("family", record.get("env_id"), family.env_id),
            ("reward", record.get("reward"), reward),
            ("discount", record.get("discount"), recipe.discount),
            ("context", record.get("context"), dict(context)),
        ):
            if has != needs:
                raise ValueError(
                    f"{path} has the {name} {has}, this build {needs}: build into another folder"
                )


def _discard_torn_writes(directory: Path) -> None:
    for part in directory.glob(".*.part"):
        part.unlink(missing_ok=True)
