"""Training one agent a context, all at once, with TD3 or SAC."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from experts.offpolicy.agents import experts_of
from experts.offpolicy.checkpoints import CheckpointRecorder, CheckpointSchedule
from experts.offpolicy.legacy import Legacy
from experts.offpolicy.loop import Loop
from experts.offpolicy.state import Saving
from experts.provenance import provenance
from experts.recipes import Recipe
from experts.store import Expert, expert_name, save_expert
from experts.training import CURVE_POINTS, best_step, evaluated, hyperparameters, parentage
from param_envs import Context, Family


def train_many(
    family: Family,
    contexts: Sequence[Context],
    *,
    reward: str,
    recipe: Recipe,
    seed: int | Sequence[int],
    device: torch.device | str = "cpu",
    n_threads: int = 0,
    warm_starts: Sequence[Expert] | None = None,
    legacy: Legacy | None = None,
    on_legacy: Callable[[Legacy], None] | None = None,
    directory: Path | None = None,
    checkpoints: CheckpointSchedule | None = None,
    saving: Saving | None = None,
    on_steps: Callable[[int], None] | None = None,
) -> list[Expert]:
    """Trains, evaluates and exports the experts of K contexts as one batched network.

    Every step of the `recipe.n_envs` parallel environments of all agents goes with
    `recipe.updates_per_step` updates of all agents. The updates are launched first and do not see
    that step yet: so a GPU updates while the processor steps the environments.

    Args:
        family: the family.
        contexts: K contexts, an agent each.
        reward: meaning of the reward.
        recipe: of algorithm `td3` or `sac`; its steps are counted for each agent.
        seed: of everything; agent i's networks begin as those of seed + i. Or a seed an agent, of
            its networks, the first of which is of everything else too.
        device: where networks and replay live.
        n_threads: threads that environments step on, 0 for all cores.
        warm_starts: K experts to start from, of the recipe's layers; training then takes
            `recipe.warm_steps`, and explores by these policies from the first step.
        legacy: with `warm_starts`: what the training of agents with the same bodies left. This one
            goes on where that one ended, with rewards computed anew for `contexts`; the warm starts
            are candidates beside its own policies.
        on_legacy: called at the end with what this training leaves, `recipe.handed_on` transitions
            an agent, and the learner as it was when all kept policies were made; or at the end,
            where these were made at different steps, or were a warm start's.
        directory: where the experts are written at the end, as `experts.save_expert` does. Their
            `seconds` are the batch's, shared out evenly.
        checkpoints: which policies along the training are kept, and where.
        saving: makes the training resumable: called again with the same arguments it goes on from
            the last saved state. Episodes that were running begin anew.
        on_steps: called now and then with the environment steps done so far, an agent. An
            exception that it raises ends the training.

    Raises:
        ValueError: for an algorithm other than TD3 and SAC, no context or one twice, warm starts,
            legacy or seeds that do not fit, policies kept in the experts' folder, or a saved state
            of another training.
        FloatingPointError: if an agent's weights are no longer finite; names its context.
    """
    if not contexts or len({expert_name(context) for context in contexts}) != len(contexts):
        raise ValueError(
            "`contexts` must be at least one, all different in six digits, got "
            f"{[expert_name(context) for context in contexts]}"
        )
    if warm_starts is not None and len(warm_starts) != len(contexts):
        raise ValueError(
            f"`warm_starts` must be one expert a context, {len(contexts)}, got {len(warm_starts)}"
        )
    seeds = [seed + i for i in range(len(contexts))] if isinstance(seed, int) else list(seed)
    if len(seeds) != len(contexts):
        raise ValueError(f"`seed` must be one, or one a context, {len(contexts)}, got {seed}")
    if checkpoints is not None and checkpoints.directory == directory:
        raise ValueError(f"`checkpoints.directory` must not be the experts' own, got {directory}")
    if legacy is not None and legacy.n_agents != len(warm_starts or ()):
        raise ValueError(
            f"`legacy` must come with as many `warm_starts`, {legacy.n_agents}, "
            f"got {len(warm_starts or ())}"
        )
    records = manifests(family, contexts, reward, recipe, seeds, warm_starts, legacy)
    loop = Loop(
        family,
        contexts,
        reward=reward,
        recipe=recipe,
        seeds=seeds,
        device=torch.device(device),
        n_threads=n_threads,
        warm_starts=warm_starts,
        legacy=legacy,
        keep_outcomes=on_legacy is not None,
        identity={"agents": records},
        recorder=None if checkpoints is None else CheckpointRecorder(checkpoints, records),
        saving=saving,
    )
    loop.run(on_steps)
    told = {
        "steps": loop.steps,
        "updates": loop.learner.n_updates,
        "trained_together": len(contexts),
        "seconds": round(loop.seconds / len(contexts), 1),
        "device": loop.learner.device.type,
        **provenance(),
    }
    experts, steps = [], set()
    for candidates, record, curve in zip(
        candidates_of(loop, records), records, loop.curves, strict=True
    ):
        context = family.context(**record["context"])
        kept = best_step(candidates, family, context, reward)
        steps.add(kept)
        full = {**candidates[kept].record, **told, "kept_from_step": kept}
        experts.append(
            evaluated(replace(candidates[kept], record={**full, "curve": curve[-CURVE_POINTS:]}))
        )
    if on_legacy is not None:
        on_legacy(loop.legacy(recipe.handed_on, steps.pop() if len(steps) == 1 else loop.steps))
    if directory is not None:
        for expert in experts:
            save_expert(expert, directory)
    if saving is not None:
        saving.path.unlink(missing_ok=True)
    return experts


def manifests(
    family: Family,
    contexts: Sequence[Context],
    reward: str,
    recipe: Recipe,
    seeds: Sequence[int],
    parents: Sequence[Expert] | None,
    legacy: Legacy | None,
) -> list[dict[str, Any]]:
    """What is known of each expert before its training."""
    told = {} if legacy is None else {"transitions": len(legacy)}
    return [
        {
            "env_id": family.env_id,
            "context": dict(context),
            "reward": reward,
            "algorithm": recipe.algorithm,
            "recipe": recipe.name if parents is None else f"{recipe.name}-chained",
            "hyperparameters": hyperparameters(recipe),
            "seed": seeds[i],
            "warm_start": None if parents is None else {**parentage(parents[i]), **told},
            "discount": recipe.discount,
        }
        for i, context in enumerate(contexts)
    ]


def candidates_of(loop: Loop, records: Sequence[Mapping[str, Any]]) -> list[dict[int, Expert]]:
    """The experts of each agent after its last snapshots and at the end, by step."""
    found: list[dict[int, Expert]] = [{} for _ in records]
    for step, parameters in {**loop.candidates, loop.steps: loop.parameters()}.items():
        loop.learner.actor.flat.copy_(parameters["actor"])
        loop.learner.critics.flat.copy_(parameters["critics"])
        for candidates, expert in zip(found, experts_of(loop.learner, records), strict=True):
            candidates[step] = expert
    return found
