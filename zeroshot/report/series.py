"""Numbers behind the charts: pure functions of result rows, with no markup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zeroshot.results import Row
from zeroshot.statistics import mean_interval, shares_of, stratified_bootstrap

Array = NDArray[np.float64]
Cell = tuple[int, tuple[float, ...]]
"""A split's seed and the values of a context."""


class Points(NamedTuple):
    """Means with the ends of their 95 % intervals, all of shape (n_points,)."""

    x: Array
    mean: Array
    low: Array
    high: Array


def against(rows: Sequence[Row], value_of: Callable[[Row], float]) -> Points:
    """Mean return for each value of something, over all episodes of all splits that have it.

    The interval is a bootstrap over those episodes.
    """
    found: dict[float, list[float]] = {}
    for row in rows:
        found.setdefault(float(value_of(row)), []).append(row["return"])
    rng = np.random.default_rng(0)
    x = sorted(found)
    ends = [mean_interval(np.asarray(found[value], dtype=float), rng) for value in x]
    means = [float(np.mean(found[value])) for value in x]
    low, high = np.reshape(ends, (-1, 2)).T
    return Points(np.array(x), np.array(means), low, high)


def cell_means(rows: Sequence[Row]) -> dict[Cell, tuple[float, float]]:
    """Cell to (mean return over its episodes, its expert's return)."""
    found: dict[Cell, list[tuple[float, float]]] = {}
    for row in rows:
        cell = (row["seed"], tuple(row["context"].values()))
        found.setdefault(cell, []).append((row["return"], row["expert_return"]))
    return {
        cell: (float(np.mean([r for r, _ in pairs])), pairs[0][1]) for cell, pairs in found.items()
    }


def ratio_interval(rows: Sequence[Row]) -> tuple[float, float, float]:
    """Ratio to the experts, as `statistics.ratio`, and its 95 % interval.

    The interval is a bootstrap over the contexts of each split.

    Raises:
        ValueError: if there are no rows.
    """
    cells = cell_means(rows)
    returns, experts = _by_seed(cells, sorted(cells))
    mean, low, high = _mean_share(returns - experts, experts)
    return 1.0 + mean, 1.0 + low, 1.0 + high


def paired_difference(one: Sequence[Row], other: Sequence[Row]) -> tuple[float, float, float]:
    """Difference of two methods' ratios in the same contexts of the same splits, with interval.

    The interval is a bootstrap over the contexts of each split, which are redrawn in pairs.

    Raises:
        ValueError: if they share no context of a split.
    """
    first, second = cell_means(one), cell_means(other)
    shared = sorted(set(first) & set(second))
    if not shared:
        raise ValueError("a paired difference needs contexts that both methods played, got none")
    returns, experts = _by_seed(first, shared)
    others, _ = _by_seed(second, shared)
    return _mean_share(returns - others, experts)


def profile(rows: Sequence[Row], shares: Array) -> Array:
    """Share of (split, context) cells whose return is at least that share of the expert's.

    Args:
        rows: of one method.
        shares: (n_shares,).

    Returns:
        Fractions (n_shares,).
    """
    own, expert = np.array(list(cell_means(rows).values())).T
    reached = shares_of(own, expert)
    return np.asarray((reached[None] >= shares[:, None]).mean(axis=1), dtype=np.float64)


def matrix(rows: Sequence[Row], features: tuple[str, str], grid: tuple[Array, Array]) -> Array:
    """Mean returns (len(grid[1]), len(grid[0])) over two features, nan where nothing was played."""
    found: dict[tuple[float, float], list[float]] = {}
    for row in rows:
        key = (row["context"][features[0]], row["context"][features[1]])
        found.setdefault(key, []).append(row["return"])
    return np.array([[np.mean(found.get((x, y), [np.nan])) for x in grid[0]] for y in grid[1]])


def _by_seed(cells: dict[Cell, tuple[float, float]], order: Sequence[Cell]) -> tuple[Array, Array]:
    """Returns and experts' returns (n_contexts, n_seeds); one column if splits differ in size."""
    seeds = sorted({seed for seed, _ in order})
    columns = [[cells[cell] for cell in order if cell[0] == seed] for seed in seeds]
    if len({len(column) for column in columns}) > 1:
        columns = [[pair for column in columns for pair in column]]
    both = np.array(columns, dtype=float)  # (n_seeds, n_contexts, 2)
    return both[..., 0].T, both[..., 1].T


def _mean_share(values: Array, experts: Array) -> tuple[float, float, float]:
    """Mean of `values` over the size of that of `experts`, with its interval.

    Args:
        values: differences of returns (n_contexts, n_seeds).
        experts: returns there, of either sign.
    """
    indices = np.arange(values.size, dtype=float).reshape(values.shape)
    flat, below = values.ravel(), experts.ravel()

    def share(ids: Array) -> Array:
        chosen = ids.astype(int)
        return np.asarray(flat[chosen].mean(axis=-1) / np.abs(below[chosen].mean(axis=-1)))

    low, high = stratified_bootstrap(indices, share, np.random.default_rng(0))
    return float(flat.mean() / abs(below.mean())), low, high
