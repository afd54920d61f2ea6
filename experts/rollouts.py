"""Rollouts of experts as arrays: the data that methods are fitted on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experts.collections import Collection
from experts.evaluation import episode_seeds, episodes_env
from experts.policy import Floats, MLPPolicies, MLPs
from experts.store import Experts
from param_envs import Context, Family, ParamVectorEnv
from param_envs.env import TIME_LIMIT

DEFAULT_NOISE = (0.0, 0.0, 0.0, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5)
"""Standard deviation of the noise in each episode of the default data."""
NEGLIGIBLE = 0.01
"""What a reward counts, discounted, when experts without critics stop playing on."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Rollouts:
    """Episodes of the experts of C contexts, E each, of T control steps.

    In noisy episodes the executed action is not the expert's: `labels` is what the expert would
    have done there. So the data also shows how to come back from states that an expert avoids.
    Entries past the end of an episode are 0.

    Attributes:
        family: of the contexts.
        features: names of the features that vary between the contexts.
        reward: the reward's meaning.
        discount: γ of `values`.
        contexts: C contexts.
        observations: (C, E, T, observation_size).
        actions: executed, (C, E, T, action_size).
        labels: the expert's own action at the observation, (C, E, T, action_size).
        rewards: (C, E, T).
        next_observations: (C, E, T, observation_size).
        values: q* of (observation, label), discounted, in units of the reward, (C, E, T).
        mask: True where the episode was still running, (C, E, T).
        terminated: whether nothing follows the episode, (C, E): it failed or its physics diverged,
            instead of running out of time.
        noise: standard deviation of the exploration noise of each episode, (E,).
        seeds: `env.reset(seed=...)` of each episode, (C, E); None where unknown.
        experts: the experts, in the order of the contexts; None where the data came without.
        collection: many policies of every context, in their order; None where there are none.
    """

    family: Family
    features: tuple[str, ...]
    reward: str
    discount: float
    contexts: tuple[Context, ...]
    observations: Floats
    actions: Floats
    labels: Floats
    rewards: Floats
    next_observations: Floats
    values: Floats
    mask: NDArray[np.bool_]
    terminated: NDArray[np.bool_]
    noise: Floats
    seeds: NDArray[np.uint64] | None = None
    experts: Experts | None = None
    collection: Collection | None = None

    @property
    def clean(self) -> NDArray[np.bool_]:
        """Which episodes (E,) have no noise, so that `actions` equal `labels`."""
        return self.noise == 0.0

    def __len__(self) -> int:
        return len(self.contexts)

    def clean_returns(self) -> NDArray[np.float64]:
        """Mean return (C,) of each context's noise-free episodes, nan where there is none."""
        played = self.mask[:, self.clean].any(axis=2).sum(axis=1)
        total = (self.rewards * self.mask)[:, self.clean].sum(axis=(1, 2), dtype=np.float64)
        return np.where(played > 0, total / np.maximum(played, 1), np.nan)

    def select(self, ids: Sequence[int] | NDArray[np.intp]) -> Rollouts:
        """The rollouts of contexts `ids`, and nothing of any other context."""
        rows = np.asarray(ids, dtype=np.intp)
        names = ("observations", "actions", "labels", "rewards", "next_observations", "values")
        return replace(
            self,
            contexts=tuple(self.contexts[i] for i in rows),
            mask=self.mask[rows],
            terminated=self.terminated[rows],
            seeds=None if self.seeds is None else self.seeds[rows],
            experts=None if self.experts is None else self.experts.select(rows),
            collection=None if self.collection is None else self.collection.select(rows),
            **{name: getattr(self, name)[rows] for name in names},
        )


