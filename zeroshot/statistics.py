"""Scores and their uncertainty: pure functions of arrays, with no plots and no files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TRIMMED = 0.25
"""Share of the values that the interquartile mean leaves out at each end."""

SMALLEST_GAP = 0.1
"""Smallest denominator of a score, as a share of the expert's return."""

CONFIDENCE = 0.95
N_RESAMPLES = 5000


def iqm(values: Array, axis: int | None = None) -> Array:
    """Interquartile mean: the mean of the middle half (Agarwal et al. 2021, section 4.3).

    floor(n / 4) values are left out at each end, as in rliable's `aggregate_iqm`.

    Args:
        values: any shape.
        axis: the axis that goes away, all of them for None.

    Raises:
        ValueError: if there is nothing to average.
    """
    flat = np.ravel(values) if axis is None else np.moveaxis(np.asarray(values), axis, -1)
    n = flat.shape[-1]
    if n == 0:
        raise ValueError("`values` must hold at least one number, got none")
    cut = int(TRIMMED * n)
    return np.sort(flat, axis=-1)[..., cut : n - cut].mean(axis=-1)


def normalised_score(returns: Array, expert: Array, blind: Array) -> Array:
    """Returns on the scale where the best context-blind policy has 0 and the expert 1.

    score = 1 - (expert - return) / max(expert - blind, SMALLEST_GAP * |expert|)

    The floor matters only where one fixed policy nearly solves a context (a gap to the expert
    below a tenth of the expert's return): there the loss is measured in tenths of the expert's
    return, since a ratio of two small differences would be noise. The expert scores 1 everywhere,
    the context-blind policy 0 wherever the context matters.

    Args:
        returns: any shape.
        expert: the expert's returns in the same contexts, same shape.
        blind: the best context-blind policy's, same shape.

    Raises:
        ValueError: if an expert's return is 0 and so is the context-blind policy's.
    """
    gap = np.maximum(expert - blind, SMALLEST_GAP * np.abs(expert))
    if np.any(gap <= 0.0):
        raise ValueError("scores need experts whose returns differ from 0, got a gap of 0")
    return 1.0 - (expert - returns) / gap


def ratio(returns: Array, expert: Array) -> float:
    """mean(returns) / mean(expert) over everything: the share of the experts' return reached.

    A ratio of means, not a mean of ratios, so that contexts with little return do not dominate.
    It says nothing for families with negative returns; scores do.

    Raises:
        ValueError: if the experts' mean return is 0.
    """
    denominator = float(np.mean(expert))
    if denominator == 0.0:
        raise ValueError("a ratio needs experts whose mean return differs from 0, got 0")
    return float(np.mean(returns)) / denominator


def stratified_bootstrap(
    values: Array,
    statistic: Callable[[Array], Array],
    rng: np.random.Generator,
    *,
    confidence: float = CONFIDENCE,
    n_resamples: int = N_RESAMPLES,
) -> tuple[float, float]:
    """Percentile bootstrap interval; values are redrawn within each stratum, never across.

    Args:
        values: (n_values, n_strata), redrawn along axis 0 independently in every column.
        statistic: maps resamples (n_resamples, n_values * n_strata) to (n_resamples,).
        rng: where the resamples come from.
        confidence: coverage, in (0, 1).
        n_resamples: resamples drawn.

    Returns:
        The lower and the upper end.

    Raises:
        ValueError: for values that are not a non-empty matrix, or a confidence outside (0, 1).
    """
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"`values` must have shape (n_values, n_strata), got {values.shape}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"`confidence` must be in (0, 1), got {confidence:g}")
    n, strata = values.shape
    ids = rng.integers(0, n, size=(n_resamples, n, strata))
    resamples = np.take_along_axis(values[None], ids, axis=1).reshape(n_resamples, -1)
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(statistic(resamples), [tail, 100.0 - tail])
    return float(low), float(high)


def iqm_interval(
    values: Array, rng: np.random.Generator, *, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Stratified bootstrap interval of the interquartile mean of `values` (n_values, n_strata)."""
    return stratified_bootstrap(
        values, lambda resamples: iqm(resamples, axis=-1), rng, confidence=confidence
    )


def mean_interval(
    values: Array, rng: np.random.Generator, *, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Bootstrap interval of the mean of `values` (n_values,)."""
    return stratified_bootstrap(
        values[:, None], lambda resamples: resamples.mean(axis=-1), rng, confidence=confidence
    )
