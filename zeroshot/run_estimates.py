"""What `--estimate` tells of a run: every method fits for some seconds, and nothing is started."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from experts import zoo_path
from experts.collections import find_collection
from experts.engines import Engine, Failed, Finished, LocalEngine, Perform, Report
from experts.estimates import Estimate, wall_seconds
from zeroshot.bench import ADAPTED_REFERENCES, Bench, method_named
from zeroshot.estimates import print_estimate
from zeroshot.fewshot import FROM_SCRATCH, checked_shots, demonstrate
from zeroshot.progress import say
from zeroshot.references import EXPERT, reference_names
from zeroshot.results import ROWS, SETTINGS, Row, Unit, plain, read_rows, whole_units
from zeroshot.run import TRANSFER, chosen_methods, default_workers, experts_of, threads_each
from zeroshot.splits import SplitRule, rule_of
from zeroshot.suites import Suite

MEASURED_SECONDS = 4.0
MEASURED_HERE = "measured on this machine, as busy as it is now"
PATIENCE_SECONDS = 300.0
"""How long a method may fit without saying how far it is, on a busy machine too."""
MEASURED_EPISODES = 100
"""Test episodes that are played at most to find how long one takes, but one a context at least."""
CLONING = "cloning"
"""What stands for the cloning of every test context's policy on one episode, in a measurement."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How long a unit of one method takes.

    Attributes:
        seconds: of the fit; of a reference, which has none, of playing the episodes; of `CLONING`,
            of that.
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
    split: str,
    shots: Sequence[int],
    train_rows: bool,
    console: Console,
) -> int:
    """Prints what `run` will take; fits every method for some seconds. Returns the exit code.

    What a method does with demonstrations is taken to last as long as cloning them. What it does
    before its first report, and only later on, is not counted: HyperDistil's own episodes, for one.

    Args:
        suite: to be run on.
        methods: registered names and import paths.
        seeds: number of splits.
        out: folder of the results; units that it has are not counted.
        workers: units at once, 0 for the engine's own number.
        engine: where, None for this machine.
        zoo: folder of experts, None for the shipped ones.
        split: which contexts are held out, as in `run`.
        shots: numbers of episodes of a test context for few-shot rows, as in `run`.
        train_rows: whether training contexts are played, too.
        console: to print on.

    Raises:
        ValueError: for methods or a split that `run` refuses, a method that fails or fits for long
            without a report, or results of another split or other shots in `out`.
        FileNotFoundError: if the suite has no experts.
    """
    chosen_methods(methods)
    rule = rule_of(split, suite)
    n_shots = checked_shots(shots)
    _check_settings(out, suite, rule, n_shots)
    experts = experts_of(suite, zoo)
    workers = workers or (engine.capacity() if engine else default_workers(seeds))
    bench = Bench(
        suite=suite,
        experts=experts,
        transfer=np.zeros((len(experts), len(experts))),  # only tells references whom to choose
        methods={},
        rule=rule,
        shots=n_shots,
        train_rows=train_rows,
        collection=find_collection(zoo or zoo_path(suite.zoo)),
        n_threads=1 if engine else threads_each(workers),
    )
    references = [*reference_names(suite.features, experts), *([FROM_SCRATCH] if n_shots else [])]
    units = [Unit(name, seed) for seed in range(seeds) for name in (*references, *methods)]
    rows = read_rows(out / ROWS)
    whole = whole_units(rows, bench.rows_per_unit)
    left = [unit for unit in units if unit not in whole]
    if not left:
        say(console, f"units: nothing to do, all {len(units)} are there")
        return 0
    short = replace(
        bench,
        suite=replace(suite, n_episodes=_few_episodes(bench)),
        shots=(),
        train_rows=False,
    )
    recorded = {name: found for name in methods if (found := _recorded(rows, name)) is not None}
    wanted = [name for name in methods if any(unit.method == name for unit in left)]
    trying = [name for name in wanted if name not in recorded]
    if trying:
        say(console, f"fitting {', '.join(trying)} for {MEASURED_SECONDS:.0f} s each")
    costs = measure(short, [EXPERT, *([CLONING] if n_shots else []), *trying])
    played = costs.pop(EXPERT).seconds * bench.rows_per_unit / short.rows_per_unit
    cloning = costs.pop(CLONING).seconds if n_shots else 0.0
    costs |= {name: Measured(seconds=seconds) for name, seconds in recorded.items()}
    for name in wanted:
        said = "recorded in this folder" if name in recorded else MEASURED_HERE
        say(console, f"{name}: a fit takes {costs[name].seconds:.3g} s, {said}")
    estimate = run_estimate(
        bench,
        left,
        costs,
        played=played,
        cloning=cloning,
        workers=workers,
        transfer=not (out / TRANSFER).exists(),
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
    cloning: float = 0.0,
) -> Estimate:
    """What units take: a fit as long as `costs` says of the method, and what is played.

    With shots, methods and some references also play, and clone, demonstrations and episodes of
    their own.

    Args:
        bench: of the run.
        units: to do, in order.
        costs: by method; references are not among them.
        played: seconds that the zero-shot episodes of a unit take.
        workers: units at once.
        transfer: whether all experts are played in all contexts first.
        cloning: seconds that cloning takes a demonstrated episode of every test context.
    """
    suite = bench.suite
    longest = suite.n_steps or suite.family.max_episode_steps
    n_transfer = len(suite.contexts) ** 2 if transfer else 0
    episode = played / bench.rows_per_unit
    first = n_transfer * episode
    busy = min(workers, len(units))
    setup = max((cost.setup for cost in costs.values()), default=0.0)
    episodes, seconds = [], []
    for unit in units:
        further, cloned = _few_shot_episodes(bench, unit, learned=unit.method in costs)
        fit = costs[unit.method].seconds if unit.method in costs else 0.0
        episodes.append(bench.rows_per_unit + further)
        seconds.append(fit + episode * episodes[-1] + cloning * cloned)
    threads = _threads(bench)
    alone = first * threads / (os.cpu_count() or 1) + setup  # experts play on all cores first
    return Estimate(
        pieces=len(units),
        steps=(n_transfer + sum(episodes)) * longest,
        core_seconds=threads * (first + busy * setup + sum(seconds)),
        wall_seconds=alone + wall_seconds(seconds, [None] * len(units), workers),
        chain_seconds=alone + max(seconds),
        workers=workers,
    )


