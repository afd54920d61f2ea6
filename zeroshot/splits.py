"""Which contexts of a suite are learned from and which are held out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from param_envs import Feature
from zeroshot.suites import Suite

RULES = ("random", "gap", "extrapolation", "quadrant", "tasks")

FEWEST_TRAINING = 2
"""Training contexts that a random split leaves at least."""

GAP = 0.2
"""Share of a feature's values, in the middle of its range, that `gap` holds out."""

ENDS = 0.2
"""Share of a feature's values, at the ends of its range, that `extrapolation` holds out."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Positions in `suite.contexts`: disjoint, ascending, together all of them.

    `tasks:NUMBER` alone leaves some out of both.

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


@dataclass(frozen=True, kw_only=True)
class SplitRule:
    """By which rule contexts are held out; `str` gives its name in files and rows.

    Attributes:
        name: one of `RULES`.
        fraction: share of the contexts to learn from, in (0, 1), for `random` alone.
        size: number of contexts to learn from, for `tasks` alone.

    Raises:
        ValueError: for another name, or a fraction or size where none belongs, or one out of range.
    """

    name: str
    fraction: float | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise ValueError(f"`split` must be one of {_allowed()}, got {self.name!r}")
        if (self.name == "random") != (self.fraction is not None):
            raise ValueError(f"`split` must have a fraction exactly if it is random, got {self!s}")
        if self.fraction is not None and not 0.0 < self.fraction < 1.0:
            raise ValueError(f"`split` must have a fraction in (0, 1), got {self!s}")
        if (self.name == "tasks") != (self.size is not None):
            raise ValueError(f"`split` must have a number exactly if it is tasks, got {self!s}")

    @property
    def shared(self) -> bool:
        """Whether all seeds hold out the same contexts; the seed decides the fit alone."""
        return self.name != "random"

    def __str__(self) -> str:
        amount = self.size if self.fraction is None else self.fraction
        return self.name if amount is None else f"{self.name}:{amount!r}"


def rule_of(text: str, suite: Suite) -> SplitRule:
    """The rule of a text such as `random:0.2`, `gap` or `tasks:15`.

    `random` has the suite's own fraction, `tasks` learns from all that it does not hold out.

    Raises:
        ValueError: if there is none; says what is allowed.
    """
    name, colon, fraction = text.partition(":")
    if name == "tasks":
        return _tasks_rule(fraction if colon else None, text, suite)
    if not colon:
        return SplitRule(name=name, fraction=suite.train_fraction if name == "random" else None)
    try:
        share = float(fraction)
    except ValueError:
        raise ValueError(f"`split` must be one of {_allowed()}, got {text!r}") from None
    return SplitRule(name=name, fraction=share)


def random_split(suite: Suite, *, seed: int, train_fraction: float | None = None) -> Split:
    """Holds out contexts that are drawn without replacement by `default_rng(seed)`.

    (1 - train_fraction) of all, rounded down, but never so many that fewer than `FEWEST_TRAINING`
    are left. At one seed the test contexts of a large fraction are among those of a smaller one.

    Args:
        suite: whose contexts.
        seed: of the draw.
        train_fraction: share to learn from, the suite's own by default.

    Raises:
        ValueError: if the suite is too small to hold out a context.
    """
    n = len(suite.contexts)
    n_test = suite.n_test
    if train_fraction is not None:
        n_test = math.floor((1.0 - train_fraction) * n + 1e-9)
    n_test = min(n_test, n - FEWEST_TRAINING)
    order = np.random.default_rng(seed).permutation(n).tolist()
    return Split(train=tuple(sorted(order[n_test:])), test=tuple(sorted(order[:n_test])))


def gap_split(suite: Suite) -> Split:
    """Holds out a block of values in the middle of the range of every feature that varies.

    The middle `GAP` of its values, in each direction for a feature that has two; a context is held
    out if any of its values is. What is asked lies between trained values.

    Raises:
        ValueError: if a feature has too few values.
    """
    return _without(suite, _middle, "gap", 3)


def extrapolation_split(suite: Suite) -> Split:
    """Holds out the ends of the range of every feature that varies: beyond what is trained.

    Half of `ENDS` of its values at either end; of a feature with two directions `ENDS` of the
    values in each, the largest magnitudes, since below the smallest the other direction begins. A
    context is held out if any of its values is. Angles have no ends.

    Raises:
        ValueError: if a feature has too few values, or none has ends.
    """
    return _without(suite, _ends, "extrapolation", 4)


def quadrant_split(suite: Suite) -> Split:
    """Holds out where two features are both in the upper half of their values.

    Each half of either feature is trained, this combination is not. A speed with as many backward
    as forward values is in its upper half when it is forward.

    Raises:
        ValueError: if not exactly two features vary.
    """
    if len(suite.features) != 2:
        raise ValueError(
            "`split` quadrant needs two features that vary, "
            f"{suite.name} has {list(suite.features)}"
        )
    upper: dict[str, set[float]] = {}
    for name in suite.features:
        values = sorted({context[name] for context in suite.contexts})
        upper[name] = set(values[math.ceil(len(values) / 2) :])
    return _split_where(
        suite, lambda context: all(context[name] in values for name, values in upper.items())
    )


def tasks_split(suite: Suite, size: int) -> Split:
    """Holds out `suite.test_ids`, and learns from `size` of the others.

    By growing value, these are evenly spread over the others: from the first to the last, or for
    an angle, whose range has no ends, from the first to one spacing before it comes round. In a
    suite with two features the last one of its grid varies fastest.

    Raises:
        ValueError: if the suite has no such split, or not of that size.
    """
    if size not in suite.train_sizes:
        raise ValueError(
            f"`split` tasks must have one of the numbers {list(suite.train_sizes)} of "
            f"{suite.name}, got {size}"
        )
    kept = [i for i in range(len(suite.contexts)) if i not in suite.test_ids]
    kept.sort(key=lambda i: [suite.contexts[i][name] for name in suite.features])
    around = [f.encoding == "angle" for f in suite.family.selected(suite.features)] == [True]
    spacing = len(kept) / size if around else (len(kept) - 1) / (size - 1)
    train = sorted(kept[math.floor(k * spacing + 0.5 * (not around))] for k in range(size))
    return Split(train=tuple(train), test=suite.test_ids)


def rules_for(suite: Suite) -> tuple[str, ...]:
    """Names of the rules that make sense for a suite's features."""
    ends = any(f.encoding != "angle" for f in suite.family.selected(suite.features))
    fitting = {
        "extrapolation": ends,
        "quadrant": len(suite.features) == 2,
        "tasks": bool(suite.test_ids),
    }
    return tuple(name for name in RULES if fitting.get(name, True))


