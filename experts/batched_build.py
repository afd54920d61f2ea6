"""Building a zoo with TD3 or SAC in one process: many contexts' agents train as one batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from experts.assessment import assess
from experts.build import plan
from experts.jobs import BuildError, BuildProgress, Job, check_kept, unfinished
from experts.offpolicy import CheckpointSchedule, Saving, train_many
from experts.offpolicy.state import load_facts
from experts.recipes import RECIPES, Recipe
from experts.store import expert_name
from experts.validation import require
from param_envs import Context, Family

DEVICES = ("auto", "cpu", "cuda")
CHECKPOINTS = "checkpoints"
"""Folder within the experts', so that nothing in it is taken for an expert."""
STATE = ".batch.safetensors"
"""The batch in training, within the experts' folder; hidden, and gone when the batch is done."""
SAVE_MINUTES = 5.0
REPLAY_LIMIT = 256 * 2**20
"""Bytes up to which a batch's replay is saved with its state: a second's writing or two."""


@dataclass(frozen=True, kw_only=True)
class Batching:
    """How a batched build trains.

    Attributes:
        batch_size: agents at once at most; None for all that are missing.
        device: `cpu`, `cuda`, or `auto` for a GPU where there is one.
        checkpoint_every: environment steps of an agent between the policies that are kept along its
            training; None to keep none.
        checkpoint_from: environment steps before the first of them.
        checkpoint_last: only so many are kept, those of the end; None for all.
        same_start: all networks begin with the same weights, so that what lies between the weights
            of two agents has a meaning: for methods in weight space.
        save_minutes: between saved states: what a kill loses at most.

    Raises:
        ValueError: for a number or device that makes no sense, named.
    """

    batch_size: int | None = None
    device: str = "auto"
    checkpoint_every: int | None = None
    checkpoint_from: int = 0
    checkpoint_last: int | None = None
    same_start: bool = False
    save_minutes: float = SAVE_MINUTES

    def __post_init__(self) -> None:
        size = self.batch_size
        require("batch_size", size, size is None or size >= 1, "at least 1")
        require("device", self.device, self.device in DEVICES, f"one of {', '.join(DEVICES)}")
        self.checkpoints(Path())  # says what is wrong with it
        require("save_minutes", self.save_minutes, self.save_minutes >= 0.0, "at least 0")

    def chosen_device(self) -> torch.device:
        """Where networks and replay live.

        Raises:
            ValueError: for a GPU that is not there.
        """
        there = torch.cuda.is_available()
        if self.device == "cuda" and not there:
            raise ValueError("`device` must be cpu or auto, no CUDA device was found, got 'cuda'")
        return torch.device("cuda" if there and self.device != "cpu" else "cpu")

    def checkpoints(self, directory: Path) -> CheckpointSchedule | None:
        """Which policies are kept along a training of experts in `directory`; None for none."""
        return checkpoints_in(
            directory, self.checkpoint_every, self.checkpoint_from, self.checkpoint_last
        )


