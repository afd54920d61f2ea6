"""HyperZero: a hypernetwork that generates a policy and a value network from a context.

Rezaei-Shoshtari et al., "Hypernetworks for Zero-shot Transfer in Reinforcement Learning", AAAI 2023
(arXiv 2211.15457). An embedding z of the context gives all weights of a policy π and a critic Q,
trained on what the experts of the training contexts do (a*) and expect (q*):

    prediction loss, equation 4:  (π(s) - a*)² + (Q(s, a*) - q*)²
    TD loss, equation 5:          (r + γ Q(s', ā) - q*)²,  ā = π(s') with stopped gradient

The paper's equations show no weights; its released code weighs both value terms with 0.01. By
default contexts, observations and values are put on unit scale: raw values (0 to 100) send
gradients through the shared embedding that drown the action loss. `HyperZeroConfig.paper()` has the
paper's own settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experts import MLPPolicies, Rollouts
from experts.descent import Schedule, descend
from experts.embedding import Embedding, context_inputs
from experts.minibatches import Minibatches, States, Transitions
from experts.validation import require
from hyper.generator import Layers, WeightHeads, apply_layers, leading


@dataclass(frozen=True, kw_only=True)
class HyperZeroConfig:
    """Hyperparameters of HyperZero.

    Attributes:
        embedding_sizes: width of each stage of the context embedding.
        n_blocks: residual blocks a stage.
        hidden_size: width of the single hidden layer of the generated networks.
        encode_contexts: give contexts in [-1, 1], signed speeds as direction and magnitude; raw
            values otherwise.
        normalise_observations: standardise observations by the training data.
        normalise_values: standardise q*, and rewards consistently, by the training data.
        value_weight: weight of equation 4's value term; 0 leaves it out.
        td_weight: weight of equation 5; 0 leaves it out. With both 0 no critic is generated.
        td_discounted: equation 5 with the experts' γ. Without, as in the released code, with 1
            (0 where an episode terminated), although q* is discounted.
        learning_rate: Adam's, at its peak.
        schedule: `one-cycle` or `constant`, see `experts.descent`.
        updates: gradient steps.
        batch_tasks: training contexts a minibatch, all of them if there are fewer.
        batch_states: states a context and minibatch, for the action term.
        batch_critics: of those, contexts whose critics are generated too. The value and TD terms
            are means over them: the same in expectation, and critics are half of the cost.
        batch_transitions: transitions a critic and minibatch, for the value and TD terms.
    """

    embedding_sizes: tuple[int, ...] = (64, 128, 256)
    n_blocks: int = 2
    hidden_size: int = 256
    encode_contexts: bool = True
    normalise_observations: bool = True
    normalise_values: bool = True
    value_weight: float = 0.01
    td_weight: float = 0.01
    td_discounted: bool = True
    learning_rate: float = 2e-3
    schedule: Schedule = "one-cycle"
    updates: int = 2000
    batch_tasks: int = 64
    batch_states: int = 128
    batch_critics: int = 8
    batch_transitions: int = 64

    def __post_init__(self) -> None:
        for name in ("hidden_size", "updates"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("batch_tasks", "batch_states", "batch_critics", "batch_transitions"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        require("n_blocks", self.n_blocks, self.n_blocks >= 0, "at least 0")
        sizes = self.embedding_sizes
        require("embedding_sizes", sizes, sizes and min(sizes) >= 1, "widths of at least 1")
        for name in ("value_weight", "td_weight"):
            value = getattr(self, name)
            require(name, value, 0 <= value < float("inf"), "at least 0 and finite")
        require("learning_rate", self.learning_rate, 0 < self.learning_rate <= 1, "in (0, 1]")
        schedules = ("one-cycle", "constant")
        require("schedule", self.schedule, self.schedule in schedules, f"one of {schedules}")

    @property
    def has_value(self) -> bool:
        """Whether a critic is generated."""
        return self.value_weight > 0 or self.td_weight > 0

    @classmethod
    def paper(cls, *, updates: int = 332_500) -> HyperZeroConfig:
        """The paper's settings: raw contexts, observations and values, Adam at 1e-4, 512 samples.

        Its 500 epochs over 34 contexts × 10,000 steps are 332,500 updates, about an hour on two
        cores. It draws 512 samples from all contexts at once; drawn as 32 contexts × 16 samples,
        the loss has the same expectation. States and transitions are two draws of that size here.
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
            batch_critics=32,
            batch_transitions=16,
        )


