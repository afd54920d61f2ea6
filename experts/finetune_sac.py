"""Stable-Baselines3's SAC from a given policy, started gently, with a term of TD errors.

The method is the second stage of GenHyper (Reddy et al. 2025, section IV-B): the policy is given,
the critic is new, the policy's learning rate is raised slowly while the critic learns its values,
and the policy's loss has a term of temporal differences (equation 6). What it lacks and the policy
needs to keep its return meanwhile is an option each, on by default: standardised observations, a
start of critics and entropy weight from what the policy collected, and an anchor.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import FlattenExtractor, create_mlp
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.utils import update_learning_rate
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from stable_baselines3.sac.policies import Actor, SACPolicy
from torch import Tensor, nn

from experts.finetune_config import FineTuneConfig
from experts.policy import MLPPolicies
from experts.sb3 import ACTIVATIONS

LEAST_DEVIATION = 1e-6
"""Of rewards, where all that were collected are the same."""
BOLD_EVERY = 3
"""Of the first episodes, one of so many is acted with more noise."""
LEAST_SCALE = 1e-2
"""Of an observation, where all that were collected are nearly the same."""


class FineTunedSAC(SAC):
    """SB3's SAC, from a given policy.

    Updates and `learn` are SB3's own. What is added to the policy's loss has its gradient added
    just before its optimiser steps, and during the critics' warm-up that step does nothing. Critics
    have ReLU, whatever the policy has, so that starts differ in their policies alone; `policy_of`
    gives the policy back.
    """

    replay_buffer: _RememberingBuffer

    def __init__(
        self,
        environment: VecEnv,
        config: FineTuneConfig,
        *,
        start: MLPPolicies | None = None,
        seed: int,
    ) -> None:
        """Makes SB3's model and gives it the start's weights, statistics folded in.

        Args:
            environment: to train in; neither observations nor rewards are normalised.
            config: hyperparameters.
            start: one policy, None for SB3's own random weights.
            seed: of everything random.

        Raises:
            ValueError: if `start` is not one policy of the environment's sizes.
        """
        hidden, activation = config.hidden, config.activation
        if start is not None:
            _check_start(start, environment)
            hidden = tuple(int(weight.shape[2]) for weight in start.weights[:-1])
            activation = start.activation
        super().__init__(
            _NormalisedCritics if config.critic_norm else _ReLUCritics,
            environment,
            learning_rate=config.critic_rate,
            buffer_size=config.buffer_size,
            learning_starts=config.collect_steps,
            batch_size=config.batch_size,
            tau=config.target_tau,
            gamma=config.discount,
            gradient_steps=config.updates_per_step,
            ent_coef=f"auto_{config.entropy_weight}",
            replay_buffer_class=_RememberingBuffer,
            policy_kwargs={
                "net_arch": {"pi": list(hidden), "qf": list(config.critic_hidden)},
                "activation_fn": ACTIVATIONS[activation],
                **({"features_extractor_class": _Standardised} if config.standardise else {}),
            },
            seed=seed,
            device="cpu",
        )
        self.config = config
        self.given = start is not None
        self.updates_done = 0
        self._alpha = torch.tensor(config.entropy_weight)
        self._anchor: Actor | None = None
        self._bold = False
        if start is not None:
            _adopt(self, start, config.log_std)
        assert self.ent_coef_optimizer is not None
        self.ent_coef_optimizer.register_step_pre_hook(self._before_entropy_step)
        self.actor.optimizer.register_step_pre_hook(self._before_actor_step)

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """SB3's updates; before the first ones, those of the critics alone."""
        if self.updates_done == 0:
            self.warm_up(batch_size)
        super().train(gradient_steps, batch_size)

    def warm_up(self, batch_size: int) -> None:
        """Sets what depends on the transitions collected, and updates the critics alone.

        Args:
            batch_size: transitions an update.
        """
        config = self.config
        self._set_log_std(False)
        if config.standardise:
            self._standardise()
        if config.entropy_share > 0.0:
            self._weigh_entropy()
        if self.anchor_weight > 0.0:
            self._anchor = deepcopy(self.actor)
        if config.critic_updates > 0:
            self.tau = config.warm_up_tau
            super().train(config.critic_updates, batch_size)
            self.tau = config.target_tau

    def _weigh_entropy(self) -> None:
        """Sets the entropy's weight by the rewards, and its target to what the policy has."""
        assert self.log_ent_coef is not None
        rewards = self.replay_buffer.rewards[: self.replay_buffer.size()]
        weight = self.config.entropy_share * max(float(rewards.std()), LEAST_DEVIATION)
        seen = torch.as_tensor(self._seen())
        with torch.no_grad():
            self.log_ent_coef.fill_(math.log(weight))
            self.target_entropy = -float(self.actor.action_log_prob(seen)[1].mean())

    def _seen(self) -> NDArray[np.float32]:
        """Observations collected so far, (n, observation_size)."""
        found: NDArray[np.float32] = self.replay_buffer.observations
        return found[: self.replay_buffer.size(), 0]

    def _standardise(self) -> None:
        found = self._seen().astype(np.float64)
        mean = torch.as_tensor(found.mean(axis=0), dtype=torch.float32)
        scale = torch.as_tensor(found.std(axis=0), dtype=torch.float32).clamp(min=LEAST_SCALE)
        first = _actor_layers(self)[0]
        with torch.no_grad():
            first.bias.add_(first.weight @ mean)
            first.weight.mul_(scale)
        for extractor in self.policy.modules():
            if isinstance(extractor, _Standardised):
                extractor.mean.copy_(mean)
                extractor.scale.copy_(scale)

    @property
    def policy_rate(self) -> float:
        """Adam's rate for the policy at the next update, were it one of the policy."""
        config = self.config
        done = max(0, self.updates_done - config.critic_updates)
        if done >= config.ramp_updates:
            return config.end_rate
        share = done / config.ramp_updates
        if config.ramp == "log":
            return float(config.start_rate * (config.end_rate / config.start_rate) ** share)
        return config.start_rate + share * (config.end_rate - config.start_rate)

    def _update_learning_rate(
        self, optimizers: list[torch.optim.Optimizer] | torch.optim.Optimizer
    ) -> None:
        super()._update_learning_rate(optimizers)
        update_learning_rate(self.actor.optimizer, self.policy_rate)
        self.logger.record("train/policy_learning_rate", self.policy_rate)

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        # SB3 acts at random before `learning_starts`; a given policy acts itself.
        if not self.given:
            return super()._sample_action(learning_starts, action_noise, n_envs)
        bold = self.num_timesteps < learning_starts and self._episode_num % BOLD_EVERY == 1
        self._set_log_std(bold)
        return super()._sample_action(0, action_noise, n_envs)

    def _set_log_std(self, bold: bool) -> None:
        if bold != self._bold:
            difference = self.config.bold_log_std - self.config.log_std
            with torch.no_grad():
                head: Any = self.actor.log_std
                head.bias.add_(difference if bold else -difference)
            self._bold = bold

    def _before_entropy_step(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        assert self.log_ent_coef is not None
        self._alpha = self.log_ent_coef.detach().exp()
        if self.updates_done < self.config.critic_updates:
            optimizer.zero_grad()

    def _before_actor_step(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        if self.updates_done < self.config.critic_updates:
            optimizer.zero_grad()  # Adam skips parameters without a gradient
        elif (loss := self._added_loss(self.replay_buffer.last)) is not None:
            parameters = list(self.actor.parameters())
            slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
            for parameter, slope in zip(parameters, slopes, strict=True):
                assert parameter.grad is not None
                if slope is not None:
                    parameter.grad += slope
        self.updates_done += 1

    @property
    def anchor_weight(self) -> float:
        """λ of the term that keeps the policy by the given one, at the next update."""
        config = self.config
        if not self.given:
            return 0.0
        halvings = max(0, self.updates_done - config.critic_updates) / config.anchor_half_life
        return float(config.anchor_weight * 0.5**halvings)

    def _added_loss(self, batch: ReplayBufferSamples) -> Tensor | None:
        weights = self.config.td_weight, self.anchor_weight
        if not any(weights):
            return None
        with torch.no_grad():
            now = torch.cat(self.critic(batch.observations, batch.actions), dim=1)
            values = now.min(dim=1).values
        terms = []
        if weights[0] > 0.0:
            terms.append(weights[0] * self._td_term(batch, values))
        if weights[1] > 0.0:
            terms.append(weights[1] * values.std() * self._distance(batch.observations))
        return torch.stack(terms).sum()

    def _distance(self, observations: Tensor) -> Tensor:
        assert self._anchor is not None
        with torch.no_grad():
            given = self._anchor(observations, deterministic=True)
        own = self.actor(observations, deterministic=True)
        return (own - given).square().sum(dim=1).mean()

    def _td_term(self, batch: ReplayBufferSamples, values: Tensor) -> Tensor:
        actions, log_prob = self.actor.action_log_prob(batch.next_observations)
        ahead = torch.cat(self.critic_target(batch.next_observations, actions), dim=1)
        return td_term(
            values,
            batch.rewards[:, 0],
            batch.dones[:, 0],
            ahead.min(dim=1).values - self._alpha * log_prob,
            discount=self.gamma,
            overestimated_only=self.config.td_overestimated_only,
        )


def td_term(
    values: Tensor,
    rewards: Tensor,
    dones: Tensor,
    next_values: Tensor,
    *,
    discount: float,
    overestimated_only: bool,
) -> Tensor:
    """L_TD of equation 6, with the target of equation 5.

    L = mean(½ δ²), δ = r + γ (1 - d) V(s') - Q(s, a), V(s') = min_i Q'_i(s', a') - α log π(a' | s')

    As printed, δ lacks γ, (1 - d) and the entropy. Its gradient reaches the policy through a'
    and log π(a' | s').

    Args:
        values: Q(s, a) of the replay's own actions, (n,).
        rewards: r, (n,).
        dones: d, 1 where the episode ended for good, (n,).
        next_values: V(s') at a' drawn from the policy, (n,).
        discount: γ.
        overestimated_only: count only transitions with δ < 0.
    """
    delta = rewards + discount * (1.0 - dones) * next_values - values
    if overestimated_only:
        delta = delta.clamp(max=0.0)
    return 0.5 * delta.square().mean()


def policy_of(model: SAC) -> MLPPolicies:
    """The deterministic policy of an SB3 SAC model with an MLP actor."""
    layers = _actor_layers(model)
    names = {cls: name for name, cls in ACTIVATIONS.items()}
    arrays = [
        (layer.weight.detach().numpy().T.copy()[None], layer.bias.detach().numpy().copy()[None])
        for layer in layers
    ]
    activation: Any = names[model.actor.activation_fn]
    policy = MLPPolicies(tuple(w for w, _ in arrays), tuple(b for _, b in arrays), activation)
    seen = model.actor.features_extractor
    if isinstance(seen, _Standardised):
        return replace(policy, mean=_row(seen.mean), scale=_row(seen.scale))
    return policy


def _row(vector: Tensor) -> NDArray[np.float32]:
    return vector.numpy().copy()[None]


class _Standardised(FlattenExtractor):
    """Observations minus a mean, over a scale; as they are until both are set."""

    mean: Tensor
    scale: Tensor

    def __init__(self, observation_space: gym.Space[Any]) -> None:
        super().__init__(observation_space)
        self.register_buffer("mean", torch.zeros(self.features_dim))
        self.register_buffer("scale", torch.ones(self.features_dim))

    def forward(self, observations: Tensor) -> Tensor:
        return (super().forward(observations) - self.mean) / self.scale


class _ReLUCritics(SACPolicy):
    def make_critic(self, features_extractor: Any = None) -> ContinuousCritic:
        self.critic_kwargs["activation_fn"] = nn.ReLU
        return super().make_critic(features_extractor)


class _NormalisedCritics(_ReLUCritics):
    def make_critic(self, features_extractor: Any = None) -> ContinuousCritic:
        critic = super().make_critic(features_extractor)
        widths: Any = self.critic_kwargs["net_arch"]
        for i, plain in enumerate(critic.q_networks):
            n_inputs = next(plain.parameters()).shape[1]
            layers = create_mlp(n_inputs, 1, widths, nn.ReLU, post_linear_modules=[nn.LayerNorm])
            critic.q_networks[i] = nn.Sequential(*layers)
            setattr(critic, f"qf{i}", critic.q_networks[i])
        return critic


class _RememberingBuffer(ReplayBuffer):
    """SB3's replay, and the batch that it gave last."""

    last: ReplayBufferSamples

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> ReplayBufferSamples:
        self.last = super().sample(batch_size, env)
        return self.last


def _actor_layers(model: SAC) -> list[nn.Linear]:
    modules = [*model.actor.latent_pi, model.actor.mu]
    return [module for module in modules if isinstance(module, nn.Linear)]


def _adopt(model: SAC, start: MLPPolicies, log_std: float) -> None:
    weights, biases = start.folded().layers(0)
    head: Any = model.actor.log_std
    with torch.no_grad():
        for layer, weight, bias in zip(_actor_layers(model), weights, biases, strict=True):
            layer.weight.copy_(torch.as_tensor(weight.T.copy()))
            layer.bias.copy_(torch.as_tensor(bias))
        head.weight.zero_()
        head.bias.fill_(log_std)


def _check_start(start: MLPPolicies, environment: VecEnv) -> None:
    if len(start) != 1:
        raise ValueError(f"`start` must be one policy, got {len(start)}")
    spaces = (environment.observation_space, environment.action_space)
    sizes = tuple(int(np.prod(space.shape or ())) for space in spaces)
    if (start.observation_size, start.action_size) != sizes:
        raise ValueError(
            f"`start` must map {sizes[0]} numbers to {sizes[1]}, it maps "
            f"{start.observation_size} to {start.action_size}"
        )
