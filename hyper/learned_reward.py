"""A reward function, learned from what steps did and what they were worth.

Of a context the reward features change the reward alone. So what a policy does in one context is
what it does in every other one of the same body, and only what that is worth differs; a family says
that measured outcomes, actions and reward features decide it (`Family.outcome`). From the rewards
of steps in some contexts a network learns how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from experts.descent import descend
from experts.embedding import context_inputs, initialise, linear
from experts.evaluation import Step
from param_envs import Family, Feature

SIZES = (64, 64)
"""Width of the network's hidden layers."""

UPDATES = 1000
BATCH = 1024
LEARNING_RATE = 5e-3
"""At its peak, one cycle."""

LARGEST_RATIO = 3.0
"""Outcomes are also told as multiples of the desired speed, these at most."""

SMALLEST = 1e-6
"""Outcomes are scaled by the largest one seen, or by this."""


class Outcomes(NamedTuple):
    """m steps.

    Attributes:
        ids: of the contexts that they were made in, (m,).
        measured: what was measured, (m, n_outcomes).
        actions: (m, action_size).
        rewards: (m,).
    """

    ids: NDArray[np.intp]
    measured: NDArray[np.float32]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float32]


class Recorder:
    """Keeps one step of so many of the episodes that are played: `play`'s `watch`."""

    def __init__(self, every: int) -> None:
        self._every, self._seen = every, 0
        self._kept: list[Outcomes] = []

    def __call__(self, step: Step) -> None:
        """Is told of a step; what is not finite, where physics diverged, is left out."""
        if self._seen % self._every == 0:
            ids, _ = running = np.nonzero(_sound(step))
            arrays = (step.outcomes, step.actions, step.rewards)
            self._kept.append(Outcomes(ids, *(a[running].astype(np.float32) for a in arrays)))
        self._seen += 1

    def outcomes(self) -> Outcomes:
        """What was kept, of everything that was played."""
        return Outcomes(*(np.concatenate(column) for column in zip(*self._kept, strict=True)))


def speeds_of(family: Family, features: Sequence[str]) -> list[Feature]:
    """The reward features among `features` that have a direction and a magnitude."""
    chosen = family.selected(features)
    return [f for f in chosen if f.kind == "reward" and f.encoding == "signed"]


class LearnedReward:
    """Rewards of steps in any context, learned in some."""

    def __init__(
        self,
        family: Family,
        features: Sequence[str],
        contexts: Sequence[Mapping[str, float]],
        seen: Outcomes,
        *,
        seed: int,
    ) -> None:
        """Learns from steps in some contexts.

        Args:
            family: of the contexts.
            features: names of the features that vary.
            contexts: those.
            seen: the steps; `ids` are positions in `contexts`.
            seed: of weights and minibatches.

        Raises:
            FloatingPointError: if the training diverged.
        """
        self._family = family
        self._features = [f.name for f in family.selected(features) if f.kind == "reward"]
        self._speeds = [feature.name for feature in speeds_of(family, features)]
        self._scale = np.maximum(np.abs(seen.measured).max(axis=0), SMALLEST)
        generator = torch.Generator().manual_seed(seed)
        inputs = self._inputs(self._told(contexts)[seen.ids], seen.measured, seen.actions)
        rewards = torch.from_numpy(seen.rewards[:, None])
        layers: list[nn.Module] = []
        for fan_in, size in zip((inputs.shape[1], *SIZES), SIZES, strict=False):
            layers += [linear(fan_in, size), nn.ReLU()]
        self._network = nn.Sequential(*layers, linear(SIZES[-1], 1))
        for layer in self._network:
            if isinstance(layer, nn.Linear):
                initialise(layer, "orthogonal", generator)

        def draw_loss() -> torch.Tensor:
            rows = torch.randint(len(inputs), (BATCH,), generator=generator)
            return nn.functional.mse_loss(self._network(inputs[rows]), rewards[rows])

        descend(
            self._network,
            draw_loss,
            updates=UPDATES,
            learning_rate=LEARNING_RATE,
            schedule="one-cycle",
        )

    def returns_in(self, contexts: Sequence[Mapping[str, float]]) -> Returns:
        """Something that watches what is played and says what it would have returned there.

        Args:
            contexts: n contexts, one for each that is played in.
        """
        return Returns(self, self._told(contexts))

    def rewards(
        self,
        told: NDArray[np.float32],
        measured: NDArray[np.floating],
        actions: NDArray[np.floating],
    ) -> NDArray[np.float64]:
        """Rewards (...) of steps, all arguments (..., size), contexts as `_told` has them."""
        with torch.no_grad():
            found = self._network(self._inputs(told, measured, actions))
        return np.asarray(found[..., 0].numpy(), dtype=np.float64)

    def _told(self, contexts: Sequence[Mapping[str, float]]) -> NDArray[np.float32]:
        """The contexts' speeds, and what a network is told of their reward features."""
        speeds = self._family.raw(contexts, self._speeds)
        inputs = context_inputs(
            self._family, contexts, self._features, encode=True, log_speeds=True
        )
        return np.concatenate([speeds, inputs.numpy()], axis=1).astype(np.float32)

    def _inputs(
        self,
        told: NDArray[np.float32],
        measured: NDArray[np.floating],
        actions: NDArray[np.floating],
    ) -> torch.Tensor:
        """(..., n_inputs): outcomes, also as multiples of each speed, actions and features."""
        speeds, features = np.split(told, [len(self._speeds)], axis=-1)
        ratios = [measured / speeds[..., i : i + 1] for i in range(len(self._speeds))]
        clipped = [np.clip(ratio, -LARGEST_RATIO, LARGEST_RATIO) for ratio in ratios]
        columns = [measured / self._scale, *clipped, actions, features]
        return torch.from_numpy(np.concatenate(columns, axis=-1).astype(np.float32))


class Returns:
    """Sums up what the episodes that are played would return elsewhere: `play`'s `watch`.

    Attributes:
        returns: undiscounted, (n_contexts, n_episodes), of what was watched so far.
    """

    def __init__(self, reward: LearnedReward, told: NDArray[np.float32]) -> None:
        self._reward, self._told = reward, told
        self.returns: NDArray[np.float64] = np.zeros((len(told), 1))

    def __call__(self, step: Step) -> None:
        """Adds a step, or nothing for an episode that is over or whose physics diverged."""
        told = np.broadcast_to(self._told[:, None], (*step.running.shape, self._told.shape[1]))
        found = self._reward.rewards(told, step.outcomes, step.actions)
        self.returns = self.returns + np.where(_sound(step), found, 0.0)


def _sound(step: Step) -> NDArray[np.bool_]:
    """Where an episode is running and all that was measured is finite."""
    sound: NDArray[np.bool_] = step.running & np.isfinite(step.outcomes).all(axis=-1)
    return sound