class HyperNetwork(nn.Module):
    """Contexts to the layers of policies and critics, through one shared embedding."""

    def __init__(
        self,
        n_inputs: int,
        observation_size: int,
        action_size: int,
        config: HyperZeroConfig,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        hidden, embedding_size = config.hidden_size, config.embedding_sizes[-1]
        policy_shapes = [(observation_size, hidden), (hidden, action_size)]
        value_shapes = [(observation_size + action_size, hidden), (hidden, 1)]
        self.embedding = Embedding(
            n_inputs,
            sizes=config.embedding_sizes,
            n_blocks=config.n_blocks,
            init="uniform",
            generator=generator,
        )
        self.policy_heads = WeightHeads(embedding_size, policy_shapes, generator=generator)
        self.value_heads = (
            WeightHeads(embedding_size, value_shapes, generator=generator)
            if config.has_value
            else None
        )

    def policy(self, contexts: Tensor) -> Layers:
        """Layers of the policies of contexts (n, n_inputs)."""
        return self.policy_heads(self.embedding(contexts))

    def value(self, contexts: Tensor) -> Layers:
        """Layers of the critics of contexts (n, n_inputs); none if no critic is generated."""
        return self.value_heads(self.embedding(contexts)) if self.value_heads else []

    def forward(self, contexts: Tensor, n_critics: int | None = None) -> tuple[Layers, Layers]:
        """Layers of the policies of contexts (n, n_inputs), and of critics.

        Critics are generated for the first `n_critics` contexts, by default for all of them.
        """
        embeddings = self.embedding(contexts)
        value = self.value_heads(embeddings[:n_critics]) if self.value_heads else []
        return self.policy_heads(embeddings), value


def actions_of(policy: Layers, observations: Tensor) -> Tensor:
    """Actions (n_tasks, n_samples, action_size) in [-1, 1] of generated policies."""
    return torch.tanh(apply_layers(policy, observations))


def values_of(value: Layers, observations: Tensor, actions: Tensor) -> Tensor:
    """Values (n_tasks, n_samples) of generated critics."""
    return apply_layers(value, torch.cat([observations, actions], dim=-1)).squeeze(-1)


def action_loss(policy: Layers, states: States) -> Tensor:
    """Equation 4, second term: mean squared error of the actions, over samples and entries."""
    return nn.functional.mse_loss(actions_of(policy, states.observations), states.labels)


def value_loss(value: Layers, batch: Transitions) -> Tensor:
    """Equation 4, first term: mean squared error of Q(s, a*) to q*."""
    predicted = values_of(value, batch.observations, batch.actions)
    return nn.functional.mse_loss(predicted, batch.values)


def undiscounted(batch: Transitions, offset: float) -> Transitions:
    """The same transitions with a discount of 1 instead of γ where the episode goes on.

    Args:
        batch: rewards and q* on the scale of standardised values.
        offset: the mean of q* on that scale, which is what a value of 0 stands for. Rewards hold
            (γ - 1) times it.
    """
    goes_on = (batch.discounts > 0).to(batch.discounts)
    rewards = batch.rewards + goes_on * (1.0 - batch.discounts) * offset
    return batch._replace(rewards=rewards, discounts=goes_on)


def td_loss(policy: Layers, value: Layers, batch: Transitions) -> Tensor:
    """Equation 5: the target estimate r + γ Q(s', ā) is moved towards q*.

    ā is the generated policy's action at s', through which no gradient flows. After a termination
    there is nothing to expect, so Q(s', ·) counts 0 there.
    """
    with torch.no_grad():
        next_actions = actions_of(policy, batch.next_observations)
    next_values = values_of(value, batch.next_observations, next_actions)
    return nn.functional.mse_loss(batch.rewards + batch.discounts * next_values, batch.values)


class HyperZero:
    """The method: `fit` learns from the experts of some contexts, for any context."""

    def __init__(self, config: HyperZeroConfig | None = None) -> None:
        self.config = HyperZeroConfig() if config is None else config

    def fit(
        self,
        data: Rollouts,
        *,
        seed: int,
        progress: Callable[[float], None] | None = None,
    ) -> FittedHyperZero:
        """Trains the hypernetwork on the training contexts' rollouts.

        Args:
            data: rollouts of the training contexts' experts.
            seed: decides initial weights and minibatches; the same one gives the same weights, as
                long as torch has the same number of threads.
            progress: called with the fraction done, in (0, 1].

        Raises:
            ValueError: if `data` has fewer than two contexts or entries that are not finite, or no
                noise-free episode although a value term is asked for.
            FloatingPointError: if the training diverged.
        """
        config = self.config
        generator = torch.Generator().manual_seed(seed)
        batches = Minibatches(
            data,
            normalise_observations=config.normalise_observations,
            normalise_values=config.normalise_values,
        )
        if config.has_value and not batches.has_transitions:
            raise ValueError(
                "`data` must have a noise-free episode of every context, got none; "
                "set `value_weight` and `td_weight` to 0 to train without values"
            )
        contexts = context_inputs(
            data.family, data.contexts, data.features, encode=config.encode_contexts
        )
        network = HyperNetwork(
            contexts.shape[1], data.family.observation_size, data.family.action_size,
            config, generator,
        )  # fmt: skip
        losses: dict[str, Tensor] = {}

        def draw_loss() -> Tensor:
            tasks = batches.tasks(config.batch_tasks, generator)
            policy, value = network(contexts[tasks], config.batch_critics)
            states = batches.states(tasks, config.batch_states, generator)
            total = losses["action"] = action_loss(policy, states)
            if config.has_value:
                tasks = tasks[: config.batch_critics]
                batch = batches.transitions(tasks, config.batch_transitions, generator)
                if config.value_weight > 0:
                    losses["value"] = value_loss(value, batch)
                    total = total + config.value_weight * losses["value"]
                if config.td_weight > 0:
                    if not config.td_discounted:
                        batch = undiscounted(batch, batches.value_mean / batches.value_scale)
                    losses["td"] = td_loss(leading(policy, len(tasks)), value, batch)
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
        return FittedHyperZero(network, config, data, batches, last)


class FittedHyperZero:
    """A trained hypernetwork: policies and values for any context of the family.

    Attributes:
        losses: the last minibatch's loss terms, unweighted: `action`, `value` and `td`.
    """

    def __init__(
        self,
        network: HyperNetwork,
        config: HyperZeroConfig,
        data: Rollouts,
        batches: Minibatches,
        losses: Mapping[str, float],
    ) -> None:
        self.network = network.eval()
        self.config = config
        self.losses = dict(losses)
        self._family, self._features = data.family, data.features
        self._mean, self._scale = batches.observation_mean, batches.observation_scale
        self._value_mean, self._value_scale = batches.value_mean, batches.value_scale

    def policies(self, contexts: Sequence[Mapping[str, float]]) -> MLPPolicies:
        """Generates a policy for each of n_contexts contexts, once.

        Raises:
            ValueError: if there is none, or for an unknown feature or a value out of range.
        """
        with torch.no_grad():
            layers = self.network.policy(self._inputs(contexts))
        return MLPPolicies(
            tuple(weight.numpy() for weight, _ in layers),
            tuple(bias[:, 0].numpy() for _, bias in layers),
            activation="relu",
            mean=self._mean[None],
            scale=self._scale[None],
        )

    def values(
        self,
        contexts: Sequence[Mapping[str, float]],
        observations: NDArray[np.floating],
        actions: NDArray[np.floating],
    ) -> NDArray[np.float32]:
        """Generated critics' values (n_contexts, n), in the units of the data's q*.

        Args:
            contexts: n_contexts contexts.
            observations: (n_contexts, n, observation_size).
            actions: (n_contexts, n, action_size).

        Raises:
            ValueError: for contexts as in `policies`, or if the config generates no critic.
        """
        if not self.config.has_value:
            raise ValueError("`value_weight` or `td_weight` must be above 0 to have values, got 0")
        normalised = (np.asarray(observations) - self._mean) / self._scale
        with torch.no_grad():
            scaled = values_of(
                self.network.value(self._inputs(contexts)),
                torch.from_numpy(normalised.astype(np.float32)),
                torch.from_numpy(np.asarray(actions, dtype=np.float32)),
            )
        return scaled.numpy() * np.float32(self._value_scale) + np.float32(self._value_mean)

    def _inputs(self, contexts: Sequence[Mapping[str, float]]) -> Tensor:
        return context_inputs(
            self._family, contexts, self._features, encode=self.config.encode_contexts
        )
