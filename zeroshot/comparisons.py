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

ABLATED = "-without-"
"""In the names of methods that lack one of their parts."""

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
        `best_learned`, see there; `as_good_as_learned`, the rows of `TRIVIAL` that it does not
        surely beat; `score_ci`, intervals of the scores that redraw runs as well; `profile`, the
        share of (seed, context) with a score above each of `taus`; and `gap`, what `ratio` and
        `score` lose from training to test contexts, for runs with training rows.
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
    best = best_learned(by_method, {name: row["kind"] for name, row in methods.items()})
    return {
        "resampling": {name: resamples(list(by_cell))[0] for name, by_cell in by_method.items()},
        "vs": vs,
        "best_learned": best,
        "as_good_as_learned": [] if best is None else as_good_as_learned(best, vs[best]),
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


def best_learned(by_method: Mapping[str, ByCell], kinds: Mapping[str, str]) -> str | None:
    """The learned method with the highest ratio, which is also what pairs are compared by.

    On the cells that all learned methods have, if there are any. A method without one of its parts
    (`-without-`) is passed by where there is another: the best of many variants is so by chance.

    Args:
        by_method: method to its cells.
        kinds: method to `method` or `reference`.

    Returns:
        None if nothing has learned.
    """
    learned = [name for name in by_method if kinds[name] == "method" and name not in TRIVIAL]
    whole = [name for name in learned if ABLATED not in name] or learned
    return _highest(by_method, whole)


def as_good_as_learned(best: str, pairs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows that learn nothing and that a learned method does not surely beat.

    Those where the interval of the method's advantage contains 0 or lies below it, and all where
    there is but one cell, of which no interval can be had.

    Args:
        best: the method.
        pairs: other row to the method's comparison with it.
    """
    return [
        {"row": name, "learned": best, "difference": pair["difference"], "ci": pair["ci"]}
        for name, pair in pairs.items()
        if name in TRIVIAL and interval_of(pair)[0] <= 0.0
    ]


def interval_of(pair: Mapping[str, Any]) -> tuple[float, float]:
    """The interval of a pairwise comparison; of a single cell none can be had: it is unbounded."""
    low, high = pair["ci"]
    if pair.get("n_cells") == 1 or low is None:
        return -np.inf, np.inf
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


def few_shot_best(rows: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """What learning is worth once there are episodes of the test context.

    Returns:
        Protocol to one record a number of `shots` above 0, ascending: `learned` and `row`, the best
        learned method and the best row that learns nothing of those that the protocol adapts, with
        their ratios `learned_ratio` and `row_ratio` on the cells that both have, the `difference`
        and its 95 % interval `ci`. Empty without shots, or where one of the two is missing.
    """
    kinds = {row["method"]: row["kind"] for row in rows}
    found: dict[str, list[dict[str, Any]]] = {}
    adapted = [row for row in rows if row.get("shots", 0) > 0]
    for protocol, shots in sorted({(row["protocol"], row["shots"]) for row in adapted}):
        by_method = cells_of(
            [row for row in adapted if (row["protocol"], row["shots"]) == (protocol, shots)]
        )
        learned = best_learned(by_method, kinds)
        trivial = _highest(by_method, [name for name in by_method if name in TRIVIAL])
        if learned is None or trivial is None:
            continue
        ratios = _ratios(by_method, (learned, trivial))
        pair = _pair(by_method[learned], by_method[trivial])
        found.setdefault(protocol, []).append(
            {
                "shots": shots,
                "learned": learned,
                "learned_ratio": ratios[learned],
                "row": trivial,
                "row_ratio": ratios[trivial],
                "difference": pair["difference"],
                "ci": list(interval_of(pair)) if pair["n_cells"] > 1 else [None, None],
            }
        )
    return found


@lru_cache(maxsize=4)
def _drawn(draw: Draw, n_runs: int, n_contexts: int) -> NDArray[np.intp]:
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    return draw(n_runs, n_contexts, rng, n_resamples=N_RESAMPLES)


def _highest(by_method: Mapping[str, ByCell], names: Sequence[str]) -> str | None:
    """The method of the highest ratio, on the cells that all have, or else on its own."""
    ratios = _ratios(by_method, names)
    return max(ratios, key=lambda name: ratios[name], default=None)


def _ratios(by_method: Mapping[str, ByCell], names: Sequence[str]) -> dict[str, float]:
    shared = set.intersection(*(set(by_method[name]) for name in names)) if names else set()
    return {
        name: ratio(*_columns(by_method[name], sorted(shared or by_method[name]))) for name in names
    }


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
