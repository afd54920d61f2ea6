"""One round of a repair: successors of beaten experts, and which of the candidates is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from experts.audit import (
    CONFIRMING_EPISODES,
    DECIDING_EPISODES,
    DOUBT,
    FINDING_EPISODES,
    THRESHOLD,
    Audit,
    audit,
    paired_regret,
)
from experts.engines import Engine
from experts.episode_cache import EpisodeCache
from experts.evaluation import episode_seeds, play
from experts.jobs import BuildProgress, Job, manifest_path, run_jobs
from experts.policy import MLPPolicies
from experts.recipes import Recipe
from experts.store import (
    Expert,
    expert_name,
    load_expert,
    load_experts,
    save_expert,
    write_atomically,
)
from param_envs import Context, family_of

Array = NDArray[np.float64]

CANDIDATES = ".repair"
"""Folder within the zoo where candidates wait for all others; it makes a repair resumable."""
PLAN = "plan"
"""File in it that says whom the present round rebuilds, and from whom."""
DECIDED = "decided"
"""File in it that says what is kept, written before the first expert is replaced and added to with
every decision; whole once it has all jobs of the plan."""
PLAYED = ".played"
"""Folder within the zoo of what an audit that is not over has played."""
CHOSEN = "chosen"
"""Folder in it of the experts that replace others."""
FINAL_EPISODES = 20
FINAL_SEED = 3_000_017
DECIDING_SEED = 5_000_011
SEEDS_A_ROUND = 1000
"""The first round begins after as many: with a build's seed, a successor of the expert's own parent
would be that very expert again."""

Kept = Literal["old", "successor", "donor"]


@dataclass(frozen=True, kw_only=True)
class RepairSettings:
    """How beaten experts are found and rebuilt.

    Attributes:
        recipe: for the retraining; its `warm_steps` count.
        donors: further zoos of the family, of another reward for instance, that may lend an expert.
        threshold: by how much a rival must be better, relative to the expert's own return.
        finding_episodes: of every policy in every context, see `experts.audit`.
        confirming_episodes: of each context's best rivals.
        deciding_episodes: of those that are beaten by then, but not beyond doubt; and of old
            expert, successor and donor where 20 leave it in doubt which is the best.
        seed: of the comparison and of the training.
        n_steps: longest episode of the comparison, the family's own by default.
        adopt: keep the rival's own policy where it is better, never one trained on from it, which
            would be a new rival of all others: rounds of this kind end. The training is then for
            the critic, which has to learn its new context.
        leaves: contexts that are always held out, whose experts lend nothing to others.

    Raises:
        ValueError: for a threshold below 0.
    """

    recipe: Recipe
    donors: tuple[Path, ...] = ()
    threshold: float = THRESHOLD
    finding_episodes: int = FINDING_EPISODES
    confirming_episodes: int = CONFIRMING_EPISODES
    deciding_episodes: int = DECIDING_EPISODES
    seed: int = 0
    n_steps: int | None = None
    adopt: bool = False
    leaves: tuple[Context, ...] = ()

    def __post_init__(self) -> None:
        if not self.threshold >= 0.0:
            raise ValueError(f"`threshold` must be at least 0, got {self.threshold}")

    def audit(
        self, directory: Path, round_: int, on_progress: Callable[[float], None] | None = None
    ) -> Audit:
        """The audit that round `round_` begins with, on starts of its own; a kill costs little."""
        return audit(
            directory,
            donors=self.donors,
            threshold=self.threshold,
            finding_episodes=self.finding_episodes,
            confirming_episodes=self.confirming_episodes,
            deciding_episodes=self.deciding_episodes,
            seed=self.seed + round_,
            n_steps=self.n_steps,
            cache=EpisodeCache(directory / PLAYED),
            on_progress=on_progress,
        )

    def plain(self) -> dict[str, Any]:
        """The settings as JSON has them."""
        donors, leaves = [str(path) for path in self.donors], [dict(leaf) for leaf in self.leaves]
        text = json.dumps({**asdict(replace(self, leaves=())), "donors": donors, "leaves": leaves})
        return dict(json.loads(text))


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """What became of one expert that was beaten.

    Attributes:
        context: of the expert.
        before: its mean return.
        after: the mean return, from the same starts, of what is kept; `before` if that is the old
            expert.
        kept: the old expert; its warm-started successor; or, where both still lose to the donor by
            more than the threshold, a copy of the donor's policy. Without successors, when experts
            are adopted, a copy of the donor's that is better at all.
        donor: manifest of the expert that the successor was warm-started from.
    """

    context: Context
    before: float
    after: float
    kept: Kept
    donor: Path


@dataclass(frozen=True, kw_only=True)
class Round:
    """Whom a round rebuilds.

    Attributes:
        number: 0 for the first.
        jobs: the successors to train.
    """

    number: int
    jobs: tuple[Job, ...]


def round_after(audited: Audit, settings: RepairSettings, number: int) -> Round:
    """The round that rebuilds all that an audit found beaten by what may lend."""
    held_out = {expert_name(leaf) for leaf in settings.leaves}
    first = settings.seed + SEEDS_A_ROUND * (number + 1)
    jobs = tuple(
        Job(context=audited.contexts[i], seed=first + int(i), warm_from=audited.rivals[i])
        for i in np.flatnonzero(audited.beaten)
        if audited.rivals[i].stem not in held_out - {expert_name(audited.contexts[i])}
    )
    return Round(number=number, jobs=jobs)


def planned_round(directory: Path, settings: RepairSettings, audited: Audit, number: int) -> Round:
    """Plans the round that an audit calls for, and writes the plan down."""
    planned = round_after(audited, settings, number)
    plan = {
        "settings": settings.plain(),
        "round": number,
        "jobs": [
            {"context": dict(job.context), "seed": job.seed, "donor": str(job.warm_from)}
            for job in planned.jobs
        ],
    }
    folder = directory / CANDIDATES
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_atomically(folder / PLAN, json.dumps(plan, indent=1).encode())
    return planned


def discard_round(directory: Path) -> None:
    """Forgets the round that was planned."""
    shutil.rmtree(directory / CANDIDATES, ignore_errors=True)


def interrupted_round(directory: Path, env_id: str, settings: RepairSettings) -> Round | None:
    """The round that was interrupted, None if none was.

    Raises:
        ValueError: if it had other settings.
    """
    path = directory / CANDIDATES / PLAN
    if not path.exists():
        return None
    plan, given = json.loads(path.read_text()), settings.plain()
    changed = sorted(key for key in given if plan["settings"].get(key) != given[key])
    if changed:
        raise ValueError(
            f"{path.parent}: a repair with other settings was interrupted here "
            f"({', '.join(changed)} changed): repeat it with those, or remove the folder"
        )
    family = family_of(env_id)
    jobs = tuple(
        Job(
            context=family.context(**job["context"]),
            seed=job["seed"],
            warm_from=Path(job["donor"]),
        )
        for job in plan["jobs"]
    )
    return Round(number=plan["round"], jobs=jobs)


def rebuild(
    directory: Path,
    settings: RepairSettings,
    planned: Round,
    *,
    workers: int | None,
    engine: Engine | None,
    on_progress: Callable[[BuildProgress], None] | None,
) -> list[Repaired]:
    """Trains the successors of a round and keeps the best of the candidates.

    All are compared before any is replaced, since a donor may itself be among the beaten; and what
    is decided is on disk by then, so that a kill in between changes nothing.

    Raises:
        BuildError: if an expert failed to train; the others' successors wait for the next call.
    """
    candidates = directory / CANDIDATES
    if len(_decided(candidates)) < len(planned.jobs):
        _decide(
            directory, settings, planned, workers=workers, engine=engine, on_progress=on_progress
        )
    family = load_experts(directory).family
    said = []
    for plain in _decided(candidates):
        context = family.context(**plain["context"])
        said.append(Repaired(**{**plain, "context": context, "donor": Path(plain["donor"])}))
        if plain["kept"] != "old":
            save_expert(load_expert(manifest_path(candidates / CHOSEN, context)), directory)
    discard_round(directory)
    return said


def _decide(
    directory: Path,
    settings: RepairSettings,
    planned: Round,
    *,
    workers: int | None,
    engine: Engine | None,
    on_progress: Callable[[BuildProgress], None] | None,
) -> None:
    """Trains, compares, and writes down what is kept, beginning where an earlier call ended."""
    candidates = directory / CANDIDATES
    first = load_expert(manifest_path(directory, planned.jobs[0].context))
    run_jobs(
        planned.jobs,
        first.family,
        reward=first.record["reward"],
        # A zoo has one discount, whatever the recipe has become since it was built.
        recipe=replace(settings.recipe, discount=first.record["discount"]),
        directory=candidates,
        workers=workers,
        engine=engine,
        on_progress=on_progress,
    )
    said = _decided(candidates)
    for job in planned.jobs[len(said) :]:
        expert, repaired = _choose(job, directory, settings)
        if repaired.kept != "old":
            save_expert(expert, candidates / CHOSEN)
        said.append(
            {**asdict(repaired), "context": dict(job.context), "donor": str(repaired.donor)}
        )
        write_atomically(candidates / DECIDED, json.dumps(said, indent=1).encode())


def _decided(candidates: Path) -> list[dict[str, Any]]:
    """What was decided so far, in the order of the plan's jobs."""
    path = candidates / DECIDED
    return list(json.loads(path.read_text())) if path.exists() else []