def checkpoints_in(
    directory: Path, every: int | None, start: int = 0, last: int | None = None
) -> CheckpointSchedule | None:
    """Which policies are kept along the trainings of experts in `directory`; None for none.

    Args:
        directory: of the experts; the policies are written into its folder `checkpoints`.
        every: environment steps of an agent between the policies; None to keep none.
        start: environment steps before the first of them.
        last: only so many are kept, those of the end; None for all.

    Raises:
        ValueError: for a number that makes no sense, or `start` or `last` without `every`.
    """
    require("checkpoint_every", every, every is None or every >= 1, "at least 1")
    require("checkpoint_from", start, start >= 0, "at least 0")
    require("checkpoint_last", last, last is None or last >= 1, "at least 1")
    if every is None:
        for name, value in (("checkpoint_from", start), ("checkpoint_last", last)):
            if value:
                raise ValueError(f"`{name}` must come with `checkpoint_every`")
        return None
    return CheckpointSchedule(
        directory=directory / CHECKPOINTS, every=every, start=start, last=last
    )


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Agents that train together.

    Attributes:
        jobs: one an agent.
        steps_done: environment steps of each that a saved state has.
    """

    jobs: tuple[Job, ...]
    steps_done: int = 0

    @property
    def contexts(self) -> list[Context]:
        """One an agent."""
        return [job.context for job in self.jobs]


def check_batched(recipe: Recipe) -> None:
    """Raises ValueError for a recipe that is not of TD3 or SAC, naming those that are."""
    if recipe.algorithm == "ppo":
        fitting = sorted(name for name, r in RECIPES.items() if r.base.algorithm != "ppo")
        raise ValueError(
            f"`recipe` must be of TD3 or SAC for a batched build, one of {fitting}, "
            f"got {recipe.name!r}"
        )


def plan_batches(jobs: Sequence[Job], directory: Path, batch_size: int | None) -> list[Batch]:
    """The batches that a build trains: an interrupted one first, as it was, then what is missing.

    Args:
        jobs: all of the build's.
        directory: of the experts.
        batch_size: agents at once at most, None for all.

    Raises:
        ValueError: if the interrupted batch has a context that the build does not, or its state is
            damaged.
    """
    batches = []
    left = unfinished(jobs, directory)
    begun = _interrupted(jobs, directory)
    # Experts may be there that were written last, just before a kill, or by another build since.
    if begun is not None and any(job in left for job in begun.jobs):
        batches.append(begun)
        left = [job for job in left if job not in begun.jobs]
    size = batch_size or max(1, len(left))
    for first in range(0, len(left), size):
        batches.append(Batch(jobs=tuple(left[first : first + size])))
    return batches


def build_batched(
    family: Family,
    contexts: Sequence[Context],
    *,
    reward: str,
    recipe: Recipe,
    directory: Path,
    batching: Batching,
    seed: int = 0,
    on_progress: Callable[[BuildProgress], None] | None = None,
) -> None:
    """Trains the experts that `directory` does not have yet, in one process, batch by batch.

    Killed at any moment and called again, it loses what was trained since the state was last saved.
    An agent's exploration and minibatches are drawn together with those of the others in its batch:
    the same context in another batch gives another expert. If the weights of one agent are no
    longer finite, its batch fails; the other batches are trained.

    Where the replay of a batch is larger than `REPLAY_LIMIT`, the state is saved without it. A
    training that is resumed from such a state collects `recipe.learning_starts` transitions by its
    present policies before it learns again, and does not make up for these updates.

    Args:
        family: the family.
        contexts: one expert each.
        reward: meaning of the reward.
        recipe: of TD3 or SAC; the manifests' has `-batched` after its name.
        directory: where experts are written, as soon as their batch is done.
        batching: how many at once, and where.
        seed: of the build; agent i's networks begin as those of seed + i, or all as those of seed
            with `batching.same_start`.
        on_progress: called a hundred times a batch.

    Raises:
        ValueError: for a recipe of PPO, a device that is not there, experts there of another
            family, reward, discount or context, or the saved state of a batch that is not one of
            this build's.
        BuildError: at the end, if batches failed; names their contexts and why.
    """
    check_batched(recipe)
    device = batching.chosen_device()
    jobs = plan(family, contexts, directory=directory, seed=seed)
    check_kept(directory, family, contexts, reward=reward, recipe=recipe)
    batches = plan_batches(jobs, directory, batching.batch_size)
    _discard_leftovers(directory, batches)
    tally = _Tally(jobs=jobs, batches=batches, directory=directory, recipe=recipe)
    tally.report(on_progress)
    for batch in batches:
        tally.begin(batch)
        path = directory / STATE
        try:
            train_many(
                family,
                batch.contexts,
                reward=reward,
                recipe=replace(recipe, name=f"{recipe.name}-batched"),
                seed=[seed if batching.same_start else job.seed for job in batch.jobs],
                device=device,
                n_threads=torch.get_num_threads(),
                directory=directory,
                checkpoints=batching.checkpoints(directory),
                saving=Saving(
                    path=path,
                    minutes=batching.save_minutes,
                    with_replay=replay_bytes(family, recipe, len(batch.jobs)) <= REPLAY_LIMIT,
                ),
                on_steps=lambda steps: tally.tell(steps, on_progress),
            )
        except FloatingPointError as error:
            path.unlink(missing_ok=True)  # it would only fail again
            tally.errors[batch] = str(error)
        tally.end(batch)
        tally.report(on_progress)
    assess(directory)
    if tally.errors:
        lines = "; ".join(
            f"{', '.join(_names(batch))}: {error}" for batch, error in tally.errors.items()
        )
        raise BuildError(f"{tally.failed} of {len(jobs)} experts failed: {lines}")


def replay_bytes(family: Family, recipe: Recipe, n_agents: int) -> int:
    """Memory of a batch's replay when it is full."""
    width = 2 * family.observation_size + family.action_size + 2
    return 4 * n_agents * width * min(recipe.buffer_size, recipe.total_steps + recipe.n_envs)