def _few_shot_episodes(bench: Bench, unit: Unit, *, learned: bool) -> tuple[int, int]:
    """Episodes that a unit plays for its few-shot rows, and those a context that are cloned."""
    if not bench.shots or not (learned or unit.method in ADAPTED_REFERENCES):
        return 0, 0
    n_test = len(bench.split(unit.seed).test)
    scored = len(bench.shots) * n_test * bench.suite.n_episodes
    shown = bench.shots[-1] * n_test
    n_protocols = 1 if unit.method == FROM_SCRATCH else 2
    return n_protocols * (scored + shown), sum(bench.shots)


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
        methods: names; references and `CLONING` may be among them.
        seconds: to fit after the first report.
        patience: seconds without a report or an end after which it is given up.

    Raises:
        ValueError: if a method fails, or is given up.
    """
    found: dict[str, Measured] = {}
    if not methods:
        return found
    prepare = partial(prepare_measurement, bench, seconds)
    with LocalEngine().open(prepare, workers=1, threads=_threads(bench)) as pool:
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


def _threads(bench: Bench) -> int:
    """How many threads a unit has: 0, in a single process, stands for all cores."""
    return bench.n_threads or os.cpu_count() or 1


def prepare_measurement(bench: Bench, seconds: float) -> Perform:
    """What measures units in the process that calls this."""

    def perform(unit: Unit, report: Report) -> Measured:
        if unit.method == CLONING:
            return Measured(seconds=_cloning_seconds(bench, unit.seed))
        if unit.method in reference_names(bench.suite.features, bench.experts):
            return Measured(seconds=_timed(lambda: bench.perform(unit, report)))
        method_named(unit.method, bench.methods)
        setup = _timed(lambda: bench.rollouts)
        report(0.0)
        return Measured(seconds=_fit_seconds(bench, unit, report, seconds), setup=setup)

    return perform


def _cloning_seconds(bench: Bench, seed: int) -> float:
    from experts.cloning import clone  # imports torch

    experts = bench.experts.select(bench.split(seed).test)
    demonstrations = demonstrate(
        experts,
        features=bench.suite.features,
        n_episodes=1,
        seed=seed,
        n_steps=bench.suite.n_steps,
        n_threads=bench.n_threads,
    )
    return _timed(lambda: clone(experts.policies, demonstrations, seed=seed))


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


def _few_episodes(bench: Bench) -> int:
    n_test = len(bench.split(0).test)
    return max(1, min(bench.suite.n_episodes, MEASURED_EPISODES // n_test))


def _check_settings(out: Path, suite: Suite, rule: SplitRule, shots: tuple[int, ...]) -> None:
    """Refuses a folder that `run` would refuse; runs from before a setting had its default."""
    file = out / SETTINGS
    before = json.loads(file.read_text()) if file.is_file() else {}
    for name, value, default in (
        ("split_rule", str(rule), str(rule_of("random", suite))),
        ("shots", plain(shots), []),
    ):
        if before and before.get(name, default) != value:
            raise ValueError(
                f"{out} was made with another `{name}` ({before.get(name, default)!r}, now "
                f"{value!r}): use another --out"
            )


def _recorded(rows: Sequence[Row], method: str) -> float | None:
    fits = {row["seed"]: row["fit_seconds"] for row in rows if row["method"] == method}
    return float(np.median(list(fits.values()))) if fits else None