def _choose(job: Job, directory: Path, settings: RepairSettings) -> tuple[Expert, Repaired]:
    assert job.warm_from is not None
    old = load_expert(manifest_path(directory, job.context))
    successor = load_expert(manifest_path(directory / CANDIDATES, job.context))
    donor = load_expert(job.warm_from)
    candidates = [old, donor] if settings.adopt else [old, successor, donor]
    policies = MLPPolicies.stack([candidate.policy for candidate in candidates])

    def played(n_episodes: int, seed: int) -> Array:
        return play(
            policies,
            old.family,
            [job.context] * len(candidates),
            reward=old.record["reward"],
            n_episodes=n_episodes,
            seed=0,
            starts=episode_seeds(seed, 1, n_episodes) * len(candidates),
            n_steps=settings.n_steps,
        ).returns

    returns = played(FINAL_EPISODES, FINAL_SEED + job.seed)
    if settings.deciding_episodes and _in_doubt(returns, settings.threshold):
        returns = played(settings.deciding_episodes, DECIDING_SEED + job.seed)
    before, *trained, lent = returns.mean(axis=1).tolist()
    better = max([before, *trained])
    margin = 0.0 if settings.adopt else settings.threshold * abs(better)
    expert, kept, after = old, "old", before
    if lent > better + margin:
        expert, kept, after = _copied(donor, successor), "donor", lent
    elif better > before:
        expert, kept, after = successor, "successor", better
    said = Repaired(
        context=job.context,
        before=before,
        after=after,
        kept=kept,  # type: ignore[arg-type]
        donor=job.warm_from,
    )
    return expert, said


