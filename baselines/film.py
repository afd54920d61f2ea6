"""A policy whose hidden layers are scaled and shifted by the context.

Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018 (arXiv
1709.07871), equation 2, applied to a small policy: with the context embedding z of HyperZero,

    h = relu(γ(z) ⊙ (W s + b) + β(z)),  γ(z) = 1 + Γ z + g,  β(z) = B z + b'

for every hidden layer. Between the context-conditioned policy, where a context moves the hidden
biases alone (γ = 1), and a hypernetwork, where it makes every weight. The policy of one context is
an ordinary small network: γ scales the columns of W.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.capacity import dense, embedding_parameters
from baselines.conditioned import (
    ConditionedConfig,
    FittedConditioned,
    Foldable,
    Layers,
    fit_actions,
)
from experts import Rollouts
from experts.embedding import Embedding, initialise, linear
from experts.validation import require


@dataclass(frozen=True, kw_only=True)
class FiLMConfig(ConditionedConfig):
    """Hyperparameters of the FiLM-conditioned policy.

    By default there are as many updates as HyperZero's processor time allows.
    `paper` has the settings of the other baselines of HyperZero's paper, which did not compare with
    FiLM.

    Attributes:
        n_hidden: hidden layers, each `hidden_size` wide and each modulated.
    """

    n_hidden: int = 1
    updates: int = 5500

    def __post_init__(self) -> None:
        super().__post_init__()
        require("n_hidden", self.n_hidden, self.n_hidden >= 1, "at least 1")


class FiLMNetwork(Foldable):
    """Actions from states and contexts."""

    def __init__(
        self,
        n_inputs: int,
        observation_size: int,
        action_size: int,
        config: FiLMConfig,
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
        embedding_size, hidden = config.embedding_sizes[-1], config.hidden_size
        widths = (observation_size, *(hidden,) * config.n_hidden)
        self.hidden = nn.ModuleList(linear(width, hidden) for width in widths[:-1])
        self.modulations = nn.ModuleList(
            linear(embedding_size, 2 * hidden) for _ in range(config.n_hidden)
        )
        self.output = linear(hidden, action_size)
        for layer in (*self.hidden, *self.modulations, self.output):
            initialise(layer, config.init, generator)

    def modulation(self, layer: int, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Scales γ and shifts β (n, hidden_size) of a hidden layer."""
        scale, shift = self.modulations[layer](embeddings).chunk(2, dim=-1)
        return 1.0 + scale, shift

    def forward(self, contexts: Tensor, observations: Tensor) -> Tensor:
        """Actions (n_tasks, n_samples, action_size) in [-1, 1].

        Args:
            contexts: (n_tasks, n_inputs).
            observations: (n_tasks, n_samples, observation_size).
        """
        embeddings, hidden = self.embedding(contexts), observations
        for layer, linear_layer in enumerate(self.hidden):
            scale, shift = self.modulation(layer, embeddings)
            hidden = torch.relu(torch.addcmul(shift[:, None], scale[:, None], linear_layer(hidden)))
        return torch.tanh(self.output(hidden))

    def layers(self, contexts: Tensor) -> Layers:
        """The policies of contexts (n, n_inputs), scales and shifts folded into their weights."""
        embeddings, n = self.embedding(contexts), len(contexts)
        folded = []
        for layer, hidden in enumerate(self.hidden):
            scale, shift = self.modulation(layer, embeddings)
            weight, bias = hidden.get_parameter("weight"), hidden.get_parameter("bias")
            folded.append((weight.T * scale[:, None], bias * scale + shift))
        last = (self.output.weight.T.expand(n, -1, -1), self.output.bias.expand(n, -1))
        return [*folded, last]


def n_parameters(config: FiLMConfig, n_inputs: int, observation_size: int, action_size: int) -> int:
    """How many trainable parameters the network has."""
    embedding_size, hidden = config.embedding_sizes[-1], config.hidden_size
    return (
        embedding_parameters(n_inputs, config.embedding_sizes, config.n_blocks)
        + dense(observation_size, hidden)
        + (config.n_hidden - 1) * dense(hidden, hidden)
        + config.n_hidden * dense(embedding_size, 2 * hidden)
        + dense(hidden, action_size)
    )


class FiLM:
    """The method: `fit` learns from the experts of some contexts, for any context."""

    def __init__(self, config: FiLMConfig | None = None) -> None:
        self.config = FiLMConfig() if config is None else config

    def fit(
        self,
        data: Rollouts,
        *,
        seed: int,
        progress: Callable[[float], None] | None = None,
    ) -> FittedConditioned[FiLMNetwork]:
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
            FiLMNetwork, n_parameters, self.config, data, seed=seed, progress=progress
        )