class _Tally:
    """Where a build stands."""

    def __init__(
        self, *, jobs: Sequence[Job], batches: Sequence[Batch], directory: Path, recipe: Recipe
    ) -> None:
        self.errors: dict[Batch, str] = {}
        self._jobs = jobs
        self._directory = directory
        self._length = recipe.total_steps
        self._to_do = sum(self._steps_of(batch) for batch in batches)
        self._before = 0
        self._batch: Batch | None = None
        self._here = 0
        self._began = time.perf_counter()

    @property
    def failed(self) -> int:
        """Experts of batches that failed."""
        return sum(len(batch.jobs) for batch in self.errors)

    def begin(self, batch: Batch) -> None:
        self._batch, self._here = batch, 0

    def tell(self, steps: int, on_progress: Callable[[BuildProgress], None] | None) -> None:
        assert self._batch is not None
        done = min(steps, self._length) - self._batch.steps_done
        self._here = len(self._batch.jobs) * max(0, done)
        self.report(on_progress)

    def end(self, batch: Batch) -> None:
        self._before += self._steps_of(batch)
        self._batch, self._here = None, 0

    def report(self, on_progress: Callable[[BuildProgress], None] | None) -> None:
        if on_progress is None:
            return
        on_progress(
            BuildProgress(
                finished=len(self._jobs) - len(unfinished(self._jobs, self._directory)),
                failed=self.failed,
                total=len(self._jobs),
                steps_done=self._before + self._here,
                steps_total=self._to_do,
                seconds=time.perf_counter() - self._began,
                running=() if self._batch is None else tuple(_names(self._batch)),
            )
        )

    def _steps_of(self, batch: Batch) -> int:
        return len(batch.jobs) * max(0, self._length - batch.steps_done)


def _interrupted(jobs: Sequence[Job], directory: Path) -> Batch | None:
    path = directory / STATE
    if not path.exists():
        return None
    facts = load_facts(path)
    by_context = {tuple(sorted(job.context.items())): job for job in jobs}
    found = []
    for agent in facts["identity"]["agents"]:
        job = by_context.get(tuple(sorted(agent["context"].items())))
        if job is None:
            raise ValueError(
                f"{path}: the interrupted batch trains {expert_name(agent['context'])}, which is "
                "not among the contexts to build; build it too, or remove the file to give it up"
            )
        found.append(job)
    return Batch(jobs=tuple(found), steps_done=int(facts["steps"]))


def _discard_leftovers(directory: Path, batches: Sequence[Batch]) -> None:
    """Removes torn writes, and a state whose experts are all there."""
    for part in (*directory.glob(".*.part"), *(directory / CHECKPOINTS).glob(".*.part")):
        part.unlink(missing_ok=True)
    if not batches or not batches[0].steps_done:
        (directory / STATE).unlink(missing_ok=True)


def _names(batch: Batch) -> list[str]:
    return [expert_name(job.context) for job in batch.jobs]
