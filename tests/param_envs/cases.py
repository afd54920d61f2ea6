"""What the contract tests run over: every registered family, and contexts that differ in it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from param_envs import FAMILIES, Context, Family

ENV_IDS = tuple(FAMILIES)
SPEED_ENV_IDS = ("ParamCheetah-v0", "ParamWalker-v0", "ParamFinger-v0")
"""The families with the rewards `track` and `reach`."""


def spread(family: Family, n: int) -> list[Context]:
    """`n` contexts in which every feature differs, none at 0 or at the end of its range."""
    fractions = (np.arange(n) + 0.4) / n
    return [
        family.context(**{f.name: float(f.low + x * (f.high - f.low)) for f in family.features})
        for x in fractions
    ]


def actions(family: Family, n_steps: int, n: int, seed: int = 0) -> Iterator[NDArray[np.float32]]:
    """Random actions (n, action_size), one array a step."""
    rng = np.random.default_rng(seed)
    for _ in range(n_steps):
        yield rng.uniform(-1.0, 1.0, (n, family.action_size)).astype(np.float32)