def collect(
    experts: Experts,
    *,
    features: Sequence[str],
    noise: Sequence[float] = DEFAULT_NOISE,
    seed: int,
    n_steps: int | None = None,
    value: str | None = "monte-carlo",
    behaviour: MLPPolicies | None = None,
    n_threads: int = 0,
) -> Rollouts:
    """Plays every expert in its own context, all episodes in one batch.

    Args:
        experts: C experts.
        features: names of the features that vary.
        noise: standard deviation of the Gaussian noise in each of E episodes.
        seed: of starts and noise.
        n_steps: longest episode, the family's own by default.
        value: `critic` takes q* from the experts' critics at their own actions: Q(s, label) of TD3
            and SAC (which counts its entropy too), V(s) of PPO. `monte-carlo` is the discounted
            return of the recorded episode, plus the critic's value after its end unless the episode
            failed there. In noisy episodes that is the noisy behaviour's. Experts without critics
            play on after the end, until what follows counts less than `NEGLIGIBLE`. None leaves q*
            out: zeros.
        behaviour: C policies that act instead of the experts, which only label what these do; then
            no episode is the expert's own, and `noise` has to say so by being above 0 everywhere.
        n_threads: threads to step on, 0 for all cores.

    Raises:
        ValueError: for an unknown feature or value, negative noise, experts whose critics or
            discounts differ in kind, q* of critics that some do not have, or a noise of 0 with a
            `behaviour`.
    """
    family, n_contexts, n_episodes = experts.family, len(experts), len(noise)
    names = tuple(feature.name for feature in family.selected(features))
    if value not in ("critic", "monte-carlo", None):
        raise ValueError(f"`value` must be 'critic', 'monte-carlo' or None, got {value!r}")
    if n_episodes < 1 or min(noise, default=0.0) < 0.0:
        raise ValueError(f"`noise` must be one number >= 0 an episode, got {list(noise)}")
    if behaviour is not None and min(noise) == 0.0:
        raise ValueError(f"`noise` must be above 0 with a `behaviour`, got {list(noise)}")
    discount = _shared_discount(experts)
    recorded = None if value is None else experts.critics
    critics = None if recorded is None else _Critics(experts, recorded)
    if critics is None and value == "critic":
        raise ValueError("`experts` must have critics of one shape for their values")
    n_recorded = family.max_episode_steps if n_steps is None else n_steps
    if n_recorded < 1:
        raise ValueError(f"`n_steps` must be at least 1, got {n_steps}")
    plays_on = critics is None and value is not None
    n_more = math.ceil(math.log(NEGLIGIBLE) / math.log(discount)) if plays_on else 0
    rng = np.random.default_rng([seed, 1])
    shape = (n_contexts, n_episodes, n_recorded)
    sizes = {"observations": family.observation_size, "next_observations": family.observation_size}
    sizes |= {"actions": family.action_size, "labels": family.action_size}
    arrays = {name: np.zeros((*shape, size), dtype=np.float32) for name, size in sizes.items()}
    rewards = np.zeros(shape, dtype=np.float32)
    mask = np.zeros(shape, dtype=np.bool_)
    failed = np.zeros((n_contexts, n_episodes), dtype=np.bool_)
    deviation = np.asarray(noise, dtype=np.float32)
    running = np.ones((n_contexts, n_episodes), dtype=np.bool_)
    seeds = episode_seeds(seed, n_contexts, n_episodes)
    env = episodes_env(
        family,
        experts.contexts,
        reward=experts.reward,
        n_episodes=n_episodes,
        n_steps=n_recorded + n_more,
        n_threads=n_threads,
    )
    with closing(env):
        observation, _ = env.reset(seed=seeds)
        for t in range(shape[2]):
            grouped = observation.reshape(n_contexts, n_episodes, -1)
            labels = experts.policies.act(grouped)
            jitter = rng.standard_normal(labels.shape, dtype=np.float32) * deviation[:, None]
            intended = labels if behaviour is None else behaviour.act(grouped)
            actions = np.clip(intended + jitter, -1.0, 1.0)
            observation, reward, terminated, truncated, info = env.step(
                actions.reshape(env.num_envs, -1)
            )
            arrays["observations"][:, :, t] = grouped
            arrays["labels"][:, :, t] = labels
            arrays["actions"][:, :, t] = actions
            arrays["next_observations"][:, :, t] = observation.reshape(grouped.shape)
            rewards[:, :, t] = reward.reshape(running.shape)
            mask[:, :, t] = running
            failed |= running & _failed(terminated, truncated, info).reshape(running.shape)
            running &= ~(terminated | truncated).reshape(running.shape)
            if not running.any():
                break
        if plays_on:
            tails = _played_on(env, experts.policies, observation, ~failed, n_more, discount)
    for array in (*arrays.values(), rewards):
        array[~mask] = 0.0
    if critics is not None:
        last = (mask.sum(axis=2) - 1)[:, :, None, None]
        ends = np.take_along_axis(arrays["next_observations"], last, axis=2)
        then = experts.policies.act(ends[:, :, 0])[:, :, None]
        tails = np.where(failed, 0.0, critics.values(ends, then)[:, :, 0])
    if value is None:
        values = np.zeros_like(rewards)
    elif critics is not None and value == "critic":
        values = np.where(mask, critics.values(arrays["observations"], arrays["labels"]), 0.0)
    else:
        values = discounted_returns(rewards, mask, tails, discount)
    return Rollouts(
        family=family,
        features=names,
        reward=experts.reward,
        discount=discount,
        contexts=experts.contexts,
        rewards=rewards,
        values=values.astype(np.float32),
        mask=mask,
        terminated=failed,
        noise=deviation,
        seeds=np.array(seeds, dtype=np.uint64).reshape(running.shape),
        experts=experts,
        collection=None,
        **arrays,
    )


