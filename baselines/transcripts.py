"""What PEARL looks at: transitions of one episode, and states of others to predict actions in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experts import Rollouts
from experts.minibatches import MIN_SCALE, Minibatches, States


class Pairs(NamedTuple):
    """What is encoded, and where actions are predicted: other episodes of the same tasks.

    Encoded transitions are (n_tasks, n, n_inputs), and `counts` (n_tasks, n) of them, 1 or 0.
    """

    encoded: Tensor
    counts: Tensor
    states: States


class Transcripts:
    """Transitions on unit scale, as the encoder takes them.

    Attributes:
        n_inputs: length of one.
    """

    def __init__(self, data: Rollouts, batches: Minibatches, *, outcomes: bool) -> None:
        """Takes the scale of observations from `batches`, of rewards and changes from `data`.

        Raises:
            ValueError: for entries that are not finite.
        """
        for name in ("actions", "rewards", "next_observations"):
            bad = ~np.isfinite(getattr(data, name)[data.mask])
            if bad.any():
                raise ValueError(
                    f"`data.{name}` must be finite, got {int(bad.sum())} entries that are not"
                )
        self._mean, self._scale = batches.observation_mean, batches.observation_scale
        self._outcomes = outcomes
        changes = (data.next_observations - data.observations)[data.mask]
        self._change_scale = np.maximum(changes.std(axis=0), MIN_SCALE)
        rewards = data.rewards[data.mask]
        self._reward_mean = float(rewards.mean())
        self._reward_scale = max(float(rewards.std()), MIN_SCALE)
        family = data.family
        extra = 1 + family.observation_size if outcomes else 0
        self.n_inputs = family.observation_size + family.action_size + extra

    def of(
        self,
        observations: NDArray[np.floating],
        actions: NDArray[np.floating],
        rewards: NDArray[np.floating],
        next_observations: NDArray[np.floating],
    ) -> Tensor:
        """Transitions (..., n_inputs) of arrays (..., size), rewards (...)."""
        parts = [(np.asarray(observations) - self._mean) / self._scale, np.asarray(actions)]
        if self._outcomes:
            parts.append(
                ((np.asarray(rewards) - self._reward_mean) / self._reward_scale)[..., None]
            )
            parts.append((next_observations - np.asarray(observations)) / self._change_scale)
        return torch.from_numpy(np.concatenate(parts, axis=-1).astype(np.float32))


class Drawer:
    """Draws pairs from rollouts: an episode to encode the start of, and states of the others."""

    def __init__(self, data: Rollouts, batches: Minibatches, transcripts: Transcripts) -> None:
        """Prepares the tables.

        Raises:
            ValueError: if a context has fewer than two episodes.
        """
        lengths = torch.from_numpy(data.mask.sum(axis=2))
        if (lengths > 0).sum(1).min() < 2:
            raise ValueError(
                "`data` must have at least 2 episodes of every context, one to infer the task from "
                "and one to predict, got fewer"
            )
        self._lengths = lengths
        self._observations = torch.from_numpy(
            ((data.observations - batches.observation_mean) / batches.observation_scale).astype(
                "f4"
            )
        )
        self._labels = torch.from_numpy(data.labels)
        outcomes = (data.rewards, data.next_observations)
        self._transitions = transcripts.of(data.observations, data.actions, *outcomes)
        self._answers = transcripts.of(data.observations, data.labels, *outcomes)

    def pairs(
        self, tasks: Tensor, n_states: int, n_encoded: int, generator: torch.Generator
    ) -> Pairs:
        """Draws for each task.

        How many first steps of the episode are known is log-uniform, 0 included; at most
        `n_encoded` of them are encoded, drawn with replacement.
        """
        lengths = self._lengths[tasks]
        shown = _categorical((lengths > 0).double(), 1, generator)
        others = lengths.double().scatter(1, shown, 0.0)
        length = lengths.gather(1, shown)
        uniform = torch.rand(len(tasks), 1, generator=generator, dtype=torch.float64)
        known = ((length + 1).double().pow(uniform)).long() - 1
        draws = torch.rand(len(tasks), n_encoded, generator=generator, dtype=torch.float64)
        steps = (draws * known).long()
        counts = (torch.arange(n_encoded) < known).float()
        episodes = _categorical(others, n_states, generator)
        draws = torch.rand(len(tasks), n_states, generator=generator, dtype=torch.float64)
        times = (draws * lengths.gather(1, episodes)).long()
        rows = tasks[:, None]
        states = States(
            self._observations[rows, episodes, times], self._labels[rows, episodes, times]
        )
        return Pairs(self._transitions[rows, shown, steps], counts, states)

    def leaking_pairs(self, tasks: Tensor, n_states: int, generator: torch.Generator) -> Pairs:
        """Draws states of each task, and to encode for each the same state with its answer.

        Each is a task of its own then: encoded transitions are (n_tasks * n_states, 1, n_inputs).
        """
        lengths = self._lengths[tasks]
        episodes = _categorical(lengths.double(), n_states, generator)
        draws = torch.rand(len(tasks), n_states, generator=generator, dtype=torch.float64)
        times = (draws * lengths.gather(1, episodes)).long()
        found = (
            table[tasks[:, None], episodes, times].flatten(0, 1)[:, None]
            for table in (self._answers, self._observations, self._labels)
        )
        encoded, observations, labels = found
        return Pairs(encoded, torch.ones(len(encoded), 1), States(observations, labels))


def _categorical(weights: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draws (n_tasks, n) of columns, in proportion to weights (n_tasks, n_columns)."""
    return torch.multinomial(weights, n, replacement=True, generator=generator)
