"""Repairing a zoo: an expert that another beats in its own context starts again from that one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from experts.assessment import assess
from experts.jobs import BuildProgress, Job, manifest_path, run_jobs
from experts.policy import MLPPolicies
from experts.recipes import Recipe
from experts.store import load_expert, load_experts, save_expert
from experts.transfer import transfer_matrix
from param_envs import Context

CANDIDATES = ".repair"
"""Folder within the zoo where candidates wait for all others; it makes a repair resumable."""


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """What became of one expert that was beaten.

    Attributes:
        context: of the expert.
        before: its return.
        after: its successor's return; not above `before` if the successor was turned down.
        donor: manifest of the expert that the successor was warm-started from.
    """

    context: Context
    before: float
    after: float
    donor: Path


def repair(
    directory: Path,
    *,
    recipe: Recipe,
    donors: Sequence[Path] = (),
    threshold: float = 0.02,
    n_episodes: int = 3,
    workers: int = 2,
    seed: int = 0,
    on_progress: Callable[[BuildProgress], None] | None = None,
) -> list[Repaired]:
    """One round: retrains every expert that another one beats by more than `threshold`.

    Each starts from the one that beats it, and replaces the old expert only if the evaluation in
    its manifest is better. Killed and called again, it goes on with the candidates already trained.

    Args:
        directory: the zoo.
        recipe: for the retraining; its `warm_steps` count.
        donors: further zoos of the family, of another reward for instance, that may lend an expert.
        threshold: relative to the expert's own return.
        n_episodes: episodes for each entry of the transfer matrix.
        workers: processes, each on one thread.
        seed: of the comparison and of the training.
        on_progress: called about twice a second while experts train.

    Raises:
        ValueError: for a damaged zoo, one of other networks, or a threshold below 0.
        FileNotFoundError: if a zoo has no experts.
        BuildError: if an expert failed to train.
    """
    if threshold < 0.0:
        raise ValueError(f"`threshold` must be at least 0, got {threshold}")
    own = load_experts(directory)
    zoos = [(directory, own), *((path, load_experts(path)) for path in donors)]
    origins = [manifest_path(path, context) for path, zoo in zoos for context in zoo.contexts]
    policies = MLPPolicies.stack([zoo.policies for _, zoo in zoos])
    returns = transfer_matrix(own, policies, n_episodes=n_episodes, seed=seed)
    best = returns.argmax(axis=0)
    jobs = []
    for i, context in enumerate(own.contexts):
        if returns[best[i], i] > returns[i, i] + threshold * abs(returns[i, i]):
            jobs.append(Job(context=context, seed=seed + i, warm_from=origins[best[i]]))
    candidates = directory / CANDIDATES
    run_jobs(
        jobs,
        own.family,
        reward=own.reward,
        recipe=recipe,
        directory=candidates,
        workers=workers,
        on_progress=on_progress,
    )
    said = [_replace(job, directory, candidates) for job in jobs]
    shutil.rmtree(candidates, ignore_errors=True)
    assess(directory)
    return said


def _replace(job: Job, directory: Path, candidates: Path) -> Repaired:
    old = load_expert(manifest_path(directory, job.context))
    new = load_expert(manifest_path(candidates, job.context))
    before = float(old.record["evaluation"]["return_mean"])
    after = float(new.record["evaluation"]["return_mean"])
    if after > before:
        save_expert(new, directory)
    assert job.warm_from is not None
    return Repaired(context=job.context, before=before, after=after, donor=job.warm_from)
