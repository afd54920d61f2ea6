"""SAC of many agents at once (Haarnoja et al. 2018, arXiv 1812.05905), as SB3 computes it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from experts.offpolicy.learner import Learner, Phase
from experts.offpolicy.networks import StackedMLPs
from experts.offpolicy.replay import Batch

LOG_STD_BOUNDS = (-20.0, 2.0)
"""Of the policy's log standard deviation, as SB3 clamps it."""
SQUASH_EPSILON = 1e-6
"""Keeps the logarithm in tanh's correction finite, as in SB3."""


class SACLearner(Learner):
    """K SAC agents, each with an entropy weight of its own that it tunes.

    The target entropy is minus the action's length, SB3's `auto`.
    """

    def __init__(
        self,
        actor: StackedMLPs,
        critics: StackedMLPs,
        *,
        discount: float = 0.99,
        tau: float = 0.005,
        learning_rate: float = 3e-4,
    ) -> None:
        """Takes networks as they are; the defaults are SB3's.

        Args:
            actor: K networks from an observation to mean and log standard deviation, side by side,
                of the actions before tanh.
            critics: 2K networks from (observation, action) to a value.
            discount: γ.
            tau: rate of the target critics.
            learning_rate: Adam's, of policies, critics and entropy weights.
        """
        super().__init__(actor, critics, discount=discount, tau=tau, learning_rate=learning_rate)
        self.target_entropy = -float(self.action_size)
        self.log_entropy_weight = torch.zeros(self.n_agents, device=self.device)
        self.optimisers["entropy"] = self._adam(self.log_entropy_weight)

    @property
    def action_size(self) -> int:
        """Length of an action."""
        return self.actor.sizes[-1] // 2

    def act(self, observations: Tensor) -> Tensor:
        """Deterministic actions (K, m, action_size): tanh of the mean."""
        with torch.no_grad():
            return torch.tanh(self.actor.apply(observations)[..., : self.action_size])

    def explore(
        self, observations: Tensor, deviations: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Actions drawn from the policies."""
        with torch.no_grad():
            shape = (*observations.shape[:-1], self.action_size)
            noise = torch.randn(shape, generator=generator, device=observations.device)
            return self._sample(observations, noise)[0]

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Of the policy's actions before and after the transitions, (2, K, batch_size, size)."""
        shape = (2, self.n_agents, batch_size, self.action_size)
        return torch.randn(shape, generator=generator, device=self.device)

    def update(self, batch: Batch, noise: Tensor, phase: Phase = "all") -> None:
        """One update; `hold` leaves policy and entropy weight alone."""
        actions, log_probability = self._sample(batch.observations, noise[0])
        entropy_weight = self.log_entropy_weight.exp()[:, None]
        if phase == "all":
            self._descend_entropy_weight(log_probability.detach())
        with torch.no_grad():
            next_actions, next_log_probability = self._sample(batch.next_observations, noise[1])
            next_values = self._target_values(batch, next_actions)
            next_values = next_values - entropy_weight * next_log_probability
            targets = self._bellman(batch, next_values)
        self._descend_critics(batch, targets, weight=0.5)
        if phase == "all":
            inputs = torch.cat([batch.observations, actions], dim=-1)
            values = self.critics.apply_fixed(inputs.repeat(2, 1, 1))
            least = values.view(2, self.n_agents, -1).min(dim=0).values
            self._descend_actor(entropy_weight * log_probability - least)
        self.critic_targets.average_towards(self.critics, self.tau)

    def tensors(self) -> dict[str, Tensor]:
        """All that an update depends on, with the entropy weights."""
        return {**super().tensors(), "log_entropy_weight": self.log_entropy_weight}

    def load(self, tensors: Mapping[str, Tensor], n_updates: int) -> None:
        """Takes what `tensors` returned from a learner of the same sizes."""
        super().load(tensors, n_updates)
        self.log_entropy_weight.copy_(tensors["log_entropy_weight"])

    def _descend_entropy_weight(self, log_probability: Tensor) -> None:
        # The loss -log α (log π + target) is linear in log α: its gradient needs no graph.
        gradient = -(log_probability + self.target_entropy).mean(dim=-1)
        if self.log_entropy_weight.grad is None:
            self.log_entropy_weight.grad = torch.zeros_like(self.log_entropy_weight)
        self.log_entropy_weight.grad.copy_(gradient)
        self.optimisers["entropy"].step()

    def _sample(self, observations: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Squashed Gaussian actions (K, B, action_size) and their log probabilities (K, B).

        Operation by operation what SB3 does, so that rounding is alike too.
        """
        mean, log_std = self.actor.apply(observations).split(self.action_size, dim=-1)
        deviation = log_std.clamp(*LOG_STD_BOUNDS).exp()
        gaussian = mean + noise * deviation
        actions = torch.tanh(gaussian)
        log_density = (
            -((gaussian - mean) ** 2) / (2.0 * deviation**2)
            - deviation.log()
            - math.log(math.sqrt(2.0 * math.pi))
        )
        correction = torch.log(1.0 - actions**2 + SQUASH_EPSILON)
        return actions, log_density.sum(dim=-1) - correction.sum(dim=-1)
