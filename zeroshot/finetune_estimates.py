"""What `--estimate` tells of a fine-tuning comparison: a run is begun, and thrown away."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from rich.console import Console

from experts import Experts, play, zoo_path
from experts.collections import find_collection
from experts.engines import Engine
from experts.estimates import Estimate, wall_seconds
from experts.finetune import fine_tune
from zeroshot.bench import Bench
from zeroshot.estimates import print_estimate
from zeroshot.finetune import STARTS, Comparison
from zeroshot.finetune_results import Piece, piece_of, plain_name, read_records
from zeroshot.finetune_starts import NEAREST, UNTRAINED, start_policies
from zeroshot.progress import say
from zeroshot.run import default_workers, experts_of
from zeroshot.run_estimates import MEASURED_HERE, measure
from zeroshot.splits import rule_of

MEASURED_SECONDS = 4.0
WARM_UP_UPDATES = 10


def print_finetuning_estimate(
    comparison: Comparison,
    *,
    out: Path,
    workers: int,
    engine: Engine | None,
    zoo: Path | None,
    console: Console,
) -> int:
    """Prints what the runs that `out` lacks will take; returns the exit code.

    Args:
        comparison: what is compared.
        out: folder of the results; it may be absent.
        workers: runs at once, 0 for the engine's own number.
        engine: where, None for this machine.
        zoo: folder of experts, None for the shipped ones.
        console: to print on.

    Raises:
        ValueError: if a method fails in the attempt.
        FileNotFoundError: if the suite has no experts.
    """
    experts = experts_of(comparison.suite, zoo)
    many = find_collection(zoo or zoo_path(comparison.suite.zoo))
    waiting = pieces_left(comparison, out)
    if not waiting:
        say(console, f"runs: nothing to do, all {len(comparison.pieces)} are there")
        return 0
    found = estimate_of(
        comparison,
        experts,
        waiting,
        out=out,
        collection=many,
        workers=workers or (engine.capacity() if engine else default_workers(len(waiting))),
        tell=lambda text: say(console, text),
    )
    print_estimate(found, "runs", len(comparison.pieces) - len(waiting), console)
    return 0


def pieces_left(comparison: Comparison, out: Path) -> list[Piece]:
    """The runs that a folder lacks; it may be absent."""
    done = {piece_of(record) for record in read_records(out)}
    return [piece for piece in comparison.pieces if piece not in done]


def estimate_of(
    comparison: Comparison,
    experts: Experts,
    waiting: Sequence[Piece],
    *,
    out: Path,
    collection: Path | None,
    workers: int,
    tell: Callable[[str], None],
) -> Estimate:
    """What runs will take: as long as those in `out` did, or as measured for some seconds.

    Args:
        comparison: what is compared.
        experts: one a context of the suite.
        waiting: the runs to do, at least one.
        out: folder of the results; it may be absent.
        collection: folder of many policies of every context; None where there are none.
        workers: runs at once.
        tell: told what was measured.

    Raises:
        ValueError: if a method fails in the attempt.
    """
    records = read_records(out)
    recorded = {
        start: median(r["seconds"] for r in records if r["start"] == start)
        for start in {record["start"] for record in records}
    }
    seconds = {}
    for start in dict.fromkeys(piece.start for piece in waiting):
        if start in recorded:
            seconds[start] = recorded[start]
            source = "recorded in this folder"
        else:
            seconds[start] = run_seconds(comparison, experts, scratch=start in UNTRAINED)
            source = MEASURED_HERE
            if start not in (*UNTRAINED, NEAREST):
                source += ", on the nearest expert's network"
        tell(f"{start}: a run takes {seconds[start]:.3g} s, {source}")
    fits = [
        start
        for start in seconds
        if start not in (*UNTRAINED, NEAREST)
        and not (out / STARTS / f"{plain_name(start)}.npz").exists()
    ]
    return finetuning_estimate(
        comparison,
        waiting,
        seconds,
        fitting=_fit_seconds(comparison, experts, fits, collection, tell),
        workers=workers,
    )


def finetuning_estimate(
    comparison: Comparison,
    waiting: Sequence[Piece],
    seconds: dict[str, float],
    *,
    fitting: float,
    workers: int,
) -> Estimate:
    """What runs take, if each takes as long as `seconds` says of its start.

    Args:
        comparison: what is compared.
        waiting: the runs to do, in order.
        seconds: of a run, by start.
        fitting: seconds of the methods' fits, which come first.
        workers: runs at once.
    """
    each = [seconds[piece.start] for piece in waiting]
    return Estimate(
        pieces=len(waiting),
        steps=len(waiting) * comparison.n_steps,
        core_seconds=fitting + sum(each),
        wall_seconds=fitting + wall_seconds(each, [None] * len(each), workers),
        chain_seconds=fitting + max(each),
        workers=workers,
    )


def run_seconds(comparison: Comparison, experts: Experts, *, scratch: bool) -> float:
    """Seconds of one run, from some seconds of updates and one evaluation, on one thread.

    Args:
        comparison: what is compared.
        experts: one a context of the suite.
        scratch: of a run from random weights, and not from the nearest expert.
    """
    suite = comparison.suite
    context = next(iter(comparison.held_out.values()))
    config = comparison.config.plain() if scratch else comparison.config
    first = config.batch_size + WARM_UP_UPDATES
    start = start_policies(NEAREST, suite, experts, comparison.ids, seed=0, directory=Path())
    marks: list[tuple[int, float]] = []

    def on_steps(steps: int) -> None:
        if steps <= first:
            return
        marks.append((steps, time.perf_counter()))
        if len(marks) > 1 and marks[-1][1] - marks[0][1] >= MEASURED_SECONDS:
            raise _Enough

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    began = time.perf_counter()
    try:
        play(
            start.select([0]),
            suite.family,
            [context],
            reward=suite.reward,
            n_episodes=comparison.n_episodes,
            seed=0,
            n_steps=suite.n_steps,
            n_threads=1,
        )
        evaluation = time.perf_counter() - began
        fine_tune(
            None if scratch else start.select([0]),
            suite.family,
            context,
            reward=suite.reward,
            n_steps=max(comparison.n_steps, first + 2),
            seed=0,
            config=replace(config, collect_steps=config.batch_size, critic_updates=0),
            every=max(comparison.n_steps, first + 2),
            n_episodes=1,
            episode_steps=suite.n_steps,
            on_steps=on_steps,
        )
    except _Enough:
        pass
    finally:
        torch.set_num_threads(n_threads)
    step = (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0])
    n_evaluations = 2 + (comparison.n_steps - 1) // comparison.every
    n_updates = comparison.n_steps + config.critic_updates
    return n_updates * step + (n_evaluations + 1) * evaluation


class _Enough(Exception):
    """The measurement is over."""


def _fit_seconds(
    comparison: Comparison,
    experts: Experts,
    methods: Sequence[str],
    collection: Path | None,
    tell: Callable[[str], None],
) -> float:
    bench = Bench(
        suite=replace(comparison.suite, n_episodes=1),
        experts=experts,
        transfer=np.zeros((len(experts), len(experts))),  # only tells references whom to choose
        methods={},
        rule=rule_of(comparison.split, comparison.suite),
        collection=collection,
    )
    total = 0.0
    for name, found in measure(bench, methods).items():
        tell(f"{name}: the fit takes {found.seconds:.3g} s, {MEASURED_HERE}")
        total += found.setup + found.seconds
    return total
