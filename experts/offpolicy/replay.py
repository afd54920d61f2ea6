"""Replay of many agents on one device: a table of transitions an agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Transitions of K agents, B each; views of one table.

    Attributes:
        inputs: observation and action side by side, (K, B, observation_size + action_size).
        observations: (K, B, observation_size).
        rewards: (K, B).
        dones: 1 where the episode failed, so that nothing comes after; 0 at a time limit. (K, B).
        next_observations: (K, B, observation_size).
        outcomes: what the family measured, (K, B, n_outcomes); n_outcomes is 0 where the replay
            does not keep them.
    """

    inputs: Tensor
    observations: Tensor
    rewards: Tensor
    dones: Tensor
    next_observations: Tensor
    outcomes: Tensor


class Replay:
    """The latest transitions of K agents, each agent's apart from the others'.

    A transition is one row of float32, so that drawing a minibatch is one gather. Rows are
    allocated at once and touched as they are written: on most systems memory fills as needed.
    """

    def __init__(
        self,
        n_agents: int,
        n_envs: int,
        capacity: int,
        observation_size: int,
        action_size: int,
        device: torch.device | str = "cpu",
        *,
        n_outcomes: int = 0,
    ) -> None:
        """Makes an empty replay.

        Args:
            n_agents: K.
            n_envs: parallel environments an agent, which are stored together.
            capacity: transitions an agent, rounded down to a multiple of `n_envs`.
            observation_size: length of an observation.
            action_size: length of an action.
            device: where the transitions live.
            n_outcomes: measured quantities stored with each, from which rewards of other contexts
                can be computed.

        Raises:
            ValueError: if the capacity is below `n_envs`.
        """
        if capacity < n_envs:
            raise ValueError(f"`capacity` must be at least `n_envs` {n_envs}, got {capacity}")
        self.n_agents = n_agents
        self.n_envs = n_envs
        self.n_outcomes = n_outcomes
        self.capacity = capacity // n_envs * n_envs
        self._observation_size = observation_size
        self._action_size = action_size
        width = 2 * observation_size + action_size + 2 + n_outcomes
        self._table = torch.zeros(n_agents, self.capacity, width, device=device)
        # On the device, where captured updates read it; the host counts for itself.
        self._size = torch.zeros((), dtype=torch.float64, device=device)
        self._first_rows = torch.arange(n_agents, device=device)[:, None] * self.capacity
        self._written = 0

    def __len__(self) -> int:
        return min(self._written, self.capacity)

    def add(
        self,
        observations: Tensor,
        actions: Tensor,
        rewards: Tensor,
        dones: Tensor,
        next_observations: Tensor,
        outcomes: Tensor | None = None,
    ) -> None:
        """Stores a step of all environments, over the oldest where the replay is full.

        Args:
            observations: (K, n_envs, observation_size), on any device, as all of these.
            actions: (K, n_envs, action_size).
            rewards: (K, n_envs).
            dones: 1 where the episode failed, (K, n_envs).
            next_observations: what the action led to, (K, n_envs, observation_size).
            outcomes: (K, n_envs, n_outcomes), which a replay that keeps none leaves out.
        """
        columns = [observations, actions, rewards[..., None], dones[..., None], next_observations]
        if self.n_outcomes and outcomes is not None:
            columns.append(outcomes)
        rows = torch.cat(columns, dim=-1)
        first = self._written % self.capacity
        self._table[:, first : first + self.n_envs].copy_(rows, non_blocking=True)
        self._written += self.n_envs
        self._size.fill_(float(len(self)))

    def latest(self, n: int) -> Batch:
        """The last n transitions of each agent, oldest first; all where there are fewer."""
        n = min(n, len(self))
        rows = torch.arange(self._written - n, self._written, device=self._table.device)
        return self._batch(self._table[:, rows % self.capacity])

    def draw(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Uniformly drawn transitions, B = `batch_size` an agent, with replacement.

        Nothing here waits for the device, and a captured call draws anew at every replay.
        """
        fractions = torch.rand(
            (self.n_agents, batch_size),
            generator=generator,
            device=self._table.device,
            dtype=torch.float64,
        )
        rows = (fractions * self._size).long() + self._first_rows
        drawn = self._table.view(-1, self._table.shape[-1]).index_select(0, rows.view(-1))
        return self._batch(drawn.view(self.n_agents, batch_size, -1))

    def tensors(self) -> dict[str, Tensor]:
        """What is stored, to be saved; the count is `written`."""
        return {"replay": self._table[:, : len(self)]}

    @property
    def written(self) -> int:
        """Transitions stored since the beginning, an agent."""
        return self._written

    def load(self, tensors: Mapping[str, Tensor], written: int) -> None:
        """Takes what `tensors` returned from a replay of the same sizes."""
        kept = min(written, self.capacity)
        self._table[:, :kept].copy_(tensors["replay"])
        self._written = written
        self._size.fill_(float(len(self)))

    def _batch(self, table: Tensor) -> Batch:
        n_observations = self._observation_size
        n_inputs = n_observations + self._action_size
        n_known = n_inputs + 2 + n_observations
        return Batch(
            inputs=table[..., :n_inputs],
            observations=table[..., :n_observations],
            rewards=table[..., n_inputs],
            dones=table[..., n_inputs + 1],
            next_observations=table[..., n_inputs + 2 : n_known],
            outcomes=table[..., n_known:],
        )
