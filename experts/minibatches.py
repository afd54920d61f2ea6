"""Minibatches grouped by task, drawn from rollouts and put on unit scale.

Grouping (n_tasks, n_samples) is what makes hypernetworks cheap: the weights of a task are generated
once a minibatch and applied to all of its samples in one product.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experts.rollouts import Rollouts

MIN_SCALE = 1e-6
"""Observation entries and values that vary less are centred, not scaled."""


class States(NamedTuple):
    """Observations (n_tasks, n_samples, observation_size) and the experts' actions there.

    The labels (n_tasks, n_samples, action_size) are free of noise, whatever was executed.
    """

    observations: Tensor
    labels: Tensor


class Transitions(NamedTuple):
    """Steps of noise-free episodes, where the executed action is the expert's.

    Observations are (n_tasks, n_samples, observation_size), actions (n_tasks, n_samples,
    action_size), the rest (n_tasks, n_samples). `discounts` is γ, or 0 where the episode
    terminated. Rewards and values are scaled such that, for Q* in the same scale,
    values = rewards + discounts * Q*(next_observations, ·).
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    discounts: Tensor
    next_observations: Tensor
    values: Tensor


class Minibatches:
    """Draws states of all episodes and transitions of clean ones, some tasks at a time.

    Attributes:
        observation_mean: (observation_size,), subtracted from observations.
        observation_scale: (observation_size,), observations are divided by it.
        value_mean: subtracted from values.
        value_scale: values are divided by it, rewards along with them.
        n_contexts: number of tasks to draw from.
    """

    def __init__(
        self, data: Rollouts, *, normalise_observations: bool, normalise_values: bool
    ) -> None:
        """Scales the data once.

        Args:
            data: rollouts of the training contexts.
            normalise_observations: give observations mean 0 and standard deviation 1 over the
                states of all contexts.
            normalise_values: give values mean 0 and standard deviation 1 over the clean states of
                all contexts.

        Raises:
            ValueError: if there are fewer than two contexts, or if an entry that could be drawn is
                not finite.
        """
        self.n_contexts = len(data.contexts)
        if self.n_contexts < 2:
            raise ValueError(f"`data` must have at least 2 contexts, got {self.n_contexts}")
        mask, clean = data.mask, data.mask & data.clean[None, :, None]
        _check_drawable(data, mask, clean)
        self.observation_mean, self.observation_scale = _observation_statistics(
            data.observations[mask], normalise_observations
        )
        values = data.values[clean]
        scaled = normalise_values and values.size > 0
        self.value_mean = float(values.mean(dtype=np.float64)) if scaled else 0.0
        self.value_scale = float(values.std(dtype=np.float64)) if scaled else 1.0
        if self.value_scale < MIN_SCALE:
            self.value_scale = 1.0
        discounts = data.discount * _continues(mask, data.terminated)
        rewards = data.rewards - self.value_mean * (1.0 - discounts)
        self._tables = {
            "observations": self._normalised(data.observations),
            "next_observations": self._normalised(data.next_observations),
            "labels": _rows(data.labels),
            "actions": _rows(data.actions),
            "rewards": _rows(rewards / self.value_scale),
            "discounts": _rows(discounts),
            "values": _rows((data.values - self.value_mean) / self.value_scale),
        }
        self._pool = {name: _by_task(self._tables[name], mask) for name in States._fields}
        self._states = _Drawable(mask)
        self._transitions = _Drawable(clean)

    @property
    def has_transitions(self) -> bool:
        """Whether every context has at least one clean step."""
        return bool((self._transitions.counts > 0).all())

    def tasks(self, n_tasks: int, generator: torch.Generator) -> Tensor:
        """Draws min(n_tasks, n_contexts) different tasks, as indices."""
        return torch.randperm(self.n_contexts, generator=generator)[:n_tasks]

    def states(self, tasks: Tensor, n_samples: int, generator: torch.Generator) -> States:
        """Draws n_samples states of each task, with replacement, from all of its episodes."""
        rows = self._states.draw(tasks, n_samples, generator)
        return States(*(_taken(self._pool[name], rows) for name in States._fields))

    def add_states(self, data: Rollouts, steps: NDArray[np.intp] | None = None) -> None:
        """Adds states to draw from: more episodes of the same contexts, in the same order.

        They are put on the scale of the first ones. Transitions stay as they are.

        Args:
            data: the episodes, E a context.
            steps: which of each context's E * T steps, (n_contexts, n), the same one as often as it
                is named; by default every one that was running, once.

        Raises:
            ValueError: for other contexts, or entries that are not finite.
        """
        if len(data.contexts) != self.n_contexts:
            raise ValueError(
                f"`data` must be of the same {self.n_contexts} contexts, got {len(data.contexts)}"
            )
        _check_drawable(data, data.mask, np.zeros_like(data.mask))
        new = {"observations": self._normalised(data.observations), "labels": _rows(data.labels)}
        chosen = None if steps is None else torch.from_numpy(steps)[..., None]
        for name, table in new.items():
            added = _by_task(table, data.mask)
            if chosen is not None:
                added = added.take_along_dim(chosen, dim=1)
            self._pool[name] = torch.cat([self._pool[name], added], dim=1)
        self._states.extend(data.mask if steps is None else np.ones(steps.shape, dtype=np.bool_))

    def transitions(self, tasks: Tensor, n_samples: int, generator: torch.Generator) -> Transitions:
        """Draws n_samples steps of each task, with replacement, from its clean episodes."""
        rows = self._transitions.draw(tasks, n_samples, generator)
        return Transitions(*(self._take(name, rows) for name in Transitions._fields))

    def _take(self, name: str, rows: Tensor) -> Tensor:
        return _taken(self._tables[name], rows)

    def _normalised(self, observations: NDArray[np.float32]) -> Tensor:
        return _rows((observations - self.observation_mean) / self.observation_scale)


