"""`zeroshot experts build`, `repair` and `show`: their options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg, subcommand

from zeroshot.suites import suite_of

SuiteName = Annotated[Positional[str], arg(metavar="SUITE")]
ZooPath = Annotated[Path | None, arg(metavar="FOLDER")]


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
        from zeroshot.expert_builds import build_experts

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
        from zeroshot.expert_builds import repair_experts

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
        from zeroshot.expert_builds import show_experts

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
