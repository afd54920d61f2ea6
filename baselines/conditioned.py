"""The context-conditioned policy: one network for all contexts, which is told the context.

The plain alternative to HyperZero in Rezaei-Shoshtari et al., AAAI 2023 (arXiv 2211.15457): the
same context embedding z, then π(s, z) = tanh(W2 relu(W1 [s, z] + b1) + b2), trained on the action
error (π(s, z) - a*)² alone.

W1 [s, z] is computed as S s + Z z, with Z z once a context and S s once a state. So a context only
moves the hidden layer's bias, and the policy of one context is an ordinary small network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

import torch
from torch import Tensor, nn

from baselines.capacity import dense, embedding_parameters, matched
from experts import MLPPolicies, Rollouts
from experts.descent import Schedule, descend
from experts.embedding import Embedding, Init, context_inputs, initialise, linear
from experts.minibatches import Minibatches, States
from experts.validation import require


@dataclass(frozen=True, kw_only=True)
class ConditionedConfig:
    """Hyperparameters of the context-conditioned policy.

    The defaults take three quarters of HyperZero's processor time: a step is cheaper, so there are
    three times as many, at the learning rate that did best on two splits of `cheetah-speed`.

    Attributes:
        embedding_sizes: width of each stage of the context embedding.
        n_blocks: residual blocks a stage.
        hidden_size: width of the hidden layer.
        match_capacity: multiply all widths by the one factor that gives the network as many
            trainable parameters as the HyperZero of these widths has.
        init: initial weights, see `experts.embedding.Embedding`.
        encode_contexts: give contexts in [-1, 1], signed speeds as direction and magnitude; raw
            values otherwise.
        normalise_observations: standardise observations by the training data.
        learning_rate: Adam's, at its peak.
        schedule: `one-cycle` or `constant`, see `experts.descent`.
        updates: gradient steps.
        batch_tasks: training contexts a minibatch, all of them if there are fewer.
        batch_states: states a context and minibatch.
    """

    embedding_sizes: tuple[int, ...] = (64, 128, 256)
    n_blocks: int = 2
    hidden_size: int = 256
    match_capacity: bool = False
    init: Init = "orthogonal"
    encode_contexts: bool = True
    normalise_observations: bool = True
    learning_rate: float = 3e-3
    schedule: Schedule = "one-cycle"
    updates: int = 6000
    batch_tasks: int = 64
    batch_states: int = 64

    def __post_init__(self) -> None:
        for name in ("hidden_size", "updates", "batch_tasks", "batch_states"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        require("n_blocks", self.n_blocks, self.n_blocks >= 0, "at least 0")
        sizes = self.embedding_sizes
        require("embedding_sizes", sizes, sizes and min(sizes) >= 1, "widths of at least 1")
        require("learning_rate", self.learning_rate, 0 < self.learning_rate <= 1, "in (0, 1]")
        for name, allowed in (
            ("init", ("uniform", "orthogonal")),
            ("schedule", ("one-cycle", "constant")),
        ):
            require(name, getattr(self, name), getattr(self, name) in allowed, f"one of {allowed}")

    @classmethod
    def paper(cls, *, updates: int = 332_500) -> Self:
        """The paper's settings: raw contexts and observations, Adam at 1e-4, 512 samples.

        Its 500 epochs over 34 contexts × 10,000 steps are 332,500 updates; 512 samples are drawn
        as 32 contexts × 16, which leaves the loss's expectation as it is.
        """
        return cls(
            encode_contexts=False,
            normalise_observations=False,
            learning_rate=1e-4,
            schedule="constant",
            updates=updates,
            batch_tasks=32,
            batch_states=16,
        )


Layers = Sequence[tuple[Tensor, Tensor]]
"""Layers of n ordinary networks: weights (n, fan_in, fan_out) and biases (n, fan_out)."""


class Foldable(nn.Module, ABC):
    """A network whose policy of one context is an ordinary network with ReLU between its layers."""

    @abstractmethod
    def layers(self, contexts: Tensor) -> Layers:
        """The policies of contexts (n, n_inputs)."""


Config = TypeVar("Config", bound=ConditionedConfig)
Network = TypeVar("Network", bound=Foldable)


class ConditionedNetwork(Foldable):
    """Actions from states and contexts; the hidden layer's product is split as said above."""

    def __init__(
        self,
        n_inputs: int,
        observation_size: int,
        action_size: int,
        config: ConditionedConfig,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.embedding = Embedding(
            n_inputs,
            sizes=config.embedding_sizes,
            n_blocks=config.n_blocks,
            init=config.init,
            generator=generator,
        )
        self.observation_size = observation_size
        self.hidden = linear(observation_size + config.embedding_sizes[-1], config.hidden_size)
        self.output = linear(config.hidden_size, action_size)
        for layer in (self.hidden, self.output):
            initialise(layer, config.init, generator)

    def hidden_biases(self, embeddings: Tensor) -> Tensor:
        """Z z + b1, (n, hidden_size), of embeddings (n, embedding_size)."""
        weight = self.hidden.weight[:, self.observation_size :]
        return nn.functional.linear(embeddings, weight, self.hidden.bias)

    def state_weights(self) -> Tensor:
        """S, (hidden_size, observation_size)."""
        return self.hidden.weight[:, : self.observation_size]

    def actions(self, embeddings: Tensor, observations: Tensor) -> Tensor:
        """Actions (n_tasks, n_samples, action_size) in [-1, 1].

        Args:
            embeddings: (n_tasks, embedding_size).
            observations: (n_tasks, n_samples, observation_size).
        """
        from_states = nn.functional.linear(observations, self.state_weights())
        hidden = from_states.add_(self.hidden_biases(embeddings)[:, None]).relu_()
        return torch.tanh(self.output(hidden))

    def forward(self, contexts: Tensor, observations: Tensor) -> Tensor:
        """Actions of contexts (n_tasks, n_inputs) at (n_tasks, n_samples, observation_size)."""
        return self.actions(self.embedding(contexts), observations)

    def layers(self, contexts: Tensor) -> Layers:
        """The policies of contexts (n, n_inputs), with the context folded into the biases."""
        n = len(contexts)
        return [
            (
                self.state_weights().T.expand(n, -1, -1),
                self.hidden_biases(self.embedding(contexts)),
            ),
            (self.output.weight.T.expand(n, -1, -1), self.output.bias.expand(n, -1)),
        ]


def n_parameters(
    config: ConditionedConfig, n_inputs: int, observation_size: int, action_size: int
) -> int:
    """How many trainable parameters the network has."""
    embedding_size, hidden = config.embedding_sizes[-1], config.hidden_size
    return (
        embedding_parameters(n_inputs, config.embedding_sizes, config.n_blocks)
        + dense(observation_size + embedding_size, hidden)
        + dense(hidden, action_size)
    )


def action_loss(network: Foldable, contexts: Tensor, states: States) -> Tensor:
    """Mean squared error of the actions, over samples and entries; contexts (n_tasks, n_inputs)."""
    return nn.functional.mse_loss(network(contexts, states.observations), states.labels)


def fit_actions(
    make_network: Callable[[int, int, int, Config, torch.Generator], Network],
    n_parameters: Callable[[Config, int, int, int], int],
    config: Config,
    data: Rollouts,
    *,
    seed: int,
    progress: Callable[[float], None] | None,
) -> FittedConditioned[Network]:
    """Trains a network that takes the context on the action error alone, see `Conditioned.fit`.

    Args:
        make_network: of the lengths of a context's encoding, an observation and an action, the
            config, and the generator of the initial weights.
        n_parameters: size of that network, for `match_capacity`.
        config: hyperparameters.
        data: as for `Conditioned.fit`, like the next two.
        seed: see there.
        progress: see there.
    """
    generator = torch.Generator().manual_seed(seed)
    batches = Minibatches(
        data, normalise_observations=config.normalise_observations, normalise_values=False
    )
    contexts = context_inputs(
        data.family, data.contexts, data.features, encode=config.encode_contexts
    )
    sizes = (contexts.shape[1], data.family.observation_size, data.family.action_size)
    config = matched(config, n_parameters, *sizes)
    network = make_network(*sizes, config, generator)
    losses: dict[str, Tensor] = {}

    def draw_loss() -> Tensor:
        tasks = batches.tasks(config.batch_tasks, generator)
        states = batches.states(tasks, config.batch_states, generator)
        losses["action"] = action_loss(network, contexts[tasks], states)
        return losses["action"]

    descend(
        network,
        draw_loss,
        updates=config.updates,
        learning_rate=config.learning_rate,
        schedule=config.schedule,
        progress=progress,
    )
    last = {name: float(loss.detach()) for name, loss in losses.items()}
    return FittedConditioned(network, config, data, batches, last)


class Conditioned:
    """The method: `fit` learns from the experts of some contexts, for any context."""

    def __init__(self, config: ConditionedConfig | None = None) -> None:
        self.config = ConditionedConfig() if config is None else config

    def fit(
        self,
        data: Rollouts,
        *,
        seed: int,
        progress: Callable[[float], None] | None = None,
    ) -> FittedConditioned[ConditionedNetwork]:
        """Trains the policy on the training contexts' rollouts.

        Args:
            data: rollouts of the training contexts' experts.
            seed: decides initial weights and minibatches; the same one gives the same weights, as
                long as torch has the same number of threads.
            progress: called with the fraction done, in (0, 1].

        Raises:
            ValueError: if `data` has fewer than two contexts or entries that are not finite.
            FloatingPointError: if the training diverged.
        """
        return fit_actions(
            ConditionedNetwork, n_parameters, self.config, data, seed=seed, progress=progress
        )


class FittedConditioned(Generic[Network]):
    """A trained network that gives every context an ordinary policy.

    Attributes:
        config: with which it was trained; its widths are the network's.
        losses: the last minibatch's loss terms, unweighted, by name; `action` for one.
    """

    def __init__(
        self,
        network: Network,
        config: ConditionedConfig,
        data: Rollouts,
        batches: Minibatches,
        losses: Mapping[str, float],
    ) -> None:
        network.eval()
        self.network = network
        self.config = config
        self.losses = dict(losses)
        self._family, self._features = data.family, data.features
        self._mean, self._scale = batches.observation_mean, batches.observation_scale

    def policies(self, contexts: Sequence[Mapping[str, float]]) -> MLPPolicies:
        """The policy of each of n_contexts contexts, with the context folded into its weights.

        Raises:
            ValueError: if there is none, or for an unknown feature or a value out of range.
        """
        with torch.no_grad():
            return self._policies(self.network.layers(self._inputs(contexts)))

    def _inputs(self, contexts: Sequence[Mapping[str, float]]) -> Tensor:
        return context_inputs(
            self._family, contexts, self._features, encode=self.config.encode_contexts
        )

    def _policies(self, layers: Layers) -> MLPPolicies:
        return MLPPolicies(
            tuple(weight.detach().numpy() for weight, _ in layers),
            tuple(bias.detach().numpy() for _, bias in layers),
            activation="relu",
            mean=self._mean[None],
            scale=self._scale[None],
        )