class _Drawable:
    """The steps that may be drawn: rows of the flattened tables, task by task."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self._arrange(torch.from_numpy(mask.reshape(len(mask), -1)))

    def extend(self, mask: NDArray[np.bool_]) -> None:
        """Lets further steps of each task be drawn, which stand behind the others in its rows."""
        self._arrange(torch.cat([self._flat, torch.from_numpy(mask.reshape(len(mask), -1))], dim=1))

    def _arrange(self, flat: Tensor) -> None:
        self._flat = flat
        self.counts = flat.sum(1)
        self._order = torch.argsort(~flat, dim=1, stable=True)

    def draw(self, tasks: Tensor, n_samples: int, generator: torch.Generator) -> Tensor:
        uniform = torch.rand(len(tasks), n_samples, generator=generator, dtype=torch.float64)
        positions = (uniform * self.counts[tasks, None]).long()
        steps = self._order[tasks[:, None], positions]
        return tasks[:, None] * self._order.shape[1] + steps


def _by_task(table: Tensor, mask: NDArray[np.bool_]) -> Tensor:
    """A table (C * E * T, ...) as (C, E * T, ...)."""
    return table.reshape(len(mask), -1, *table.shape[1:])


def _taken(table: Tensor, rows: Tensor) -> Tensor:
    """Rows (n_tasks, n_samples) of a table (n_rows, size) or (n_tasks, rows a task, size)."""
    flat = table.reshape(-1, table.shape[-1]) if table.ndim == 3 else table
    return flat.index_select(0, rows.reshape(-1)).reshape(*rows.shape, *flat.shape[1:])


def _rows(array: NDArray[np.floating]) -> Tensor:
    """(C, E, T, ...) as a contiguous float32 table (C * E * T, ...)."""
    return torch.from_numpy(
        np.ascontiguousarray(array, dtype=np.float32).reshape(-1, *array.shape[3:])
    )


def _continues(mask: NDArray[np.bool_], terminated: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(C, E, T): false at the last step of an episode that terminated."""
    following = np.concatenate([mask[:, :, 1:], np.zeros_like(mask[:, :, :1])], axis=2)
    return following | ~terminated[:, :, None]


def _observation_statistics(
    observations: NDArray[np.float32], normalise: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation (observation_size,) of observations (n, observation_size)."""
    size = observations.shape[1]
    if not normalise:
        return np.zeros(size, dtype=np.float32), np.ones(size, dtype=np.float32)
    scale = observations.std(axis=0, dtype=np.float64)
    scale[scale < MIN_SCALE] = 1.0
    mean = observations.mean(axis=0, dtype=np.float64)
    return mean.astype(np.float32), scale.astype(np.float32)


def _check_drawable(data: Rollouts, mask: NDArray[np.bool_], clean: NDArray[np.bool_]) -> None:
    drawn = {"observations": mask, "labels": mask} | dict.fromkeys(
        ("actions", "rewards", "next_observations", "values"), clean
    )
    for name, drawable in drawn.items():
        bad = ~np.isfinite(getattr(data, name)[drawable])
        if bad.any():
            raise ValueError(
                f"`data.{name}` must be finite, got {int(bad.sum())} entries that are not"
            )
    if not mask.any(axis=(1, 2)).all():
        context = data.contexts[int(np.argmin(mask.any(axis=(1, 2))))]
        raise ValueError(f"`data.mask` must have a step of every context, got none of {context}")
