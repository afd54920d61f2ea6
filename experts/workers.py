"""What a worker does: train one expert, in whatever process it is called."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from experts.engines import Perform, Report
from experts.recipes import Recipe
from experts.store import Expert
from param_envs import Context, Family, family_of

if TYPE_CHECKING:
    from experts.offpolicy import CheckpointSchedule  # imports torch
    from experts.offpolicy.legacy import Legacy

NEVER = 10**9
"""Checkpoints between writes, where one write at the end will do."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Training:
    """One expert to train, with all that a worker needs to know of it.

    Attributes:
        context: of the expert.
        seed: of its training.
        parent: the expert that it starts from; None to train from scratch.
        legacy: what the parent's training left, in the same body; None where that is not known.
        hands_on: whether what its own training leaves is to come back.
    """

    context: Context
    seed: int
    parent: Expert | None = None
    legacy: Legacy | None = None
    hands_on: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Trained:
    """What a training gives.

    Attributes:
        expert: the expert.
        checkpoints: content of the file of policies along its training; None if none were kept.
        legacy: what the training left; None if that was not to come back.
    """

    expert: Expert
    checkpoints: bytes | None = None
    legacy: Legacy | None = None


def prepare_training(
    env_id: str, reward: str, recipe: Recipe, checkpoints: CheckpointSchedule | None = None
) -> Perform:
    """What performs a `Training` in the process that calls this.

    SB3 trains; but TD3 and SAC with a warm start, or whose policies or legacy are kept, are trained
    by `train_many`, as one agent.
    """
    import torch

    from experts.training import train

    torch.set_num_threads(1)
    family = family_of(env_id)

    def perform(training: Training, report: Report) -> Trained:
        report(0)
        kept = checkpoints is not None or training.hands_on
        if recipe.algorithm != "ppo" and (training.parent is not None or kept):
            return _train_alone(family, reward, recipe, checkpoints, training, report)
        return Trained(
            expert=train(
                family,
                training.context,
                reward=reward,
                recipe=recipe,
                seed=training.seed,
                warm_start=training.parent,
                on_steps=report,
            )
        )

    return perform


def _train_alone(
    family: Family,
    reward: str,
    recipe: Recipe,
    checkpoints: CheckpointSchedule | None,
    training: Training,
    report: Report,
) -> Trained:
    from experts.offpolicy import train_many
    from experts.offpolicy.checkpoints import checkpoint_path

    left: list[Legacy] = []
    with tempfile.TemporaryDirectory() as folder:
        here = None
        if checkpoints is not None:
            here = replace(checkpoints, directory=Path(folder), flush_every=NEVER)
        (expert,) = train_many(
            family,
            [training.context],
            reward=reward,
            recipe=recipe,
            seed=training.seed,
            n_threads=1,
            warm_starts=None if training.parent is None else [training.parent],
            legacy=training.legacy,
            on_legacy=left.append if training.hands_on else None,
            checkpoints=here,
            on_steps=report,
        )
        path = checkpoint_path(Path(folder), training.context)
        return Trained(
            expert=expert,
            checkpoints=path.read_bytes() if path.exists() else None,
            legacy=left[0] if left else None,
        )
