"""Single episodes of any origin, gathered by context into rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experts.policy import Floats
from experts.rollouts import Rollouts
from param_envs import Context, Family


@dataclass(frozen=True, eq=False, kw_only=True)
class Episode:
    """One episode of T steps.

    Attributes:
        context: it was played in.
        observations: (T + 1, observation_size), the last one after the last step.
        actions: executed, (T, action_size).
        labels: the expert's own, (T, action_size).
        rewards: (T,).
        values: q* of (observation, label), (T,).
        terminated: whether it ended because it failed.
        noise: standard deviation of the exploration noise.
        seed: of `env.reset(seed=...)`, None if unknown.

    Raises:
        ValueError: if an array has another shape.
    """

    context: Context
    observations: Floats
    actions: Floats
    labels: Floats
    rewards: Floats
    values: Floats
    terminated: bool
    noise: float
    seed: int | None

    def __post_init__(self) -> None:
        n_steps = len(self.rewards)
        lengths = {"observations": n_steps + 1}
        for name in ("observations", "actions", "labels", "values"):
            found, needed = len(getattr(self, name)), lengths.get(name, n_steps)
            if found != needed or n_steps == 0:
                raise ValueError(
                    f"`{name}` must have {needed} entries for {n_steps} steps, got {found}"
                )


def assemble(
    episodes: Sequence[Episode],
    *,
    family: Family,
    features: Sequence[str] | None,
    reward: str,
    discount: float,
    n_steps: int | None = None,
) -> Rollouts:
    """Rollouts of the episodes' contexts, in order of their first episodes.

    Contexts need not have the same number of episodes: an episode goes into the first free column
    of its noise, and what stays free is masked.

    Args:
        episodes: in any order.
        family: of the contexts.
        features: names of the features that vary; None for those that do in the episodes.
        reward: the reward's meaning.
        discount: γ of the values.
        n_steps: length T of the arrays, that of the longest episode by default.

    Raises:
        ValueError: without an episode, for an unknown feature or reward, or for observations or
            actions of another size than the family's.
    """
    if not episodes:
        raise ValueError("`episodes` must hold at least one episode, got none")
    contexts = tuple(dict.fromkeys(episode.context for episode in episodes))
    cells, noise = _cells(episodes, contexts)
    longest = max(len(episode.rewards) for episode in episodes)
    shape = (len(contexts), len(noise), max(longest, n_steps or 0))
    sizes = {"observations": family.observation_size, "next_observations": family.observation_size}
    sizes |= {"actions": family.action_size, "labels": family.action_size}
    arrays = {name: np.zeros((*shape, size), dtype=np.float32) for name, size in sizes.items()}
    arrays |= {name: np.zeros(shape, dtype=np.float32) for name in ("rewards", "values")}
    mask = np.zeros(shape, dtype=np.bool_)
    terminated = np.zeros(shape[:2], dtype=np.bool_)
    seeds = np.zeros(shape[:2], dtype=np.uint64)
    for episode, (i, column) in zip(episodes, cells, strict=True):
        steps = slice(0, len(episode.rewards))
        for name, array in arrays.items():
            found = _column(episode, name)
            if found.shape[1:] != array.shape[3:]:
                raise ValueError(
                    f"`{name}` of {family.env_id} must have {array.shape[3:]} entries, got "
                    f"{found.shape[1:]}"
                )
            array[i, column, steps] = found
        mask[i, column, steps] = True
        terminated[i, column] = episode.terminated
        seeds[i, column] = episode.seed or 0
    if features is None:
        varied = {n for n in contexts[0] if len({context[n] for context in contexts}) > 1}
        features = [feature.name for feature in family.features if feature.name in varied]
    return Rollouts(
        family=family,
        features=tuple(feature.name for feature in family.selected(features)),
        reward=family.check_reward_mode(reward),
        discount=discount,
        contexts=contexts,
        mask=mask,
        terminated=terminated,
        noise=noise,
        seeds=None if any(episode.seed is None for episode in episodes) else seeds,
        experts=None,
        collection=None,
        **arrays,
    )


def _cells(
    episodes: Sequence[Episode], contexts: Sequence[Context]
) -> tuple[list[tuple[int, int]], NDArray[np.float32]]:
    """Row and column of every episode, and the noise of the columns."""
    index = {context: i for i, context in enumerate(contexts)}
    columns: list[float] = []
    taken: set[tuple[int, int]] = set()
    cells = []
    for episode in episodes:
        i = index[episode.context]
        free = (
            column
            for column, noise in enumerate(columns)
            if noise == episode.noise and (i, column) not in taken
        )
        column = next(free, len(columns))
        if column == len(columns):
            columns.append(episode.noise)
        taken.add((i, column))
        cells.append((i, column))
    return cells, np.array(columns, dtype=np.float32)


def _column(episode: Episode, name: str) -> Floats:
    if name == "observations":
        return episode.observations[:-1]
    if name == "next_observations":
        return episode.observations[1:]
    column: Floats = getattr(episode, name)
    return column
