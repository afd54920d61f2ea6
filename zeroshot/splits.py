"""Which contexts of a suite are learned from and which are held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zeroshot.suites import Suite


@dataclass(frozen=True, kw_only=True)
class Split:
    """Positions in `suite.contexts`: disjoint, ascending, together all of them.

    Raises:
        ValueError: if a context is in both parts, or either part is empty.
    """

    train: tuple[int, ...]
    test: tuple[int, ...]

    def __post_init__(self) -> None:
        both = sorted(set(self.train) & set(self.test))
        if both:
            raise ValueError(f"a split may not share contexts, both parts have {both}")
        if not self.train or not self.test:
            raise ValueError(
                "a split needs training and test contexts, "
                f"got {len(self.train)} and {len(self.test)}"
            )


def random_split(suite: Suite, *, seed: int) -> Split:
    """Holds out `suite.n_test` contexts, drawn without replacement by `default_rng(seed)`.

    Raises:
        ValueError: if the suite is too small to hold out a context.
    """
    order = np.random.default_rng(seed).permutation(len(suite.contexts)).tolist()
    return Split(
        train=tuple(sorted(order[suite.n_test :])), test=tuple(sorted(order[: suite.n_test]))
    )
