"""What `--estimate` tells: how much is to do, core-hours and wall time; nothing is started."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from experts.engines import Engine, Failed, Finished, LocalEngine, Perform, Report
from experts.estimates import Estimate, estimate_jobs, measured_speed, recorded_speed, wall_seconds
from experts.jobs import Job, unfinished
from experts.recipes import Recipe
from zeroshot.bench import Bench, method_named
from zeroshot.references import EXPERT, reference_names
from zeroshot.results import ROWS, Row, Unit, read_rows, unit_of
from zeroshot.run import TRANSFER, default_workers, experts_of, threads_each
from zeroshot.suites import Suite

MEASURED_SECONDS = 4.0
MEASURED_HERE = "measured on this machine, as busy as it is now"
PATIENCE_SECONDS = 90.0
"""How long a method may fit without saying how far it is."""


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
        _say(console, "experts: nothing to do" + (f", all {len(jobs)} are there" if jobs else ""))
        return 0
    speed = recorded_speed(recorded, suite.env_id, recipe)
    if speed is None:
        _say(console, "no expert of that kind has recorded its time yet: training for some seconds")
        speed = measured_speed(suite.family, todo[0].context, reward=suite.reward, recipe=recipe)
    estimate = estimate_jobs(
        jobs,
        recipe=recipe,
        directory=directory,
        speed=speed,
        workers=workers or (engine or LocalEngine()).capacity(),
    )
    _say(console, f"{speed.seconds_per_step * 1e6:.3g} µs a step, {speed.source}")
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
    _say(
        console,
        f"{what}: {estimate.pieces} to do{before}, {estimate.steps:,} environment steps",
    )
    _say(console, f"core-hours: {estimate.core_seconds / 3600:.2f}")
    chain = ""
    if estimate.wall_seconds > 0 and estimate.chain_seconds > 0.5 * estimate.wall_seconds:
        chain = f"; never under {clock(estimate.chain_seconds)}, however many there are"
    workers = "1 worker" if estimate.workers == 1 else f"{estimate.workers} workers"
    _say(console, f"wall time: {clock(estimate.wall_seconds)} with {workers}{chain}")
    _say(console, "nothing was started")


def clock(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How long a unit of one method takes.

    Attributes:
        seconds: of the fit; of a reference, which has none, of playing the episodes.
        setup: seconds that a worker needs once, for the experts' rollouts.
    """

    seconds: float
    setup: float = 0.0


def print_run_estimate(
    suite: Suite,
    methods: Sequence[str],
    *,
    seeds: int,
    out: Path,
    workers: int,
    engine: Engine | None,
    zoo: Path | None,
    train_rows: bool,
    console: Console,
) -> int:
    """Prints what `run` will take; fits every method for some seconds. Returns the exit code.

    Args:
        suite: to be run on.
        methods: registered names and import paths.
        seeds: number of splits.
        out: folder of the results; units that it has are not counted.
        workers: units at once, 0 for the engine's own number.
        engine: where, None for this machine.
        zoo: folder of experts, None for the shipped ones.
        train_rows: whether training contexts are played, too.
        console: to print on.

    Raises:
        ValueError: for an unknown method, or one that fails or fits for long without a report.
        FileNotFoundError: if the suite has no experts.
    """
    for name in methods:
        method_named(name, {})
    experts = experts_of(suite, zoo)
    workers = workers or (engine.capacity() if engine else default_workers(seeds))
    bench = Bench(
        suite=suite,
        experts=experts,
        transfer=np.zeros((len(experts), len(experts))),  # only tells references whom to choose
        methods={},
        train_rows=train_rows,
        n_threads=1 if engine else threads_each(workers),
    )
    references = reference_names(suite.features, experts)
    units = [Unit(name, seed) for seed in range(seeds) for name in (*references, *methods)]
    rows = read_rows(out / ROWS)
    counts = Counter(unit_of(row) for row in rows)
    left = [unit for unit in units if counts[unit] != bench.rows_per_unit]
    if not left:
        _say(console, f"units: nothing to do, all {len(units)} are there")
        return 0
    played = measure(bench, [EXPERT])[EXPERT].seconds
    recorded = {name: found for name in methods if (found := _recorded(rows, name)) is not None}
    wanted = [name for name in methods if any(unit.method == name for unit in left)]
    trying = [name for name in wanted if name not in recorded]
    if trying:
        _say(console, f"fitting {', '.join(trying)} for {MEASURED_SECONDS:.0f} s each")
    measured = measure(bench, trying)
    costs = {name: Measured(seconds=seconds) for name, seconds in recorded.items()} | measured
    for name in wanted:
        said = "recorded in this folder" if name in recorded else MEASURED_HERE
        _say(console, f"{name}: a fit takes {costs[name].seconds:.3g} s, {said}")
    estimate = run_estimate(
        bench, left, costs, played=played, workers=workers, transfer=not (out / TRANSFER).exists()
    )
    print_estimate(estimate, "units", len(units) - len(left), console)
    return 0


