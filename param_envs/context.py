"""Features and contexts: which parameters a family has, and one assignment of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FeatureKind = Literal["reward", "dynamics"]
FeatureEncoding = Literal["linear", "signed", "angle"]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One parameter of a context.

    Attributes:
        name: keyword under which the value is passed to `gym.make`.
        kind: `reward` changes only the reward, `dynamics` the compiled body.
        default: value of the published, unchanged environment.
        low: smallest allowed value.
        high: largest allowed value.
        unit: physical unit, or `1` for a ratio.
        doc: one line on what it changes.
        encoding: how `encode` maps the value into [-1, 1]. `linear` scales the range;
            `signed` gives (direction, scaled magnitude) and excludes 0, since behaviour jumps
            where a direction flips; `angle` gives (cos, sin), which has no seam at 2π.
    """

    name: str
    kind: FeatureKind
    default: float
    low: float
    high: float
    unit: str
    doc: str
    encoding: FeatureEncoding = "linear"

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"`{self.name}` needs low < high, got [{self.low}, {self.high}]")
        self.validate(self.default)

    @property
    def allowed(self) -> str:
        """The allowed values, as error messages print them."""
        without_zero = " without 0" if self.encoding == "signed" else ""
        return f"in [{_exact(self.low)}, {_exact(self.high)}]{without_zero} ({self.unit})"

    @property
    def encoded_size(self) -> int:
        """Length of `encode`'s result."""
        return 1 if self.encoding == "linear" else 2

    def validate(self, value: float) -> float:
        """Returns `value` as a float.

        Raises:
            ValueError: if it is not a finite number in the allowed range.
        """
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(
                f"`{self.name}` must be a number {self.allowed}, got {value!r}"
            ) from None
        zero = self.encoding == "signed" and number == 0.0
        if not math.isfinite(number) or not self.low <= number <= self.high or zero:
            raise ValueError(f"`{self.name}` must be {self.allowed}, got {_exact(number)}")
        return number

    def encode(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Encodes `values` (n,) as (n, encoded_size), every entry in [-1, 1]."""
        values = np.asarray(values, dtype=np.float64)
        if self.encoding == "angle":
            return np.stack([np.cos(values), np.sin(values)], axis=-1)
        if self.encoding == "signed":
            return np.stack([np.sign(values), 2.0 * self.magnitudes(values) - 1.0], axis=-1)
        scaled = 2.0 * (values - self.low) / (self.high - self.low) - 1.0
        return scaled[..., None]

    def magnitudes(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sizes of `values` as shares of the largest allowed one, in [0, 1]."""
        return np.abs(values) / max(abs(self.low), abs(self.high))


def _exact(number: float) -> str:
    """The number as `:g` prints it, in full where that is another number."""
    return f"{number:g}" if float(f"{number:g}") == number else repr(number)


class Context(Mapping[str, float]):
    """A frozen, validated value for every feature of a family; hashable, and a `Mapping`."""

    __slots__ = ("_values",)
    _values: dict[str, float]

    def __init__(self, features: Sequence[Feature], values: Mapping[str, float]) -> None:
        """Fills absent features with their defaults.

        Raises:
            ValueError: for an unknown feature or a value out of range.
        """
        known = {feature.name: feature for feature in features}
        for name in values:
            if name not in known:
                raise ValueError(f"unknown feature `{name}`, allowed are {sorted(known)}")
        full = {
            name: feature.validate(values.get(name, feature.default))
            for name, feature in known.items()
        }
        object.__setattr__(self, "_values", full)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Context is frozen; make a new one with `replace`")

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Mapping):
            return dict(self._values) == dict(other)
        return NotImplemented

    def __repr__(self) -> str:
        return f"Context({', '.join(f'{k}={v:g}' for k, v in self._values.items())})"

    def __reduce__(self) -> tuple[object, ...]:
        return _restore_context, (dict(self._values),)


def _restore_context(values: dict[str, float]) -> Context:
    context = Context.__new__(Context)
    object.__setattr__(context, "_values", values)
    return context


def stack_contexts(contexts: Sequence[Mapping[str, float]]) -> dict[str, NDArray[np.float64]]:
    """Columns of a sequence of contexts: feature name to values (n_contexts,)."""
    return {name: np.array([c[name] for c in contexts], dtype=np.float64) for name in contexts[0]}
