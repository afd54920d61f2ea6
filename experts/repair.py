"""Repairing a zoo: an expert that another beats in its own context starts again from that one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from experts.assessment import assess
from experts.audit import THRESHOLD, Audit
from experts.engines import Engine
from experts.jobs import BuildProgress
from experts.rebuild import (
    Repaired,
    RepairSettings,
    discard_round,
    interrupted_round,
    planned_round,
    rebuild,
)
from experts.recipes import Recipe
from experts.store import expert_name, load_experts
from param_envs import Context

Outcome = Literal["clean", "stuck", "exhausted"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Repair:
    """A repair in rounds.

    Attributes:
        rounds: what each round did.
        outcome: `clean`: nothing is beaten any more; `stuck`: the last round improved nothing,
            or nothing that is beaten has a rival that may lend;
            `exhausted`: something is beaten and no rounds are left.
        audit: of the zoo as it is now.
    """

    rounds: tuple[tuple[Repaired, ...], ...]
    outcome: Outcome
    audit: Audit


def repair(
    directory: Path,
    *,
    recipe: Recipe,
    donors: Sequence[Path] = (),
    threshold: float = THRESHOLD,
    leaves: Sequence[Context] = (),
    workers: int | None = None,
    engine: Engine | None = None,
    seed: int = 0,
    on_progress: Callable[[BuildProgress], None] | None = None,
) -> list[Repaired]:
    """One round: rebuilds every expert that another one beats by more than `threshold`.

    Each starts from the one that beats it. Old expert, successor and donor are then played from the
    same starts, and the old one stays unless another is better. Killed and called again, it goes on
    with the candidates already trained.

    Args:
        directory: the zoo, changed in place.
        recipe: for the retraining; its `warm_steps` count.
        donors: further zoos of the family, of another reward for instance, that may lend an expert.
        threshold: relative to the expert's own return.
        leaves: contexts that are always held out, whose experts lend nothing to others.
        workers: experts in training at once; None for the engine's own number.
        engine: where they are trained, processes of this machine by default.
        seed: of the comparison and of the training.
        on_progress: called about twice a second while experts train.

    Raises:
        ValueError: for a damaged zoo, donors of another family or other networks, a threshold below
            0, or a folder where a repair with other settings was interrupted.
        FileNotFoundError: if a zoo has no experts.
        BuildError: if an expert failed to train.
    """
    settings = RepairSettings(
        recipe=recipe,
        donors=tuple(donors),
        threshold=threshold,
        seed=seed,
        leaves=tuple(leaves),
    )
    env_id = load_experts(directory).family.env_id
    planned = interrupted_round(directory, env_id, settings)
    if planned is None:
        planned = planned_round(directory, settings, settings.audit(directory, 0), 0)
    said = rebuild(
        directory, settings, planned, workers=workers, engine=engine, on_progress=on_progress
    )
    assess(directory)
    return said


def repair_rounds(
    directory: Path,
    settings: RepairSettings,
    *,
    rounds: int = 5,
    workers: int | None = None,
    engine: Engine | None = None,
    found: Callable[[], Audit] | None = None,
    on_audit: Callable[[float], None] | None = None,
    on_found: Callable[[Audit], None] | None = None,
    on_progress: Callable[[BuildProgress], None] | None = None,
    on_round: Callable[[Sequence[Repaired]], None] | None = None,
) -> Repair:
    """Repairs until nothing is beaten, a round improves nothing, or `rounds` are done.

    Killed and called again with the same settings, it goes on in the round that was interrupted.
    The audit that ends it was waited for, so its luck is a little good: publish another one, with
    another seed.

    Args:
        directory: the zoo, changed in place.
        settings: of all rounds.
        rounds: at most.
        workers: experts in training at once; None for the engine's own number.
        engine: where they are trained, processes of this machine by default.
        found: gives an audit of the zoo as it is, for a first round that was not interrupted; None
            to make one.
        on_audit: told which fraction of an audit is done.
        on_found: told of every audit.
        on_progress: called about twice a second while experts train.
        on_round: told what a round did.

    Raises:
        ValueError: for `rounds` below 1, and where `repair` raises it.
        FileNotFoundError: if a zoo has no experts.
        BuildError: if an expert failed to train.
    """
    if rounds < 1:
        raise ValueError(f"`rounds` must be at least 1, got {rounds}")
    env_id = load_experts(directory).family.env_id
    planned = interrupted_round(directory, env_id, settings)
    number = 0 if planned is None else planned.number
    done: list[tuple[Repaired, ...]] = []

    def look(known: Callable[[], Audit] | None = None) -> Audit:
        audited = settings.audit(directory, number, on_audit) if known is None else known()
        if on_found is not None:
            on_found(audited)
        return audited

    audited = look(found) if planned is None else None
    while True:
        if audited is not None:
            if not audited.beaten.any():
                return _closed(directory, done, "clean", audited)
            if done and all(repaired.kept == "old" for repaired in done[-1]):
                return _closed(directory, done, "stuck", audited)
            if len(done) == rounds:
                return _closed(directory, done, "exhausted", audited)
            planned = planned_round(directory, settings, audited, number)
            if not planned.jobs:
                discard_round(directory)
                return _closed(directory, done, "stuck", audited)
        assert planned is not None
        said = rebuild(
            directory, settings, planned, workers=workers, engine=engine, on_progress=on_progress
        )
        done.append(tuple(said))
        if on_round is not None:
            on_round(said)
        number += 1
        audited = look()


def _closed(
    directory: Path, done: Sequence[tuple[Repaired, ...]], outcome: Outcome, audited: Audit
) -> Repair:
    limits = None
    if audited.limits is not None:
        names = [expert_name(context) for context in audited.contexts]
        limits = dict(zip(names, audited.limits.tolist(), strict=True))
    assess(directory, limits)
    return Repair(rounds=tuple(done), outcome=outcome, audit=audited)
