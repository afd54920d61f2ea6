"""What `zeroshot experts build`, `repair` and `show` do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from experts import BuildProgress, build, recipe_for, repair
from experts.store import expert_name
from param_envs import Context
from zeroshot.film import parse_context
from zeroshot.leaderboard import print_table
from zeroshot.run import experts_of
from zeroshot.suites import Suite


def default_anchors(suite: Suite) -> list[Context]:
    """One context for every direction: the one nearest to the middle of its direction's."""
    signed = [f.name for f in suite.family.selected(suite.features) if f.encoding == "signed"]
    groups: dict[tuple[bool, ...], list[Context]] = {}
    for context in suite.contexts:
        groups.setdefault(tuple(context[name] > 0 for name in signed), []).append(context)
    anchors = []
    for group in groups.values():
        encoded = suite.family.encode(group, suite.features)
        distances = np.linalg.norm(encoded - encoded.mean(axis=0), axis=1).round(9)
        anchors.append(group[int(distances.argmin())])
    return anchors


def build_experts(
    suite: Suite,
    *,
    out: Path,
    recipe: str,
    workers: int,
    chain: bool,
    anchors: Sequence[str],
    anchor_zoo: Path | None,
    seed: int,
) -> int:
    """Builds a suite's experts with a progress line; returns the exit code.

    Args:
        suite: whose contexts get an expert each.
        out: folder of the experts.
        recipe: name of the recipe.
        workers: processes.
        chain: warm-start from neighbours.
        anchors: contexts trained from scratch in a chained build, as feature=value words.
        anchor_zoo: folder of experts that the anchors are warm-started from in their turn.
        seed: of the build.

    Raises:
        ValueError: for an unknown recipe, anchors without `chain`, or a bad number.
    """
    if (anchors or anchor_zoo) and not chain:
        raise ValueError("`anchors` and `anchor_zoo` must come with --chain")
    chosen = recipe_for(recipe, suite.env_id)
    given = [parse_context(suite.family, words.split(",")) for words in anchors]
    console = Console()
    with _progress(console) as report:
        build(
            suite.family,
            suite.contexts,
            reward=suite.reward,
            recipe=chosen,
            directory=out,
            anchors=(given or default_anchors(suite)) if chain else (),
            anchor_zoo=anchor_zoo,
            workers=workers,
            seed=seed,
            on_progress=report,
        )
    console.print(f"experts of {suite.name}: {out}", highlight=False, soft_wrap=True)
    return 0


def repair_experts(
    suite: Suite,
    *,
    out: Path,
    donors: Sequence[Path],
    recipe: str,
    threshold: float,
    workers: int,
    seed: int,
) -> int:
    """Repairs a suite's experts once, with a progress line; returns the exit code.

    Args:
        suite: whose contexts the experts are for.
        out: folder of the experts, changed in place.
        donors: further folders of experts that may lend one.
        recipe: name of the recipe.
        threshold: by how much another expert must be better, relative to the own return.
        workers: processes.
        seed: of the comparison and the training.

    Raises:
        ValueError: for an unknown recipe, a damaged zoo, or a bad number.
        FileNotFoundError: if a folder has no experts.
    """
    chosen = recipe_for(recipe, suite.env_id)
    experts_of(suite, out)  # the folder must be the suite's
    console = Console()
    with _progress(console) as report:
        said = repair(
            out,
            recipe=chosen,
            donors=donors,
            threshold=threshold,
            workers=workers,
            seed=seed,
            on_progress=report,
        )
    for repaired in said:
        kept = "" if repaired.after > repaired.before else " (turned down)"
        name, donor = expert_name(repaired.context), repaired.donor
        console.print(
            f"{name}: {repaired.before:.1f} -> {repaired.after:.1f}{kept}, "
            f"from {donor.parent.name}/{donor.stem}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"{len(said)} of {len(suite.contexts)} experts were beaten", highlight=False)
    return 0


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[BuildProgress], None]]:
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
                console.print(_note(progress), highlight=False)

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
