"""Gradient descent on a loss: the loop that HyperZero and its baselines are trained by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

Schedule = Literal["one-cycle", "constant"]

N_REPORTS = 100
"""How often progress is reported, and the loss looked at, in a training."""


def descend(
    network: nn.Module,
    draw_loss: Callable[[], Tensor],
    *,
    updates: int,
    learning_rate: float,
    schedule: Schedule,
    max_norm: float = float("inf"),
    progress: Callable[[float], None] | None = None,
) -> None:
    """Minimises the loss of drawn minibatches with Adam.

    Args:
        network: its parameters are changed in place.
        draw_loss: draws a minibatch and returns its loss, a scalar with a gradient.
        updates: gradient steps.
        learning_rate: Adam's, at its peak.
        schedule: `one-cycle` rises for 30 % of the updates and falls to nearly 0 (Smith 2018,
            arXiv 1803.09820, as torch has it); `constant` stays at the peak.
        max_norm: gradients of a larger norm are scaled down to it.
        progress: called with the fraction done, in (0, 1], about a hundred times.

    Raises:
        FloatingPointError: if the loss is no longer finite.
    """
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
    rates = (
        torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=updates)
        if schedule == "one-cycle"
        else torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
    )
    every = max(1, updates // N_REPORTS)
    for update in range(1, updates + 1):
        loss = draw_loss()
        optimiser.zero_grad()
        loss.backward()
        if max_norm < float("inf"):
            nn.utils.clip_grad_norm_(network.parameters(), max_norm)
        optimiser.step()
        rates.step()
        if update % every == 0 or update == updates:
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {float(loss.detach())} after update {update} of {updates}; "
                    f"try a `learning_rate` below {learning_rate:g}"
                )
            if progress is not None:
                progress(update / updates)