def _in_doubt(returns: Array, threshold: float) -> bool:
    """Whether the candidate with the best of returns (n, n_episodes) may be beaten by another.

    By more than the threshold, within two standard errors.
    """
    best = np.broadcast_to(returns[returns.mean(axis=1).argmax()], returns.shape)
    own, gains, errors = paired_regret(best, returns)
    return bool((gains + DOUBT * errors > threshold * np.abs(own)).any())


def _copied(donor: Expert, successor: Expert) -> Expert:
    """The donor's policy with the successor's critic, which has learnt this context's reward."""
    from experts.training import evaluated

    record = {
        **successor.record,
        "recipe": successor.record["recipe"].removesuffix("-chained") + "-copied",
        "policy_from": {
            "expert": expert_name(donor.context),
            "reward": donor.record["reward"],
            "sha256": donor.record["sha256"],
        },
    }
    policy = renormalised(donor.policy, successor.policy)
    return evaluated(replace(successor, policy=policy, record=record))


def renormalised(policy: MLPPolicies, like: MLPPolicies) -> MLPPolicies:
    """The same function of the observation with the mean and scale of `like`.

    So that an expert's policy and critic share their statistics, as warm starts assume.
    """
    size = policy.input_size
    mean, scale = _statistics(policy, size)
    new_mean, new_scale = _statistics(like, size)
    weight = policy.weights[0].astype(np.float64)
    bias = policy.biases[0] + np.einsum("ni,nio->no", (new_mean - mean) / scale, weight)
    weight = weight * (new_scale / scale)[:, :, None]
    return replace(
        policy,
        weights=(weight.astype(np.float32), *policy.weights[1:]),
        biases=(bias.astype(np.float32), *policy.biases[1:]),
        mean=like.mean,
        scale=like.scale,
    )


def _statistics(policy: MLPPolicies, size: int) -> tuple[Any, Any]:
    mean = np.zeros((1, size)) if policy.mean is None else policy.mean.astype(np.float64)
    scale = np.ones((1, size)) if policy.scale is None else policy.scale.astype(np.float64)
    return mean, scale
