"""What `zeroshot experts build`, `turn`, `repair` and `show` do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from experts import BuildProgress, RepairSettings, build, recipe_for, repair
from experts.build import plan
from experts.engines import Engine
from experts.jobs import Job
from experts.rebuild import CANDIDATES, interrupted_round, round_after
from experts.recipes import Recipe
from experts.store import expert_name
from param_envs import Context
from zeroshot.context_words import grid_contexts, suite_context
from zeroshot.estimates import print_build_estimate
from zeroshot.leaderboard import print_table
from zeroshot.progress import say
from zeroshot.run import experts_of
from zeroshot.suites import SUITES, Suite

if TYPE_CHECKING:
    from experts.offpolicy import CheckpointSchedule  # imports torch


def default_anchors(suite: Suite) -> list[Context]:
    """One context for every direction: the one nearest to the middle of its direction's."""
    signed = [f.name for f in suite.family.selected(suite.features) if f.encoding == "signed"]
    groups: dict[tuple[bool, ...], list[Context]] = {}
    for context in suite.contexts:
        groups.setdefault(tuple(context[name] > 0 for name in signed), []).append(context)
    anchors = []
    for every in groups.values():
        group = [context for context in every if context not in suite.held_out]
        encoded = suite.family.encode(group, suite.features)
        distances = np.linalg.norm(encoded - encoded.mean(axis=0), axis=1).round(9)
        anchors.append(group[int(distances.argmin())])
    return anchors


def build_experts(
    suite: Suite,
    *,
    out: Path,
    recipe: str,
    warm_steps: int | None,
    handed_on: int | None,
    only: Sequence[str],
    workers: int | None,
    engine: Engine | None,
    estimate: bool,
    chain: bool,
    anchors: Sequence[str],
    anchor_zoo: Path | None,
    along: Sequence[str],
    checkpoints: CheckpointSchedule | None,
    seed: int,
) -> int:
    """Builds a suite's experts with a progress line; returns the exit code.

    Args:
        suite: whose contexts get an expert each.
        out: folder of the experts.
        recipe: name of the recipe.
        warm_steps: environment steps after a warm start, None for the recipe's own.
        handed_on: transitions that a link of a chain leaves to the next, None for the recipe's own.
        only: contexts of the suite to build, as feature=value words; none for all.
        workers: experts at once, None for the engine's own number.
        engine: where they are trained, None for this machine.
        estimate: only print what it will take.
        chain: warm-start from neighbours.
        anchors: contexts trained from scratch in a chained build, as feature=value words; `all` for
            every one that is not always held out.
        anchor_zoo: folder of experts that the anchors are warm-started from in their turn.
        along: features that a chain may change, all if empty.
        checkpoints: which policies along the trainings are kept, and where.
        seed: of the build.

    Raises:
        ValueError: for an unknown recipe, anchors without `chain`, checkpoints with PPO, or a bad
            number.
    """
    if (anchors or anchor_zoo or along or handed_on is not None) and not chain:
        raise ValueError("`anchors`, `anchor_zoo`, `along` and `handed_on` must come with --chain")
    if tuple(anchors) == ("all",) and anchor_zoo is None:
        raise ValueError("`anchors` all must come with `anchor_zoo`: nothing would be chained")
    chosen = _recipe(suite, recipe, warm_steps)
    if handed_on is not None:
        chosen = replace(chosen, handed_on=handed_on)
    contexts = grid_contexts(suite, only) or suite.contexts
    every = [context for context in contexts if context not in suite.held_out]
    given = every if tuple(anchors) == ("all",) else grid_contexts(suite, anchors)
    if anchors and not given:
        raise ValueError("`anchors` all must be some, but all of `only` are always held out")
    roots = (given or default_anchors(suite)) if chain else ()
    console = Console()
    if estimate:
        jobs = plan(
            suite.family,
            contexts,
            directory=out,
            anchors=roots,
            anchor_zoo=anchor_zoo,
            along=along,
            leaves=suite.held_out,
            seed=seed,
        )
        return print_build_estimate(
            suite,
            jobs,
            recipe=chosen,
            recorded=out,
            directory=out,
            workers=workers,
            engine=engine,
            console=console,
        )
    with build_progress(console) as report:
        build(
            suite.family,
            contexts,
            reward=suite.reward,
            recipe=chosen,
            directory=out,
            anchors=roots,
            anchor_zoo=anchor_zoo,
            along=along,
            leaves=suite.held_out,
            workers=workers,
            engine=engine,
            checkpoints=checkpoints,
            seed=seed,
            on_progress=report,
        )
    say(console, f"experts of {suite.name}: {out}")
    return 0


