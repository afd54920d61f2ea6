"""`zeroshot experts build`, `turn`, `repair`, `audit`, `show` and `compare`: their options."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg, subcommand

from zeroshot.audit import AuditExperts
from zeroshot.engine_options import EngineOptions
from zeroshot.suites import suite_of

if TYPE_CHECKING:
    from experts.offpolicy import CheckpointSchedule  # imports torch

SuiteName = Annotated[Positional[str], arg(metavar="SUITE")]
ZooPath = Annotated[Path | None, arg(metavar="FOLDER")]


def _checkpoints(given: Build | Turn) -> CheckpointSchedule | None:
    asked = (given.checkpoint_every, given.checkpoint_from, given.checkpoint_last)
    if asked == (None, 0, None):
        return None  # without importing torch
    from experts.batched_build import checkpoints_in

    return checkpoints_in(given.out, *asked)


def _first_given(given: Build | Turn, names: Iterable[str]) -> str | None:
    """The first of these options that is not at its default."""
    defaults = {each.name: each.default for each in fields(given)}
    return next((name for name in names if getattr(given, name) != defaults[name]), None)


@dataclass(frozen=True, kw_only=True)
class Build(EngineOptions):
    """Train the experts that a folder does not have yet; killed and started again, it goes on.

    Attributes:
        suite: Name of the suite whose contexts get an expert each.
        out: Folder of the experts, each written as soon as it is done.
        recipe: Recipe: ppo-fast, sac-fast, sac-laptop, td3-fast, sac-paper or td3-paper.
        warm_steps: Environment steps after a warm start, instead of the recipe's.
        handed_on: With --chain and a recipe of SAC or TD3: transitions that a training leaves to
            the next, instead of the recipe's; 0 to hand on the policy and its critics alone.
        only: Contexts of the suite to build, instead of all, as feature=value words with commas
            between features: speed=4 speed=-4.
        workers: Experts in training at once, each on one thread; by default 2, or with Ray as many
            as it has CPUs for.
        chain: Warm-start every expert from its nearest finished neighbour; one anchor a
            direction is trained from scratch. None starts from a task that the suite always holds
            out. What sac-laptop's trainings leave to each other
            is in FOLDER/legacies, of which nobody needs the rest when the chain is done.
        anchors: With --chain: the anchors instead, as feature=value words, commas between
            features: speed=4 speed=-4. Or all, with --anchor-zoo: each starts
            from its own there, but for those that are always held out.
        anchor_zoo: With --chain: a folder of experts, of another reward for instance, that the
            anchors are warm-started from.
        along: With --chain: features that a chain may change, all by default; for a joint grid
            whose anchors have every speed: torso.
        batched: Train all missing experts in one process, as one batch, on a GPU or on this
            machine's cores; with a recipe of TD3 or SAC.
        batch_size: With --batched: agents at once at most, instead of all.
        device: With --batched: where; auto is a GPU where there is one.
        checkpoint_every: With a recipe of TD3 or SAC: keep every agent's policy after so many
            environment steps each, in FOLDER/checkpoints.
        checkpoint_from: With --checkpoint-every: environment steps before the first.
        checkpoint_last: With --checkpoint-every: keep only so many, those of the end.
        plan: With --batched: train for, and keep, the policies of a plan instead: paper, 500 of
            every agent from step 500,000 on, or laptop, 50 from step 200,000 on. All agents begin
            with the same weights.
        same_start: With --batched: all agents begin with the same weights, so that methods in
            weight space can learn from them.
        seed: Of the build; expert i trains with seed + i.
    """

    suite: SuiteName
    out: Path
    recipe: str = "ppo-fast"
    warm_steps: int | None = None
    handed_on: int | None = None
    only: Annotated[tuple[str, ...], arg(metavar="FEATURE=VALUE ...")] = ()
    workers: int | None = None
    chain: bool = False
    anchors: Annotated[tuple[str, ...], arg(metavar="FEATURE=VALUE ...")] = ()
    anchor_zoo: ZooPath = None
    along: Annotated[tuple[str, ...], arg(metavar="FEATURE ...")] = ()
    batched: bool = False
    batch_size: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_every: int | None = None
    checkpoint_from: int = 0
    checkpoint_last: int | None = None
    plan: Literal["paper", "laptop"] | None = None
    same_start: bool = False
    seed: int = 0

    def __call__(self) -> int:
        """Builds, with a progress line."""
        if self.batched:
            return self._batched()
        self._refuse(("batch_size", "device", "plan", "same_start"), "must come with")
        from zeroshot.expert_builds import build_experts

        return build_experts(
            suite_of(self.suite),
            out=self.out,
            recipe=self.recipe,
            warm_steps=self.warm_steps,
            handed_on=self.handed_on,
            only=self.only,
            workers=self.workers,
            engine=self.chosen_engine(),
            estimate=self.estimate,
            chain=self.chain,
            anchors=self.anchors,
            anchor_zoo=self.anchor_zoo,
            along=self.along,
            checkpoints=_checkpoints(self),
            seed=self.seed,
        )

    def _batched(self) -> int:
        alone = (
            "chain",
            "anchors",
            "anchor_zoo",
            "along",
            "warm_steps",
            "handed_on",
            "workers",
            "engine",
            "address",
        )
        self._refuse(alone, "must not come with")
        from experts.batched_build import Batching
        from zeroshot.batched_builds import build_experts_batched, build_planned_collection

        if self.plan is not None:
            planned = ("batch_size", "checkpoint_every", "checkpoint_from", "checkpoint_last")
            self._refuse(planned, "must not come with --plan and")
            return build_planned_collection(
                suite_of(self.suite),
                out=self.out,
                recipe=self.recipe,
                plan=self.plan,
                only=self.only,
                device=self.device,
                estimate=self.estimate,
                seed=self.seed,
            )

        return build_experts_batched(
            suite_of(self.suite),
            out=self.out,
            recipe=self.recipe,
            only=self.only,
            batching=Batching(
                batch_size=self.batch_size,
                device=self.device,
                checkpoint_every=self.checkpoint_every,
                checkpoint_from=self.checkpoint_from,
                checkpoint_last=self.checkpoint_last,
                same_start=self.same_start,
            ),
            estimate=self.estimate,
            seed=self.seed,
        )

    def _refuse(self, names: tuple[str, ...], how: str) -> None:
        """Raises ValueError for the first of these options that is not at its default."""
        reason = "" if how == "must come with" else ": all its agents begin at once, in one process"
        if name := _first_given(self, names):
            raise ValueError(f"`{name}` {how} --batched{reason}")


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Train one policy for contexts that are one task seen in turned frames: an ant's directions.

    It acts in the environments of all contexts that are not always held out, each seen in the frame
    of one of them; each context's expert is that policy with the turn folded into its first layer.
    Killed and started again, it goes on.

    Attributes:
        suite: Name of the suite whose contexts get an expert each.
        out: Folder of the experts.
        home: The context in whose frame all are seen, as feature=value words, commas between.
        zoo: Folder that has its expert, to start from.
        recipe: Recipe of SAC or TD3.
        warm_steps: Environment steps over all contexts, instead of the recipe's.
        checkpoint_every: Keep the policy after so many environment steps each, over all contexts;
            FOLDER/checkpoints then has it turned for every context.
        checkpoint_from: With --checkpoint-every: environment steps before the first.
        checkpoint_last: With --checkpoint-every: keep only so many, those of the end.
        relabelled: Learn from each step as from one of the same body whose parts are labelled
            otherwise, drawn at random: an ant that ran with another leg in front.
        as_it_is: Turn the expert of --home, which need not be one of the suite's, without training
            it: its zoo may have policies alone. Experts that are there must be turned so, too.
        seam: With --as-it-is: value of the feature, below the suite's largest, beyond which
            contexts are turned the other way round. An ant's attitude then has the other sign,
            with which it acts otherwise.
        seed: Of everything.
    """

    suite: SuiteName
    out: Path
    home: Annotated[str, arg(metavar="FEATURE=VALUE")]
    zoo: Annotated[Path, arg(metavar="FOLDER")]
    recipe: str = "sac-laptop"
    warm_steps: int | None = None
    checkpoint_every: int | None = None
    checkpoint_from: int = 0
    checkpoint_last: int | None = None
    relabelled: bool = False
    as_it_is: bool = False
    seam: float | None = None
    seed: int = 0

    def __call__(self) -> int:
        """Trains, with a progress line."""
        from zeroshot.expert_builds import turn_experts

        if self.seam is not None and not self.as_it_is:
            raise ValueError("`seam` must come with --as-it-is")
        if self.as_it_is:
            kept = ("checkpoint_every", "checkpoint_from", "checkpoint_last")
            if name := _first_given(self, ("recipe", "warm_steps", *kept, "relabelled", "seed")):
                raise ValueError(f"`{name}` must not come with --as-it-is: nothing is trained")
        return turn_experts(
            suite_of(self.suite),
            home=self.home,
            zoo=self.zoo,
            out=self.out,
            recipe=self.recipe,
            warm_steps=self.warm_steps,
            checkpoints=_checkpoints(self),
            relabelled=self.relabelled,
            as_it_is=self.as_it_is,
            seam=self.seam,
            seed=self.seed,
        )