def discounted_returns(
    rewards: Floats, mask: NDArray[np.bool_], tails: NDArray[np.floating], discount: float
) -> Floats:
    """Discounted return (C, E, T) from every step to the end of its episode; 0 past the end.

    Args:
        rewards: (C, E, T).
        mask: True where the episode was running, (C, E, T), from the first step on.
        tails: what follows the last step, (C, E).
        discount: γ.
    """
    values = np.zeros_like(rewards)
    following = tails.astype(rewards.dtype)
    for t in range(rewards.shape[2] - 1, -1, -1):
        following = np.where(mask[:, :, t], rewards[:, :, t] + discount * following, following)
        values[:, :, t] = np.where(mask[:, :, t], following, 0.0)
    return values


def _played_on(
    env: ParamVectorEnv,
    policies: MLPPolicies,
    observation: NDArray[np.floating],
    alive: NDArray[np.bool_],
    n_steps: int,
    discount: float,
) -> Floats:
    """Discounted return (C, E) of the next steps, without noise; 0 where `alive` is not."""
    returns, weight = np.zeros(alive.shape, dtype=np.float64), 1.0
    for _ in range(n_steps):
        actions = policies.act(observation.reshape(*alive.shape, -1))
        observation, reward, terminated, truncated, info = env.step(
            actions.reshape(env.num_envs, -1)
        )
        returns += weight * np.where(alive, reward.reshape(alive.shape), 0.0)
        weight *= discount
        alive = alive & ~_failed(terminated, truncated, info).reshape(alive.shape)
    return returns.astype(np.float32)


def _failed(
    terminated: NDArray[np.bool_], truncated: NDArray[np.bool_], info: Mapping[str, Any]
) -> NDArray[np.bool_]:
    """Which episodes (n,) nothing follows: they failed, or their physics diverged."""
    failed = terminated | (truncated & (info["truncation_reason"] != TIME_LIMIT))
    return np.asarray(failed, dtype=np.bool_)


def _shared_discount(experts: Experts) -> float:
    discounts = {float(record["discount"]) for record in experts.records}
    if len(discounts) != 1:
        raise ValueError(f"`experts` must share one discount, got {sorted(discounts)}")
    return discounts.pop()


class _Critics:
    """The critics of a batch of experts, all of one kind."""

    def __init__(self, experts: Experts, networks: MLPs) -> None:
        kinds = {record["critic"] for record in experts.records}
        if len(kinds) != 1 or not kinds <= {"v", "q"}:
            raise ValueError(
                f"`experts` must share one critic, 'v' or 'q', got {sorted(map(str, kinds))}"
            )
        self._networks = networks
        self._takes_actions = kinds == {"q"}

    def values(self, observations: Floats, actions: Floats) -> Floats:
        """(C, E, T) for observations (C, E, T, size) and actions (C, E, T, size).

        Episode by episode: the hidden layers of all at once would take gigabytes.
        """
        values = np.empty(observations.shape[:3], dtype=np.float32)
        for e in range(observations.shape[1]):
            inputs = observations[:, e]
            if self._takes_actions:
                inputs = np.concatenate([inputs, actions[:, e]], axis=-1)
            values[:, e] = self._networks.apply(inputs)[..., 0]
        return values
