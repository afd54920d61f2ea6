"""HyperDistil: a hypernetwork taught by the experts as functions, not only by their recordings.

HyperZero (`hyper.hyperzero`) fits generated policies to what the experts did where they went. A
generated policy errs, so it comes to other states, where nobody told it what to do. Two things that
the experts of the training contexts can be asked for free mend that:

    aggregation (DAgger; Ross et al. 2011, arXiv 1011.0686): now and then the generated policies
    play their own training contexts, and the experts label the states that they visit;

    blending (`hyper.blending`): all over the family's range, the policy of a context is also drawn
        towards the mean of what the experts of the nearest training contexts do, as far as such
        means are known to work. It counts where training contexts are few.

And what comes out is tried. Where a desired speed is all that tells a context from a training
context, several policies are watched in that one, and the best is handed out (`hyper.calibration`).
Elsewhere a policy that returns less in the training contexts around its own than experts from there
do is replaced by one of these (`hyper.trials`).

The generator is HyperZero's without the critic. No context outside the training data is ever played
or has a label of its own: blends are of training contexts' experts, on training contexts' states,
and trials are in training contexts, whose rewards are all that rewards are learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experts import Experts, MLPPolicies, Rollouts, collect
from experts.descent import Schedule, descend
from experts.embedding import Embedding, context_inputs
from experts.minibatches import Minibatches, States
from experts.policy import Activation
from experts.validation import require
from hyper.blending import TRUST_EPISODES, Blends
from hyper.calibration import MISSES, Calibration, n_candidates, n_watched
from hyper.generator import Layers, ToldLayers, WeightHeads, apply_layers, leading, trailing
from hyper.learned_reward import speeds_of
from hyper.trials import Trials
from param_envs import Family

AGGREGATION_SEED = 7_000_000
"""Added to a fit's seed and the update for the starts of the generated policies' episodes."""


@dataclass(frozen=True, kw_only=True)
class HyperDistilConfig:
    """Hyperparameters of HyperDistil.

    Attributes:
        embedding_sizes: width of each stage of the context embedding.
        n_blocks: residual blocks a stage.
        policy_sizes: width of each hidden layer of the generated policies, whose activation is the
            experts'. Two narrow ones imitate the experts, who have two, better than HyperZero's
            single wide one, at less cost.
        learning_rate: Adam's, at its peak.
        schedule: `one-cycle` or `constant`, see `experts.descent`.
        max_norm: of the gradient, at most. States of the first aggregation are unlike those before,
            and one gradient thirty times the usual one made a fit useless for good.
        updates: gradient steps.
        batch_tasks: training contexts a minibatch, all of them if there are fewer.
        batch_states: states a context and minibatch.
        rounds: aggregations, evenly spaced over `aggregate_from` to 1 of the updates; 0 for none.
        aggregate_from: share of the updates before the first.
        noise: deviation of the noise in each episode that a generated policy plays in a round.
        focus: share of a round's states that are drawn in proportion to the squared error of the
            policy's action there; the rest are drawn alike, and with 0 all are there once. A policy
            that is stuck in one start of fifty is wrong in few of the states.
        blend_weight: weight of the loss between training contexts, see `Blends`; 0 leaves it out.
        batch_blends: contexts a minibatch for it.
        log_speeds: whether the network is told the logarithm of a speed's magnitude beside it.
        trials: episodes of each policy that is tried, in each training context that it is tried in,
            see `Trials`; `Calibration` has fewer at first and more of the best. 0 leaves both out.
            They are played when policies are asked for, and take seconds to minutes for a set of
            contexts.
    """

    embedding_sizes: tuple[int, ...] = (64, 128, 256)
    n_blocks: int = 2
    policy_sizes: tuple[int, ...] = (64, 64)
    learning_rate: float = 2e-3
    schedule: Schedule = "one-cycle"
    max_norm: float = 0.5
    updates: int = 2000
    batch_tasks: int = 64
    batch_states: int = 128
    rounds: int = 4
    aggregate_from: float = 0.4
    noise: tuple[float, ...] = (0.01, 0.01, 0.1, 0.2)
    focus: float = 0.0
    blend_weight: float = 0.3
    batch_blends: int = 16
    log_speeds: bool = True
    trials: int = 6

    def __post_init__(self) -> None:
        for name in ("updates", "batch_tasks", "batch_states", "batch_blends"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("n_blocks", "rounds", "trials"):
            require(name, getattr(self, name), getattr(self, name) >= 0, "at least 0")
        for name in ("embedding_sizes", "policy_sizes"):
            sizes = getattr(self, name)
            require(name, sizes, sizes and min(sizes) >= 1, "widths of at least 1")
        require("learning_rate", self.learning_rate, 0 < self.learning_rate <= 1, "in (0, 1]")
        require("max_norm", self.max_norm, self.max_norm > 0, "above 0")
        share = self.aggregate_from
        require("aggregate_from", share, 0 < share < 1, "in (0, 1)")
        fits = self.noise and all(0 < deviation < float("inf") for deviation in self.noise)
        require("noise", self.noise, fits, "finite numbers above 0")
        require("focus", self.focus, 0 <= self.focus <= 1, "in [0, 1]")
        weight = self.blend_weight
        require("blend_weight", weight, 0 <= weight < float("inf"), "at least 0 and finite")
        schedules = ("one-cycle", "constant")
        require("schedule", self.schedule, self.schedule in schedules, f"one of {schedules}")

    @property
    def rounds_at(self) -> frozenset[int]:
        """The updates before which the generated policies play."""
        share = np.linspace(self.aggregate_from, 1.0, self.rounds, endpoint=False)
        return frozenset((share * self.updates).astype(int).tolist())

    def own_episodes(
        self, family: Family, features: Sequence[str], n_train: int, n_test: int
    ) -> int:
        """Episodes that are played in a fit and in trying its policies, about as many.

        Args:
            family: of the contexts.
            features: names of the features that vary.
            n_train: training contexts.
            n_test: contexts that policies are asked for. Where they have a desired speed, their
                bodies are taken to be known; otherwise each has two neighbours.
        """
        in_training = self.rounds * len(self.noise)
        in_training += TRUST_EPISODES * (self.blend_weight > 0)
        if self.trials and speeds_of(family, features):
            in_training += len(MISSES)
            n_each = n_watched(n_candidates(features), self.trials)
            return n_train * in_training + n_each * n_test
        return n_train * in_training + 2 * n_test * self.trials


class Generator(nn.Module):
    """Contexts to the layers of policies."""

    def __init__(
        self,
        n_inputs: int,
        observation_size: int,
        action_size: int,
        config: HyperDistilConfig,
        generator: torch.Generator,
        heads: type[WeightHeads] | type[ToldLayers] = WeightHeads,
    ) -> None:
        super().__init__()
        self.embedding = Embedding(
            n_inputs,
            sizes=config.embedding_sizes,
            n_blocks=config.n_blocks,
            init="uniform",
            generator=generator,
        )
        sizes = (observation_size, *config.policy_sizes, action_size)
        shapes = list(pairwise(sizes))
        self.heads = heads(config.embedding_sizes[-1], shapes, generator=generator)

    def forward(self, contexts: Tensor) -> Layers:
        """Layers of the policies of contexts (n, n_inputs)."""
        return self.heads(self.embedding(contexts))


def action_loss(policy: Layers, states: States, activation: Activation) -> Tensor:
    """Mean squared error of the actions, over samples and entries."""
    actions = torch.tanh(apply_layers(policy, states.observations, activation))
    return nn.functional.mse_loss(actions, states.labels)


class HyperDistil:
    """The method: `fit` learns from the experts of some contexts, for any context.

    Attributes:
        heads: make a policy's layers of the context's embedding, here every weight of them.
    """

    heads: type[WeightHeads] | type[ToldLayers] = WeightHeads

    def __init__(self, config: HyperDistilConfig | None = None) -> None:
        self.config = HyperDistilConfig() if config is None else config

    def fit(
        self,
        data: Rollouts,
        *,
        seed: int,
        progress: Callable[[float], None] | None = None,
    ) -> FittedHyperDistil:
        """Trains the generator on the training contexts' rollouts, and on what it does there.

        Args:
            data: rollouts of the training contexts' experts, with the experts.
            seed: decides initial weights, minibatches and the starts of the generated policies'
                episodes; the same one gives the same weights, as long as torch has the same number
                of threads.
            progress: called with the fraction done, in (0, 1].

        Raises:
            ValueError: if `data` has no experts, fewer than two contexts or entries that are not
                finite.
            FloatingPointError: if the training diverged.
        """
        config, experts = self.config, data.experts
        if experts is None:
            raise ValueError("`data.experts` must be there to be asked, got None")
        generator = torch.Generator().manual_seed(seed)
        batches = Minibatches(data, normalise_observations=True, normalise_values=False)
        told = partial(
            context_inputs,
            data.family,
            features=data.features,
            encode=True,
            log_speeds=config.log_speeds,
        )
        contexts = told(data.contexts)
        blends = Blends(data, experts, seed, told) if config.blend_weight > 0 else None
        network = Generator(
            contexts.shape[1], data.family.observation_size, data.family.action_size,
            config, generator, self.heads,
        )  # fmt: skip
        activation = experts.policies.activation
        fitted = FittedHyperDistil(network, config, told, batches, activation)
        if config.trials:
            fitted.try_with(data, experts, seed)
        loss = partial(action_loss, activation=activation)
        losses: dict[str, Tensor] = {}
        update = 0

        def draw_loss() -> Tensor:
            nonlocal update
            if update in config.rounds_at:
                played = _played(fitted, data, experts, seed + update)
                steps = _hard_steps(fitted, played, seed + update) if config.focus > 0 else None
                batches.add_states(played, steps)
            update += 1
            tasks = batches.tasks(config.batch_tasks, generator)
            states = batches.states(tasks, config.batch_states, generator)
            if blends is None or not blends.weight:
                total = losses["action"] = loss(network(contexts[tasks]), states)
                return total
            drawn = blends.draw(config.batch_blends, generator)
            layers = network(torch.cat([contexts[tasks], drawn.inputs]))
            losses["action"] = loss(leading(layers, len(tasks)), states)
            mixed = drawn.states(batches, config.batch_states, generator)
            losses["blend"] = loss(trailing(layers, len(drawn.inputs)), mixed)
            return losses["action"] + config.blend_weight * blends.weight * losses["blend"]

        descend(
            network,
            draw_loss,
            updates=config.updates,
            learning_rate=config.learning_rate,
            schedule=config.schedule,
            max_norm=config.max_norm,
            progress=progress,
        )
        fitted.losses = {name: float(loss.detach()) for name, loss in losses.items()}
        return fitted


class ConditionedDistil(HyperDistil):
    """What the same teaching does for one policy that is told the context.

    The control of `HyperDistil`: with the same embedding, rounds, blends and trials a context moves
    only the biases of a first layer that all contexts share, as in `baselines.conditioned`.
    """

    heads = ToldLayers


class FittedHyperDistil:
    """A trained generator: policies for any context of the family.

    Attributes:
        losses: the last minibatch's loss terms, unweighted: `action` and `blend`.
    """

    def __init__(
        self,
        network: Generator,
        config: HyperDistilConfig,
        told: Callable[[Sequence[Mapping[str, float]]], Tensor],
        batches: Minibatches,
        activation: Activation,
    ) -> None:
        self.network = network
        self.config = config
        self.losses: dict[str, float] = {}
        self._mean, self._scale = batches.observation_mean, batches.observation_scale
        self._told, self._activation = told, activation
        self._tried: tuple[Calibration, Trials] | None = None

    def try_with(self, data: Rollouts, experts: Experts, seed: int) -> None:
        """From now on policies are tried before they are handed out, in the contexts of `data`."""
        n_episodes, of_training = self.config.trials, partial(self._of_training, experts)
        self._tried = (
            Calibration(data, self.generated, of_training, seed=seed, n_episodes=n_episodes),
            Trials(data, experts, seed=seed, n_episodes=n_episodes),
        )

    def policies(self, contexts: Sequence[Mapping[str, float]]) -> MLPPolicies:
        """A policy for each of n_contexts contexts, chosen once.

        With `trials`, for a context that differs from a training context by a speed alone the best
        of several (`hyper.calibration`). For another one the policy that is generated for it; where
        that one fails, the expert of a training context next to its own, or where experts have
        other layers, what is generated for that context.

        Raises:
            ValueError: if there is none, or for an unknown feature or a value out of range.
        """
        policies = self.generated(contexts)
        if self._tried is None:
            return policies
        calibration, trials = self._tried
        asked = [calibration.family.context(**context) for context in contexts]
        known = calibration.knows(asked)
        if known.any():
            rows = np.flatnonzero(known)
            policies = policies.replaced(rows, calibration.best([asked[i] for i in rows]))
        if not known.all():
            rows = np.flatnonzero(~known)
            instead = trials.better(policies.select(rows), [asked[i] for i in rows])
            rows, instead = rows[instead >= 0], instead[instead >= 0]
            if rows.size:
                policies = policies.replaced(rows, calibration.of_training(instead))
        return policies

    def _of_training(self, experts: Experts, ids: NDArray[np.intp]) -> MLPPolicies:
        """Those experts, or if they have other layers, what is generated for their contexts."""
        chosen = experts.select(ids)
        generated = self.generated(chosen.contexts)
        return chosen.policies if chosen.policies.kind == generated.kind else generated

    def generated(self, contexts: Sequence[Mapping[str, float]]) -> MLPPolicies:
        """What the network puts out for n_contexts contexts, untried.

        Raises:
            ValueError: if there is none, or for an unknown feature or a value out of range.
        """
        with torch.no_grad():
            layers = self.network(self._told(contexts))
        return MLPPolicies(
            tuple(weight.detach().numpy() for weight, _ in layers),
            tuple(bias[:, 0].detach().numpy() for _, bias in layers),
            activation=self._activation,
            mean=self._mean[None],
            scale=self._scale[None],
        )


def _played(fitted: FittedHyperDistil, data: Rollouts, experts: Experts, seed: int) -> Rollouts:
    return collect(
        experts,
        features=data.features,
        noise=fitted.config.noise,
        seed=AGGREGATION_SEED + seed,
        n_steps=data.mask.shape[2],
        value=None,
        behaviour=fitted.generated(data.contexts),
        n_threads=torch.get_num_threads(),
    )


def _hard_steps(fitted: FittedHyperDistil, played: Rollouts, seed: int) -> NDArray[np.intp]:
    """As many steps (n_contexts, E * T) as there are, drawn with replacement, see `focus`."""
    n_contexts, n = len(played), played.mask[0].size
    observations = played.observations.reshape(n_contexts, n, -1)
    acted = fitted.generated(played.contexts).act(observations)
    running = played.mask.reshape(n_contexts, n)
    errors = np.square(acted - played.labels.reshape(acted.shape)).mean(axis=-1) * running
    focus = fitted.config.focus
    weights = focus * _shares(errors, running) + (1.0 - focus) * _shares(running, running)
    rng = np.random.default_rng(seed)
    return np.stack([rng.choice(n, size=n, p=row) for row in weights])


def _shares(
    weights: NDArray[np.floating] | NDArray[np.bool_], otherwise: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Rows that sum to 1, in proportion to `weights`; to `otherwise` where all of them are 0."""
    chosen = np.where(weights.any(axis=1, keepdims=True), weights, otherwise).astype(np.float64)
    shares: NDArray[np.float64] = chosen / chosen.sum(axis=1, keepdims=True)
    return shares
