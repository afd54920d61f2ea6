"""What a training leaves: what its agents saw, and their networks and optimisers, to go on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save as save_tensors
from torch import Tensor

from experts.offpolicy.learner import Learner
from experts.offpolicy.replay import Replay
from experts.offpolicy.state import reading
from experts.policy import Floats
from experts.store import write_atomically
from param_envs import Context, Family

LEARNER = "learner."
"""Before the names of a learner's tensors in a file."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Legacy:
    """n transitions of each of K agents, oldest first, and their learner.

    Attributes:
        observations: (K, n, observation_size).
        actions: (K, n, action_size).
        dones: 1 where the episode failed, so that nothing comes after, (K, n).
        next_observations: what the actions led to, (K, n, observation_size).
        outcomes: what the family measured, in the order of its `outcome_names`, (K, n, n_outcomes).
        learner: networks, target networks and optimisers, by the names of `Learner.tensors`.
    """

    observations: Floats
    actions: Floats
    dones: Floats
    next_observations: Floats
    outcomes: Floats
    learner: Mapping[str, Floats]

    def __len__(self) -> int:
        return self.actions.shape[1]

    @property
    def n_agents(self) -> int:
        """K."""
        return len(self.actions)

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], replay: Replay, n: int) -> Legacy:
        """A learner's tensors, and the last n transitions of each agent, or all of fewer."""
        batch = replay.latest(n)
        size = batch.observations.shape[-1]
        return cls(
            observations=_array(batch.observations),
            actions=_array(batch.inputs[..., size:]),
            dones=_array(batch.dones),
            next_observations=_array(batch.next_observations),
            outcomes=_array(batch.outcomes),
            learner={name: _array(tensor) for name, tensor in tensors.items()},
        )

    def rewards(self, family: Family, contexts: Sequence[Context], reward: str) -> Floats:
        """What the transitions are worth in K other contexts of the same bodies, (K, n).

        Args:
            family: the family that measured the outcomes.
            contexts: they may differ from those of the agents in what rewards alone depend on.
            reward: meaning of the reward.
        """
        found = []
        for outcomes, actions, context in zip(self.outcomes, self.actions, contexts, strict=True):
            columns = dict(zip(family.outcome_names, outcomes.T.astype(np.float64), strict=True))
            wanted = {name: np.array(value) for name, value in context.items()}
            found.append(family.reward(columns, actions.astype(np.float64), wanted, reward))
        return np.stack(found).astype(np.float32)

    def bequeath(self, learner: Learner, replay: Replay, rewards: Floats) -> None:
        """Has a learner and a replay go on from here.

        Transitions that fill no whole step of the replay's environments are left out.

        Args:
            learner: of K agents with the same networks.
            replay: of these agents.
            rewards: what the transitions are worth to them, (K, n).

        Raises:
            ValueError: if the networks are others.
        """
        for name, tensor in learner.tensors().items():
            if name in self.learner and self.learner[name].shape == tuple(tensor.shape):
                continue
            found = self.learner[name].shape if name in self.learner else None
            raise ValueError(
                f"`legacy` must be of the same networks: `{name}` must have the shape "
                f"{tuple(tensor.shape)}, got {found}"
            )
        learner.load({k: torch.from_numpy(v) for k, v in self.learner.items()}, 0)
        columns = [
            torch.from_numpy(column)
            for column in (
                self.observations,
                self.actions,
                rewards,
                self.dones,
                self.next_observations,
                self.outcomes,
            )
        ]
        for first in range(0, len(self) - replay.n_envs + 1, replay.n_envs):
            replay.add(*(column[:, first : first + replay.n_envs] for column in columns))


def save_legacy(legacy: Legacy, path: Path) -> None:
    """Writes all of it or nothing.

    Raises:
        OSError: if the disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: array for name, array in vars(legacy).items() if name != "learner"}
    arrays |= {f"{LEARNER}{name}": array for name, array in legacy.learner.items()}
    write_atomically(path, save_tensors(arrays))


def load_legacy(path: Path) -> Legacy:
    """Reads what `save_legacy` wrote; nothing is unpickled.

    Raises:
        ValueError: naming the file, if it cannot be read or is something else.
    """
    with reading(path, "what a training left"), safe_open(path, framework="np") as file:
        named = [field.name for field in fields(Legacy) if field.name != "learner"]
        learner = {
            name.removeprefix(LEARNER): file.get_tensor(name)
            for name in file.keys()
            if name.startswith(LEARNER)
        }
        return Legacy(**{name: file.get_tensor(name) for name in named}, learner=learner)


def _array(tensor: Tensor) -> Floats:
    """A copy in memory of its own, in order."""
    return np.array(tensor.detach().cpu().numpy(), order="C")
