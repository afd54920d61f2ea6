"""Scores and their uncertainty: pure functions of arrays, with no plots and no files.

Interquartile mean, performance profile, probability of improvement and the bootstrap stratified by
context are those of Agarwal et al. 2021 (arXiv 2108.13264) and their library rliable, with contexts
in the place of tasks. A run is a seed.
"""

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


def shares_of(returns: Array, expert: Array) -> Array:
    """1 + (returns - expert) / |expert|, entry by entry: 1 is the expert, and more is better.

    returns / expert where the expert's is positive, 2 minus that where it is negative.
    """
    return np.asarray(1.0 + (returns - expert) / np.abs(expert), dtype=np.float64)


def ratio(returns: Array, expert: Array) -> float:
    """`shares_of` the means over everything: the share of the experts' return reached.

    A ratio of means, not a mean of ratios, so that contexts with little return do not dominate.

    Raises:
        ValueError: if the experts' mean return is 0.
    """
    own, denominator = np.atleast_1d(np.mean(returns)), np.atleast_1d(np.mean(expert))
    if denominator[0] == 0.0:
        raise ValueError("a ratio needs experts whose mean return differs from 0, got 0")
    return float(shares_of(own, denominator)[0])


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
    n, strata = values.shape
    ids = rng.integers(0, n, size=(n_resamples, n, strata))
    resamples = np.take_along_axis(values[None], ids, axis=1).reshape(n_resamples, -1)
    low, high = percentile_interval(statistic(resamples), confidence=confidence)
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


def performance_profile(scores: Array, taus: Array) -> Array:
    """Share of all scores above each threshold, (n_taus,): rliable's run-score distribution.

    Args:
        scores: (n_runs, n_contexts), NaN where a run did not play a context.
        taus: thresholds (n_taus,).

    Raises:
        ValueError: if there is no score.
    """
    found = np.asarray(scores)[~np.isnan(scores)]
    if found.size == 0:
        raise ValueError("`scores` must hold at least one number, got none")
    return (found > np.asarray(taus)[:, None]).mean(axis=1)


def probability_of_improvement(x: Array, y: Array) -> float:
    """How likely a run of X is better than one of Y in the same context, averaged over contexts.

    In every context this is the Mann-Whitney U of X over Y, divided by the number of pairs: the
    share of pairs (a run of X, a run of Y) where X is better, equals counting one half.

    Args:
        x: scores or returns (n_runs_x, n_contexts), NaN where a run did not play a context.
        y: those of Y, (n_runs_y, n_contexts).

    Raises:
        ValueError: if the contexts differ in number, or no context was played by both.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(
            f"`x` and `y` must be (n_runs, n_contexts) of the same contexts, got {x.shape} "
            f"and {y.shape}"
        )
    n_pairs = (~np.isnan(x)).sum(axis=0) * (~np.isnan(y)).sum(axis=0)
    if not n_pairs.any():
        raise ValueError("`x` and `y` must share a context, they share none")
    better = x[:, None] > y[None]
    equal = x[:, None] == y[None]
    wins = (better + 0.5 * equal).sum(axis=(0, 1))  # comparisons with NaN are False
    played = n_pairs > 0
    return float(np.mean(wins[played] / n_pairs[played]))


def generalisation_gap(train: Array, test: Array) -> float:
    """IQM of the scores in training contexts minus that in test contexts; 0 is no loss.

    Args:
        train: scores in training contexts, any shape.
        test: scores in test contexts, any shape.

    Raises:
        ValueError: if either is empty.
    """
    return float(iqm(train) - iqm(test))


def difference_of_ratios(x: Array, y: Array, expert: Array, axis: int | None = None) -> Array:
    """(mean(x) - mean(y)) / |mean(expert)| of paired returns: how much more of the experts' X gets.

    Args:
        x: returns of X.
        y: those of Y in the same (seed, context), same shape.
        expert: the experts' there, same shape.
        axis: the axis that goes away, all of them for None.

    Raises:
        ValueError: if the experts' mean return is 0.
    """
    denominator = np.mean(expert, axis=axis)
    if np.any(denominator == 0.0):
        raise ValueError("a ratio needs experts whose mean return differs from 0, got 0")
    return np.asarray((np.mean(x, axis=axis) - np.mean(y, axis=axis)) / np.abs(denominator))


def resamples_within_contexts(
    n_runs: int, n_contexts: int, rng: np.random.Generator, *, n_resamples: int = N_RESAMPLES
) -> NDArray[np.intp]:
    """Positions in a flattened (n_runs, n_contexts): runs are redrawn within each context.

    For runs that all play the same contexts: rliable's stratified bootstrap. Contexts are not
    redrawn, so an interval speaks of these contexts and of new runs.

    Returns:
        (n_resamples, n_runs * n_contexts).
    """
    runs = rng.integers(0, n_runs, size=(n_resamples, n_runs, n_contexts))
    return (runs * n_contexts + np.arange(n_contexts)).reshape(n_resamples, -1)


def resamples_of_clusters(
    n_runs: int, n_contexts: int, rng: np.random.Generator, *, n_resamples: int = N_RESAMPLES
) -> NDArray[np.intp]:
    """Positions in a flattened (n_runs, n_contexts): runs are redrawn, then contexts within each.

    For runs that play different contexts, n_contexts each: a run is a cluster of contexts that
    share training data, split and seed. An interval speaks of new splits and new contexts.

    Returns:
        (n_resamples, n_runs * n_contexts).
    """
    runs = rng.integers(0, n_runs, size=(n_resamples, n_runs, 1))
    contexts = rng.integers(0, n_contexts, size=(n_resamples, n_runs, n_contexts))
    return (runs * n_contexts + contexts).reshape(n_resamples, -1)


def percentile_interval(statistics: Array, *, confidence: float = CONFIDENCE) -> Array:
    """Percentile interval (2, ...) of a statistic's resampled values (n_resamples, ...).

    Raises:
        ValueError: for a confidence outside (0, 1).
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"`confidence` must be in (0, 1), got {confidence:g}")
    tail = 50.0 * (1.0 - confidence)
    return np.asarray(np.percentile(statistics, [tail, 100.0 - tail], axis=0))