def _recipe(suite: Suite, name: str, warm_steps: int | None) -> Recipe:
    recipe = recipe_for(name, suite.env_id)
    return recipe if warm_steps is None else replace(recipe, warm_steps=warm_steps)


def turn_experts(
    suite: Suite,
    *,
    home: str,
    zoo: Path,
    out: Path,
    recipe: str,
    warm_steps: int | None,
    checkpoints: CheckpointSchedule | None = None,
    relabelled: bool = False,
    as_it_is: bool = False,
    seam: float | None = None,
    seed: int,
) -> int:
    """Trains one policy for all of a suite's contexts, turned; returns the exit code.

    Args:
        suite: whose contexts get an expert each.
        home: the context in whose frame all are seen, as feature=value words.
        zoo: folder that has its expert, to start from.
        out: folder of the experts.
        recipe: name of a recipe of SAC or TD3.
        warm_steps: environment steps over all contexts, None for the recipe's own.
        checkpoints: which policies along the training are kept.
        relabelled: whether transitions are learned from in all ways to label the body.
        as_it_is: turn the expert of `home`, which need not be on the grid, without training.
        seam: with `as_it_is`: see `Family.frames`.
        seed: of everything.

    Raises:
        ValueError: for an unknown recipe or context, a family that cannot be turned, a start that
            is absent or always held out, a seam beyond all contexts, or experts in `out` that were
            turned otherwise.
    """
    from experts.turned_build import build_turned, turn_as_it_is  # imports torch

    if as_it_is:
        start = suite_context(suite, home.split(","))
        _check_home(start, suite)
        written = turn_as_it_is(
            suite.family,
            suite.contexts,
            home=start,
            zoo=zoo,
            reward=suite.reward,
            directory=out,
            seam=seam,
        )
        done = "" if written else "nothing to do, all are there; "
        say(Console(), f"{done}experts of {suite.name}: {out}")
        return 0
    (known,) = grid_contexts(suite, [home])
    if known in suite.held_out:
        raise ValueError(f"`home` must not be a context that is always held out, got {known}")
    console = Console()
    with build_progress(console) as report:
        build_turned(
            suite.family,
            suite.contexts,
            home=known,
            zoo=zoo,
            reward=suite.reward,
            recipe=_recipe(suite, recipe, warm_steps),
            directory=out,
            leaves=suite.held_out,
            checkpoints=checkpoints,
            relabelled=relabelled,
            seed=seed,
            on_progress=report,
        )
    say(console, f"experts of {suite.name}: {out}")
    return 0


def _check_home(home: Context, suite: Suite) -> None:
    """A start must be held out by no suite of the family: which one its zoo is of, nobody wrote.

    Contexts are compared by the names of their experts' files, by which the start is found.
    """
    for each in (suite, *SUITES.values()):
        held_out = map(expert_name, each.held_out)
        if each.env_id == suite.env_id and expert_name(home) in held_out:
            raise ValueError(
                f"`home` must not be a context that is always held out, by {each.name}, got {home}"
            )


