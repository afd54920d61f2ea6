"""Rollouts of experts as arrays: the data that methods are fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experts.evaluation import episode_seeds, episodes_env
from experts.policy import Floats, MLPs
from experts.store import Experts
from param_envs import Context, Family

DEFAULT_NOISE = (0.0, 0.0, 0.0, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5)
"""Standard deviation of the noise in each episode of the default data."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Rollouts:
    """Episodes of the experts of C contexts, E each, of T control steps.

    In noisy episodes the executed action is not the expert's: `labels` is what the expert would
    have done there. So the data also shows how to come back from states that an expert avoids.

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
        noise: standard deviation of the exploration noise of each episode, (E,).
        experts: the experts, in the order of the contexts.
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
    noise: Floats
    experts: Experts

    @property
    def clean(self) -> NDArray[np.bool_]:
        """Which episodes (E,) have no noise, so that `actions` equal `labels`."""
        return self.noise == 0.0

    def __len__(self) -> int:
        return len(self.contexts)

    def select(self, ids: Sequence[int] | NDArray[np.intp]) -> Rollouts:
        """The rollouts of contexts `ids`, and nothing of any other context."""
        rows = np.asarray(ids, dtype=np.intp)
        names = ("observations", "actions", "labels", "rewards", "next_observations", "values")
        return replace(
            self,
            contexts=tuple(self.contexts[i] for i in rows),
            mask=self.mask[rows],
            experts=self.experts.select(rows),
            **{name: getattr(self, name)[rows] for name in names},
        )


def collect(
    experts: Experts,
    *,
    features: Sequence[str],
    noise: Sequence[float] = DEFAULT_NOISE,
    seed: int,
    n_steps: int | None = None,
    value: str = "monte-carlo",
    n_threads: int = 0,
) -> Rollouts:
    """Plays every expert in its own context, all episodes in one batch.

    Args:
        experts: C experts.
        features: names of the features that vary.
        noise: standard deviation of the Gaussian noise in each of E episodes.
        seed: of starts and noise.
        n_steps: longest episode, the family's own by default.
        value: `critic` takes q* from the experts' critics at their own actions; `monte-carlo` is
            the discounted return of the recorded episode, plus the critic's value after its end
            unless the episode failed there. In noisy episodes that is the noisy behaviour's.
        n_threads: threads to step on, 0 for all cores.

    Raises:
        ValueError: for an unknown feature or value, negative noise, or experts of mixed critics.
    """
    family, n_contexts, n_episodes = experts.family, len(experts), len(noise)
    names = tuple(feature.name for feature in family.selected(features))
    if value not in ("critic", "monte-carlo"):
        raise ValueError(f"`value` must be 'critic' or 'monte-carlo', got {value!r}")
    if n_episodes < 1 or min(noise, default=0.0) < 0.0:
        raise ValueError(f"`noise` must be one number >= 0 an episode, got {list(noise)}")
    if experts.critics is None:
        raise ValueError("`experts` must have critics of one shape")
    kinds = {record["critic"] for record in experts.records}
    discounts = {float(record["discount"]) for record in experts.records}
    if len(kinds) != 1 or len(discounts) != 1:
        raise ValueError(
            f"`experts` must share one critic and discount, got {sorted(kinds)} and "
            f"{sorted(discounts)}"
        )
    env = episodes_env(
        family,
        experts.contexts,
        reward=experts.reward,
        n_episodes=n_episodes,
        n_steps=n_steps,
        n_threads=n_threads,
    )
    rng = np.random.default_rng([seed, 1])
    shape = (n_contexts, n_episodes, env.max_episode_steps)
    sizes = {"observations": family.observation_size, "next_observations": family.observation_size}
    sizes |= {"actions": family.action_size, "labels": family.action_size}
    arrays = {name: np.zeros((*shape, size), dtype=np.float32) for name, size in sizes.items()}
    rewards = np.zeros(shape, dtype=np.float32)
    mask = np.zeros(shape, dtype=np.bool_)
    failed = np.zeros((n_contexts, n_episodes), dtype=np.bool_)
    deviation = np.asarray(noise, dtype=np.float32)
    running = np.ones((n_contexts, n_episodes), dtype=np.bool_)
    observation, _ = env.reset(seed=episode_seeds(seed, n_contexts, n_episodes))
    for t in range(shape[2]):
        grouped = observation.reshape(n_contexts, n_episodes, -1)
        labels = experts.policies.act(grouped)
        jitter = rng.standard_normal(labels.shape, dtype=np.float32) * deviation[:, None]
        actions = np.clip(labels + jitter, -1.0, 1.0)
        observation, reward, terminated, truncated, _ = env.step(actions.reshape(env.num_envs, -1))
        arrays["observations"][:, :, t] = grouped
        arrays["labels"][:, :, t] = labels
        arrays["actions"][:, :, t] = actions
        arrays["next_observations"][:, :, t] = observation.reshape(grouped.shape)
        rewards[:, :, t] = reward.reshape(running.shape)
        mask[:, :, t] = running
        failed |= running & terminated.reshape(running.shape)
        running &= ~(terminated | truncated).reshape(running.shape)
        if not running.any():
            break
    env.close()
    values = _critic_values(experts, kinds.pop(), arrays["observations"], arrays["labels"])
    discount = discounts.pop()
    if value == "monte-carlo":
        last = _critic_values(
            experts,
            experts.records[0]["critic"],
            arrays["next_observations"],
            experts.policies.act(
                arrays["next_observations"].reshape(n_contexts, -1, family.observation_size)
            ).reshape(arrays["labels"].shape),
        )
        values = _discounted(rewards, mask, last, failed, discount)
    return Rollouts(
        family=family,
        features=names,
        reward=experts.reward,
        discount=discount,
        contexts=experts.contexts,
        rewards=rewards,
        values=values,
        mask=mask,
        noise=deviation,
        experts=experts,
        **arrays,
    )


def _critic_values(experts: Experts, kind: str, observations: Floats, actions: Floats) -> Floats:
    critics: MLPs | None = experts.critics
    assert critics is not None
    inputs = observations if kind == "v" else np.concatenate([observations, actions], axis=-1)
    shape = observations.shape[:-1]
    return critics.apply(inputs.reshape(len(experts), -1, inputs.shape[-1])).reshape(shape)


def _discounted(
    rewards: Floats,
    mask: NDArray[np.bool_],
    next_values: Floats,
    failed: NDArray[np.bool_],
    discount: float,
) -> Floats:
    values = np.zeros_like(rewards)
    n_steps = rewards.shape[-1]
    following = np.zeros(rewards.shape[:2], dtype=np.float32)
    for t in range(n_steps - 1, -1, -1):
        ends = mask[..., t] & (~mask[..., t + 1] if t + 1 < n_steps else True)
        tail = np.where(failed, 0.0, next_values[..., t])
        following = np.where(ends, tail, following)
        values[..., t] = np.where(mask[..., t], rewards[..., t] + discount * following, 0.0)
        following = values[..., t]
    return values
