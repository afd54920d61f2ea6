"""The commands of `zeroshot`: one frozen dataclass each, its fields are the options."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional, arg, subcommand

from zeroshot.leaderboard import print_leaderboard, print_table
from zeroshot.results import SUMMARY
from zeroshot.suites import SUITES, Suite, suite_of

SuiteName = Annotated[Positional[str], arg(metavar="SUITE")]
ZooPath = Annotated[Path | None, arg(metavar="FOLDER")]


@dataclass(frozen=True, kw_only=True)
class ListSuites:
    """List the suites: family, features, contexts, and the mean return of their experts.

    Attributes:
        json: Print a JSON list with a record a suite, contexts included.
    """

    json: bool = False

    def __call__(self) -> int:
        """Prints the list."""
        records = [suite_record(suite) for suite in SUITES.values()]
        if self.json:
            print(json.dumps(records, indent=2))
            return 0
        table = Table()
        for name in ("suite", "version", "family", "reward", "features", "contexts"):
            table.add_column(name)
        table.add_column("expert return", justify="right")
        for record in records:
            expert = record["expert_return"]
            table.add_row(
                *(str(record[name]) for name in ("name", "version", "family", "reward")),
                ", ".join(record["features"]),
                str(len(record["contexts"])),
                "no experts" if expert is None else f"{expert:.1f}",
            )
        print_table(table)
        return 0


@dataclass(frozen=True, kw_only=True)
class Run:
    """Fit methods on splits of a suite and score them on the contexts held out.

    Writes results.jsonl (a row an episode), summary.json and figures to --out. Ctrl-C keeps what
    is finished; --resume goes on with it, and may add methods and seeds.

    Attributes:
        suite: Name of the suite, see `zeroshot suites`.
        out: Folder for the results; must be empty or absent unless --resume is given.
        methods: Methods, separated by commas: registered names, or import paths such as
            mypkg.mymodule:MyMethod (looked up in the current folder too). Reference rows
            are always there.
        seeds: Number of random splits; seed i draws split i and seeds the fits on it.
        resume: Go on with the run in --out: finished (method, seed) units are kept.
        workers: Processes, each doing one (method, seed) at a time; 0 for one a core, 8 at
            most.
        zoo: Folder of experts to use instead of the shipped ones.
        train_rows: Also play the contexts that were learned from (rows with split "train").
    """

    suite: SuiteName
    out: Path
    methods: str = "hyperzero,conditioned"
    seeds: int = 5
    resume: bool = False
    workers: int = 0
    zoo: ZooPath = None
    train_rows: bool = False

    def __call__(self) -> int:
        """Runs it and prints the leaderboard; of what is finished, if it is interrupted."""
        from zeroshot.figures import write_figures
        from zeroshot.progress import ConsoleReporter
        from zeroshot.run import experts_of, run

        for name, smallest in (("seeds", 1), ("workers", 0)):
            if getattr(self, name) < smallest:
                raise ValueError(f"`{name}` must be at least {smallest}, got {getattr(self, name)}")
        console = Console()
        _find_modules_here()
        try:
            summary = run(
                self.suite,
                _names(self.methods),
                seeds=self.seeds,
                out=self.out,
                resume=self.resume,
                workers=self.workers,
                zoo=self.zoo,
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
        console.print(f"results, summary and figures: {self.out}", highlight=False, soft_wrap=True)
        return 0


@dataclass(frozen=True, kw_only=True)
class Film:
    """Film a generated policy in any context of a suite's family, on its grid or between.

    Attributes:
        suite: Name of the suite to learn from, see `zeroshot suites`.
        out: The film, .mp4 or .gif.
        context: The context, as feature=value words: speed=3.3 torso=0.5; others keep their
            defaults. Its own expert, if there is one, is left out of the data.
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
        from zeroshot.film import check_film, film, generate, parse_context
        from zeroshot.methods import make_method
        from zeroshot.run import experts_of

        suite = suite_of(self.suite)
        context = parse_context(suite.family, self.context)
        size = (self.width, self.height)
        check_film(self.out, size=size, n_steps=self.steps)
        if self.seed < 0:
            raise ValueError(f"`seed` must be at least 0, got {self.seed}")
        _find_modules_here()
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
        console.print(
            f"{self.out}: {shown['seconds']:.1f} s, return {shown['return']:.1f}", highlight=False
        )
        return 0


