"""What an agent has seen, for those that start from its expert: rewards are computed anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save as save_tensors

from experts.offpolicy.replay import Replay
from experts.offpolicy.state import reading
from experts.policy import Floats
from experts.store import write_atomically
from param_envs import Context, Family


@dataclass(frozen=True, eq=False, kw_only=True)
class Experience:
    """n transitions of one body, oldest first.

    Attributes:
        observations: (n, observation_size).
        actions: (n, action_size).
        dones: 1 where the episode failed, so that nothing comes after, (n,).
        next_observations: what the actions led to, (n, observation_size).
        outcomes: what the family measured, in the order of its `outcome_names`, (n, n_outcomes).
    """

    observations: Floats
    actions: Floats
    dones: Floats
    next_observations: Floats
    outcomes: Floats

    def __len__(self) -> int:
        return len(self.actions)

    def rewards(self, family: Family, context: Context, reward: str) -> Floats:
        """What the transitions are worth in a context of the same body, (n,).

        Args:
            family: the family that measured the outcomes.
            context: may differ from that of the agent in what the reward alone depends on.
            reward: meaning of the reward.
        """
        columns = self.outcomes.T.astype(np.float64)
        outcome = dict(zip(family.outcome_names, columns, strict=True))
        wanted: Mapping[str, np.ndarray] = {k: np.array(v) for k, v in context.items()}
        actions = self.actions.astype(np.float64)
        return family.reward(outcome, actions, wanted, reward).astype(np.float32)


def remember(replay: Replay, experiences: Sequence[Experience], rewards: Sequence[Floats]) -> None:
    """Adds transitions to a replay; those that fill no whole step of its environments are left out.

    Args:
        replay: of K agents.
        experiences: K, as many transitions in each.
        rewards: what these are worth to agent i, K times (n,).

    Raises:
        ValueError: if one has more transitions than another.
    """
    lengths = {len(experience) for experience in experiences}
    if len(lengths) != 1:
        raise ValueError(f"`experiences` must be equally long, got lengths {sorted(lengths)}")
    rows = [
        (own.observations, own.actions, worth, own.dones, own.next_observations, own.outcomes)
        for own, worth in zip(experiences, rewards, strict=True)
    ]
    columns = [torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True)]
    for first in range(0, lengths.pop() - replay.n_envs + 1, replay.n_envs):
        replay.add(*(column[:, first : first + replay.n_envs] for column in columns))


def latest_of(replay: Replay, n: int) -> list[Experience]:
    """The last n transitions of each agent, all of them where there are fewer."""
    batch = replay.latest(n)
    found = []
    for i in range(replay.n_agents):
        observations, inputs = batch.observations[i].cpu(), batch.inputs[i].cpu()
        found.append(
            Experience(
                observations=observations.numpy(),
                actions=inputs[:, observations.shape[1] :].numpy(),
                dones=batch.dones[i].cpu().numpy(),
                next_observations=batch.next_observations[i].cpu().numpy(),
                outcomes=batch.outcomes[i].cpu().numpy(),
            )
        )
    return found


def save_experience(experience: Experience, path: Path) -> None:
    """Writes all of it or nothing.

    Raises:
        OSError: if the disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.ascontiguousarray(array) for name, array in vars(experience).items()}
    write_atomically(path, save_tensors(arrays))


def load_experience(path: Path) -> Experience:
    """Reads what `save_experience` wrote; nothing is unpickled.

    Raises:
        ValueError: naming the file, if it cannot be read or is something else.
    """
    with reading(path, "an agent's experience"), safe_open(path, framework="np") as file:
        return Experience(
            **{field.name: file.get_tensor(field.name) for field in fields(Experience)}
        )
