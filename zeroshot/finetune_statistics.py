"""What a fine-tuning curve says: pure functions of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

NEAR_EXPERT = 0.95
"""Share of the expert's return at which a policy counts as good as it."""


def expert_target(expert: ArrayLike, share: float = NEAR_EXPERT) -> Array:
    """The return that is `share` of the expert's, or as far below it where returns are negative.

    target = expert - (1 - share) |expert|

    Args:
        expert: the expert's returns, any shape.
        share: in (0, 1].

    Raises:
        ValueError: for another share.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"`share` must be in (0, 1], got {share:g}")
    returns = np.asarray(expert, dtype=np.float64)
    return np.asarray(returns - (1.0 - share) * np.abs(returns))


def steps_to_reach(steps: ArrayLike, returns: ArrayLike, target: ArrayLike) -> Array:
    """Environment steps before the first evaluation at or above the target; inf for never.

    Args:
        steps: of the evaluations, ascending, (n_points,).
        returns: mean returns, (..., n_points).
        target: a return for each curve, (...).

    Raises:
        ValueError: if steps do not ascend, or are not as many as the returns of a curve.
    """
    at = np.asarray(steps, dtype=np.float64)
    curves = np.asarray(returns, dtype=np.float64)
    if at.ndim != 1 or at.shape[0] == 0 or (np.diff(at) <= 0).any():
        raise ValueError(f"`steps` must ascend, (n_points,), got {at.tolist()}")
    if curves.shape[-1:] != at.shape:
        raise ValueError(
            f"`returns` must be (..., n_points) with {len(at)} points, got {curves.shape}"
        )
    reached = curves >= np.asarray(target, dtype=np.float64)[..., None]
    return np.where(reached.any(axis=-1), at[reached.argmax(axis=-1)], np.inf)


def largest_dip(returns: ArrayLike) -> Array:
    """How far a curve falls below its own start at most, 0 if it never does.

    Args:
        returns: mean returns, (..., n_points), the start first.

    Raises:
        ValueError: if there is no point.
    """
    curves = np.asarray(returns, dtype=np.float64)
    if curves.ndim == 0 or curves.shape[-1] == 0:
        raise ValueError(f"`returns` must be (..., n_points), got {curves.shape}")
    return np.asarray(curves[..., 0] - curves.min(axis=-1))
