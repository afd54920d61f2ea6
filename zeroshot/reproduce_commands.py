"""`zeroshot reproduce`: all that a paper shows, by one command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from tyro.conf import Positional, arg

from zeroshot.engine_options import EngineOptions
from zeroshot.progress import say
from zeroshot.reproduce import plan_of

if TYPE_CHECKING:
    from zeroshot.reproduce.execution import Outcome  # imports torch


@dataclass(frozen=True, kw_only=True)
class Reproduce(EngineOptions):
    """Run every table and figure of a paper from the shipped experts; started again, it goes on.

    Each run of the plan is a `zeroshot run` into its own folder. Suites whose experts are not
    complete are skipped, and named; where all are, that is an error. Writes summary.json, a small
    JSON file a run in results/, and tables.md and tables.html with published numbers beside these.

    Attributes:
        paper: Which: hyperzero or genhyper.
        out: Folder of everything, results/PAPER by default. What is finished there is kept, so
            that the preset paper goes on where laptop ended.
        preset: How much: laptop or paper; --describe tells what laptop leaves out.
        suites: Suites to keep, instead of all.
        parts: Parts to keep, instead of all; --describe lists them.
        splits: Splits to keep, tasks:15 for instance, instead of all.
        methods: Methods to keep, instead of all; the same command without it does the others.
        seeds: Number of splits of every run, instead of the preset's own.
        workers: Processes, each doing one (method, seed) at a time; 0 for one a core, 8 at most,
            or with Ray as many as it has CPUs for.
        zoo: Folder that has a folder of experts a suite, by its name, instead of the shipped ones;
            with their collections or checkpoints, if there are any.
        packed: Folder of packed runs, docs/results/hyperzero/rows for instance: those that the
            folder of everything lacks begin with what is there.
        finished: Keep only what is finished in the folder of everything: nothing is fitted; tables
            are written, and figures and reports that are missing.
        describe: Print what the preset consists of and where it stands, and start nothing.
    """

    paper: Annotated[Positional[str], arg(metavar="PAPER")]
    out: Path | None = None
    preset: str = "laptop"
    suites: Annotated[tuple[str, ...], arg(metavar="SUITE ...")] = ()
    parts: Annotated[tuple[str, ...], arg(metavar="PART ...")] = ()
    splits: Annotated[tuple[str, ...], arg(metavar="SPLIT ...")] = ()
    methods: Annotated[tuple[str, ...], arg(metavar="METHOD ...")] = ()
    seeds: int | None = None
    workers: int = 0
    zoo: Annotated[Path | None, arg(metavar="FOLDER")] = None
    packed: Path | None = None
    finished: bool = False
    describe: bool = False

    def __call__(self) -> int:
        """Reproduces, and prints where the tables are.

        Raises:
            ValueError: for an unknown name, a number that makes no sense, or where none of the
                suites that are asked for has its experts.
        """
        from zeroshot.progress import ConsoleReporter
        from zeroshot.reproduce.estimate import print_plan_estimate
        from zeroshot.reproduce.execution import check_zoo, finished_part, outcomes, perform
        from zeroshot.reproduce.packed import unpack
        from zeroshot.reproduce.report import headlines_of, print_description, report
        from zeroshot.run import MOST_WORKERS, default_workers

        plan = plan_of(self.paper)
        preset = plan.preset(self.preset).chosen(
            suites=self.suites,
            parts=self.parts,
            splits=self.splits,
            methods=self.methods,
            seeds=self.seeds,
            zoos=self.zoo,
        )
        if self.workers < 0:
            raise ValueError(f"`workers` must be at least 0, got {self.workers}")
        out = self.out or Path("results") / plan.name
        engine = self.chosen_engine()
        console = Console()
        if self.packed is not None:
            unpacked = unpack(self.packed, out)
            say(console, f"runs unpacked from {self.packed}: {len(unpacked)}")
        if self.zoo is not None:
            check_zoo(preset, self.zoo)
        if self.finished:
            preset = finished_part(preset, out)
        if self.describe:
            print_description(plan, preset, outcomes(preset, out), out, console)
            return 0
        if self.estimate:
            return print_plan_estimate(
                preset, out, workers=self.workers, engine=engine, console=console
            )
        workers = self.workers or (0 if engine else default_workers(MOST_WORKERS))
        if workers == 1:
            os.environ.setdefault("OMP_NUM_THREADS", "1")  # as `zeroshot run` does

        def tell(found: Sequence[Outcome]) -> None:
            _check_some(found)
            report(plan, self.preset, preset, found, out)

        try:
            found = perform(
                preset,
                out,
                workers=workers,
                engine=engine,
                reporters=lambda: ConsoleReporter(console),
                tell=tell,
            )
        except KeyboardInterrupt:
            print(
                f"zeroshot: interrupted; what is finished is in {out}, the same command goes on",
                file=sys.stderr,
            )
            raise
        for line in headlines_of(found, out):
            say(console, line)
        say(console, f"tables and results: {out}")
        return 1 if any(outcome.state == "failed" for outcome in found) else 0


def _check_some(found: Sequence[Outcome]) -> None:
    """Raises ValueError, saying what every suite lacks, if all is skipped."""
    if all(outcome.state == "skipped" for outcome in found):
        lacking = {outcome.work.suite: outcome.reason for outcome in found}
        said = "; ".join(f"{suite}: {reason}" for suite, reason in lacking.items())
        raise ValueError(
            f"`suites` must have one that has its experts, or --zoo name a folder of them: {said}"
        )
