"""A replay whose transitions are stored in labels drawn at random, where a body's are arbitrary.

What an agent does well with its body labelled one way it then learns to do in all labels: of an ant
that runs, each transition is one of an ant that runs with another leg in front.
"""

from __future__ import annotations

import torch
from torch import Tensor

from experts.offpolicy.replay import Replay
from param_envs.family import Relabellings


class RelabelledReplay(Replay):
    """A replay that draws, for each transition it is given, the labels to store it in."""

    def relabel_by(self, relabellings: Relabellings, generator: torch.Generator) -> None:
        """Sets what the labels are drawn from; before it, nothing can be added.

        Args:
            relabellings: the ways to label.
            generator: draws them, on the replay's device.
        """
        seen, done = relabellings
        self._seen = torch.as_tensor(seen, dtype=torch.float32, device=generator.device)
        self._done = torch.as_tensor(done, dtype=torch.float32, device=generator.device)
        self._labels = generator

    def add(
        self,
        observations: Tensor,
        actions: Tensor,
        rewards: Tensor,
        dones: Tensor,
        next_observations: Tensor,
        outcomes: Tensor | None = None,
    ) -> None:
        """Stores a step of all environments as `Replay.add` does, each in labels of its own."""
        shape, device = actions.shape[:2], self._seen.device
        drawn = torch.randint(len(self._seen), shape, generator=self._labels, device=device)
        seen, done = self._seen[drawn], self._done[drawn]
        super().add(
            _in_labels(seen, observations.to(device)),
            _in_labels(done, actions.to(device)),
            rewards.to(device),
            dones.to(device),
            _in_labels(seen, next_observations.to(device)),
            None if outcomes is None else outcomes.to(device),
        )


def _in_labels(matrices: Tensor, vectors: Tensor) -> Tensor:
    return torch.einsum("keij,kej->kei", matrices, vectors)
