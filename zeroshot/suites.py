"""Suites: literal records of what is compared, citable by name and version.

A change that changes results (grid, reward, zoo, split, episodes) raises `version`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

from param_envs import Context, Family, family_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Suite:
    """A grid of contexts of one family, and the rule by which methods are scored on it.

    Attributes:
        name: under which results are cited.
        env_id: the family's environment id.
        reward: the reward's meaning, one of the family's `reward_modes`.
        grid: feature to its values; contexts are all combinations. Features that are not named
            keep their defaults.
        zoo: name of the shipped experts, one for every context of the grid; the suite's own name
            by default.
        train_fraction: share of the contexts that methods may learn from, in (0, 1).
        n_episodes: test episodes a context.
        n_steps: longest episode in control steps, None for the family's own length.
        test_ids: positions in `contexts` that the split `tasks` holds out; none for no such split.
        train_sizes: numbers of contexts that `tasks:NUMBER` may learn from, ascending, the last all
            that are not held out.
        version: of the record.

    Raises:
        ValueError: for an unknown family, feature or reward, a value out of range, an empty or
            repeating grid, or numbers and positions that make no sense.
    """

    name: str
    env_id: str
    reward: str
    grid: Mapping[str, tuple[float, ...]] = field(repr=False)
    zoo: str = ""
    train_fraction: float = 0.85
    n_episodes: int = 10
    n_steps: int | None = None
    test_ids: tuple[int, ...] = ()
    train_sizes: tuple[int, ...] = ()
    version: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "zoo", self.zoo or self.name)
        self.family.check_reward_mode(self.reward)
        self.family.selected(self.grid)
        for name, values in self.grid.items():
            if not values or len(set(values)) != len(values):
                raise ValueError(f"`grid[{name!r}]` must hold distinct values, got {values}")
        if not 0.0 < self.train_fraction < 1.0:
            raise ValueError(f"`train_fraction` must be in (0, 1), got {self.train_fraction:g}")
        for name in ("n_episodes", "n_steps", "version"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}")
        if len(self.contexts) < 2:  # building them validates every value
            raise ValueError("`grid` must vary at least one feature, got one context")
        self._check_tasks()

    def _check_tasks(self) -> None:
        n, ids, sizes = len(self.contexts), self.test_ids, self.train_sizes
        if list(ids) != sorted(set(ids)) or not set(ids) <= set(range(n)):
            raise ValueError(f"`test_ids` must be ascending positions below {n}, got {ids}")
        if not ids and not sizes:
            return
        most = n - len(ids)
        if list(sizes) != sorted(set(sizes)) or not sizes or sizes[0] < 2 or sizes[-1] != most:
            raise ValueError(
                f"`train_sizes` must ascend from at least 2 to {most}, all that `test_ids` leaves, "
                f"got {sizes}"
            )

    @property
    def family(self) -> Family:
        """The family of the contexts."""
        return family_of(self.env_id)

    @cached_property
    def contexts(self) -> tuple[Context, ...]:
        """All contexts, the last feature of the grid varying fastest."""
        return tuple(
            self.family.context(**dict(zip(self.grid, values, strict=True)))
            for values in product(*self.grid.values())
        )

    @property
    def held_out(self) -> tuple[Context, ...]:
        """The contexts that the split `tasks` holds out, none if there is no such split."""
        return tuple(self.contexts[i] for i in self.test_ids)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that vary, in the family's order."""
        varied = {name for name, values in self.grid.items() if len(values) > 1}
        return tuple(f.name for f in self.family.features if f.name in varied)

    @property
    def n_test(self) -> int:
        """Contexts held out by a split: (1 - train_fraction) of all, rounded down."""
        return math.floor((1.0 - self.train_fraction) * len(self.contexts) + 1e-9)


def signed_steps(step: float, largest: float) -> tuple[float, ...]:
    """Multiples of `step` from -largest to largest, without 0.

    Raises:
        ValueError: if `largest` is not a multiple of `step`.
    """
    n = round(largest / step)
    if n < 1 or not math.isclose(n * step, largest):
        raise ValueError(f"`largest` must be a multiple of {step:g}, got {largest:g}")
    return tuple(round(i * step, 9) for i in range(-n, n + 1) if i != 0)


def steps(step: float, first: float, last: float) -> tuple[float, ...]:
    """Values from `first` to `last`, both included, `step` apart.

    Raises:
        ValueError: if `last` is not a whole number of steps, at least one, from `first`.
    """
    n = round((last - first) / step)
    if n < 1 or not math.isclose(first + n * step, last):
        raise ValueError(
            f"`last` must be a whole number of steps of {step:g} from {first:g}, got {last:g}"
        )
    return tuple(round(first + i * step, 9) for i in range(n + 1))