def draw(suite: Suite, rule: SplitRule, *, seed: int) -> Split:
    """The split of a rule as the rule says it; `zeroshot.frozen.split_of` looks into files first.

    Raises:
        ValueError: if the suite is too small for the rule, or lacks the features.
    """
    if rule.name == "random":
        return random_split(suite, seed=seed, train_fraction=rule.fraction)
    if rule.size is not None:
        return tasks_split(suite, rule.size)
    named = {"gap": gap_split, "extrapolation": extrapolation_split, "quadrant": quadrant_split}
    return named[rule.name](suite)


def _middle(feature: Feature, values: list[float]) -> list[float]:
    n = max(1, round(GAP * len(values)))
    first = (len(values) - n) // 2
    return values[first : first + n]


def _ends(feature: Feature, values: list[float]) -> list[float]:
    if feature.encoding == "angle":
        return []
    if feature.encoding == "signed":
        return values[-max(1, round(ENDS * len(values))) :]
    n = max(1, round(0.5 * ENDS * len(values)))
    return values[:n] + values[-n:]


def _without(
    suite: Suite, block: Callable[[Feature, list[float]], list[float]], rule: str, fewest: int
) -> Split:
    """Holds out contexts with a value in a block; blocks are of values by growing magnitude."""
    held_out: dict[str, set[float]] = {}
    for feature in suite.family.selected(suite.features):
        values = sorted({context[feature.name] for context in suite.contexts})
        parts = [values]
        if feature.encoding == "signed":
            parts = [[v for v in reversed(values) if v < 0], [v for v in values if v > 0]]
        for part in filter(None, parts):
            if len(part) < fewest:
                raise ValueError(
                    f"`split` {rule} needs at least {fewest} values of `{feature.name}`"
                    f"{' in each direction' if len(parts) == 2 else ''}, got {len(part)}"
                )
            held_out.setdefault(feature.name, set()).update(block(feature, part))
    return _split_where(
        suite, lambda context: any(context[name] in values for name, values in held_out.items())
    )


def _split_where(suite: Suite, held_out: Callable[[Mapping[str, float]], bool]) -> Split:
    test = tuple(i for i, context in enumerate(suite.contexts) if held_out(context))
    return Split(train=tuple(sorted(set(range(len(suite.contexts))) - set(test))), test=test)


def _allowed() -> str:
    return "random, random:FRACTION, gap, extrapolation, quadrant, tasks, tasks:NUMBER"


def _tasks_rule(number: str | None, text: str, suite: Suite) -> SplitRule:
    if not suite.train_sizes:
        raise ValueError(f"`split` tasks needs a suite with `test_ids`, {suite.name} has none")
    if number is None:
        return SplitRule(name="tasks", size=suite.train_sizes[-1])
    if not number.isdecimal() or int(number) not in suite.train_sizes:
        raise ValueError(
            f"`split` tasks must have one of the numbers {list(suite.train_sizes)} of "
            f"{suite.name}, got {text!r}"
        )
    return SplitRule(name="tasks", size=int(number))
