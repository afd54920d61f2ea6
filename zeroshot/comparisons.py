"""What the rows of a run say beyond a number a method: who is better, where, and how surely."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroshot.references import BLIND
from zeroshot.results import Row
from zeroshot.statistics import (
    difference_of_ratios,
    generalisation_gap,
    iqm,
    percentile_interval,
    performance_profile,
    probability_of_improvement,
    ratio,
    resamples_of_clusters,
    resamples_within_contexts,
    shares_of,
)
from zeroshot.summary import BOOTSTRAP_SEED, Cell, cells, cells_of, scores_of

Array = NDArray[np.float64]
ByCell = Mapping[Cell, tuple[float, float]]

Draw = Callable[..., NDArray[np.intp]]

N_RESAMPLES = 2000
"""Of the intervals here; there are as many as pairs of rows."""

TRIVIAL = ("nearest", BLIND, "best-of-direction", "interpolation", "interpolation-actions")
"""Rows that learn nothing: training experts chosen or averaged."""

PROFILE_TAUS = tuple(round(0.05 * i, 2) for i in range(25))
"""Scores at which performance profiles are evaluated, 0 to 1.2."""

WITHIN_CONTEXTS = "runs within contexts"
CLUSTERS = "runs, then contexts within each"


def compare(rows: Sequence[Row], methods: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a summary has beside `methods`.

    Args:
        rows: of a run.
        methods: as `summarise_methods` gives them, best first.

    Returns:
        `resampling`, what intervals redraw (see `resamples`); `vs`, for every method the pairwise
        comparison with every other row: `difference` of the ratios on the cells (seed, context)
        that both have, its 95 % interval `ci`, `probability` of improvement and `n_cells`;
        `as_good_as_learned`, the rows of `TRIVIAL` that the best learned method does not surely
        beat; `score_ci`, intervals of the scores that redraw runs as well; `profile`, the share of
        (seed, context) with a score above each of `taus`; and `gap`, what `ratio` and `score` lose
        from training to test contexts, for runs with training rows.
    """
    by_method = cells(rows)
    vs = {
        name: {
            other: _pair(by_method[name], by_method[other])
            for other in by_method
            if other != name and set(by_method[name]) & set(by_method[other])
        }
        for name in by_method
        if methods[name]["kind"] == "method"
    }
    scores = _scores(by_method)
    return {
        "resampling": {name: resamples(list(by_cell))[0] for name, by_cell in by_method.items()},
        "vs": vs,
        "as_good_as_learned": as_good_as_learned(methods, vs),
        "score_ci": {name: _score_interval(by_cell) for name, by_cell in scores.items()},
        "profile": {
            "taus": list(PROFILE_TAUS),
            "methods": {
                name: performance_profile(
                    np.array(list(by_cell.values())), np.array(PROFILE_TAUS)
                ).tolist()
                for name, by_cell in scores.items()
            },
        },
        "gap": _gaps(rows, by_method, scores),
    }


def resamples(found: Sequence[Cell]) -> tuple[str, NDArray[np.intp]]:
    """What a bootstrap over these cells redraws, and positions in them once sorted.

    Where two runs or more played the same contexts, runs are redrawn within each context. Else a
    run is a cluster: runs are redrawn, then as many contexts within each; of a single run only
    contexts can be.

    Returns:
        `WITHIN_CONTEXTS` or `CLUSTERS`, and positions (n_resamples, n_cells).

    Raises:
        ValueError: if the seeds differ in how many contexts they have, or there is none.
    """
    played: dict[int, list[tuple[float, ...]]] = {}
    for seed, context in sorted(found):
        played.setdefault(seed, []).append(context)
    runs = list(played.values())
    if len({len(run) for run in runs}) != 1:
        raise ValueError(f"all seeds must have as many contexts, got {list(map(len, runs))}")
    shared = len(runs) > 1 and all(run == runs[0] for run in runs)
    draw = resamples_within_contexts if shared else resamples_of_clusters
    return (WITHIN_CONTEXTS if shared else CLUSTERS), _drawn(draw, len(runs), len(runs[0]))


