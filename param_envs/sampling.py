"""Samplers: which context the next episode has.

The environment owns its sampler, so that it survives every kind of auto-reset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from param_envs.context import Feature
from param_envs.families import FAMILIES
from param_envs.family import Family

ContextSampler = Callable[[np.random.Generator], Mapping[str, float]]
"""Draws the context, or some of its features: the others stay as the environment was made.

Every draw comes from the generator that it is given, the environment's own.
"""


class UniformSampler:
    """Uniform over the ranges of some features; others can be fixed, or are the environment's."""

    def __init__(
        self,
        family: Family | str,
        features: Sequence[str] | Mapping[str, tuple[float, float]] | None = None,
        **fixed: float,
    ) -> None:
        """Prepares to vary `features` of `family`.

        Args:
            family: the family, or the id under which it is registered.
            features: their names, all by default; or their ranges by name, `{"speed": (1, 3)}`.
            **fixed: values of others.

        Raises:
            TypeError: for something else than a family or an id.
            ValueError: for an unknown id or feature, a fixed value or an end of a range that is not
                allowed, a range without a width, or a feature that is both varied and fixed.
        """
        family = _family(family)
        names = [f.name for f in family.selected(features)]
        ranges = features if isinstance(features, Mapping) else {}
        self._varied = [
            (f, *_range(f, *ranges.get(f.name, (f.low, f.high))))
            for f in family.features
            if f.name in names and f.name not in fixed
        ]
        both = sorted(set(fixed) & set(features or ()))
        if both:
            raise ValueError(f"features {both} cannot be both varied and fixed")
        self._fixed = {name: family.context(**fixed)[name] for name in fixed}

    def __call__(self, rng: np.random.Generator) -> dict[str, float]:
        """Draws the varied features, beside the fixed; 0 is skipped where a feature excludes it."""
        drawn = dict(self._fixed)
        for feature, low, high in self._varied:
            value = float(rng.uniform(low, high))
            while feature.encoding == "signed" and value == 0.0:
                value = float(rng.uniform(low, high))
            drawn[feature.name] = value
        return drawn


def _family(family: Family | str) -> Family:
    if isinstance(family, Family):
        return family
    if isinstance(family, str) and family in FAMILIES:
        return FAMILIES[family]
    kind = ValueError if isinstance(family, str) else TypeError
    raise kind(f"`family` must be a Family or one of {sorted(FAMILIES)}, got {family!r}")


def _range(feature: Feature, low: float, high: float) -> tuple[float, float]:
    if not feature.low <= low < high <= feature.high:
        raise ValueError(
            f"`{feature.name}` must have a range {feature.allowed}, got ({low!r}, {high!r})"
        )
    return low, high


class ListSampler:
    """Uniform over a list of contexts, such as the training contexts of a suite.

    What one of them does not name is as the environment was made.
    """

    def __init__(self, contexts: Sequence[Mapping[str, float]]) -> None:
        """Stores the contexts.

        Raises:
            TypeError: if one of them is no mapping.
            ValueError: if there is none.
        """
        if not contexts:
            raise ValueError("`contexts` must hold at least one context, got none")
        for context in contexts:
            if not isinstance(context, Mapping):
                raise TypeError(f"`contexts` must map features to values, got {context!r}")
        self._contexts = tuple(contexts)

    def __call__(self, rng: np.random.Generator) -> Mapping[str, float]:
        """Draws one of the contexts."""
        return self._contexts[int(rng.integers(len(self._contexts)))]
