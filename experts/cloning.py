"""Behaviour cloning: policies are moved towards demonstrations, each towards those of its context.

The few-shot protocol of Rezaei-Shoshtari et al., AAAI 2023 (arXiv 2211.15457), section 4: 10
episodes of the new task's expert, 5 passes over them in batches of 512, Adam at 1e-3. All contexts
are cloned at once, in batched products; none sees another one's data.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from experts.layers import apply_layers
from experts.policy import MLPPolicies
from experts.rollouts import Rollouts
from experts.validation import require


def clone(
    policies: MLPPolicies,
    demonstrations: Rollouts,
    *,
    learning_rate: float = 1e-3,
    epochs: int = 5,
    batch: int = 512,
    seed: int,
) -> MLPPolicies:
    """Trains each policy on the mean squared error to its own context's labels.

    The policies' observation statistics stay as they are. What becomes of a policy depends on its
    own demonstrations and on `seed`, not on the others.

    Args:
        policies: where to start, one policy a context of the demonstrations.
        demonstrations: n contexts' episodes; actions to be imitated are the `labels`.
        learning_rate: Adam's, constant.
        epochs: passes over all of a context's steps; 0 changes nothing.
        batch: steps a context and update; the last batch of a pass may be smaller.
        seed: decides the order of the steps.

    Raises:
        ValueError: if a number makes no sense, if the number of policies is not that of the
            contexts, or if a context has no step or entries that are not finite.
    """
    require("learning_rate", learning_rate, 0 < learning_rate <= 1, "in (0, 1]")
    require("epochs", epochs, epochs >= 0, "at least 0")
    require("batch", batch, batch >= 1, "at least 1")
    if len(policies) != len(demonstrations):
        raise ValueError(
            "`policies` must be as many as the demonstrations' contexts, got "
            f"{len(policies)} and {len(demonstrations)}"
        )
    running = demonstrations.mask.reshape(len(policies), -1)
    counts = running.sum(axis=1)
    if not counts.all():
        context = demonstrations.contexts[int(np.argmin(counts))]
        raise ValueError(f"`demonstrations.mask` must have a step of every context, not {context}")
    for name in ("observations", "labels"):
        bad = ~np.isfinite(getattr(demonstrations, name)[demonstrations.mask])
        if bad.any():
            raise ValueError(
                f"`demonstrations.{name}` must be finite, got {int(bad.sum())} entries that are not"
            )
    weights = [weight.copy() for weight in policies.weights]
    biases = [bias.copy() for bias in policies.biases]
    # Adam's steps are per entry, so contexts with equally many demonstrated steps share an
    # optimiser without seeing each other; usually that is all of them.
    for count in np.unique(counts):
        ids = np.flatnonzero(counts == count)
        cloned = _clone_alike(
            policies.select(ids), demonstrations.select(ids), learning_rate, epochs, batch, seed
        )
        for arrays, found in ((weights, cloned[::2]), (biases, cloned[1::2])):
            for array, tensor in zip(arrays, found, strict=True):
                array[ids] = tensor.detach().numpy().reshape(array[ids].shape)
    return MLPPolicies(
        tuple(weights), tuple(biases), policies.activation, policies.mean, policies.scale
    )


def cloning_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error of tanh(outputs) to labels, (n, m, size) each, summed over the n policies.

    A sum, so that the gradient of one policy does not depend on how many there are.
    """
    return (torch.tanh(outputs) - labels).square().mean(dim=(1, 2)).sum()


def _clone_alike(
    policies: MLPPolicies,
    demonstrations: Rollouts,
    learning_rate: float,
    epochs: int,
    batch: int,
    seed: int,
) -> list[Tensor]:
    """Trained weights and biases, layer by layer, where all contexts have as many steps."""
    observations, labels = _steps(policies, demonstrations)
    n_steps = observations.shape[1]
    layers: list[Tensor] = []
    for weight, bias in zip(policies.weights, policies.biases, strict=True):
        layers += [torch.from_numpy(weight.copy()), torch.from_numpy(bias[:, None].copy())]
    for tensor in layers:
        tensor.requires_grad_()
    stacked = tuple(layers[::2]), tuple(layers[1::2])
    optimiser = torch.optim.Adam(layers, lr=learning_rate, fused=True)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        order = torch.randperm(n_steps, generator=generator)
        for rows in order.split(batch):
            outputs = apply_layers(stacked, observations[:, rows], policies.activation)
            optimiser.zero_grad()
            cloning_loss(outputs, labels[:, rows]).backward()
            optimiser.step()
    return layers


def _steps(policies: MLPPolicies, demonstrations: Rollouts) -> tuple[Tensor, Tensor]:
    """Normalised observations (n, n_steps, size) and labels (n, n_steps, size), without padding."""
    mask, n = demonstrations.mask, len(demonstrations)
    observations = demonstrations.observations[mask].reshape(n, -1, policies.observation_size)
    if policies.mean is not None:
        observations = observations - policies.mean[:, None]
    if policies.scale is not None:
        observations = observations / policies.scale[:, None]
    labels = demonstrations.labels[mask].reshape(n, -1, policies.action_size)
    return (
        torch.from_numpy(np.ascontiguousarray(observations, dtype=np.float32)),
        torch.from_numpy(np.ascontiguousarray(labels, dtype=np.float32)),
    )
