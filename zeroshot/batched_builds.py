"""What `zeroshot experts build --batched` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress

from experts.batched_build import Batch, Batching, build_batched, check_batched, plan_batches
from experts.batched_estimates import estimate_batches, measured_batch_speed
from experts.build import plan as plan_jobs
from experts.collections_build import PLANS, build_collection
from experts.recipes import Recipe, recipe_for
from zeroshot.context_words import grid_contexts
from zeroshot.estimates import clock
from zeroshot.expert_builds import build_progress
from zeroshot.progress import say
from zeroshot.suites import Suite


def build_experts_batched(
    suite: Suite,
    *,
    out: Path,
    recipe: str,
    only: Sequence[str],
    batching: Batching,
    estimate: bool,
    seed: int,
) -> int:
    """Builds a suite's experts batch by batch, with a progress line; returns the exit code.

    Args:
        suite: whose contexts get an expert each.
        out: folder of the experts.
        recipe: name of a recipe of TD3 or SAC.
        only: contexts of the suite to build, as feature=value words; none for all.
        batching: how many at once, and where.
        estimate: only print what it will take.
        seed: of the build.

    Raises:
        ValueError: for a recipe that is unknown or of PPO, a device that is not there, or the saved
            state of another build's batch.
    """
    chosen = recipe_for(recipe, suite.env_id)
    check_batched(chosen)
    contexts = grid_contexts(suite, only) or suite.contexts
    console = Console()
    if estimate:
        jobs = plan_jobs(suite.family, contexts, directory=out, seed=seed)
        batches = plan_batches(jobs, out, batching.batch_size)
        return _print_estimate(suite, batches, chosen, batching.chosen_device(), console)
    with build_progress(console) as report:
        build_batched(
            suite.family,
            contexts,
            reward=suite.reward,
            recipe=chosen,
            directory=out,
            batching=batching,
            seed=seed,
            on_progress=report,
        )
    say(console, f"experts of {suite.name}: {out}")
    return 0


def build_planned_collection(
    suite: Suite,
    *,
    out: Path,
    recipe: str,
    plan: str,
    only: Sequence[str],
    device: str,
    estimate: bool,
    seed: int,
) -> int:
    """Trains one agent a context as one batch, and keeps the policies of a plan on the way.

    Args:
        suite: whose contexts are the tasks.
        out: folder of their experts; the policies go to its folder `checkpoints`.
        recipe: name of a recipe of TD3 or SAC; its number of steps gives way to the plan's.
        plan: name of one of `experts.collections_build.PLANS`.
        only: contexts of the suite, as feature=value words; none for all.
        device: `auto`, `cpu` or `cuda`.
        estimate: only print what it will take.
        seed: of the build.

    Raises:
        ValueError: for a recipe that is unknown or of PPO, or a device that is not there.
    """
    chosen, wanted = recipe_for(recipe, suite.env_id), PLANS[plan]
    check_batched(chosen)
    contexts = grid_contexts(suite, only) or suite.contexts
    console, place = Console(), Batching(device=device).chosen_device()
    total = wanted.total_steps(chosen.n_envs)
    if estimate:
        jobs = plan_jobs(suite.family, contexts, directory=out, seed=seed)
        batches = plan_batches(jobs, out, None)
        longer = replace(chosen, total_steps=total, warm_steps=total)
        return _print_estimate(suite, batches, longer, place, console)
    with Progress(console=console, disable=not console.is_terminal) as line:
        task = line.add_task(f"steps of {len(contexts)} agents", total=total)
        build_collection(
            suite.family,
            contexts,
            reward=suite.reward,
            recipe=chosen,
            plan=wanted,
            directory=out,
            seed=seed,
            device=place,
            on_steps=lambda steps: line.update(task, completed=steps),
        )
    say(console, f"experts of {suite.name}: {out}, {wanted.n_policies} policies each beside them")
    return 0


def _print_estimate(
    suite: Suite, batches: Sequence[Batch], recipe: Recipe, device: torch.device, console: Console
) -> int:
    if not batches:
        say(console, "experts: nothing to do, all are there")
        return 0
    n_threads = torch.get_num_threads()
    threads = "1 thread" if n_threads == 1 else f"{n_threads} threads"
    speeds = []
    for batch in {len(batch.jobs): batch for batch in batches}.values():
        speed = measured_batch_speed(
            suite.family, batch.contexts, reward=suite.reward, recipe=recipe, device=device
        )
        rate = speed.agent_updates_per_second
        agents = "1 agent" if speed.n_agents == 1 else f"{speed.n_agents} agents"
        say(
            console,
            f"{agents} at once on {device.type}, {threads}: {rate:.0f} agent-updates a second "
            f"({rate / speed.n_agents:.0f} of each), measured for {speed.measured_seconds:.0f} s "
            "on this machine, as busy as it is now",
        )
        speeds.append(speed)
    found = estimate_batches(batches, recipe=recipe, speeds=speeds)
    count = "1 batch" if len(batches) == 1 else f"{len(batches)} batches"
    say(console, f"experts: {found.pieces} to do in {count}, {found.steps:,} environment steps")
    if device.type == "cpu":
        say(console, f"core-hours: {found.wall_seconds * n_threads / 3600:.2f}")
    say(
        console,
        f"wall time: {clock(found.wall_seconds)} in one process, "
        "and some seconds an expert to choose and play it",
    )
    say(console, "nothing was started")
    return 0
