"""The audit of a zoo: every expert in every context, and what that says about experts and grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experts.assessment import REACHED
from experts.episode_cache import EpisodeCache
from experts.jobs import manifest_path
from experts.policy import MLPPolicies
from experts.store import Experts, load_experts
from experts.transfer import Transfer, play_everywhere, play_pairs
from param_envs import Context, Family

Array = NDArray[np.float64]

THRESHOLD = 0.02
"""An expert is beaten where another one's return is better by more than this share of its own."""
FINDING_EPISODES = 2
CONFIRMING_EPISODES = 20
DECIDING_EPISODES = 100
DOUBT = 2.0
"""Standard errors within which of the threshold a regret is played again."""
RIVALS = 3
"""Policies that are played again in each context, the best ones of the finding episodes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Audit:
    """What n experts are worth in each other's contexts.

    With many policies and few episodes the best of them owes its place to luck. So the matrix only
    finds the three best rivals of each context; they and the own expert are then played again, on
    fresh starts that they share. The best of three is still a little lucky, and returns that vary
    much from start to start need more episodes than all contexts can have. So an expert that is
    beaten by then, but by less than the threshold and two standard errors, is played again with
    that one rival, on more and fresh starts, and these decide alone. One that is not beaten has no
    second trial: with few confirming episodes some are missed.

    Attributes:
        family: of the contexts.
        reward: the meaning of the reward.
        contexts: n contexts.
        returns: mean return (n, n) of expert i (rows) in context j (columns), finding episodes.
        own: mean return (n,) of each context's own expert, confirming or deciding episodes.
        regret: the best rival's mean return minus the own expert's (n,), from the same episodes;
            negative where no rival is as good.
        regret_error: standard error (n,) of `regret`, over pairs of episodes with one start.
        rivals: manifest (n,) of each context's best rival.
        velocities: mean velocity (n,) of each expert in its own context, from its manifest, the
            start from rest included; None for a family without a desired speed.
        limits: the highest mean velocity (n,) in the desired direction that any policy had in the
            context's body; None for a family without a desired speed.
        threshold: relative to the own return.
        finding_episodes: episodes a pair behind `returns`.
        decided: where (n,) deciding episodes are behind `own` and `regret`, confirming ones
            elsewhere.
        confirming_episodes: how many those are.
        deciding_episodes: how many those are; 0 if none were to be played.
        seed: of the starts.
    """

    family: Family
    reward: str
    contexts: tuple[Context, ...]
    returns: Array
    own: Array
    regret: Array
    regret_error: Array
    rivals: tuple[Path, ...]
    velocities: Array | None
    limits: Array | None
    threshold: float
    finding_episodes: int
    confirming_episodes: int
    deciding_episodes: int
    decided: NDArray[np.bool_]
    seed: int

    def __len__(self) -> int:
        return len(self.contexts)

    @property
    def relative_regret(self) -> Array:
        """`regret` as a share of the own return (n,)."""
        return _relative(self.regret, self.own)

    @property
    def beaten(self) -> NDArray[np.bool_]:
        """Which experts (n,) a rival beats by more than the threshold."""
        return self.relative_regret > self.threshold

    @property
    def best_single(self) -> int:
        """The expert with the highest mean return over all contexts."""
        return int(self.returns.mean(axis=1).argmax())

    @property
    def context_relevance(self) -> float:
        """What the best single expert loses to the per-context experts, as a share of theirs.

        The mean over contexts of the own experts' returns minus that of the best single expert,
        over the size of the former, all from `returns`. 0: one policy is as good as all of them,
        and the context does not matter; 1: it earns nothing, or, where returns are negative, twice
        the experts' loss. NaN if the experts earn nothing.
        """
        return self._lost(self.returns[self.best_single])

    @property
    def direction_relevance(self) -> float | None:
        """The same for a policy that knows the direction alone; None where there is but one.

        For each combination of signs of the features that have a direction, the expert of it with
        the highest mean return within it.
        """
        groups = np.array(self._directions)
        kinds = np.unique(groups, axis=0)
        if len(kinds) < 2:
            return None
        chosen = np.zeros(len(self))
        for kind in kinds:
            ids = np.flatnonzero((groups == kind).all(axis=1))
            within = self.returns[np.ix_(ids, ids)]
            chosen[ids] = within[within.mean(axis=1).argmax()]
        return self._lost(chosen)

    @property
    def neighbour_relevance(self) -> float:
        """The same for the expert of the nearest other context, in encoded contexts.

        NaN for a zoo of one.
        """
        encoded = self.family.encode(self.contexts)
        distances = np.linalg.norm(encoded[:, None] - encoded[None], axis=-1)
        np.fill_diagonal(distances, np.inf)
        if len(self) < 2:
            return float("nan")
        return self._lost(self.returns[distances.argmin(axis=0), np.arange(len(self))])

    @property
    def speed_errors(self) -> Array | None:
        """|v - v*| / |v*| (n,) of the experts, under "track"; None where no speed is a target."""
        if self.velocities is None or self.reward != "track":
            return None
        desired = self._desired
        return np.abs(self.velocities - desired) / np.abs(desired)

    @property
    def reachable(self) -> NDArray[np.bool_] | None:
        """Whether any policy came within 10 % of the desired speed or above, in its body (n,).

        None for a family without a desired speed. That no policy did is evidence of the body's
        limit, and no proof.
        """
        if self.limits is None:
            return None
        return np.abs(self._desired) * REACHED <= self.limits

    @cached_property
    def _desired(self) -> Array:
        return np.array([context["speed"] for context in self.contexts])

    @property
    def _directions(self) -> list[tuple[bool, ...]]:
        signed = [f.name for f in self.family.features if f.encoding == "signed"]
        return [tuple(context[name] > 0.0 for name in signed) for context in self.contexts]

    def _lost(self, returns: Array) -> float:
        own = float(np.diagonal(self.returns).mean())
        return (own - float(returns.mean())) / abs(own) if own != 0.0 else float("nan")


def audit(
    directory: Path,
    *,
    donors: Sequence[Path] = (),
    threshold: float = THRESHOLD,
    finding_episodes: int = FINDING_EPISODES,
    confirming_episodes: int = CONFIRMING_EPISODES,
    deciding_episodes: int = DECIDING_EPISODES,
    seed: int = 0,
    n_steps: int | None = None,
    n_threads: int = 0,
    cache: EpisodeCache | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Audit:
    """Plays all experts of a zoo in all its contexts.

    Args:
        directory: the zoo.
        donors: further zoos of the family, of another reward for instance, whose experts are
            rivals too.
        threshold: relative to the expert's own return.
        finding_episodes: episodes of every policy in every context.
        confirming_episodes: of the own expert and the three best rivals, on fresh starts.
        deciding_episodes: of an expert that is beaten by then, but not beyond doubt, and of its
            best rival, on fresh starts again; 0 to believe the confirming ones.
        seed: of the starts.
        n_steps: longest episode, the family's own by default.
        n_threads: threads to step on, 0 for all cores.
        cache: keeps what is played until the audit is over: killed and called again, it goes on.
        on_progress: told which fraction of the work is done.

    Raises:
        ValueError: for a damaged zoo, donors of another family or other networks, a threshold below
            0, too few episodes, or if there is only one policy.
        FileNotFoundError: if a zoo has no experts.
    """
    if not threshold >= 0.0:
        raise ValueError(f"`threshold` must be at least 0, got {threshold}")
    check_episodes(finding_episodes, confirming_episodes, deciding_episodes)
    own = load_experts(directory)
    zoos = [(directory, own), *((path, load_experts(path)) for path in donors)]
    policies = _stacked(zoos)
    if len(policies) < 2:
        raise ValueError(f"{directory}: an audit compares at least 2 policies, there is 1")
    report = on_progress or (lambda fraction: None)
    n_rivals = min(RIVALS, len(policies) - 1)
    finding, confirming = len(policies) * finding_episodes, (1 + n_rivals) * confirming_episodes
    share = finding / (finding + confirming)
    # Consecutive seeds share no start, neither within an audit nor between two of them.
    found = play_everywhere(
        own,
        policies,
        n_episodes=finding_episodes,
        seed=3 * seed,
        n_steps=n_steps,
        n_threads=n_threads,
        cache=cache,
        on_progress=lambda fraction: report(share * fraction),
    )
    rows, columns = _shortlist(found.returns, len(own), n_rivals)
    confirmed = play_pairs(
        own,
        policies.select(rows.ravel()),
        columns.ravel(),
        n_episodes=confirming_episodes,
        seed=3 * seed + 1,
        n_steps=n_steps,
        n_threads=n_threads,
        cache=cache,
        on_progress=lambda fraction: report(share + (1.0 - share) * fraction),
    ).reshape(*rows.shape, -1)
    everyone = np.arange(len(own))
    gains = confirmed[:, 1:].mean(axis=2) - confirmed[:, :1].mean(axis=2)
    best = 1 + gains.argmax(axis=1)
    rivals = rows[everyone, best]
    verdict = paired_regret(confirmed[:, 0], confirmed[everyone, best])
    own_return, regret, error = verdict
    doubtful = _relative(regret - DOUBT * error, own_return) <= threshold
    decided = (_relative(regret, own_return) > threshold) & doubtful & (deciding_episodes > 0)
    if decided.any():
        accused = np.flatnonzero(decided)
        again = play_pairs(
            own,
            policies.select(np.concatenate([accused, rivals[accused]])),
            np.concatenate([accused, accused]),
            n_episodes=deciding_episodes,
            seed=3 * seed + 2,
            n_steps=n_steps,
            n_threads=n_threads,
            cache=cache,
        ).reshape(2, len(accused), -1)
        verdict[:, accused] = paired_regret(*again)
    if cache is not None:
        cache.clear()
    origins = [manifest_path(path, context) for path, zoo in zoos for context in zoo.contexts]
    return Audit(
        family=own.family,
        reward=own.reward,
        contexts=own.contexts,
        returns=found.returns[: len(own)],
        own=verdict[0],
        regret=verdict[1],
        regret_error=verdict[2],
        rivals=tuple(origins[i] for i in rivals),
        velocities=_velocities(own),
        limits=_limits(own, found),
        threshold=threshold,
        finding_episodes=finding_episodes,
        confirming_episodes=confirming_episodes,
        deciding_episodes=deciding_episodes,
        decided=decided,
        seed=seed,
    )


def check_episodes(
    finding: int,
    confirming: int,
    deciding: int,
    names: Sequence[str] = ("finding_episodes", "confirming_episodes", "deciding_episodes"),
) -> None:
    """Checks an audit's numbers of episodes, called by `names` in the message.

    Raises:
        ValueError: if there are too few.
    """
    for name, value, least in zip(names[:2], (finding, confirming), (1, 2), strict=True):
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}, got {value}")
    if deciding < 2 and deciding != 0:
        raise ValueError(f"`{names[2]}` must be 0 or at least 2, got {deciding}")


def paired_regret(own: Array, rival: Array) -> Array:
    """Own mean, regret and its standard error, (3, n), from returns (n, n_episodes) of both.

    Episodes of one column began in the same state.
    """
    differences = rival - own
    error = differences.std(axis=1, ddof=1) / np.sqrt(own.shape[1])
    return np.stack([own.mean(axis=1), differences.mean(axis=1), error])


def _relative(regret: Array, own: Array) -> Array:
    return regret / np.maximum(np.abs(own), 1e-9)


def _stacked(zoos: Sequence[tuple[Path, Experts]]) -> MLPPolicies:
    (_, own), *others = zoos
    for path, zoo in others:
        if zoo.family.env_id != own.family.env_id:
            raise ValueError(
                f"{path}: the donors' family must be {own.family.env_id!r}, "
                f"got {zoo.family.env_id!r}"
            )
        try:
            MLPPolicies.stack([own.policies.select([0]), zoo.policies.select([0])])
        except ValueError as error:
            raise ValueError(
                f"{path}: the donors' networks must be as the zoo's: {error}"
            ) from None
    return MLPPolicies.stack([zoo.policies for _, zoo in zoos])


def _shortlist(returns: Array, n: int, n_rivals: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Policies and contexts (n, 1 + rivals each): the own one, then the best others."""
    ranked = returns[:, :n].copy()
    everyone = np.arange(n)
    ranked[everyone, everyone] = -np.inf
    rivals = np.argsort(-ranked, axis=0, kind="stable")[:n_rivals].T
    rows = np.concatenate([everyone[:, None], rivals], axis=1)
    return rows, np.broadcast_to(everyone[:, None], rows.shape)


def _velocities(experts: Experts) -> Array | None:
    if not _has_speed(experts.family):
        return None
    return np.array([record["evaluation"]["velocity_mean"] for record in experts.records])


def _limits(experts: Experts, found: Transfer) -> Array | None:
    if not _has_speed(experts.family):
        return None
    signs = np.sign([context["speed"] for context in experts.contexts])
    return (found.outcomes["velocity"] * signs).max(axis=0)


def _has_speed(family: Family) -> bool:
    return "velocity" in family.outcome_names and "speed" in {f.name for f in family.features}
