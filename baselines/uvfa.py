"""The context-conditioned policy with a universal value function: one critic for all contexts.

Schaul et al., "Universal Value Function Approximators", ICML 2015, as HyperZero's authors compare
with it (Rezaei-Shoshtari et al., AAAI 2023, arXiv 2211.15457): next to the policy of
`baselines.conditioned`, with the same embedding z, a critic

    Q(s, a, z) = v2 relu(V1 [z, s, a] + c1) + c2

trained on HyperZero's losses (its equations 4 and 5) with its weights. At test time only the policy
counts; the critic can only help by shaping the embedding.

The released code discounts the TD term by the environment's discount, which is always 1, instead of
γ. Here it is γ, and 0 after a termination, as in `hyper.hyperzero`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.capacity import dense, matched
from baselines.conditioned import ConditionedConfig, ConditionedNetwork, FittedConditioned
from baselines.conditioned import n_parameters as policy_parameters
from experts import Rollouts
from experts.descent import descend
from experts.embedding import context_inputs, initialise, linear
from experts.minibatches import Minibatches, Transitions
from experts.validation import require


@dataclass(frozen=True, kw_only=True)
class UVFAConfig(ConditionedConfig):
    """Hyperparameters of the context-conditioned policy with a universal value function.

    By default there are as many updates as HyperZero's processor time allows.

    Attributes:
        normalise_values: standardise q*, and rewards consistently, by the training data.
        value_weight: weight of equation 4's value term; 0 leaves it out.
        td_weight: weight of equation 5; 0 leaves it out.
        batch_transitions: transitions a context and minibatch, for the value and TD terms.
    """

    normalise_values: bool = True
    value_weight: float = 0.01
    td_weight: float = 0.01
    updates: int = 4500
    batch_transitions: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        n = self.batch_transitions
        require("batch_transitions", n, n >= 1, "at least 1")
        for name in ("value_weight", "td_weight"):
            value = getattr(self, name)
            require(name, value, 0 <= value < float("inf"), "at least 0 and finite")

    @classmethod
    def paper(cls, *, updates: int = 332_500) -> UVFAConfig:
        """The paper's settings, see `ConditionedConfig.paper`; values stay raw, too.

        States and transitions are two draws of 512 samples here, one in the released code.
        """
        return cls(
            encode_contexts=False,
            normalise_observations=False,
            normalise_values=False,
            learning_rate=1e-4,
            schedule="constant",
            updates=updates,
            batch_tasks=32,
            batch_states=16,
            batch_transitions=16,
        )


class UVFANetwork(ConditionedNetwork):
    """A policy and a critic on one embedding."""

    def __init__(
        self,
        n_inputs: int,
        observation_size: int,
        action_size: int,
        config: UVFAConfig,
        generator: torch.Generator,
    ) -> None:
        super().__init__(n_inputs, observation_size, action_size, config, generator)
        self.embedding_size = config.embedding_sizes[-1]
        n_hidden_inputs = self.embedding_size + observation_size + action_size
        self.value_hidden = linear(n_hidden_inputs, config.hidden_size)
        self.value_output = linear(config.hidden_size, 1)
        for layer in (self.value_hidden, self.value_output):
            initialise(layer, config.init, generator)

    def values(self, embeddings: Tensor, observations: Tensor, actions: Tensor) -> Tensor:
        """Values (n_tasks, n_samples).

        V1 [z, s, a] is computed in two parts, that of z once a task.

        Args:
            embeddings: (n_tasks, embedding_size).
            observations: (n_tasks, n_samples, observation_size).
            actions: (n_tasks, n_samples, action_size).
        """
        weight, bias = self.value_hidden.weight, self.value_hidden.bias
        of_tasks = nn.functional.linear(embeddings, weight[:, : self.embedding_size], bias)
        samples = torch.cat([observations, actions], dim=-1)
        of_samples = nn.functional.linear(samples, weight[:, self.embedding_size :])
        return self.value_output(torch.relu(of_samples + of_tasks[:, None])).squeeze(-1)


def n_parameters(config: UVFAConfig, n_inputs: int, observation_size: int, action_size: int) -> int:
    """How many trainable parameters the network has."""
    n_hidden_inputs = config.embedding_sizes[-1] + observation_size + action_size
    return (
        policy_parameters(config, n_inputs, observation_size, action_size)
        + dense(n_hidden_inputs, config.hidden_size)
        + dense(config.hidden_size, 1)
    )


def value_loss(network: UVFANetwork, embeddings: Tensor, batch: Transitions) -> Tensor:
    """HyperZero's equation 4, first term: mean squared error of Q(s, a*, z) to q*."""
    predicted = network.values(embeddings, batch.observations, batch.actions)
    return nn.functional.mse_loss(predicted, batch.values)