_GRIDS: dict[str, tuple[str, Mapping[str, tuple[float, ...]]]] = {
    "cheetah-speed": ("ParamCheetah-v0", {"speed": signed_steps(0.5, 10.0), "torso": (0.5,)}),
    "cheetah-torso": ("ParamCheetah-v0", {"speed": (4.0,), "torso": steps(0.01, 0.3, 0.7)}),
    "cheetah-speed-torso": (
        "ParamCheetah-v0",
        {"speed": signed_steps(1.0, 5.0), "torso": steps(0.05, 0.3, 0.7)},
    ),
    "walker-speed": ("ParamWalker-v0", {"speed": signed_steps(0.25, 5.0), "torso": (0.3,)}),
    "walker-torso": ("ParamWalker-v0", {"speed": (2.0,), "torso": steps(0.01, 0.1, 0.5)}),
    "walker-speed-torso": (
        "ParamWalker-v0",
        {"speed": signed_steps(1.0, 4.0), "torso": steps(0.05, 0.1, 0.5)},
    ),
    "finger-speed": ("ParamFinger-v0", {"speed": signed_steps(1.0, 15.0), "length": (0.16,)}),
    "finger-length": ("ParamFinger-v0", {"speed": (-10.0,), "length": steps(0.01, 0.1, 0.4)}),
    "finger-speed-length": (
        "ParamFinger-v0",
        {
            "speed": signed_steps(3.0, 12.0),
            "length": (0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.35, 0.4),
        },
    ),
}
"""HyperZero's grids. Its paper prints no joint grids, nor the speed of the length-only ones: those
are ours (the cheetah's joint one is the code's example, in both directions). Joint grids hold the
default body, so that their chains can start from the experts of the speeds. Speeds are m/s
(finger: rad/s), torsos half-lengths in m, lengths m."""


def uniform(low: float, high: float, n: int) -> tuple[float, ...]:
    """Values from `low` to `high`, both included, n of them equally far apart, to 9 decimals.

    Raises:
        ValueError: if `n` is below 2.
    """
    if n < 2:
        raise ValueError(f"`n` must be at least 2, got {n}")
    return tuple(round(low + i * (high - low) / (n - 1), 9) for i in range(n))


MACAW_DIRECTIONS = (
    1.203361, 0.426631, 4.944775, 4.123865, 4.005662, 3.616620, 0.245440, 2.248209, 5.941903,
    0.377272, 5.428937, 5.512179, 0.321659, 4.099267, 3.466756, 3.754286, 3.038100, 1.778067,
    1.870666, 3.528065, 2.488439, 4.955553, 2.629415, 0.904175, 0.948175, 0.347092, 4.511561,
    1.836684, 1.248933, 5.223614, 3.568793, 0.517356, 3.424327, 0.998767, 4.252223, 0.744383,
    2.795993, 5.579358, 5.009381, 0.427123, 6.036808, 4.141910, 4.516203, 4.672031, 5.577812,
    0.841605, 4.881875, 5.265256, 5.210676, 0.183199,
)  # fmt: skip
"""rad, the 50 directions of MACAW's and Prompt-DT's Ant-Dir, in their order: 2π times the 3rd to
52nd uniform number of `numpy.random.RandomState(17)`. Only the five that are held out could be
compared with the released files, to 4 decimals; all five agree."""

_CHEETAH_VEL: dict[str, Any] = {
    "env_id": "ParamCheetahVel-v0",
    "reward": "velocity",
    "n_steps": 200,
    "test_ids": (2, 7, 15, 23, 26),
    "train_sizes": (10, 15, 20, 25, 35),
}
_ANT_DIR: dict[str, Any] = {
    "env_id": "ParamAnt-v0",
    "reward": "direction",
    "n_steps": 200,
    "test_ids": (6, 17, 23, 30, 41),
    "train_sizes": (15, 25, 35, 45),
}

_GENHYPER = (
    Suite(name="cheetah-vel", grid={"velocity": uniform(0.0, 3.0, 40)}, **_CHEETAH_VEL),
    Suite(name="cheetah-vel-macaw", grid={"velocity": steps(0.075, 0.075, 3.0)}, **_CHEETAH_VEL),
    Suite(name="ant-dir", grid={"direction": uniform(0.0, 2.0 * math.pi, 50)}, **_ANT_DIR),
    Suite(name="ant-dir-macaw", grid={"direction": MACAW_DIRECTIONS}, **_ANT_DIR),
)
"""GenHyper's grids. Its figures label tasks as a uniform grid would (velocities 0.154 and 2.846,
direction 0.769); the rows that it compares with were measured on the grids of MACAW. In `ant-dir`
the first and the last direction, 0 and 2π, are the same task; only in
`tasks` are they never on two sides of a split."""

_RECORDS = tuple(
    Suite(name=f"{name}{suffix}", env_id=env_id, reward=reward, grid=grid)
    for name, (env_id, grid) in _GRIDS.items()
    for reward, suffix in (("track", ""), ("reach", "-reach"))
)


def registry(records: tuple[Suite, ...]) -> dict[str, Suite]:
    """Suites by name.

    Raises:
        ValueError: if two have the same name.
    """
    by_name: dict[str, Suite] = {}
    for suite in records:
        if suite.name in by_name:
            raise ValueError(f"suite {suite.name!r} is registered twice")
        by_name[suite.name] = suite
    return by_name


SUITES = registry((*_RECORDS, *_GENHYPER))
"""Every suite, by name."""


def suite_of(name: str) -> Suite:
    """The suite of that name.

    Raises:
        ValueError: if there is none; says which there are.
    """
    if name not in SUITES:
        raise ValueError(f"unknown suite {name!r}, allowed are {sorted(SUITES)}")
    return SUITES[name]
