"""`zeroshot data export` and `show`: experts' rollouts as Minari datasets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional, arg, subcommand

from experts.rollouts import DEFAULT_NOISE
from zeroshot.expert_commands import SuiteName, ZooPath
from zeroshot.leaderboard import print_table
from zeroshot.progress import say
from zeroshot.suites import suite_of

if TYPE_CHECKING:
    from experts import Rollouts

DatasetName = Annotated[str, arg(metavar="NAME")]
Folder = Annotated[Path | None, arg(metavar="FOLDER")]


@dataclass(frozen=True, kw_only=True)
class Export:
    """Play a suite's experts and write their rollouts as a Minari dataset, contexts included.

    Attributes:
        suite: Name of the suite, see `zeroshot suites`.
        to: Name of the dataset with its version, such as cheetah/experts-v0.
        folder: Folder of all datasets; by default Minari's own (MINARI_DATASETS_PATH, or
            .minari/datasets in the home).
        noise: Standard deviations of the noise on the actions, which the episodes take in turn.
        episodes: Episodes a context; by default one for each --noise.
        steps: Longest episode in control steps, the suite's by default.
        value: What q* comes from: returns of the episodes, or the experts' critics.
        seed: Of starts and noise.
        zoo: Folder of experts to use instead of the shipped ones.
    """

    suite: SuiteName
    to: DatasetName
    folder: Folder = None
    noise: tuple[float, ...] = DEFAULT_NOISE
    episodes: int | None = None
    steps: int | None = None
    value: Literal["monte-carlo", "critic"] = "monte-carlo"
    seed: int = 0
    zoo: ZooPath = None

    def __call__(self) -> int:
        """Plays and writes."""
        from experts import collect
        from experts.minari import new_dataset_path, to_minari
        from zeroshot.run import experts_of

        suite = suite_of(self.suite)
        noise = self._noise_of_episodes()
        if self.seed < 0:
            raise ValueError(f"`seed` must be at least 0, got {self.seed}")
        new_dataset_path(self.to, self.folder)  # what is in the way must not surface after playing
        experts = experts_of(suite, self.zoo)
        console = Console()
        with console.status(f"playing {len(experts)} experts, {len(noise)} episodes each"):
            rollouts = collect(
                experts,
                features=suite.features,
                noise=noise,
                seed=self.seed,
                n_steps=self.steps or suite.n_steps,
                value=self.value,
            )
        with console.status("writing"):
            path = to_minari(
                rollouts,
                self.to,
                folder=self.folder,
                description=(
                    f"Rollouts of the experts of {suite.name}, version {suite.version}, "
                    f"seed {self.seed}; q* by {self.value}."
                ),
            )
        say(console, f"{path}: {_size(rollouts)}, {_megabytes(path):.1f} MB")
        return 0

    def _noise_of_episodes(self) -> list[float]:
        if not self.noise:
            raise ValueError("`noise` must be at least one number, got none")
        n_episodes = len(self.noise) if self.episodes is None else self.episodes
        if n_episodes < 1:
            raise ValueError(f"`episodes` must be at least 1, got {n_episodes}")
        return [self.noise[i % len(self.noise)] for i in range(n_episodes)]


@dataclass(frozen=True, kw_only=True)
class ShowData:
    """Read a Minari dataset whole, verify its checksum, and list its contexts and returns.

    Attributes:
        name: Name of the dataset, such as cheetah/experts-v0.
        folder: Folder of all datasets; by default Minari's own.
        discount: Of the values, for a dataset that has none.
    """

    name: Annotated[Positional[str], arg(metavar="NAME")]
    folder: Folder = None
    discount: float | None = None

    def __call__(self) -> int:
        """Prints the table."""
        from experts.minari import from_minari

        data = from_minari(self.name, folder=self.folder, discount=self.discount)
        table = Table()
        for feature in data.contexts[0]:
            table.add_column(feature, justify="right")
        for column in ("episodes", "steps", "return", "without noise", "first q*"):
            table.add_column(column, justify="right")
        played = data.mask[:, :, 0]
        returns = data.rewards.sum(axis=2)
        for i, context in enumerate(data.contexts):
            rows, clean = played[i], played[i] & data.clean
            table.add_row(
                *(f"{value:g}" for value in context.values()),
                str(rows.sum()),
                str(data.mask[i].sum()),
                f"{returns[i, rows].mean():.1f}",
                f"{returns[i, clean].mean():.1f}" if clean.any() else "-",
                f"{data.values[i, rows, 0].mean():.1f}",
            )
        print_table(table)
        known = "unknown here" if data.experts is None else "shipped"
        say(
            Console(),
            f"{data.family.env_id}, reward {data.reward}, discount {data.discount:g}, "
            f"experts {known}; {_size(data)}",
        )
        return 0


@dataclass(frozen=True, kw_only=True)
class DataCommands:
    """Write experts' rollouts as Minari datasets, or look at one.

    Attributes:
        command: What to do.
    """

    command: Annotated[Export, subcommand("export")] | Annotated[ShowData, subcommand("show")]

    def __call__(self) -> int:
        """Does it."""
        return self.command()


def _size(data: Rollouts) -> str:
    n_episodes = int(data.mask[:, :, 0].sum())
    return f"{len(data)} contexts, {n_episodes} episodes, {int(data.mask.sum())} steps"


def _megabytes(path: Path) -> float:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
