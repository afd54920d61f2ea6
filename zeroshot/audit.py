"""`zeroshot experts audit`: all experts in all contexts; repair of those that are beaten."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional, arg

from experts import BuildProgress, Experts, Repair, load_experts, recipe_for, repair_rounds
from experts import zoo_path as shipped
from experts.audit import Audit, check_episodes
from experts.engines import Engine, engine_named
from experts.rebuild import Repaired, RepairSettings
from experts.store import expert_name
from zeroshot.audit_record import audit_record, load_findings, save_audit
from zeroshot.leaderboard import print_table
from zeroshot.progress import fraction_bars, say
from zeroshot.suites import Suite, suite_of

ALLOWED_SPEED_ERROR = 0.1

OUTCOMES = {
    "clean": "nothing is beaten any more",
    "stuck": "the last round improved nothing",
    "exhausted": "no rounds are left",
}


@dataclass(frozen=True, kw_only=True)
class AuditExperts:
    """Play all experts in all contexts: who is beaten at home, and how much the context matters.

    The transfer matrix finds each context's best rivals, which are then played again with the own
    expert on fresh starts. Prints regret (the best rival's return minus the own) and the suite's
    context relevance (what the best single expert loses to the per-context ones). Killed and
    started again with the same options, it goes on.

    Attributes:
        suite: Name of the suite.
        zoo: Folder of the experts instead of the shipped ones.
        donors: Further folders of experts, of another reward for instance, that are rivals too.
        out: Folder for SUITE.json, SUITE.npz (the matrix) and SUITE.png.
        episodes: Of every policy in every context.
        confirm: Episodes of the own expert and the three best rivals of each context.
        decide: Episodes of an expert that is beaten by then, but by less than two standard errors
            above the threshold, and of its best rival; 0 for no more.
        threshold: By how much a rival must be better, relative to the own return.
        seed: Of the starts, and of the training under --repair.
        repair: Rebuild what is beaten, warm-started from the best rival, in the folder named by
            --zoo.
        found: With --repair: SUITE.json of an audit of these experts, which begins the first round
            instead of a new one.
        rounds: With --repair: at most so many rounds.
        recipe: With --repair: recipe of the retraining, one of PPO.
        warm_steps: With --repair: environment steps of a retraining, instead of the recipe's.
        adopt: With --repair: take over the rival's own policy where it is better, so that no new
            rivals arise and the rounds end; only the critic is trained.
        workers: With --repair: experts in training at once, each on one thread; by default 2, or
            with Ray as many as it has CPUs for.
        engine: With --repair: where experts are trained, as for `experts build`.
        address: With --repair and --engine ray: address of the cluster.
        whole: List all contexts, not only those with more than half the threshold of regret.
    """

    suite: Annotated[Positional[str], arg(metavar="SUITE")]
    zoo: Annotated[Path | None, arg(metavar="FOLDER")] = None
    donors: Annotated[tuple[Path, ...], arg(metavar="FOLDER ...")] = ()
    out: Annotated[Path | None, arg(metavar="FOLDER")] = None
    episodes: int = 2
    confirm: int = 20
    decide: int = 100
    threshold: float = 0.02
    seed: int = 0
    repair: bool = False
    found: Annotated[Path | None, arg(metavar="FILE")] = None
    rounds: int = 5
    recipe: str = "ppo-fast"
    warm_steps: int | None = None
    adopt: bool = False
    workers: int | None = None
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    whole: bool = False

    def __call__(self) -> int:
        """Audits, with a progress line; returns the exit code.

        Raises:
            ValueError: for bad numbers, experts that do not fit the suite, folders of one name,
                --repair without --zoo, --found without --repair, or an audit of other experts.
            FileNotFoundError: if a folder has no experts.
        """
        suite = suite_of(self.suite)
        if self.repair and self.zoo is None:
            raise ValueError("`repair` changes experts in place: name their folder with --zoo")
        if self.found is not None and not self.repair:
            raise ValueError("`found` begins a repair: use it with --repair")
        if self.adopt and not self.repair:
            raise ValueError("`adopt` is a way of repair: use it with --repair")
        counts = self.episodes, self.confirm, self.decide
        check_episodes(*counts, names=("episodes", "confirm", "decide"))
        directory = self.zoo or shipped(suite.zoo)
        names = [path.resolve().name for path in (directory, *self.donors)]
        if len(set(names)) != len(names):
            raise ValueError(
                "`donors` and the experts' folder must have different names, by which rivals are "
                f"told apart, got {', '.join(map(str, (directory, *self.donors)))}"
            )
        check_experts(suite, directory)
        recipe = recipe_for(self.recipe, suite.env_id)
        if self.warm_steps is not None:
            recipe = replace(recipe, warm_steps=self.warm_steps)
        settings = RepairSettings(
            recipe=recipe,
            donors=self.donors,
            threshold=self.threshold,
            finding_episodes=self.episodes,
            confirming_episodes=self.confirm,
            deciding_episodes=self.decide,
            seed=self.seed,
            n_steps=suite.n_steps,
            adopt=self.adopt,
            leaves=suite.held_out,
        )
        console = Console()
        start = time.monotonic()
        if self.repair:
            engine = engine_named(self.engine, self.address)
            audit = self._repaired(suite, directory, settings, engine, console)
        else:
            with fraction_bars(console) as report:
                audit = settings.audit(directory, 0, report("playing"))
        print_audit(audit, suite, console, whole=self.whole)
        if self.out is not None:
            _write(audit, suite, directory, self.donors, self.out, time.monotonic() - start)
            say(console, f"audit: {self.out / suite.name}.json")
        return 0

    def _repaired(
        self,
        suite: Suite,
        directory: Path,
        settings: RepairSettings,
        engine: Engine,
        console: Console,
    ) -> Audit:
        def found(path: Path) -> Audit:
            return load_findings(path, suite, directory, self.donors, self.threshold)

        with fraction_bars(console) as report:
            training = report("training")

            def on_progress(progress: BuildProgress) -> None:
                training(progress.steps_done / max(progress.steps_total, 1))

            def on_round(said: Sequence[Repaired]) -> None:
                for repaired in said:
                    say(
                        console,
                        f"{expert_name(repaired.context)}: {repaired.before:.1f} -> "
                        f"{repaired.after:.1f}, kept: {repaired.kept}, from "
                        f"{repaired.donor.parent.name}/{repaired.donor.stem}",
                    )

            def on_found(audit: Audit) -> None:
                say(console, f"{int(audit.beaten.sum())} of {len(audit)} are beaten")

            done: Repair = repair_rounds(
                directory,
                settings,
                rounds=self.rounds,
                workers=self.workers,
                engine=engine,
                found=None if self.found is None else partial(found, self.found),
                on_audit=report("playing"),
                on_found=on_found,
                on_progress=on_progress,
                on_round=on_round,
            )
        say(console, f"{len(done.rounds)} rounds of repair: {OUTCOMES[done.outcome]}")
        return done.audit


def check_experts(suite: Suite, directory: Path) -> Experts:
    """The experts of a folder, which may be some of a suite's contexts.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: if one is of another family, reward or context.
    """
    experts = load_experts(directory)
    for name, has, needs in (
        ("family", experts.family.env_id, suite.env_id),
        ("reward", experts.reward, suite.reward),
    ):
        if has != needs:
            raise ValueError(
                f"{directory}: the experts' {name} is {has!r}, {suite.name} needs {needs!r}"
            )
    foreign = [context for context in experts.contexts if context not in suite.contexts]
    if foreign:
        raise ValueError(
            f"{directory}: {len(foreign)} experts are of contexts that {suite.name} does not have, "
            f"the first is {dict(foreign[0])}"
        )
    return experts


def print_audit(audit: Audit, suite: Suite, console: Console, *, whole: bool = False) -> None:
    """Prints what an audit found: a table of contexts, and the summary."""
    least = -np.inf if whole else audit.threshold / 2
    ids = np.flatnonzero(audit.relative_regret > least)
    if len(ids):
        what = "all contexts" if whole else f"contexts with a regret above {100 * least:g} %"
        table = Table(title=f"{suite.name}: {what}")
        measured = [] if audit.velocities is None else ["velocity"]
        for name in (*suite.features, "own", "best rival", "regret", "%", "+-", *measured):
            table.add_column(name, justify="right")
        table.add_column("rival", overflow="fold")
        for i in ids:
            shown = [f"{audit.contexts[i][name]:g}" for name in suite.features]
            shown += [f"{audit.own[i]:.1f}", f"{audit.own[i] + audit.regret[i]:.1f}"]
            shown += [f"{audit.regret[i]:.1f}", f"{100 * audit.relative_regret[i]:.1f}"]
            shown += [f"{audit.regret_error[i]:.1f}"]
            if audit.velocities is not None:
                shown.append(f"{audit.velocities[i]:.2f}")
            style = "bold" if audit.beaten[i] else None
            rival = audit.rivals[i]
            table.add_row(*shown, f"{rival.parent.name}/{_short(rival.stem, suite)}", style=style)
        print_table(table, console)
    for line in summary_lines(audit, suite):
        say(console, line)


def summary_lines(audit: Audit, suite: Suite) -> list[str]:
    """What an audit found, in a few sentences."""
    n = len(audit)
    of = "" if n == len(suite.contexts) else f" of {len(suite.contexts)}"
    best = audit.contexts[audit.best_single]
    named = ", ".join(f"{name} {best[name]:g}" for name in suite.features)
    lines = [
        f"{suite.name}: {n}{of} experts, mean return {audit.own.mean():.1f}",
        f"beaten by more than {100 * audit.threshold:g} %: {int(audit.beaten.sum())} of {n}; "
        f"largest regret {100 * audit.relative_regret.max():.1f} %",
        f"context relevance {_share(audit.context_relevance)}: the best single expert ({named}) "
        "loses that share of the experts' return; the nearest other context's expert loses "
        f"{_share(audit.neighbour_relevance)}",
    ]
    if audit.direction_relevance is not None:
        lines.append(f"the best expert of each direction loses {_share(audit.direction_relevance)}")
    errors, reachable = audit.speed_errors, audit.reachable
    if errors is not None and reachable is not None and reachable.any():
        within = errors[reachable]
        lines.append(
            f"|v - v*| / |v*|: mean {within.mean():.3f}, largest {within.max():.3f}, above "
            f"{ALLOWED_SPEED_ERROR:g} in {int((within > ALLOWED_SPEED_ERROR).sum())} of the "
            f"{int(reachable.sum())} contexts whose speed any policy reached"
        )
    return lines


def _share(value: float) -> str:
    return f"{value:z.2f}"


def _short(name: str, suite: Suite) -> str:
    """An expert's name without the features that do not vary."""
    return "_".join(part for part in name.split("_") if part.split("=")[0] in suite.features)


def _write(
    audit: Audit, suite: Suite, directory: Path, donors: Sequence[Path], out: Path, seconds: float
) -> None:
    from zeroshot.audit_figures import audit_figure
    from zeroshot.figures import save_figure

    record = audit_record(
        audit,
        suite,
        experts=load_experts(directory),
        donors=[path.name for path in donors],
        seconds=seconds,
    )
    path = save_audit(audit, record, out)
    save_figure(audit_figure(audit, suite), path.with_suffix(".png"))
