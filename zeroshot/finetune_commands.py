"""`zeroshot finetune`: its options."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich.console import Console
from rich.table import Table
from tyro.conf import arg, subcommand

from zeroshot.engine_options import EngineOptions
from zeroshot.expert_commands import SuiteName, ZooPath
from zeroshot.leaderboard import print_table
from zeroshot.progress import fraction_bars, say
from zeroshot.suites import suite_of

if TYPE_CHECKING:
    from experts.finetune_config import FineTuneConfig

ALL = ("all",)
"""Of the contexts that a split holds out."""


@dataclass(frozen=True, kw_only=True)
class FineTune(EngineOptions):
    """Train policies on in contexts held out by a split, from several starts; it can be killed.

    Every start is fine-tuned by SAC in every held-out context, with several seeds, and evaluated on
    the way. Writes a small JSON file a run, summary.json and a figure to --out; started again, it
    goes on, and may add starts, contexts and seeds. See docs/finetuning.md.

    Attributes:
        suite: Name of the suite, see `zeroshot suites`.
        out: Folder for the results.
        method: A method whose generated policies are compared with scratch and nearest: the same
            as --start scratch nearest METHOD.
        start: Where to start from: scratch (random weights), scratch-standardised (the same, with
            observations standardised as for all others), nearest (the nearest training expert),
            or methods, registered or as import paths. By default scratch nearest hyperzero.
        contexts: Held-out contexts to fine-tune in, as feature=value words with commas between
            features: speed=4 speed=-4.
        steps: Environment steps of a run.
        seeds: Runs from each start in each context.
        every: Environment steps between evaluations.
        episodes: Episodes of an evaluation, always from the same states.
        preset: Hyperparameters: those of this repository, or GenHyper's as far as it gives them.
        td_weight: Weight of the TD term, instead of the preset's; 0 for none.
        ramp_updates: Updates over which the policy's learning rate is raised, instead of the
            preset's; 0 for none.
        collect_steps: Environment steps before the first update, instead of the preset's.
        critic_updates: Updates of the critics alone before the first of the policy, instead of the
            preset's.
        split: Which contexts are held out, as in `zeroshot run`.
        split_seed: Of the split, and of the methods' fits.
        workers: Runs at once, each on one thread; 0 for one a core, 8 at most, or with Ray as many
            as it has CPUs for.
        zoo: Folder of experts to use instead of the shipped ones.
    """

    suite: SuiteName
    out: Path
    method: str | None = None
    start: Annotated[tuple[str, ...], arg(metavar="START ...")] = ()
    contexts: Annotated[tuple[str, ...], arg(metavar="FEATURE=VALUE ...")] = ALL
    steps: int = 100_000
    seeds: int = 3
    every: int = 5_000
    episodes: int = 10
    preset: Literal["default", "paper"] = "default"
    td_weight: float | None = None
    ramp_updates: int | None = None
    collect_steps: int | None = None
    critic_updates: int | None = None
    split: str = "random"
    split_seed: int = 0
    workers: int = 0
    zoo: ZooPath = None

    def __call__(self) -> int:
        """Runs what is not done yet, and prints a table; of what is finished, if interrupted.

        Raises:
            ValueError: for an unknown name, or a value that makes no sense.
            OSError: if `out` cannot be a folder, or another process writes to it.
        """
        from zeroshot.context_words import grid_contexts
        from zeroshot.finetune import Comparison, fine_tune_suite
        from zeroshot.finetune_figures import write_finetuning_figure
        from zeroshot.finetune_results import read_records, summarise

        if self.workers < 0:
            raise ValueError(f"`workers` must be at least 0, got {self.workers}")
        if not self.contexts:  # which would be all
            raise ValueError("`contexts` must be at least one, or all, got none")
        suite = suite_of(self.suite)
        engine = self.chosen_engine()
        comparison = Comparison(
            suite=suite,
            starts=self._starts(),
            contexts=() if self.contexts == ALL else grid_contexts(suite, self.contexts),
            n_steps=self.steps,
            seeds=self.seeds,
            every=self.every,
            n_episodes=self.episodes,
            config=self._config(),
            split=self.split,
            split_seed=self.split_seed,
        )
        console = Console()
        if self.estimate:
            from zeroshot.finetune_estimates import print_finetuning_estimate

            return print_finetuning_estimate(
                comparison,
                out=self.out,
                workers=self.workers,
                engine=engine,
                zoo=self.zoo,
                console=console,
            )
        try:
            with fraction_bars(console) as reporter:
                summary = fine_tune_suite(
                    comparison,
                    out=self.out,
                    workers=self.workers,
                    engine=engine,
                    zoo=self.zoo,
                    say=lambda text: say(console, text),
                    on_progress=reporter("fine-tuning"),
                )
        except KeyboardInterrupt:
            if records := read_records(self.out):
                _print_table(suite.name, summarise(records))
            print(
                f"zeroshot: interrupted; finished runs are in {self.out}, the same command goes on",
                file=sys.stderr,
            )
            raise
        _print_table(suite.name, summary["starts"])
        figure = write_finetuning_figure(self.out)
        say(console, f"results: {self.out}, figure: {figure}")
        return 0

    def _starts(self) -> tuple[str, ...]:
        if self.method is not None and self.start:
            raise ValueError(f"`method` must not come with --start, got {self.method!r}")
        from zeroshot.finetune_starts import NEAREST, SCRATCH

        return self.start or (SCRATCH, NEAREST, self.method or "hyperzero")

    def _config(self) -> FineTuneConfig:
        from experts.finetune_config import FineTuneConfig

        return FineTuneConfig.named(
            self.preset,
            td_weight=self.td_weight,
            ramp_updates=self.ramp_updates,
            collect_steps=self.collect_steps,
            critic_updates=self.critic_updates,
        )


FineTuneCommand = Annotated[FineTune, subcommand("finetune")]


def _print_table(suite: str, starts: dict[str, dict[str, Any]]) -> None:
    table = Table(
        title=f"{suite}: fine-tuning",
        caption="reached: runs that came to 95 % of their expert's return, and the median of the "
        "steps that it took; dip: mean of the largest fall below the own start; dipped: runs that "
        "fell by more than a tenth of it",
    )
    table.add_column("start", no_wrap=True)
    for name in (
        "runs",
        "return at first",
        "at last",
        "expert",
        "reached",
        "steps",
        "dip",
        "dipped",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in starts.items():
        steps = "-" if row["median_steps"] is None else f"{row['median_steps']:,}"
        returns = [f"{row[key]:.1f}" for key in ("start_return", "end_return", "expert_return")]
        table.add_row(
            name,
            str(row["runs"]),
            *returns,
            str(row["reached"]),
            steps,
            f"{row['largest_dip']:.1f}",
            str(row["dipped"]),
        )
    print_table(table)
