"""What the rest of a plan will take: each method is fitted for some seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from experts import Experts, zoo_path
from experts.collections import find_collection
from experts.engines import Engine
from hyper import HyperDistilConfig
from zeroshot.bench import Bench, method_named
from zeroshot.estimates import clock
from zeroshot.fewshot import checked_shots
from zeroshot.finetune_estimates import estimate_of, pieces_left
from zeroshot.leaderboard import print_table
from zeroshot.methods import config_of
from zeroshot.progress import say
from zeroshot.references import EXPERT
from zeroshot.reproduce.execution import outcomes, zoos
from zeroshot.reproduce.folders import folder_of
from zeroshot.reproduce.plan import PlannedFineTuning, PlannedRun, Preset
from zeroshot.reproduce.sharing import known_transfer, serves, units_left
from zeroshot.reproduce.tuning import comparison_of
from zeroshot.results import Unit
from zeroshot.run import MOST_WORKERS, default_workers, threads_each
from zeroshot.run_estimates import CLONING, Measured, measure, run_estimate
from zeroshot.splits import rule_of
from zeroshot.suites import suite_of

SECONDS = 2.0
"""How long a method is fitted."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What is left of one run, or of a fine-tuning.

    Attributes:
        work: the run or fine-tuning.
        pieces: units, or trainings, to do.
        core_seconds: over all cores.
        wall_seconds: of all of it.
    """

    work: PlannedRun | PlannedFineTuning
    pieces: int
    core_seconds: float
    wall_seconds: float


@dataclass(frozen=True, kw_only=True)
class FamilyCosts:
    """What was measured on one run of a family, or inferred for it.

    Attributes:
        bench: of that run.
        methods: what a fit took, by method, the yardstick of other families first.
        played: seconds that the zero-shot test episodes of a unit took.
        cloning: seconds that cloning took a demonstrated episode of every test context; 0 if no
            run of the family has shots.
    """

    bench: Bench
    methods: Mapping[str, Measured]
    played: float
    cloning: float


def print_plan_estimate(
    preset: Preset,
    out: Path,
    *,
    workers: int,
    engine: Engine | None,
    console: Console,
    seconds: float = SECONDS,
) -> int:
    """Prints what is to do, core-hours and wall time a part; returns the exit code.

    A method is fitted for some seconds in the first family that needs it, and the plan's first
    method in every family. Times are taken to grow with the training contexts that minibatches
    have, and to differ between families as the first method's does. HyperDistil's own episodes are
    reckoned by those of the test. Films are not counted.

    Args:
        preset: the runs.
        out: folder of everything; what is finished there is not counted.
        workers: units at once, 0 to choose.
        engine: where, None for this machine.
        console: to print on.
        seconds: to fit each method.
    """
    found = outcomes(preset, out)
    for suite, reason in {o.work.suite: o.reason for o in found if o.state == "skipped"}.items():
        say(console, f"skipped: {suite} ({reason})")
    unfinished = [outcome.work for outcome in found if outcome.state == "unfinished"]
    waiting = [work for work in unfinished if isinstance(work, PlannedRun)]
    tunings = [work for work in unfinished if isinstance(work, PlannedFineTuning)]
    if not waiting and not tunings:
        say(console, "runs: nothing to do")
        return 0
    workers = workers or (engine.capacity() if engine else default_workers(MOST_WORKERS))
    there = zoos([*waiting, *tunings])
    experts = {name: zoo for name, zoo in there.items() if not isinstance(zoo, str)}
    threads = 1 if engine else threads_each(workers)
    benches = {work.name: _bench(work, experts[work.suite], threads) for work in waiting}
    families = dict.fromkeys(bench.suite.env_id for bench in benches.values())
    costs: dict[str, FamilyCosts] = {}
    for family in families:
        of_family = [w for w in waiting if benches[w.name].suite.env_id == family]
        costs[family] = _measured(of_family, benches, list(costs.values()), seconds, console)
    left: list[Left] = []
    played = set()
    planned: list[tuple[PlannedRun, list[Unit]]] = []
    for work in waiting:
        bench = benches[work.name]
        known = known_transfer(out, bench.suite, bench.experts) is not None
        shared = {unit for other, done in planned if serves(other, work) for unit in done}
        units = [u for u in units_left(work, out, bench.experts) if u not in shared]
        planned.append((work, units))
        left.append(
            estimate_run(
                work,
                bench,
                costs[bench.suite.env_id],
                units,
                workers=workers,
                transfer=not known and work.suite not in played,
            )
        )
        played.add(work.suite)
    for tuning in tunings:
        say(console, f"beginning {tuning.name}")
        left.append(_tuning_left(tuning, out, experts[tuning.suite], workers, console))
    _print(left, workers, console)
    return 0


def estimate_run(
    work: PlannedRun,
    bench: Bench,
    costs: FamilyCosts,
    units: Sequence[Unit],
    *,
    workers: int,
    transfer: bool,
) -> Left:
    """What is left of a run, by what a run of its family took.

    Args:
        work: the run.
        bench: of it.
        costs: of its family.
        units: that are left.
        workers: units at once.
        transfer: whether all experts are played in all contexts first.
    """
    if not units:
        return Left(work=work, pieces=0, core_seconds=0.0, wall_seconds=0.0)
    known = {}
    for name in work.methods:
        one = costs.methods[name]
        setup = one.setup * len(bench.experts) / len(costs.bench.experts)
        own = _own_episodes(name, bench) * costs.played / costs.bench.rows_per_unit
        known[name] = Measured(seconds=_fit_seconds(name, costs, bench) + own, setup=setup)
    found = run_estimate(
        bench,
        units,
        known,
        played=costs.played * bench.rows_per_unit / costs.bench.rows_per_unit,
        cloning=costs.cloning * _n_test(bench) / _n_test(costs.bench),
        workers=workers,
        transfer=transfer,
    )
    return Left(
        work=work,
        pieces=found.pieces,
        core_seconds=found.core_seconds,
        wall_seconds=found.wall_seconds,
    )


def _tuning_left(
    work: PlannedFineTuning, out: Path, experts: Experts, workers: int, console: Console
) -> Left:
    comparison, folder = comparison_of(work), folder_of(work, out)
    waiting = pieces_left(comparison, folder)
    if not waiting:  # but its figure
        return Left(work=work, pieces=0, core_seconds=0.0, wall_seconds=0.0)
    found = estimate_of(
        comparison,
        experts,
        waiting,
        out=folder,
        collection=find_collection(work.zoo or zoo_path(comparison.suite.zoo)),
        workers=workers,
        tell=lambda text: say(console, text),
    )
    return Left(
        work=work,
        pieces=found.pieces,
        core_seconds=found.core_seconds,
        wall_seconds=found.wall_seconds,
    )


def _bench(work: PlannedRun, experts: Experts, n_threads: int) -> Bench:
    suite = suite_of(work.suite)
    return Bench(
        suite=suite,
        experts=experts,
        transfer=np.zeros((len(experts), len(experts))),  # only tells references whom to choose
        methods={},
        rule=rule_of(work.split, suite),
        shots=checked_shots(work.shots),
        train_rows=work.train_rows,
        collection=find_collection(work.zoo or zoo_path(suite.zoo)),
        n_threads=n_threads,
    )


def _measured(
    works: Sequence[PlannedRun],
    benches: Mapping[str, Bench],
    known: Sequence[FamilyCosts],
    seconds: float,
    console: Console,
) -> FamilyCosts:
    """Measures the plan's first method, and what no family of `known` has; infers the others."""
    names = list(dict.fromkeys(name for work in works for name in work.methods))
    first = replace(benches[works[0].name], shots=(), train_rows=False)
    yardstick = next(iter(known[0].methods)) if known else names[0]
    source = {name: costs for costs in known for name in costs.methods}
    trying = [yardstick, *(name for name in names if name not in source and name != yardstick)]
    say(console, f"fitting {', '.join(trying)} on {works[0].suite} for {seconds:.0f} s each")
    cloned = [CLONING] if any(work.shots for work in works) else []
    found = measure(first, [EXPERT, *cloned, *trying], seconds=seconds)
    inferred = {
        name: inferred_cost(name, yardstick, source[name], first, found[yardstick])
        for name in names
        if name not in found
    }
    return FamilyCosts(
        bench=first,
        methods={name: found[name] for name in trying} | inferred,
        played=found[EXPERT].seconds,
        cloning=found[CLONING].seconds if cloned else 0.0,
    )


