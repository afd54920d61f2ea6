"""Stable-Baselines3's SAC from a given policy, started gently, with a term of TD errors.

The method is the second stage of GenHyper (Reddy et al. 2025, section IV-B): the policy is given,
the critic is new, the policy's learning rate is raised slowly while the critic learns its values,
and the policy's loss has a term of temporal differences (equation 6).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.utils import update_learning_rate
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from stable_baselines3.sac.policies import SACPolicy
from torch import Tensor, nn

from experts.policy import Activation, MLPPolicies
from experts.sb3 import ACTIVATIONS
from experts.validation import require

Ramp = Literal["linear", "log"]


@dataclass(frozen=True, kw_only=True)
class FineTuneConfig:
    """Hyperparameters of fine-tuning.

    The paper gives the two learning rates of the ramp and takes the rest from CleanRL; it gives
    neither the weight of the TD term, nor the ramp's length, nor a warm-up. The numbers that stand
    for those are choices of this repository and have not been tuned.

    Attributes:
        td_weight: λ of equation 6; with 0 the policy's loss is SAC's.
        td_overestimated_only: take the TD term only where Q(s, a) is above its target. Where it is
            below, the term's gradient makes the next action worse.
        start_rate: Adam's rate for the policy at its first update.
        end_rate: the same from update `ramp_updates` on.
        ramp: in between, `linear` in the rate or in its logarithm (`log`).
        ramp_updates: updates of the policy that the ramp takes, 0 for `end_rate` from the start.
        critic_rate: Adam's rate for the critics and the entropy's weight.
        collect_steps: environment steps before the first update, by the given policy and its
            noise; uniformly random without a given one, as in SB3.
        critic_updates: first updates, of the critics alone: neither the policy changes nor the
            weight of its entropy.
        log_std: a given policy is deterministic; its logarithmic standard deviation, before tanh,
            starts as this in every state (SB3's head with weights 0) and is learned from there.
            At -2.42 the entropy before tanh is SAC's target, -1 an action.
        entropy_weight: α at the start; SAC tunes it.
        hidden: width of each hidden layer of a policy that is not given.
        activation: of its hidden layers.
        critic_hidden: width of each hidden layer of the critics, whose activation is ReLU.
        discount: γ.
        batch_size: transitions an update.
        buffer_size: transitions that the replay holds.
        target_tau: rate of the target critics.
        updates_per_step: updates an environment step.

    Raises:
        ValueError: for a number that makes no sense, named.
    """

    td_weight: float = 0.1
    td_overestimated_only: bool = True
    start_rate: float = 3e-6
    end_rate: float = 3e-4
    ramp: Ramp = "linear"
    ramp_updates: int = 20_000
    critic_rate: float = 3e-4
    collect_steps: int = 5_000
    critic_updates: int = 5_000
    log_std: float = -2.42
    entropy_weight: float = 0.1
    hidden: tuple[int, ...] = (256, 256)
    activation: Activation = "relu"
    critic_hidden: tuple[int, ...] = (256, 256)
    discount: float = 0.99
    batch_size: int = 256
    buffer_size: int = 1_000_000
    target_tau: float = 0.005
    updates_per_step: int = 1

    def __post_init__(self) -> None:
        for name in ("batch_size", "buffer_size", "updates_per_step"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("td_weight", "ramp_updates", "collect_steps", "critic_updates"):
            fits = 0 <= getattr(self, name) < float("inf")
            require(name, getattr(self, name), fits, "at least 0 and finite")
        for name in ("start_rate", "end_rate", "critic_rate", "target_tau"):
            require(name, getattr(self, name), 0 < getattr(self, name) <= 1, "in (0, 1]")
        require("discount", self.discount, 0 < self.discount < 1, "in (0, 1)")
        fits = 0 < self.entropy_weight < float("inf")
        require("entropy_weight", self.entropy_weight, fits, "above 0 and finite")
        require("log_std", self.log_std, -20 <= self.log_std <= 2, "in [-20, 2]")
        for name in ("hidden", "critic_hidden"):
            sizes = getattr(self, name)
            require(name, sizes, all(size >= 1 for size in sizes), "widths of at least 1")
        for name, allowed in (("ramp", ("linear", "log")), ("activation", tuple(ACTIVATIONS))):
            require(name, getattr(self, name), getattr(self, name) in allowed, f"one of {allowed}")

    @classmethod
    def named(cls, preset: str, **changes: Any) -> Self:
        """The preset `default` or `paper`, with what of `changes` is not None.

        Raises:
            ValueError: for another name, or a number that makes no sense.
        """
        require("preset", preset, preset in ("default", "paper"), "'default' or 'paper'")
        given = {name: value for name, value in changes.items() if value is not None}
        return replace(cls.paper() if preset == "paper" else cls(), **given)

    @classmethod
    def paper(cls) -> Self:
        """As the paper has it: equation 6 everywhere, no warm-up, CleanRL's SAC around it.

        Numbers that it does not give are the defaults'. SB3 updates the policy with every update
        of the critics, CleanRL twice after every second one.
        """
        return cls(
            td_overestimated_only=False, critic_updates=0, critic_rate=1e-3, entropy_weight=1.0
        )

    def plain(self) -> Self:
        """Without what protects a given policy: SB3's SAC, as it trains from scratch."""
        return replace(
            self, td_weight=0.0, start_rate=self.end_rate, critic_updates=0, entropy_weight=1.0
        )


class FineTunedSAC(SAC):
    """SB3's SAC, from a given policy.

    `train` and `learn` are SB3's own. The TD term's gradient is added to the policy's just before
    its optimiser steps, and during the critics' warm-up that step does nothing. Critics have ReLU,
    whatever the policy has, so that starts differ in their policies alone; `policy_of` gives the
    policy back.
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
            _ReLUCritics,
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
            },
            seed=seed,
            device="cpu",
        )
        self.config = config
        self.given = start is not None
        self.updates_done = 0
        self._alpha = torch.tensor(config.entropy_weight)
        if start is not None:
            _adopt(self, start, config.log_std)
        assert self.ent_coef_optimizer is not None
        self.ent_coef_optimizer.register_step_pre_hook(self._before_entropy_step)
        self.actor.optimizer.register_step_pre_hook(self._before_actor_step)

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
        return super()._sample_action(0 if self.given else learning_starts, action_noise, n_envs)

    def _before_entropy_step(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        assert self.log_ent_coef is not None
        self._alpha = self.log_ent_coef.detach().exp()
        if self.updates_done < self.config.critic_updates:
            optimizer.zero_grad()

    def _before_actor_step(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        if self.updates_done < self.config.critic_updates:
            optimizer.zero_grad()  # Adam skips parameters without a gradient
        elif self.config.td_weight > 0.0:
            parameters = list(self.actor.parameters())
            loss = self.config.td_weight * self._td_term(self.replay_buffer.last)
            for parameter, slope in zip(
                parameters, torch.autograd.grad(loss, parameters), strict=True
            ):
                assert parameter.grad is not None
                parameter.grad += slope
        self.updates_done += 1

    def _td_term(self, batch: ReplayBufferSamples) -> Tensor:
        actions, log_prob = self.actor.action_log_prob(batch.next_observations)
        ahead = torch.cat(self.critic_target(batch.next_observations, actions), dim=1)
        with torch.no_grad():
            now = torch.cat(self.critic(batch.observations, batch.actions), dim=1)
        return td_term(
            now.min(dim=1).values,
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

    As printed, δ lacks γ, (1 - d) and the entropy. Its gradient reaches the policy through a'.

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
    return MLPPolicies(tuple(w for w, _ in arrays), tuple(b for _, b in arrays), activation)


class _ReLUCritics(SACPolicy):
    def make_critic(self, features_extractor: Any = None) -> ContinuousCritic:
        self.critic_kwargs["activation_fn"] = nn.ReLU
        return super().make_critic(features_extractor)


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