@dataclass(frozen=True, kw_only=True)
class Repair(EngineOptions):
    """Retrain every expert that another one beats in its own context; keep what is better.

    Plays all experts in all contexts. One round; run it again until nothing is beaten.

    Attributes:
        suite: Name of the suite.
        out: Folder of the experts, changed in place.
        donors: Further folders of experts, of another reward for instance, that may lend one.
        recipe: Recipe of the retraining: one of PPO, such as ppo-fast.
        warm_steps: Environment steps of a retraining, instead of the recipe's.
        threshold: By how much another expert must be better, relative to the own return.
        workers: Experts in training at once, each on one thread; by default 2, or with Ray as many
            as it has CPUs for.
        seed: Of the comparison and of the training.
    """

    suite: SuiteName
    out: Path
    donors: Annotated[tuple[Path, ...], arg(metavar="FOLDER ...")] = ()
    recipe: str = "ppo-fast"
    warm_steps: int | None = None
    threshold: float = 0.02
    workers: int | None = None
    seed: int = 0

    def __call__(self) -> int:
        """Repairs, with a progress line."""
        from zeroshot.expert_builds import repair_experts

        return repair_experts(
            suite_of(self.suite),
            out=self.out,
            donors=self.donors,
            recipe=self.recipe,
            warm_steps=self.warm_steps,
            threshold=self.threshold,
            workers=self.workers,
            engine=self.chosen_engine(),
            estimate=self.estimate,
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
class Compare:
    """Compare two zoos of a suite: returns from the same starts, and seconds of training.

    In the contexts that both have; such as experts that were trained independently, and chained.
    Seconds are those in the manifests: on other machines, or busier ones, they are others.

    Attributes:
        first: Folder of experts.
        second: Folder of other experts of the same family and reward.
        episodes: Of every expert.
        seed: Of the starts.
    """

    first: Annotated[Positional[Path], arg(metavar="FIRST")]
    second: Annotated[Positional[Path], arg(metavar="SECOND")]
    episodes: int = 20
    seed: int = 0

    def __call__(self) -> int:
        """Plays both and prints a line a zoo."""
        from rich.console import Console

        from zeroshot.zoo_comparison import compare_zoos, print_comparison

        found = compare_zoos(self.first, self.second, n_episodes=self.episodes, seed=self.seed)
        print_comparison(found, self.first, self.second, Console())
        return 0


@dataclass(frozen=True, kw_only=True)
class ExpertCommands:
    """Build, turn, repair, audit, list or compare experts.

    Attributes:
        command: What to do.
    """

    command: (
        Annotated[Build, subcommand("build")]
        | Annotated[Turn, subcommand("turn")]
        | Annotated[Repair, subcommand("repair")]
        | Annotated[AuditExperts, subcommand("audit")]
        | Annotated[Show, subcommand("show")]
        | Annotated[Compare, subcommand("compare")]
    )

    def __call__(self) -> int:
        """Does it."""
        return self.command()
