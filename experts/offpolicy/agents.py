"""Agents: networks as a recipe has them at the start, experts as they are at the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from experts.offpolicy.learner import Learner
from experts.offpolicy.networks import StackedMLPs, initialise, scale_last_layer
from experts.offpolicy.sac import SACLearner
from experts.offpolicy.td3 import TD3Learner
from experts.policy import Floats, MLPPolicies, MLPs
from experts.recipes import Recipe
from experts.store import Expert
from param_envs import Family

WARM_HOLD = 1000
"""Updates after a warm start that only train critics: fresh ones would ruin the policy."""
WARM_DEVIATION = 0.2
"""Of SAC's actions before tanh after a warm start from a policy without deviations."""
WARM_ENTROPY_WEIGHT = 0.01
"""SAC's entropy weight then; it is tuned from there on."""


def make_learner(
    family: Family, recipe: Recipe, seeds: Sequence[int], device: torch.device | str
) -> Learner:
    """A learner of one agent a seed, whose networks are drawn from that seed alone.

    Args:
        family: whose observations and actions the agents have.
        recipe: of algorithm `td3` or `sac`.
        seeds: one an agent.
        device: where the networks live.

    Raises:
        ValueError: for another algorithm.
    """
    if recipe.algorithm not in ("td3", "sac"):
        raise ValueError(f"`recipe.algorithm` must be td3 or sac, got {recipe.algorithm!r}")
    n, observations, actions = len(seeds), family.observation_size, family.action_size
    outputs = actions if recipe.algorithm == "td3" else 2 * actions
    actor = StackedMLPs(n, (observations, *recipe.hidden, outputs), recipe.activation, device)
    critic_sizes = (observations + actions, *(recipe.critic_hidden or recipe.hidden), 1)
    critics = StackedMLPs(2 * n, critic_sizes, recipe.activation, device)
    orthogonal = recipe.orthogonal and recipe.algorithm == "td3"
    for i, seed in enumerate(seeds):
        generator = torch.Generator().manual_seed(seed)
        for networks, index in ((actor, i), (critics, i), (critics, n + i)):
            initialise(networks, index, generator, orthogonal=orthogonal)
    shared: dict[str, Any] = {
        "discount": recipe.discount,
        "tau": recipe.target_tau,
        "learning_rate": recipe.learning_rate,
    }
    learner: Learner
    if recipe.algorithm == "sac":
        learner = SACLearner(actor, critics, **shared)
    else:
        scale_last_layer(actor, recipe.final_layer_scale)
        noise = recipe.exploration if recipe.target_noise is None else recipe.target_noise
        learner = TD3Learner(
            actor,
            critics,
            target_noise=noise,
            target_noise_clip=recipe.target_noise_clip,
            policy_delay=recipe.policy_delay,
            **shared,
        )
    learner.held = recipe.policy_hold
    return learner


def start_from(learner: Learner, parents: Sequence[Expert]) -> None:
    """Gives agent i the policy of expert i, and its critics where it has two of the same shape.

    The policy is then held for `WARM_HOLD` updates. A SAC agent whose parent has no deviations of
    its own (it was not trained by SAC) begins with `WARM_DEVIATION` everywhere and
    `WARM_ENTROPY_WEIGHT`: fresh ones would drown what the policy does, and reward that.

    Raises:
        ValueError: if an expert's layers or activation do not fit.
    """
    widths = learner.actor.sizes[1:-1]
    for i, parent in enumerate(parents):
        found = tuple(int(weight.shape[2]) for weight in parent.policy.weights[:-1])
        if found != widths or parent.policy.activation != learner.actor.activation:
            raise ValueError(
                f"`warm_starts` must have hidden layers {widths} ({learner.actor.activation}), "
                f"got {found} ({parent.policy.activation})"
            )
        weights, biases = parent.policy.folded().layers(0)
        if isinstance(learner, SACLearner):
            size = learner.action_size
            head = np.zeros((weights[-1].shape[0], size), dtype=np.float32)
            offset = np.full(size, math.log(WARM_DEVIATION), dtype=np.float32)
            start = np.array([math.log(WARM_ENTROPY_WEIGHT)])
            head = parent.extras.get("log_std.weight", head)
            offset = parent.extras.get("log_std.bias", offset)
            start = parent.extras.get("log_entropy_weight", start)
            weights[-1] = np.concatenate([weights[-1], head], axis=1)
            biases[-1] = np.concatenate([biases[-1], offset])
            learner.log_entropy_weight[i] = float(start[0])
        learner.actor.fill(i, weights, biases)
        twin = _twin(parent)
        critic = parent.critic
        if twin is not None and critic is not None and _shape(critic) == learner.critics.sizes:
            learner.critics.fill(i, *critic.folded().layers(0))
            learner.critics.fill(learner.n_agents + i, *twin)
    learner.critic_targets.copy_from(learner.critics)
    if isinstance(learner, TD3Learner):
        learner.actor_target.copy_from(learner.actor)
    learner.held = WARM_HOLD


def experts_of(learner: Learner, records: Sequence[Mapping[str, Any]]) -> list[Expert]:
    """The agents as experts, with the manifests `records`.

    The critic is the first of the two; the second is kept in `extras`, as `twin.*`, and so are
    SAC's deviations and log entropy weight, for a warm start to go on from.
    """
    weights, biases = learner.actor.arrays()
    critic_weights, critic_biases = learner.critics.arrays()
    n, size, activation = learner.n_agents, learner.action_size, learner.actor.activation
    found: list[Expert] = []
    for i, record in enumerate(records):
        own = slice(i, i + 1)
        extras: dict[str, Floats] = {}
        for layer, (weight, bias) in enumerate(zip(critic_weights, critic_biases, strict=True)):
            extras[f"twin.{layer}.weight"] = weight[n + i].copy()
            extras[f"twin.{layer}.bias"] = bias[n + i].copy()
        if isinstance(learner, SACLearner):
            extras["log_std.weight"] = weights[-1][i, :, size:].copy()
            extras["log_std.bias"] = biases[-1][i, size:].copy()
            extras["log_entropy_weight"] = learner.log_entropy_weight[own].cpu().numpy().copy()
        found.append(
            Expert(
                policy=policies_of(weights, biases, size, activation).select([i]),
                critic=MLPs(
                    tuple(weight[own].copy() for weight in critic_weights),
                    tuple(bias[own].copy() for bias in critic_biases),
                    activation,  # type: ignore[arg-type]
                ),
                extras=extras,
                record={**record, "critic": "q"},
            )
        )
    return found


def policies_of(
    weights: Sequence[Floats], biases: Sequence[Floats], action_size: int, activation: str
) -> MLPPolicies:
    """Deterministic policies from an actor's arrays: SAC's deviations are left out."""
    return MLPPolicies(
        (*weights[:-1], np.ascontiguousarray(weights[-1][..., :action_size])),
        (*biases[:-1], np.ascontiguousarray(biases[-1][..., :action_size])),
        activation,  # type: ignore[arg-type]
    )


def _twin(expert: Expert) -> tuple[list[Floats], list[Floats]] | None:
    if expert.critic is None or "twin.0.weight" not in expert.extras:
        return None
    layers = range(len(expert.critic.weights))
    return (
        [expert.extras[f"twin.{layer}.weight"] for layer in layers],
        [expert.extras[f"twin.{layer}.bias"] for layer in layers],
    )


def _shape(network: MLPs) -> tuple[int, ...]:
    return (network.input_size, *(int(weight.shape[2]) for weight in network.weights))
