"""What `--estimate` tells of a build: how much is to do, core-hours and wall time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experts.engines import Engine, LocalEngine
from experts.estimates import Estimate, estimate_jobs, measured_speed, recorded_speed
from experts.jobs import Job, unfinished
from experts.recipes import Recipe
from zeroshot.progress import say
from zeroshot.suites import Suite


def print_build_estimate(
    suite: Suite,
    jobs: Sequence[Job],
    *,
    recipe: Recipe,
    recorded: Path,
    directory: Path,
    workers: int | None,
    engine: Engine | None,
    console: Console,
) -> int:
    """Prints what training the experts that `directory` lacks will take; returns the exit code.

    Args:
        suite: whose contexts they are of.
        jobs: parents before children.
        recipe: of the training.
        recorded: folder of experts whose manifests may tell how long a step takes.
        directory: where the experts will be written.
        workers: experts at once, None for the engine's own number.
        engine: where, None for this machine.
        console: to print on.
    """
    todo = unfinished(jobs, directory)
    if not todo:
        say(console, "experts: nothing to do" + (f", all {len(jobs)} are there" if jobs else ""))
        return 0
    speed = recorded_speed(recorded, suite.env_id, recipe)
    if speed is None:
        say(console, "no expert of that kind has recorded its time yet: training for some seconds")
        speed = measured_speed(suite.family, todo[0].context, reward=suite.reward, recipe=recipe)
    estimate = estimate_jobs(
        jobs,
        recipe=recipe,
        directory=directory,
        speed=speed,
        workers=workers or (engine or LocalEngine()).capacity(),
    )
    say(console, f"{speed.seconds_per_step * 1e6:.3g} µs a step, {speed.source}")
    print_estimate(estimate, "experts", len(jobs) - len(todo), console)
    return 0


def print_estimate(estimate: Estimate, what: str, n_done: int, console: Console) -> None:
    """Prints an estimate, and that nothing was started.

    Args:
        estimate: of the pieces to do.
        what: name of the pieces.
        n_done: pieces that are there already.
        console: to print on.
    """
    before = f" ({n_done} are there)" if n_done else ""
    say(
        console,
        f"{what}: {estimate.pieces} to do{before}, {estimate.steps:,} environment steps",
    )
    say(console, f"core-hours: {estimate.core_seconds / 3600:.2f}")
    chain = ""
    if estimate.wall_seconds > 0 and estimate.chain_seconds > 0.5 * estimate.wall_seconds:
        chain = f"; never under {clock(estimate.chain_seconds)}, however many there are"
    workers = "1 worker" if estimate.workers == 1 else f"{estimate.workers} workers"
    say(console, f"wall time: {clock(estimate.wall_seconds)} with {workers}{chain}")
    say(console, "nothing was started")


def clock(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
