"""The context-conditioned meta policy: initial weights from which a few gradient steps go far.

Finn et al., "Model-Agnostic Meta-Learning", ICML 2017 (arXiv 1703.03400), in the supervised form in
which HyperZero's authors compare with it (Rezaei-Shoshtari et al., AAAI 2023, arXiv 2211.15457).
The network is that of `baselines.conditioned`. With L_i the action error in context i,

    inner loop:  θ_i ← θ_i - α ∇ L_i(θ_i; support), a few times from θ_i = θ
    outer loop:  min_θ Σ_i L_i(θ_i(θ); queries)

where the outer gradient goes through the inner ones (second order). Zero-shot, the initial weights
act, given the context: the outer loss never looks at those. Few-shot is `adapt`.

As published it is hardly trained: 500 outer updates, where the other methods have 332,500.
`MAMLConfig.paper()` keeps that. By default it gets a budget like theirs. To make that affordable
the inner loop then changes the small network that a context's policy is once its embedding is
folded in, instead of a copy of the embedding a context as well.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from baselines.conditioned import ConditionedConfig, ConditionedNetwork, FittedConditioned, Layers
from experts import MLPPolicies, Rollouts
from experts.cloning import clone
from experts.descent import descend
from experts.embedding import context_inputs
from experts.minibatches import Minibatches, States
from experts.validation import require

Adapted = Literal["policy", "network"]
FewShot = Literal["inner", "cloning"]

Weights = dict[str, Tensor]
"""Weights of one task's network, by name."""