def as_good_as_learned(
    methods: Mapping[str, Mapping[str, Any]], vs: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Rows that learn nothing and that the best learned method does not surely beat.

    Those where the interval of the method's advantage contains 0 or lies below it, and all where
    there is but one cell, of which no interval can be had.
    """
    learned = [
        name for name, row in methods.items() if row["kind"] == "method" and name not in TRIVIAL
    ]
    if not learned:
        return []
    best = max(learned, key=lambda name: _rank(methods[name]))
    return [
        {"row": name, "learned": best, "difference": pair["difference"], "ci": pair["ci"]}
        for name, pair in vs[best].items()
        if name in TRIVIAL and interval_of(pair)[0] <= 0.0
    ]


def interval_of(pair: Mapping[str, Any]) -> tuple[float, float]:
    """The interval of a pairwise comparison; of a single cell none can be had: it is unbounded."""
    if pair.get("n_cells") == 1:
        return -np.inf, np.inf
    low, high = pair["ci"]
    return float(low), float(high)


def few_shot_curves(rows: Sequence[Row]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Protocol to method to one record a number of shots, `shots` ascending; empty without shots.

    Each record has `shots`, `return`, `ratio` and the 95 % interval `ci` of the ratio. 0 shots are
    the zero-shot rows, which every method has; one that a protocol cannot adapt has no others.
    """
    adapted = [row for row in rows if row.get("shots", 0) > 0]
    zero = cells(rows)
    kinds = {row["method"]: row["kind"] for row in rows}
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for protocol in sorted({row["protocol"] for row in adapted}):
        of_protocol = [row for row in adapted if row["protocol"] == protocol]
        by_shots = {
            shots: cells_of([row for row in of_protocol if row["shots"] == shots])
            for shots in sorted({row["shots"] for row in of_protocol})
        }
        adaptable = {row["method"] for row in of_protocol}
        found[protocol] = {
            name: [
                _point(shots, by_method[name])
                for shots, by_method in {0: zero, **by_shots}.items()
                if name in by_method
            ]
            for name in zero
            if name in adaptable or kinds[name] == "method"
        }
    return found


@lru_cache(maxsize=4)
def _drawn(draw: Draw, n_runs: int, n_contexts: int) -> NDArray[np.intp]:
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    return draw(n_runs, n_contexts, rng, n_resamples=N_RESAMPLES)


def _point(shots: int, by_cell: ByCell) -> dict[str, Any]:
    returns, expert = _columns(by_cell, sorted(by_cell))
    ids = resamples(list(by_cell))[1]
    spread = shares_of(returns[ids].mean(axis=1), expert[ids].mean(axis=1))
    return {
        "shots": shots,
        "return": float(returns.mean()),
        "ratio": ratio(returns, expert),
        "ci": percentile_interval(spread).tolist(),
    }


def _pair(x: ByCell, y: ByCell) -> dict[str, Any]:
    both = sorted(set(x) & set(y))
    mine, expert = _columns(x, both)
    other, _ = _columns(y, both)
    ids = resamples(both)[1]
    spread = difference_of_ratios(mine[ids], other[ids], expert[ids], axis=1)
    return {
        "difference": float(difference_of_ratios(mine, other, expert)),
        "ci": percentile_interval(spread).tolist(),
        "probability": probability_of_improvement(_matrix(both, mine), _matrix(both, other)),
        "n_cells": len(both),
    }


def _matrix(found: Sequence[Cell], values: Array) -> Array:
    """Values of cells as (n_seeds, n_contexts), NaN where a seed did not play a context."""
    seeds = {seed: i for i, seed in enumerate(sorted({seed for seed, _ in found}))}
    contexts = {c: i for i, c in enumerate(sorted({context for _, context in found}))}
    matrix = np.full((len(seeds), len(contexts)), np.nan)
    for (seed, context), value in zip(found, values, strict=True):
        matrix[seeds[seed], contexts[context]] = value
    return matrix


def _columns(by_cell: ByCell, chosen: Sequence[Cell]) -> tuple[Array, Array]:
    returns, expert = np.array([by_cell[cell] for cell in chosen]).T
    return returns, expert


def _scores(by_method: Mapping[str, ByCell]) -> dict[str, dict[Cell, float]]:
    """Scores by method and cell, of cells where the best context-blind policy was played."""
    blind = by_method.get(BLIND, {})
    found: dict[str, dict[Cell, float]] = {}
    for name, by_cell in by_method.items():
        scores = scores_of(by_cell, blind)
        if scores:
            found[name] = scores
    return found


def _score_interval(by_cell: Mapping[Cell, float]) -> list[float]:
    scores = np.array([by_cell[cell] for cell in sorted(by_cell)])
    ids = resamples(list(by_cell))[1]
    interval: list[float] = percentile_interval(iqm(scores[ids], axis=1)).tolist()
    return interval


def _gaps(
    rows: Sequence[Row],
    tested: Mapping[str, ByCell],
    test_scores: Mapping[str, Mapping[Cell, float]],
) -> dict[str, dict[str, float | None]]:
    trained = cells(rows, split="train")
    train_scores = _scores(trained)
    return {
        name: {
            "ratio": ratio(*_columns(by_cell, list(by_cell)))
            - ratio(*_columns(tested[name], list(tested[name]))),
            "score": generalisation_gap(
                np.array(list(train_scores[name].values())),
                np.array(list(test_scores[name].values())),
            )
            if name in train_scores and name in test_scores
            else None,
        }
        for name, by_cell in trained.items()
    }


def _rank(row: Mapping[str, Any]) -> tuple[float, float]:
    return (-np.inf if row["score"] is None else row["score"], row["ratio"])
