"""Training a collection: many policies of every task's SAC or TD3, all from one start."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from experts.batched_build import CHECKPOINTS, REPLAY_LIMIT, STATE, check_batched, replay_bytes
from experts.collections import Collection, read_checkpoints
from experts.jobs import check_kept
from experts.offpolicy import CheckpointSchedule, Saving, train_many
from experts.recipes import Recipe
from experts.store import Expert
from experts.validation import require
from param_envs import Context, Family


@dataclass(frozen=True, kw_only=True)
class CollectionPlan:
    """Which policies along a training are kept.

    Attributes:
        first_step: environment steps of an agent before the first.
        every: environment steps of an agent between them.
        n_policies: how many a task.

    Raises:
        ValueError: for a number that makes no sense, named.
    """

    first_step: int
    every: int
    n_policies: int

    def __post_init__(self) -> None:
        require("first_step", self.first_step, self.first_step >= 0, "at least 0")
        for name in ("every", "n_policies"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")

    def total_steps(self, n_envs: int) -> int:
        """Environment steps of an agent until the last policy is there.

        Parallel environments step together, so that each distance is rounded up to their number.
        """
        first, every = (n_envs * math.ceil(n / n_envs) for n in (self.first_step, self.every))
        return max(n_envs, first) + (self.n_policies - 1) * every


PLANS: dict[str, CollectionPlan] = {
    # GenHyper: 500 policies a task, the first after 500,000 steps, then every 500.
    "paper": CollectionPlan(first_step=500_000, every=500, n_policies=500),
    # Fewer, earlier and further apart, so that they differ as much. With sac-laptop returns on
    # Cheetah-Vel still rise until about 200,000. Nothing was measured with it.
    "laptop": CollectionPlan(first_step=200_000, every=1_000, n_policies=50),
}
"""Plans by name."""


def build_collection(
    family: Family,
    contexts: Sequence[Context],
    *,
    reward: str,
    recipe: Recipe,
    plan: CollectionPlan,
    directory: Path,
    seed: int = 0,
    base: Expert | None = None,
    device: torch.device | str = "cpu",
    save_minutes: float = 5.0,
    on_steps: Callable[[int], None] | None = None,
) -> Collection:
    """Trains one agent a context as one batch, and keeps their policies as the plan says.

    All agents begin with the same weights: either those drawn by `seed`, or those of `base`. Tasks
    that begin apart agree on no order of hidden units, and nothing between their weights is a
    policy. Killed and called again with the same arguments, it goes on from the last saved state.

    Args:
        family: the family.
        contexts: the tasks.
        reward: meaning of the reward.
        recipe: of TD3 or SAC; its number of steps gives way to the plan's.
        plan: which policies are kept; its steps are counted from `base`, if there is one.
        directory: the tasks' experts are written there at the end, and the checkpoints into its
            folder `checkpoints`, a file a task.
        seed: of the shared weights, and of everything else.
        base: an expert of any context, of the recipe's layers, from which all agents start.
        device: where networks and replay live.
        save_minutes: between saved states.
        on_steps: called now and then with the environment steps done so far, an agent.

    Raises:
        ValueError: for a recipe of PPO, experts there of another family, reward, discount or
            context, or as `train_many` does.
        FloatingPointError: if an agent's weights are no longer finite.
    """
    check_batched(recipe)
    total = plan.total_steps(recipe.n_envs)
    name = f"{recipe.name}-collection"
    recipe = replace(recipe, name=name, total_steps=total, warm_steps=total)
    directory.mkdir(parents=True, exist_ok=True)
    check_kept(directory, family, contexts, reward=reward, recipe=recipe)
    train_many(
        family,
        contexts,
        reward=reward,
        recipe=recipe,
        seed=[seed] * len(contexts),
        device=device,
        n_threads=torch.get_num_threads(),
        warm_starts=None if base is None else [base] * len(contexts),
        directory=directory,
        checkpoints=CheckpointSchedule(
            directory=directory / CHECKPOINTS, every=plan.every, start=plan.first_step
        ),
        saving=Saving(
            path=directory / STATE,
            minutes=save_minutes,
            with_replay=replay_bytes(family, recipe, len(contexts)) <= REPLAY_LIMIT,
        ),
        on_steps=on_steps,
    )
    return read_checkpoints(
        directory / CHECKPOINTS,
        contexts,
        first_step=plan.first_step,
        n_policies=plan.n_policies,
    )
