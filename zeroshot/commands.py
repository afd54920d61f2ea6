"""The commands of `zeroshot`: one frozen dataclass each, its fields are the options."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table
from tyro.conf import arg, subcommand

from experts.engines import Engine
from zeroshot.data_commands import DataCommands
from zeroshot.engine_options import EngineOptions
from zeroshot.expert_commands import ExpertCommands, SuiteName, ZooPath
from zeroshot.finetune_commands import FineTuneCommand
from zeroshot.leaderboard import print_leaderboard, print_table
from zeroshot.method_commands import MethodsCommand
from zeroshot.progress import say
from zeroshot.report_commands import Report
from zeroshot.reproduce_commands import Reproduce
from zeroshot.results import SUMMARY
from zeroshot.sample_commands import SamplesCommand
from zeroshot.suites import SUITES, Suite, suite_of


@dataclass(frozen=True, kw_only=True)
class ListSuites:
    """List the suites: family, features, contexts, and the mean return of their experts.

    Attributes:
        json: Print a JSON list with a record a suite, contexts included.
        write_splits: Draw the frozen splits of all suites and write their files into this folder,
            instead of a list.
    """

    json: bool = False
    write_splits: Path | None = None

    def __call__(self) -> int:
        """Prints the list, or writes the files."""
        if self.write_splits is not None:
            return self._write_splits(self.write_splits)
        records = [suite_record(suite) for suite in SUITES.values()]
        if self.json:
            print(json.dumps(records, indent=2))
            return 0
        table = Table()
        table.add_column("suite", no_wrap=True)
        for name in ("family", "reward", "features", "contexts"):
            table.add_column(name, overflow="fold")
        table.add_column("expert\nreturn", justify="right")
        for record in records:
            expert = record["expert_return"]
            table.add_row(
                *(str(record[name]) for name in ("name", "family", "reward")),
                ", ".join(record["features"]),
                str(len(record["contexts"])),
                "none" if expert is None else f"{expert:.1f}",
            )
        print_table(table)
        return 0

    def _write_splits(self, directory: Path) -> int:
        from zeroshot.frozen import write_splits

        for suite in SUITES.values():
            print(write_splits(suite, directory))
        return 0


@dataclass(frozen=True, kw_only=True)
class Run(EngineOptions):
    """Fit methods on splits of a suite and score them on the contexts held out.

    Writes results.jsonl (a row an episode), summary.json, figures and report.html to --out. Ctrl-C
    keeps what is finished; --resume goes on with it, and may add methods and seeds.

    Attributes:
        suite: Name of the suite, see `zeroshot suites`.
        out: Folder for the results; must be empty or absent unless --resume is given.
        methods: Methods, separated by commas: registered names, see `zeroshot methods`, or import
            paths such as mypkg.mymodule:MyMethod (looked up in the current folder too). Reference
            rows are always there.
        seeds: Number of random splits; seed i draws split i and seeds the fits on it.
        resume: Go on with the run in --out: finished (method, seed) units are kept.
        workers: Processes, each doing one (method, seed) at a time; 0 for one a core, 8 at
            most, or with Ray as many as it has CPUs for.
        zoo: Folder of experts to use instead of the shipped ones.
        split: Which contexts are held out: random (the suite's own fraction), random:0.2 (learn
            from a fifth), gap, extrapolation, for two features quadrant, or, where the suite
            names its test tasks, tasks or tasks:15 (learn from 15 of the others).
        shots: Numbers of episodes of a test context, such as 1 5 10: also score every method after
            so many demonstrations, and after so many episodes of its own.
        train_rows: Also play the contexts that were learned from (rows with split "train").
    """

    suite: SuiteName
    out: Path
    methods: str = "hyperzero,conditioned"
    seeds: int = 5
    resume: bool = False
    workers: int = 0
    zoo: ZooPath = None
    split: str = "random"
    shots: tuple[int, ...] = ()
    train_rows: bool = False

    def __call__(self) -> int:
        """Runs it and prints the leaderboard; of what is finished, if it is interrupted."""
        from zeroshot.figures import write_figures
        from zeroshot.progress import ConsoleReporter
        from zeroshot.report import REPORT, write_report
        from zeroshot.run import experts_of, run

        for name, smallest in (("seeds", 1), ("workers", 0)):
            if getattr(self, name) < smallest:
                raise ValueError(f"`{name}` must be at least {smallest}, got {getattr(self, name)}")
        console = Console()
        engine = self.chosen_engine()
        if self.estimate:
            return self._print_estimate(engine, console)
        if self.workers == 1 and engine is None:
            _fit_on_one_thread()
        try:
            summary = run(
                self.suite,
                _names(self.methods),
                seeds=self.seeds,
                out=self.out,
                resume=self.resume,
                workers=self.workers,
                engine=engine,
                zoo=self.zoo,
                split=self.split,
                shots=self.shots,
                train_rows=self.train_rows,
                reporter=ConsoleReporter(console),
            )
        except KeyboardInterrupt:
            if (self.out / SUMMARY).exists():
                partial = json.loads((self.out / SUMMARY).read_text())
                if partial["methods"]:
                    print_leaderboard(partial, console)
            print(
                f"zeroshot: interrupted; finished rows are in {self.out}, --resume goes on",
                file=sys.stderr,
            )
            raise
        print_leaderboard(summary, console)
        suite = suite_of(self.suite)
        write_figures(self.out, suite, experts_of(suite, self.zoo).returns)
        write_report([self.out], self.out / REPORT)
        say(console, f"results, figures and report: {self.out}")
        return 0

    def _print_estimate(self, engine: Engine | None, console: Console) -> int:
        from zeroshot.run_estimates import print_run_estimate

        return print_run_estimate(
            suite_of(self.suite),
            _names(self.methods),
            seeds=self.seeds,
            out=self.out,
            workers=self.workers,
            engine=engine,
            zoo=self.zoo,
            split=self.split,
            shots=self.shots,
            train_rows=self.train_rows,
            console=console,
        )


@dataclass(frozen=True, kw_only=True)
class Film:
    """Film a generated policy in any context of a suite's family, on its grid or between.

    Attributes:
        suite: Name of the suite to learn from, see `zeroshot suites`.
        out: The film, .mp4 or .gif.
        context: The context, as feature=value words: speed=3.3 torso=0.5; others are as
            in the suite. Its own expert, if there is one, is left out of the data.
        method: Registered name or import path of the method.
        seed: Seeds the fit and the start of the episode.
        steps: Longest film, in control steps.
        width: Of a frame, pixels.
        height: Of a frame, pixels.
        zoo: Folder of experts to use instead of the shipped ones.
    """

    suite: SuiteName
    out: Path
    context: Annotated[tuple[str, ...], arg(metavar="FEATURE=VALUE ...")]
    method: str = "hyperzero"
    seed: int = 0
    steps: int = 500
    width: int = 480
    height: int = 480
    zoo: ZooPath = None

    def __call__(self) -> int:
        """Fits the method, generates the policy and films it."""
        from experts import zoo_path
        from experts.collections import find_collection
        from zeroshot.context_words import suite_context
        from zeroshot.film import check_film, film, generate
        from zeroshot.methods import make_method
        from zeroshot.run import experts_of

        suite = suite_of(self.suite)
        context = suite_context(suite, self.context)
        size = (self.width, self.height)
        check_film(self.out, size=size, n_steps=self.steps)
        if self.seed < 0:
            raise ValueError(f"`seed` must be at least 0, got {self.seed}")
        _fit_on_one_thread()
        make_method(self.method)  # a wrong name must not surface after the experts are loaded
        console = Console()
        text = f"fitting {self.method} on {suite.name}"
        with console.status(text) as status:
            policies = generate(
                suite,
                experts_of(suite, self.zoo),
                self.method,
                context,
                seed=self.seed,
                collection=find_collection(self.zoo or zoo_path(suite.zoo)),
                progress=lambda fraction: status.update(f"{text}, {fraction:.0%}"),
            )
        with console.status("filming"):
            shown = film(
                suite.family,
                policies,
                context,
                self.out,
                reward=suite.reward,
                seed=self.seed,
                n_steps=self.steps,
                size=size,
            )
        say(console, f"{self.out}: {shown['seconds']:.1f} s, return {shown['return']:.1f}")
        return 0


Command = Annotated[
    Annotated[ListSuites, subcommand("suites")]
    | MethodsCommand
    | Annotated[Run, subcommand("run")]
    | Annotated[Report, subcommand("report")]
    | Annotated[Reproduce, subcommand("reproduce")]
    | Annotated[Film, subcommand("film")]
    | Annotated[ExpertCommands, subcommand("experts")]
    | Annotated[DataCommands, subcommand("data")]
    | FineTuneCommand
    | SamplesCommand,
    arg(name=""),
]


def suite_record(suite: Suite) -> dict[str, Any]:
    """What `zeroshot suites --json` says about a suite; `expert_return` is None without experts.

    Raises:
        ValueError: if its experts are damaged.
    """
    from zeroshot.run import experts_of

    try:
        expert_return = float(experts_of(suite).returns.mean())
    except FileNotFoundError:
        expert_return = None
    return {
        "name": suite.name,
        "version": suite.version,
        "family": suite.env_id,
        "reward": suite.reward,
        "features": list(suite.features),
        "contexts": [dict(context) for context in suite.contexts],
        "train_fraction": suite.train_fraction,
        "episodes": suite.n_episodes,
        "expert_return": expert_return,
    }


def _names(methods: str) -> list[str]:
    names = [name.strip() for name in methods.split(",") if name.strip()]
    if not names:
        raise ValueError("`methods` must name at least one method, got none")
    return names


def _fit_on_one_thread() -> None:
    """Keeps torch from sharing its small matrix products among threads that wait for each other.

    Two threads took 1.3 to 2.7 times as long as one. OMP_NUM_THREADS, if set, is left alone.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported
