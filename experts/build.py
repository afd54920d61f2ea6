"""Building a zoo: every context's expert, independent or chained to its neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experts.assessment import assess
from experts.engines import Engine
from experts.jobs import BuildProgress, Job, manifest_path, run_jobs
from experts.recipes import Recipe
from param_envs import Context, Family

if TYPE_CHECKING:
    from experts.offpolicy import CheckpointSchedule  # imports torch


def plan(
    family: Family,
    contexts: Sequence[Context],
    *,
    directory: Path,
    anchors: Sequence[Mapping[str, float]] = (),
    anchor_zoo: Path | None = None,
    along: Sequence[str] = (),
    leaves: Sequence[Context] = (),
    seed: int = 0,
) -> list[Job]:
    """Orders the contexts of a build, parents before children.

    Without anchors every context is independent. With them, each other context is chained to its
    nearest context that is nearer to an anchor; distances are in encoded contexts, so a chain
    never crosses a sign of speed if each sign has an anchor. With `along`, only these features
    change from parent to child. Nothing is chained to the contexts in `leaves`: those that are
    always held out, whose trainings must not reach what a method learns from.

    Raises:
        ValueError: if an anchor is not among the contexts, is a leaf, or has no expert in
            `anchor_zoo`, for an `anchor_zoo` or `along` without anchors, an unknown feature, or a
            context that no chain of those features leads to.
    """
    family.selected(along)
    for name, value in (("anchor_zoo", anchor_zoo), ("along", along)):
        if value and not anchors:
            raise ValueError(f"`{name}` must come with `anchors`, got {value} alone")
    seeds = {context: seed + i for i, context in enumerate(contexts)}
    if not anchors:
        return [Job(context=context, seed=seeds[context]) for context in contexts]
    jobs = []
    for root in (family.context(**anchor) for anchor in anchors):
        if root not in contexts:
            raise ValueError(f"`anchors` must be contexts of the build, got {root}")
        if root in leaves:
            raise ValueError(f"`anchors` must not be contexts that are always held out, got {root}")
        origin = None if anchor_zoo is None else manifest_path(anchor_zoo, root)
        if origin is not None and not origin.exists():
            raise ValueError(f"`anchor_zoo` must have {origin}, it is absent")
        jobs.append(Job(context=root, seed=seeds[root], warm_from=origin))
    encoded = dict(zip(contexts, family.encode(contexts), strict=True))

    def distance(a: Context, b: Context) -> float:
        if along and any(a[name] != b[name] for name in a if name not in along):
            return math.inf
        return float(((encoded[a] - encoded[b]) ** 2).sum())

    planned = [job.context for job in jobs]
    waiting = [context for context in contexts if context not in planned]
    while waiting:
        pairs = (
            (distance(child, parent), child, parent) for child in waiting for parent in planned
        )
        apart, child, parent = min(pairs, key=lambda pair: pair[0])
        if apart == math.inf:
            raise ValueError(
                f"`anchors` must lead to every context along {list(along)}, none leads to {child}"
            )
        origin = manifest_path(directory, parent)
        jobs.append(Job(context=child, seed=seeds[child], warm_from=origin))
        if child not in leaves:
            planned.append(child)
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
    along: Sequence[str] = (),
    leaves: Sequence[Context] = (),
    workers: int | None = None,
    engine: Engine | None = None,
    checkpoints: CheckpointSchedule | None = None,
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
        along: features that a chain may change, all by default. A joint grid chains best along the
            body, from anchors that have every speed.
        leaves: contexts to which nothing is chained.
        workers: experts at once, each on one thread; None for the engine's own number, which is 2
            on this machine.
        engine: where they are trained, see `engine_named`; processes of this machine by default.
        checkpoints: which policies along the trainings are kept, and where; TD3 and SAC only.
        seed: of the build; expert i trains with seed + i.
        on_progress: called about twice a second.

    Raises:
        ValueError: for a number of workers below 1, checkpoints with PPO, or as in `plan`.
        BuildError: at the end, if experts failed; names them and why.
    """
    jobs = plan(
        family,
        contexts,
        directory=directory,
        anchors=anchors,
        anchor_zoo=anchor_zoo,
        along=along,
        leaves=leaves,
        seed=seed,
    )
    run_jobs(
        jobs,
        family,
        reward=reward,
        recipe=recipe,
        directory=directory,
        workers=workers,
        engine=engine,
        checkpoints=checkpoints,
        chained=bool(anchors),
        on_progress=on_progress,
    )
    assess(directory)