def repair_experts(
    suite: Suite,
    *,
    out: Path,
    donors: Sequence[Path],
    recipe: str,
    warm_steps: int | None,
    threshold: float,
    workers: int | None,
    engine: Engine | None,
    estimate: bool,
    seed: int,
) -> int:
    """Repairs a suite's experts once, with a progress line; returns the exit code.

    Args:
        suite: whose contexts the experts are for.
        out: folder of the experts, changed in place.
        donors: further folders of experts that may lend one.
        recipe: name of the recipe.
        warm_steps: environment steps after a warm start, None for the recipe's own.
        threshold: by how much another expert must be better, relative to the own return.
        workers: experts at once, None for the engine's own number.
        engine: where they are trained, None for this machine.
        estimate: only print what it will take.
        seed: of the comparison and the training.

    Raises:
        ValueError: for an unknown recipe, a damaged zoo, or a bad number.
        FileNotFoundError: if a folder has no experts.
    """
    chosen = _recipe(suite, recipe, warm_steps)
    experts_of(suite, out)  # the folder must be the suite's
    console = Console()
    if estimate:
        settings = RepairSettings(
            recipe=chosen,
            donors=tuple(donors),
            threshold=threshold,
            seed=seed,
            leaves=suite.held_out,
        )
        return print_build_estimate(
            suite,
            _beaten(out, suite, settings),
            recipe=chosen,
            recorded=out,
            directory=out / CANDIDATES,
            workers=workers,
            engine=engine,
            console=console,
        )
    with build_progress(console) as report:
        said = repair(
            out,
            recipe=chosen,
            donors=donors,
            threshold=threshold,
            leaves=suite.held_out,
            workers=workers,
            engine=engine,
            seed=seed,
            on_progress=report,
        )
    for repaired in said:
        kept = "" if repaired.after > repaired.before else " (turned down)"
        name, donor = expert_name(repaired.context), repaired.donor
        say(
            console,
            f"{name}: {repaired.before:.1f} -> {repaired.after:.1f}{kept}, "
            f"from {donor.parent.name}/{donor.stem}",
        )
    say(console, f"{len(said)} of {len(suite.contexts)} experts were beaten")
    return 0


def _beaten(zoo: Path, suite: Suite, settings: RepairSettings) -> Sequence[Job]:
    """What the round that comes next trains, found as the repair finds it.

    No plan is written. What the audit plays is kept in the zoo while it goes on: one that is killed
    leaves it there, and a repair goes on from it.
    """
    planned = interrupted_round(zoo, suite.env_id, settings)
    return (planned or round_after(settings.audit(zoo, 0), settings, 0)).jobs


@contextmanager
def build_progress(console: Console) -> Iterator[Callable[[BuildProgress], None]]:
    """A progress line, or a line whenever an expert is done where nobody watches."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as bars:
        task = bars.add_task("experts", total=None, note="")
        said = -1

        def report(progress: BuildProgress) -> None:
            nonlocal said
            bars.update(
                task,
                total=progress.steps_total,
                completed=progress.steps_done,
                note=_note(progress),
            )
            if not console.is_terminal and progress.finished + progress.failed != said:
                said = progress.finished + progress.failed
                say(console, _note(progress))

        yield report


def show_experts(suite: Suite, zoo: Path | None) -> int:
    """Prints a suite's experts as a table; returns the exit code.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: if they do not fit the suite.
    """
    experts = experts_of(suite, zoo)
    table = Table(title=f"{suite.name}: mean return {experts.returns.mean():.1f}")
    for name in (*suite.features, "return", *suite.family.outcome_names, "steps"):
        table.add_column(name, justify="right")
    table.add_column("recipe")
    for context, record in zip(experts.contexts, experts.records, strict=True):
        evaluation = record["evaluation"]
        table.add_row(
            *(f"{context[name]:g}" for name in suite.features),
            f"{evaluation['return_mean']:.1f}",
            *(f"{evaluation[f'{name}_mean']:.2f}" for name in suite.family.outcome_names),
            str(record["steps"]),
            str(record["recipe"]),
        )
    print_table(table)
    return 0


def _note(progress: BuildProgress) -> str:
    left = progress.remaining_seconds
    time_left = "" if left is None else f", {round(left) // 60}:{round(left) % 60:02d} left"
    failed = f", {progress.failed} failed" if progress.failed else ""
    return f"{progress.finished} of {progress.total} experts{failed}{time_left}"
