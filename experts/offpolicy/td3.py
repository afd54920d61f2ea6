"""TD3 of many agents at once (Fujimoto et al. 2018, arXiv 1802.09477), as SB3 computes it."""

from __future__ import annotations

import torch
from torch import Tensor

from experts.offpolicy.learner import Learner, Phase, target_of
from experts.offpolicy.networks import StackedMLPs
from experts.offpolicy.replay import Batch


class TD3Learner(Learner):
    """K TD3 agents: clipped double Q-learning, target smoothing, delayed policies."""

    def __init__(
        self,
        actor: StackedMLPs,
        critics: StackedMLPs,
        *,
        discount: float = 0.99,
        tau: float = 0.005,
        learning_rate: float = 1e-3,
        target_noise: float = 0.2,
        target_noise_clip: float = 0.5,
        policy_delay: int = 2,
    ) -> None:
        """Takes networks as they are; the defaults are SB3's.

        Args:
            actor: K networks from an observation to an action before tanh.
            critics: 2K networks from (observation, action) to a value.
            discount: γ.
            tau: rate of the target networks, at every update of the policy.
            learning_rate: Adam's, of policies and critics.
            target_noise: deviation of the smoothing noise on the target policy's actions.
            target_noise_clip: bound of that noise.
            policy_delay: updates of the critics an update of the policy.
        """
        super().__init__(actor, critics, discount=discount, tau=tau, learning_rate=learning_rate)
        self.actor_target = target_of(actor)
        self.target_noise_clip = target_noise_clip
        self.policy_delay = policy_delay
        self._target_noise = torch.tensor(target_noise, device=self.device)

    @property
    def action_size(self) -> int:
        """Length of an action."""
        return self.actor.sizes[-1]

    def set_target_noise(self, deviation: float) -> None:
        """Changes the deviation of the smoothing noise, also in captured updates."""
        self._target_noise.fill_(deviation)

    def act(self, observations: Tensor) -> Tensor:
        """Deterministic actions (K, m, action_size)."""
        with torch.no_grad():
            return torch.tanh(self.actor.apply(observations))

    def explore(
        self, observations: Tensor, deviations: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Actions with Gaussian noise, clipped; environment j's has deviation j."""
        actions = self.act(observations)
        noise = torch.randn(actions.shape, generator=generator, device=actions.device)
        return (actions + noise * deviations[:, None]).clamp(-1.0, 1.0)

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Of the target policy's actions, (K, batch_size, action_size)."""
        shape = (self.n_agents, batch_size, self.action_size)
        return torch.randn(shape, generator=generator, device=self.device)

    def update(self, batch: Batch, noise: Tensor, phase: Phase = "all") -> None:
        """One update; `critics` leaves policy and targets alone, `hold` the policy."""
        with torch.no_grad():
            clip = self.target_noise_clip
            smoothing = (noise * self._target_noise).clamp(-clip, clip)
            next_actions = torch.tanh(self.actor_target.apply(batch.next_observations))
            next_actions = (next_actions + smoothing).clamp(-1.0, 1.0)
            targets = self._bellman(batch, self._target_values(batch, next_actions))
        self._descend_critics(batch, targets, weight=1.0)
        if phase == "critics":
            return
        if phase == "all":
            actions = torch.tanh(self.actor.apply(batch.observations))
            inputs = torch.cat([batch.observations, actions], dim=-1)
            self._descend_actor(-self.critics.apply_fixed(inputs, self.n_agents)[..., 0])
        self.critic_targets.average_towards(self.critics, self.tau)
        self.actor_target.average_towards(self.actor, self.tau)

    def _phase(self) -> Phase:
        return "all" if self.n_updates % self.policy_delay == 0 else "critics"

    def _networks(self) -> dict[str, StackedMLPs]:
        return {**super()._networks(), "actor_target": self.actor_target}