@dataclass(frozen=True, kw_only=True)
class MAMLConfig(ConditionedConfig):
    """Hyperparameters of the context-conditioned meta policy.

    `batch_states` are the support of the inner loop. By default there are as many updates as
    HyperZero's processor time allows on 34 contexts; of more contexts a minibatch still has 16, and
    the updates take two thirds of it. There is one step of the inner loop: with more, the initial
    weights act worse, which is all that is asked of them zero-shot (`docs/baseline_search.py`).

    Attributes:
        adapted: what the inner loop changes: the folded `policy`, or the whole `network`.
        inner_rate: α, the inner loop's learning rate.
        inner_steps: gradient steps of the inner loop.
        batch_queries: states a context and minibatch for the outer loss.
        few_shot: what `adapt` does: `inner` repeats the inner loop on all demonstrated states,
            `cloning` is `experts.cloning.clone`, as published.
    """

    adapted: Adapted = "policy"
    inner_rate: float = 0.01
    inner_steps: int = 1
    few_shot: FewShot = "cloning"
    learning_rate: float = 1e-3
    updates: int = 6000
    batch_tasks: int = 16
    batch_states: int = 32
    batch_queries: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("inner_steps", "batch_queries"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        require("inner_rate", self.inner_rate, 0 < self.inner_rate <= 10, "in (0, 10]")
        require("match_capacity", self.match_capacity, not self.match_capacity, "False for MAML")
        for name, allowed in (
            ("adapted", ("policy", "network")),
            ("few_shot", ("inner", "cloning")),
        ):
            require(name, getattr(self, name), getattr(self, name) in allowed, f"one of {allowed}")

    @classmethod
    def paper(cls, *, updates: int = 500) -> MAMLConfig:
        """The released settings: 500 outer updates, raw contexts and observations, Adam at 1e-4.

        Every update sees all contexts. Of 34 × 10 × 2 samples a context, half are the support.
        """
        return cls(
            encode_contexts=False,
            normalise_observations=False,
            learning_rate=1e-4,
            schedule="constant",
            updates=updates,
            adapted="network",
            inner_steps=5,
            few_shot="cloning",
            batch_tasks=1_000_000,
            batch_states=340,
            batch_queries=340,
        )


def inner_loop(
    loss: Callable[[Weights, States], Tensor],
    weights: Weights,
    support: States,
    *,
    steps: int,
    rate: float,
) -> Weights:
    """Weights of one task after `steps` gradient steps on its support; differentiable."""
    for _ in range(steps):
        gradients = grad(loss)(weights, support)
        weights = {name: weight - rate * gradients[name] for name, weight in weights.items()}
    return weights


def layer_weights(layers: Layers) -> Weights:
    """Layers as named weights."""
    named: Weights = {}
    for layer, (weight, bias) in enumerate(layers):
        named |= {f"weight{layer}": weight, f"bias{layer}": bias}
    return named


def layer_loss(weights: Weights, states: States) -> Tensor:
    """Mean squared error of the actions of one folded policy, at states (n_samples, ...)."""
    hidden, last = states.observations, len(weights) // 2 - 1
    for layer in range(last + 1):
        hidden = hidden @ weights[f"weight{layer}"] + weights[f"bias{layer}"]
        hidden = torch.relu(hidden) if layer < last else torch.tanh(hidden)
    return nn.functional.mse_loss(hidden, states.labels)


def network_loss(
    network: ConditionedNetwork, context: Tensor, weights: Weights, states: States
) -> Tensor:
    """Mean squared error of the actions of a network with other weights, in context (n_inputs,)."""
    inputs = (context[None], states.observations[None])
    actions = functional_call(network, weights, inputs)
    return nn.functional.mse_loss(actions[0], states.labels)


def query_losses(
    network: ConditionedNetwork,
    contexts: Tensor,
    support: States,
    queries: States,
    config: MAMLConfig,
) -> Tensor:
    """The outer loss of every task, (n_tasks,): the error at queries after the inner loop.

    Args:
        network: holds the initial weights.
        contexts: (n_tasks, n_inputs).
        support: states of each task that the inner loop learns from.
        queries: other states of each task.
        config: the inner loop's settings.
    """
    if config.adapted == "policy":

        def of_policy(weights: Weights, support: States, queries: States) -> Tensor:
            found = inner_loop(
                layer_loss, weights, support, steps=config.inner_steps, rate=config.inner_rate
            )
            return layer_loss(found, queries)

        losses: Tensor = vmap(of_policy)(layer_weights(network.layers(contexts)), support, queries)
        return losses

    def of_network(context: Tensor, support: States, queries: States) -> Tensor:
        def loss(weights: Weights, states: States) -> Tensor:
            return network_loss(network, context, weights, states)

        found = inner_loop(
            loss,
            dict(network.named_parameters()),
            support,
            steps=config.inner_steps,
            rate=config.inner_rate,
        )
        return loss(found, queries)

    whole: Tensor = vmap(of_network)(contexts, support, queries)
    return whole


class MAML:
    """The method: `fit` learns from the experts of some contexts, for any context."""

    def __init__(self, config: MAMLConfig | None = None) -> None:
        self.config = MAMLConfig() if config is None else config

    def fit(
        self,
        data: Rollouts,
        *,
        seed: int,
        progress: Callable[[float], None] | None = None,
    ) -> FittedMAML:
        """Trains the initial weights on the training contexts' rollouts.

        Args:
            data: rollouts of the training contexts' experts.
            seed: decides initial weights and minibatches; the same one gives the same weights, as
                long as torch has the same number of threads.
            progress: called with the fraction done, in (0, 1].

        Raises:
            ValueError: if `data` has fewer than two contexts or entries that are not finite.
            FloatingPointError: if the training diverged.
        """
        config = self.config
        generator = torch.Generator().manual_seed(seed)
        batches = Minibatches(
            data, normalise_observations=config.normalise_observations, normalise_values=False
        )
        contexts = context_inputs(
            data.family, data.contexts, data.features, encode=config.encode_contexts
        )
        sizes = (contexts.shape[1], data.family.observation_size, data.family.action_size)
        network = ConditionedNetwork(*sizes, config, generator)
        losses: dict[str, Tensor] = {}

        def draw_loss() -> Tensor:
            tasks = batches.tasks(config.batch_tasks, generator)
            support = batches.states(tasks, config.batch_states, generator)
            queries = batches.states(tasks, config.batch_queries, generator)
            losses["query"] = query_losses(
                network, contexts[tasks], support, queries, config
            ).mean()
            return losses["query"]

        descend(
            network,
            draw_loss,
            updates=config.updates,
            learning_rate=config.learning_rate,
            schedule=config.schedule,
            progress=progress,
        )
        last = {name: float(loss.detach()) for name, loss in losses.items()}
        return FittedMAML(network, config, data, batches, last)


class FittedMAML(FittedConditioned[ConditionedNetwork]):
    """Trained initial weights.

    Attributes:
        losses: the last minibatch's loss, as `query`.
    """

    config: MAMLConfig

    def adapt(self, demonstrations: Rollouts, *, seed: int) -> MLPPolicies:
        """The policies of the demonstrations' contexts, after learning from them.

        Args:
            demonstrations: episodes of n contexts.
            seed: of the order of states in cloning; the inner loop takes all states at once.

        Raises:
            ValueError: if a context has no step or entries that are not finite.
        """
        config = self.config
        policies = self.policies(demonstrations.contexts)
        if config.few_shot == "cloning":
            return clone(policies, demonstrations, seed=seed)
        return MLPPolicies.stack(
            [
                self._policies(self._after_inner_loop(demonstrations, row))
                for row in range(len(demonstrations))
            ]
        )

    def _after_inner_loop(self, demonstrations: Rollouts, row: int) -> Layers:
        config, mask = self.config, demonstrations.mask[row]
        if not mask.any():
            raise ValueError(
                "`demonstrations.mask` must have a step of every context, not "
                f"{demonstrations.contexts[row]}"
            )
        observations = (demonstrations.observations[row][mask] - self._mean) / self._scale
        labels = demonstrations.labels[row][mask]
        states = States(torch.from_numpy(observations), torch.from_numpy(labels))
        inputs = self._inputs(demonstrations.contexts[row : row + 1])
        steps, rate = config.inner_steps, config.inner_rate
        if config.adapted == "policy":
            layers = self.network.layers(inputs)
            weights = {name: weight[0] for name, weight in layer_weights(layers).items()}
            found = inner_loop(layer_loss, weights, states, steps=steps, rate=rate)
            return [
                (found[f"weight{i}"][None], found[f"bias{i}"][None]) for i in range(len(layers))
            ]

        def loss(weights: Weights, states: States) -> Tensor:
            return network_loss(self.network, inputs[0], weights, states)

        weights = dict(self.network.named_parameters())
        adapted = deepcopy(self.network)
        adapted.load_state_dict(inner_loop(loss, weights, states, steps=steps, rate=rate))
        with torch.no_grad():
            return adapted.layers(inputs)