def td_loss(network: UVFANetwork, embeddings: Tensor, batch: Transitions) -> Tensor:
    """HyperZero's equation 5: r + γ Q(s', ā, z) is moved towards q*.

    ā is the policy's own action at s', through which no gradient flows; `batch.discounts` is γ, or
    0 after a termination.
    """
    with torch.no_grad():
        next_actions = network.actions(embeddings, batch.next_observations)
    next_values = network.values(embeddings, batch.next_observations, next_actions)
    return nn.functional.mse_loss(batch.rewards + batch.discounts * next_values, batch.values)


class UVFA:
    """The method: `fit` learns from the experts of some contexts, for any context."""

    def __init__(self, config: UVFAConfig | None = None) -> None:
        self.config = UVFAConfig() if config is None else config

    def fit(
        self,
        data: Rollouts,
        *,
        seed: int,
        progress: Callable[[float], None] | None = None,
    ) -> FittedUVFA:
        """Trains policy and critic on the training contexts' rollouts.

        Args:
            data: rollouts of the training contexts' experts.
            seed: decides initial weights and minibatches; the same one gives the same weights, as
                long as torch has the same number of threads.
            progress: called with the fraction done, in (0, 1].

        Raises:
            ValueError: if `data` has fewer than two contexts, entries that are not finite, or,
                unless both weights are 0, a context without a noise-free episode.
            FloatingPointError: if the training diverged.
        """
        config = self.config
        generator = torch.Generator().manual_seed(seed)
        batches = Minibatches(
            data,
            normalise_observations=config.normalise_observations,
            normalise_values=config.normalise_values,
        )
        valued = config.value_weight > 0.0 or config.td_weight > 0.0
        if valued and not batches.has_transitions:
            raise ValueError("`data` must have a noise-free episode of every context, got none")
        contexts = context_inputs(
            data.family, data.contexts, data.features, encode=config.encode_contexts
        )
        sizes = (contexts.shape[1], data.family.observation_size, data.family.action_size)
        config = matched(config, n_parameters, *sizes)
        network = UVFANetwork(*sizes, config, generator)
        losses: dict[str, Tensor] = {}

        def draw_loss() -> Tensor:
            tasks = batches.tasks(config.batch_tasks, generator)
            embeddings = network.embedding(contexts[tasks])
            states = batches.states(tasks, config.batch_states, generator)
            actions = network.actions(embeddings, states.observations)
            losses["action"] = nn.functional.mse_loss(actions, states.labels)
            total = losses["action"]
            if not valued:
                return total
            batch = batches.transitions(tasks, config.batch_transitions, generator)
            if config.value_weight > 0.0:
                losses["value"] = value_loss(network, embeddings, batch)
                total = total + config.value_weight * losses["value"]
            if config.td_weight > 0.0:
                losses["td"] = td_loss(network, embeddings, batch)
                total = total + config.td_weight * losses["td"]
            return total

        descend(
            network,
            draw_loss,
            updates=config.updates,
            learning_rate=config.learning_rate,
            schedule=config.schedule,
            progress=progress,
        )
        last = {name: float(loss.detach()) for name, loss in losses.items()}
        return FittedUVFA(network, config, data, batches, last)


class FittedUVFA(FittedConditioned[UVFANetwork]):
    """A trained context-conditioned policy and its critic."""

    def __init__(
        self,
        network: UVFANetwork,
        config: UVFAConfig,
        data: Rollouts,
        batches: Minibatches,
        losses: Mapping[str, float],
    ) -> None:
        super().__init__(network, config, data, batches, losses)
        self._value_mean, self._value_scale = batches.value_mean, batches.value_scale

    def values(
        self,
        contexts: Sequence[Mapping[str, float]],
        observations: NDArray[np.floating],
        actions: NDArray[np.floating],
    ) -> NDArray[np.float32]:
        """The critic's values (n_contexts, n), in the units of the data's q*.

        Args:
            contexts: n_contexts contexts.
            observations: (n_contexts, n, observation_size).
            actions: (n_contexts, n, action_size).

        Raises:
            ValueError: for contexts as in `policies`.
        """
        normalised = (np.asarray(observations) - self._mean) / self._scale
        with torch.no_grad():
            scaled = self.network.values(
                self.network.embedding(self._inputs(contexts)),
                torch.from_numpy(normalised.astype(np.float32)),
                torch.from_numpy(np.asarray(actions, dtype=np.float32)),
            )
        return scaled.numpy() * np.float32(self._value_scale) + np.float32(self._value_mean)