@dataclass(frozen=True, kw_only=True)
class Build:
    """Train the experts that a folder does not have yet; killed and started again, it goes on.

    Attributes:
        suite: Name of the suite whose contexts get an expert each.
        out: Folder of the experts, each written as soon as it is done.
        recipe: Recipe: ppo-fast, td3-paper or sac-paper.
        workers: Processes, each training one expert on one thread.
        chain: Warm-start every expert from its nearest finished neighbour; one anchor a
            direction is trained from scratch.
        anchors: With --chain: the anchors instead, as feature=value words, commas between
            features: speed=4 speed=-4.
        anchor_zoo: With --chain: a folder of experts, of another reward for instance, that the
            anchors are warm-started from.
        seed: Of the build; expert i trains with seed + i.
    """

    suite: SuiteName
    out: Path
    recipe: str = "ppo-fast"
    workers: int = 2
    chain: bool = False
    anchors: Annotated[tuple[str, ...], arg(metavar="FEATURE=VALUE ...")] = ()
    anchor_zoo: ZooPath = None
    seed: int = 0

    def __call__(self) -> int:
        """Builds, with a progress line."""
        from zeroshot.expert_commands import build_experts

        return build_experts(
            suite_of(self.suite),
            out=self.out,
            recipe=self.recipe,
            workers=self.workers,
            chain=self.chain,
            anchors=self.anchors,
            anchor_zoo=self.anchor_zoo,
            seed=self.seed,
        )


@dataclass(frozen=True, kw_only=True)
class Repair:
    """Retrain every expert that another one beats in its own context; keep what is better.

    Plays all experts in all contexts. One round; run it again until nothing is beaten.

    Attributes:
        suite: Name of the suite.
        out: Folder of the experts, changed in place.
        donors: Further folders of experts, of another reward for instance, that may lend one.
        recipe: Recipe of the retraining: one of PPO, such as ppo-fast.
        threshold: By how much another expert must be better, relative to the own return.
        workers: Processes, each training one expert on one thread.
        seed: Of the comparison and of the training.
    """

    suite: SuiteName
    out: Path
    donors: Annotated[tuple[Path, ...], arg(metavar="FOLDER ...")] = ()
    recipe: str = "ppo-fast"
    threshold: float = 0.02
    workers: int = 2
    seed: int = 0

    def __call__(self) -> int:
        """Repairs, with a progress line."""
        from zeroshot.expert_commands import repair_experts

        return repair_experts(
            suite_of(self.suite),
            out=self.out,
            donors=self.donors,
            recipe=self.recipe,
            threshold=self.threshold,
            workers=self.workers,
            seed=self.seed,
        )


@dataclass(frozen=True, kw_only=True)
class Show:
    """List a suite's experts: context, return, what they do, recipe and steps.

    Attributes:
        suite: Name of the suite.
        zoo: Folder of experts to list instead of the shipped ones.
    """

    suite: SuiteName
    zoo: ZooPath = None

    def __call__(self) -> int:
        """Prints the table."""
        from zeroshot.expert_commands import show_experts

        return show_experts(suite_of(self.suite), self.zoo)


@dataclass(frozen=True, kw_only=True)
class ExpertCommands:
    """Build, repair or list experts.

    Attributes:
        command: What to do.
    """

    command: (
        Annotated[Build, subcommand("build")]
        | Annotated[Repair, subcommand("repair")]
        | Annotated[Show, subcommand("show")]
    )

    def __call__(self) -> int:
        """Does it."""
        return self.command()


Command = Annotated[
    Annotated[ListSuites, subcommand("suites")]
    | Annotated[Run, subcommand("run")]
    | Annotated[Film, subcommand("film")]
    | Annotated[ExpertCommands, subcommand("experts")],
    arg(name=""),
]


def suite_record(suite: Suite) -> dict[str, Any]:
    """What `zeroshot suites --json` says about a suite; `expert_return` is None without experts."""
    from zeroshot.run import experts_of

    try:
        expert_return = float(experts_of(suite).returns.mean())
    except (FileNotFoundError, ValueError):
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


def _find_modules_here() -> None:
    """Lets import paths be found in the current folder, as `python -m` does."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
