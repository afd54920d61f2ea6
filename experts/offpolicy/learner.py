"""What TD3 and SAC of many agents share: twin critics, optimisers, when what is updated, states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from experts.offpolicy.networks import StackedMLPs
from experts.offpolicy.replay import Batch

Phase = Literal["all", "critics", "hold"]
"""What an update changes: all networks; only the online critics (TD3's delay); or critics and their
targets while the policy is held."""


class Learner(ABC):
    """K agents that are updated at once, each as Stable-Baselines3 would update it alone.

    Losses are summed over the agents: no parameter belongs to two of them, so every agent gets the
    gradient of its own loss. Adam works element by element, so that one optimiser over all agents
    is K optimisers. Twin critics are 2K networks, the first critics of all agents first.

    An update neither reads a number back from the device nor allocates outside of autograd, which
    lets a CUDA graph replay it; what changes over a training (rates and noise) lies in tensors.
    """

    def __init__(
        self,
        actor: StackedMLPs,
        critics: StackedMLPs,
        *,
        discount: float,
        tau: float,
        learning_rate: float,
    ) -> None:
        """Takes networks as they are; target networks begin equal to them.

        Args:
            actor: K networks, from an observation to what the algorithm makes actions of.
            critics: 2K networks from (observation, action) to a value.
            discount: γ.
            tau: rate of the target networks.
            learning_rate: Adam's, of all networks.

        Raises:
            ValueError: if there are not twice as many critics as policies.
        """
        if len(critics) != 2 * len(actor):
            raise ValueError(f"`critics` must be 2 an agent, {2 * len(actor)}, got {len(critics)}")
        self.actor = actor
        self.critics = critics
        self.critic_targets = target_of(critics)
        self.discount = discount
        self.tau = tau
        self.held = 0
        """Updates, from the first, that leave the policy as it is."""
        self.n_updates = 0
        self._rate = learning_rate
        self.optimisers = {
            "actor": self._adam(actor.flat),
            "critics": self._adam(critics.flat),
        }

    @property
    def n_agents(self) -> int:
        """K."""
        return len(self.actor)

    @property
    def device(self) -> torch.device:
        """Where everything lies."""
        return self.actor.flat.device

    @property
    @abstractmethod
    def action_size(self) -> int:
        """Length of an action."""

    @abstractmethod
    def act(self, observations: Tensor) -> Tensor:
        """Deterministic actions (K, m, action_size) for observations (K, m, observation_size)."""

    @abstractmethod
    def explore(
        self, observations: Tensor, deviations: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Actions (K, m, action_size) to learn from.

        Args:
            observations: (K, m, observation_size).
            deviations: of the noise, (m,); SAC has its own and ignores it.
            generator: of the noise.
        """

    @abstractmethod
    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Standard normal noise for one update, (..., K, batch_size, action_size)."""

    @abstractmethod
    def update(self, batch: Batch, noise: Tensor, phase: Phase = "all") -> None:
        """One update of all agents, each on its own minibatch.

        Args:
            batch: B transitions an agent.
            noise: as `draw_noise` draws it for B.
            phase: what is updated.
        """

    def next_phase(self) -> Phase:
        """What the next update changes; counts the update."""
        self.n_updates += 1
        return "hold" if self.n_updates <= self.held else self._phase()

    def _phase(self) -> Phase:
        return "all"

    def set_learning_rate(self, rate: float) -> None:
        """Changes the rate of all optimisers, also in captured updates."""
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = rate

    def tensors(self) -> dict[str, Tensor]:
        """All that an update depends on but the configuration, under names, not copied."""
        found = {name: network.flat for name, network in self._networks().items()}
        for name, optimiser in self.optimisers.items():
            for parameter, state in optimiser.state.items():
                assert isinstance(parameter, Tensor)
                found |= {f"{name}.adam.{key}": value for key, value in state.items()}
        return found

    def load(self, tensors: Mapping[str, Tensor], n_updates: int) -> None:
        """Takes what `tensors` returned from a learner of the same sizes."""
        with torch.no_grad():
            for name, network in self._networks().items():
                network.flat.copy_(tensors[name])
        for name, optimiser in self.optimisers.items():
            prefix = f"{name}.adam."
            state = {
                key.removeprefix(prefix): value.to(self.device, copy=True)
                for key, value in tensors.items()
                if key.startswith(prefix)
            }
            if state:
                optimiser.state[optimiser.param_groups[0]["params"][0]] = state
        self.n_updates = n_updates

    def _networks(self) -> dict[str, StackedMLPs]:
        return {
            "actor": self.actor,
            "critics": self.critics,
            "critic_targets": self.critic_targets,
        }

    def _adam(self, parameter: Tensor) -> torch.optim.Adam:
        if self.device.type != "cuda":
            return torch.optim.Adam([parameter], lr=self._rate, fused=True)
        rate = torch.tensor(self._rate, device=self.device)
        return torch.optim.Adam([parameter], lr=rate, fused=True, capturable=True)

    def _values(self, critics: StackedMLPs, inputs: Tensor) -> Tensor:
        """Both critics' values (2, K, B) of observations and actions (K, B, ...) side by side."""
        values = critics.apply(_twice(inputs))
        return values.view(2, self.n_agents, -1)

    def _target_values(self, batch: Batch, next_actions: Tensor) -> Tensor:
        """The smaller of both target critics' values (K, B) after the transitions."""
        inputs = torch.cat([batch.next_observations, next_actions], dim=-1)
        return self._values(self.critic_targets, inputs).min(dim=0).values

    def _bellman(self, batch: Batch, next_values: Tensor) -> Tensor:
        return batch.rewards + (1.0 - batch.dones) * self.discount * next_values

    def _descend_critics(self, batch: Batch, targets: Tensor, weight: float) -> None:
        errors = self._values(self.critics, batch.inputs) - targets
        self.critics.gradient(weight * errors.square().mean(dim=-1).sum())
        self.optimisers["critics"].step()

    def _descend_actor(self, losses: Tensor) -> None:
        """One step on the agents' losses (K, B), each the mean over its samples."""
        self.actor.gradient(losses.mean(dim=-1).sum())
        self.optimisers["actor"].step()


def target_of(networks: StackedMLPs) -> StackedMLPs:
    """Networks of the same shape, with the same parameters."""
    device = networks.flat.device
    copy = StackedMLPs(len(networks), networks.sizes, networks.activation, device)
    for parameter in copy.parameters:
        parameter.requires_grad_(False)
    copy.copy_from(networks)
    return copy


def _twice(inputs: Tensor) -> Tensor:
    """(K, ...) to (2K, ...), for first and second critics."""
    return inputs.repeat(2, *(1 for _ in inputs.shape[1:]))
