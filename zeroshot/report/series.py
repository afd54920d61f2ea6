"""Numbers behind the charts: pure functions of result rows, with no markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zeroshot.results import Row
from zeroshot.statistics import mean_interval, shares_of, stratified_bootstrap

Array = NDArray[np.float64]
Cell = tuple[int, tuple[float, ...]]
"""A split's seed and the values of a context."""

FITS, CONTEXTS, EPISODES = "fits", "contexts", "episodes"


class Redrawn(NamedTuple):
    """What the interval of a mean redraws: `FITS`, or `CONTEXTS` or `EPISODES` of a single fit."""

    what: str
    n: int

    def __str__(self) -> str:
        return f"{self.n} {self.what if self.n != 1 else self.what[:-1]}"


class Points(NamedTuple):
    """Means with the ends of their 95 % intervals, all of shape (n_points,)."""

    x: Array
    mean: Array
    low: Array
    high: Array
    redrawn: tuple[Redrawn, ...] = ()
    """By the intervals, one a point; empty where that is not known."""

    @property
    def of_one_fit(self) -> NDArray[np.bool_]:
        """Where an interval is known to be within a single fit, and says nothing of others."""
        within = [found.what != FITS for found in self.redrawn] or [False] * len(self.x)
        return np.array(within, dtype=bool)


def against(rows: Sequence[Row], value_of: Callable[[Row], float]) -> Points:
    """Mean return for each value of something, over all fits that have it, all alike.

    Interval and mean are of the `independent_means` at the value.

    Args:
        rows: of one method.
        value_of: what a row is drawn against.
    """
    found: dict[float, list[Row]] = {}
    for row in rows:
        found.setdefault(float(value_of(row)), []).append(row)
    rng = np.random.default_rng(0)
    x = sorted(found)
    units = [independent_means(found[value]) for value in x]
    ends = [mean_interval(means, rng) for _, means in units]
    low, high = np.reshape(ends, (-1, 2)).T
    mean = np.array([means.mean() for _, means in units])
    redrawn = tuple(Redrawn(what, len(means)) for what, means in units)
    return Points(np.array(x), mean, low, high, redrawn)


def independent_means(rows: Sequence[Row]) -> tuple[str, Array]:
    """What an interval over rows of one method may redraw, and the returns of those units.

    Episodes of a fit share its luck: together they are one observation of the method. Hence a unit
    is a fit (a seed), with its mean over contexts of their means over episodes. A single fit can
    only have its contexts redrawn, and of a single context the episodes; such an interval is of
    that fit, not of the method.

    Returns:
        `FITS`, `CONTEXTS` or `EPISODES`, and the returns (n_units,).
    """
    by_fit: dict[int, list[float]] = {}
    for (seed, _), (mean, _) in sorted(cell_means(rows).items()):
        by_fit.setdefault(seed, []).append(mean)
    if len(by_fit) > 1:
        return FITS, np.array([np.mean(means) for means in by_fit.values()])
    contexts = [mean for means in by_fit.values() for mean in means]
    if len(contexts) > 1:
        return CONTEXTS, np.array(contexts)
    return EPISODES, np.array([row["return"] for row in rows], dtype=float)


def what_intervals_redraw(drawn: Iterable[Points]) -> str:
    """Says what the intervals of a chart are over; empty without any.

    For instance "over 5 fits", or "over 2 to 3 fits, or over the episodes of one fit where no other
    played the value".
    """
    found = {redrawn for points in drawn for redrawn in points.redrawn}
    fits = sorted(redrawn.n for redrawn in found if redrawn.what == FITS)
    within = [what for what in (CONTEXTS, EPISODES) if what in {redrawn.what for redrawn in found}]
    alone = f"over the {' or '.join(within)} of one fit" if within else ""
    if not fits:
        return alone
    several = f"over {fits[0]} fits" if len(fits) == 1 else f"over {fits[0]} to {fits[-1]} fits"
    return f"{several}, or {alone} where no other played the value" if alone else several


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
