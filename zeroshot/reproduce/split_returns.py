"""Numbers of one run on the splits that all of several rows were played on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroshot.statistics import ratio

Record = Mapping[str, Any]


def common_returns(
    record: Record, names: Sequence[str]
) -> tuple[dict[str, NDArray[np.float64]], int]:
    """Mean returns split by split, and how many splits these are.

    Args:
        record: a small file, or as `read_results` gives it, that tells returns split by split.
        names: of methods and rows; those that the record lacks are left out.
    """
    rows = {name: record["methods"][name] for name in names if name in record["methods"]}
    shared = sorted(set.intersection(*(set(row["own_seeds"]) for row in rows.values())))
    return {name: returns_on(row, shared) for name, row in rows.items()}, len(shared)


def returns_on(row: Record, seeds: Sequence[int]) -> NDArray[np.float64]:
    """Mean returns (n_seeds,) of a method's row on those splits, in their order."""
    by_seed = dict(zip(row["own_seeds"], row["returns"], strict=True))
    return np.array([by_seed[seed] for seed in seeds])


def common_ratios(record: Record, names: Sequence[str]) -> tuple[dict[str, float], int]:
    """Ratios on the splits that all of several methods were played on, and how many these are.

    Args:
        record: as `read_results` gives it.
        names: of methods and rows; those that the record lacks are left out.

    Returns:
        Name to 1 plus the difference to the experts' return over its size. Where a file does not
        tell returns split by split, it is the ratio on all splits.
    """
    rows = {name: record["methods"][name] for name in names if name in record["methods"]}
    told = [*rows.values(), record["methods"].get("expert", {})]
    if not all("returns" in row for row in told):
        seeds = set.intersection(*(set(row["own_seeds"]) for row in rows.values()))
        return {name: row["ratio"] for name, row in rows.items()}, len(seeds)
    returns, splits = common_returns(record, [*rows, "expert"])
    return {name: ratio(returns[name], returns["expert"]) for name in rows}, splits