def inferred_cost(
    method: str, yardstick: str, costs: FamilyCosts, bench: Bench, measured: Measured
) -> Measured:
    """What a method takes in `bench`, if it takes there as many yardsticks as where it was tried.

    Args:
        method: that was tried in another family.
        yardstick: the method that was tried in both.
        costs: of the other family.
        bench: of this one.
        measured: of the yardstick in this one.
    """
    slower = measured.seconds / _fit_seconds(yardstick, costs, bench)
    return replace(measured, seconds=slower * _fit_seconds(method, costs, bench))


def _fit_seconds(method: str, costs: FamilyCosts, bench: Bench) -> float:
    """A fit in `bench` by what it took in the bench of `costs`, as if of one family."""
    share = _batch_contexts(bench, method) / _batch_contexts(costs.bench, method)
    return share * costs.methods[method].seconds


def _n_test(bench: Bench) -> int:
    return len(bench.split(0).test)


def _batch_contexts(bench: Bench, method: str) -> int:
    """Training contexts that a minibatch has: all, unless the config limits them."""
    n_train = len(bench.split(0).train)
    return min(n_train, config_of(method_named(method, {})).get("batch_tasks", n_train))


def _own_episodes(method: str, bench: Bench) -> int:
    """Episodes that a method plays itself, which a few seconds of its fit do not show."""
    config = getattr(method_named(method, {}), "config", None)
    if not isinstance(config, HyperDistilConfig):
        return 0
    suite, n_train = bench.suite, len(bench.split(0).train)
    return config.own_episodes(suite.family, suite.features, n_train, _n_test(bench))


def _print(left: Sequence[Left], workers: int, console: Console) -> None:
    table = Table()
    table.add_column("part")
    for name in ("runs", "units", "core-hours", "wall time"):
        table.add_column(name, justify="right")
    parts = dict.fromkeys(one.work.part for one in left)
    for name, of_part in [
        *((part, [one for one in left if one.work.part == part]) for part in parts),
        ("all", list(left)),
    ]:
        table.add_row(
            name,
            str(len(of_part)),
            str(sum(one.pieces for one in of_part)),
            f"{sum(one.core_seconds for one in of_part) / 3600:.2f}",
            clock(sum(one.wall_seconds for one in of_part)),
        )
    print_table(table, console)
    say(
        console,
        f"units: one method on one split; {workers} at once; measured on this machine, as busy as "
        "it is now, each method in one family and the first in all; films are not counted",
    )
    say(console, "nothing was started")