def run_estimate(
    bench: Bench,
    units: Sequence[Unit],
    costs: Mapping[str, Measured],
    *,
    played: float,
    workers: int,
    transfer: bool,
) -> Estimate:
    """What units take: a fit as long as `costs` says of the method, and the test episodes.

    Args:
        bench: of the run.
        units: to do, in order.
        costs: by method; references are not among them.
        played: seconds that the test episodes of a unit take.
        workers: units at once.
        transfer: whether all experts are played in all contexts first.
    """
    suite = bench.suite
    longest = suite.n_steps or suite.family.max_episode_steps
    n_played = bench.rows_per_unit * longest
    n_transfer = len(suite.contexts) ** 2 * longest if transfer else 0
    first = n_transfer * played / n_played
    busy = min(workers, len(units))
    setup = max((cost.setup for cost in costs.values()), default=0.0)
    fits = (costs[unit.method].seconds if unit.method in costs else 0.0 for unit in units)
    seconds = [fit + played for fit in fits]
    alone = first + setup
    threads = max(1, bench.n_threads)
    return Estimate(
        pieces=len(units),
        steps=n_transfer + len(units) * n_played,
        core_seconds=first + threads * (busy * setup + sum(seconds)),
        wall_seconds=alone + wall_seconds(seconds, [None] * len(units), workers),
        chain_seconds=alone + max(seconds),
        workers=workers,
    )


def measure(
    bench: Bench,
    methods: Sequence[str],
    *,
    seconds: float = MEASURED_SECONDS,
    patience: float = PATIENCE_SECONDS,
) -> dict[str, Measured]:
    """Does the beginning of one unit of each method in a process of its own.

    Args:
        bench: of the run.
        methods: names; references may be among them.
        seconds: to fit after the first report.
        patience: seconds without a report or an end after which it is given up.

    Raises:
        ValueError: if a method fails, or is given up.
    """
    found: dict[str, Measured] = {}
    if not methods:
        return found
    prepare = partial(prepare_measurement, bench, seconds)
    with LocalEngine().open(prepare, workers=1, threads=max(1, bench.n_threads)) as pool:
        for name in methods:
            pool.submit(name, Unit(name, 0))
            heard = time.monotonic()
            while name not in found:
                for event in pool.events(1.0):
                    heard = time.monotonic()
                    if isinstance(event, Failed):
                        raise ValueError(f"{name} failed in the attempt: {event.error}")
                    if isinstance(event, Finished):
                        found[name] = event.result
                if time.monotonic() - heard > patience:
                    raise ValueError(
                        f"{name} neither ended within {patience:.0f} s nor said how far it is: "
                        "its time cannot be estimated"
                    )
    return found


def prepare_measurement(bench: Bench, seconds: float) -> Perform:
    """What measures units in the process that calls this."""

    def perform(unit: Unit, report: Report) -> Measured:
        if unit.method in reference_names(bench.suite.features, bench.experts):
            return Measured(seconds=_timed(lambda: bench.perform(unit, report)))
        method_named(unit.method, bench.methods)
        setup = _timed(lambda: bench.rollouts)
        report(0.0)
        return Measured(seconds=_fit_seconds(bench, unit, report, seconds), setup=setup)

    return perform


class _Enough(Exception):
    """The measurement is over."""


def _fit_seconds(bench: Bench, unit: Unit, report: Report, seconds: float) -> float:
    marks: list[tuple[float, float]] = []

    def progress(fraction: float) -> None:
        report(fraction)
        marks.append((fraction, time.perf_counter()))
        if marks[-1][1] - marks[0][1] >= seconds and marks[-1][0] > marks[0][0]:
            raise _Enough

    try:
        rows = bench.perform(unit, progress)
    except _Enough:
        (first, start), (last, end) = marks[0], marks[-1]
        return (end - start) / (last - first)
    return float(rows[0]["fit_seconds"])


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _recorded(rows: Sequence[Row], method: str) -> float | None:
    fits = {row["seed"]: row["fit_seconds"] for row in rows if row["method"] == method}
    return float(np.median(list(fits.values()))) if fits else None


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)
