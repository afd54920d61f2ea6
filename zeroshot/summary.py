"""From rows to one number a method, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroshot.references import BLIND
from zeroshot.results import Row
from zeroshot.statistics import iqm, iqm_interval, normalised_score, ratio

Array = NDArray[np.float64]
Cell = tuple[int, tuple[float, ...]]
"""A split seed and the values of a context."""

BOOTSTRAP_SEED = 0


def cells(
    rows: Sequence[Row], *, split: str = "test"
) -> dict[str, dict[Cell, tuple[float, float]]]:
    """Method to cell to (mean return over the episodes, expert's return).

    Args:
        rows: of a run.
        split: of the rows that count, `test` or `train`; few-shot rows never do.
    """
    return cells_of([row for row in rows if row["split"] == split and not row.get("shots")])


def cells_of(rows: Sequence[Row]) -> dict[str, dict[Cell, tuple[float, float]]]:
    """The same of all rows, whatever their split."""
    episodes: dict[str, dict[Cell, list[tuple[float, float]]]] = {}
    for row in rows:
        cell = (row["seed"], tuple(row["context"].values()))
        pair = (row["return"], row["expert_return"])
        episodes.setdefault(row["method"], {}).setdefault(cell, []).append(pair)
    return {
        method: {cell: tuple(np.mean(pairs, axis=0).tolist()) for cell, pairs in by_cell.items()}
        for method, by_cell in episodes.items()
    }


def summarise_methods(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """The `methods` of a summary, best score first.

    Each has `kind`; `return`, the mean over seeds, test contexts and episodes; `ratio`, that over
    the experts' mean return in the same contexts; `score`, the interquartile mean over (seed,
    context) of `normalised_score`; `ci`, its 95 % bootstrap interval, stratified by seed;
    `fit_seconds`, the mean over seeds; and `copies`, see `share_of_copies`. Score and interval are
    None while the row of the best context-blind policy is unfinished for every seed that the method
    has; the interval is also None of a single cell.

    Raises:
        ValueError: naming a context in which neither the expert nor the best context-blind policy
            earns anything: no score can be had there.
    """
    by_method = cells(rows)
    last = {(row["method"], row["seed"]): row for row in rows}
    blind = by_method.get(BLIND, {})
    found: dict[str, dict[str, Any]] = {}
    for method, by_cell in by_method.items():
        units = [row for (name, _), row in last.items() if name == method]
        returns, expert = np.array(list(by_cell.values())).T
        score, interval = _score(scores_of(by_cell, blind))
        found[method] = {
            "kind": units[0]["kind"],
            "return": float(returns.mean()),
            "ratio": ratio(returns, expert),
            "score": score,
            "ci": interval,
            "fit_seconds": float(np.mean([row["fit_seconds"] for row in units])),
            "copies": share_of_copies([row for row in rows if row["method"] == method]),
        }
    return dict(sorted(found.items(), key=lambda item: -_or_lowest(item[1]["score"])))


def share_of_copies(rows: Sequence[Row]) -> float | None:
    """Of all zero-shot policies for test contexts, those that are a training expert's own.

    Args:
        rows: of one method.

    Returns:
        The share over seeds and contexts; None where a row does not say whose its policy is.
    """
    test = [row for row in rows if row["split"] == "test" and not row.get("shots")]
    if not test or any("expert_of" not in row for row in test):
        return None
    own = {(row["seed"], *row["context"].values()): row["expert_of"] is not None for row in test}
    return float(np.mean(list(own.values())))


def scores_of(
    by_cell: Mapping[Cell, tuple[float, float]], blind: Mapping[Cell, tuple[float, float]]
) -> dict[Cell, float]:
    """`normalised_score` of the cells, sorted, in which the best context-blind policy was played.

    Raises:
        ValueError: naming a context in which neither the expert nor that policy earns anything.
    """
    chosen = sorted(cell for cell in by_cell if cell in blind)
    for seed, context in chosen:
        if by_cell[seed, context][1] == 0.0 and blind[seed, context][0] >= 0.0:
            raise ValueError(
                "scores need an expert that earns something, or a best context-blind policy that "
                f"earns less, got an expert's return of 0 in the context {list(context)}"
            )
    if not chosen:
        return {}
    returns, expert = np.array([by_cell[cell] for cell in chosen]).T
    scores = normalised_score(returns, expert, np.array([blind[cell][0] for cell in chosen]))
    return dict(zip(chosen, scores.tolist(), strict=True))


def _score(scores: Mapping[Cell, float]) -> tuple[float | None, list[float | None]]:
    if not scores:
        return None, [None, None]
    values = np.array(list(scores.values()))
    if len(values) == 1:
        return float(iqm(values)), [None, None]
    n_seeds = len({seed for seed, _ in scores})
    by_seed = values.reshape(n_seeds, -1).T  # every split holds out as many contexts
    low, high = iqm_interval(by_seed, np.random.default_rng(BOOTSTRAP_SEED))
    return float(iqm(values)), [low, high]


def _or_lowest(score: float | None) -> float:
    return -np.inf if score is None else score
