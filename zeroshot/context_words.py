"""Contexts as the command line has them: feature=value words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from param_envs import Context, Family
from zeroshot.suites import Suite

PRINTED = 1e-5
"""Values that differ by less, relatively, print alike: names of experts have six digits."""
N_SHOWN = 12
"""Values of a grid that an error lists; of more, the first and the last."""


def suite_context(suite: Suite, words: Sequence[str]) -> Context:
    """A context from words, on the suite's grid or not.

    A feature that the suite fixes has its value there unless it is named, and a value of the grid
    as it is printed is that value.

    Raises:
        ValueError: for a word that is no assignment, an unknown feature, or a value out of range.
    """
    fixed = {name: values[0] for name, values in suite.grid.items() if len(values) == 1}
    values = {**fixed, **_parsed(suite.family, words)}
    for name, grid in suite.grid.items():
        if name in values:
            alike = [v for v in grid if math.isclose(values[name], v, rel_tol=PRINTED)]
            values[name] = alike[0] if alike else values[name]
    return suite.family.context(**values)


def grid_contexts(suite: Suite, chosen: Sequence[str]) -> tuple[Context, ...]:
    """Contexts of a suite's grid, each from words with commas between: `speed=2,torso=0.5`.

    Raises:
        ValueError: as `suite_context`, for a context that the suite lacks, or one that is repeated.
    """
    contexts: list[Context] = []
    for words in chosen:
        context = suite_context(suite, words.split(","))
        if context not in suite.contexts:
            grid = ", ".join(f"{name} in {_shown(suite.grid[name])}" for name in suite.features)
            raise ValueError(f"{words!r} is not a context of {suite.name}, which has {grid}")
        if context in contexts:
            raise ValueError(f"contexts must be distinct, got {words!r} twice")
        contexts.append(context)
    return tuple(contexts)


def _parsed(family: Family, words: Sequence[str]) -> dict[str, float]:
    known = {feature.name: feature for feature in family.features}
    values: dict[str, float] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name or name in values:
            raise ValueError(f"`context` must be feature=value once a feature, got {word!r}")
        try:
            values[name] = float(text)
        except ValueError:
            allowed = known[name].allowed if name in known else "of the family"
            raise ValueError(f"`{name}` must be a number {allowed}, got {text!r}") from None
    return values


def _shown(values: Sequence[float]) -> str:
    texts = [f"{value:g}" for value in values]
    if len(texts) > N_SHOWN:
        texts = [*texts[:3], "...", *texts[-2:]]
    return f"({', '.join(texts)})"
