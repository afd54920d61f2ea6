"""Two zoos of one suite: what their experts return from the same starts, and what they took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from experts import Experts, load_experts, play
from param_envs import Context
from zeroshot.leaderboard import print_table
from zeroshot.progress import say
from zeroshot.statistics import ratio, shares_of

STARTS = 4_000_003
"""Added to the seed of the starts: no training, selection or evaluation of an expert has them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ZooComparison:
    """What two zoos return, and took, in the contexts that both have.

    Attributes:
        contexts: n contexts.
        returns: mean return (2, n) of the first and the second zoo's expert.
        seconds: of training (2,), summed over the contexts as manifests have them; NaN where one
            has none. A repaired expert has those of its last training alone, and an anchor that was
            warm-started from another zoo none of that zoo's.
        steps: environment steps of training (2,), in the same way.
        warm_started: experts (2,) that started from another one.
    """

    contexts: tuple[Context, ...]
    returns: NDArray[np.float64]
    seconds: NDArray[np.float64]
    steps: NDArray[np.int64]
    warm_started: NDArray[np.int64]

    @property
    def return_ratio(self) -> float:
        """Mean return of the second zoo over the first one's, as `statistics.ratio` has it."""
        return ratio(self.returns[1], self.returns[0])

    @property
    def smallest_ratio(self) -> float:
        """The return ratio of the context that has the smallest."""
        return float(shares_of(self.returns[1], self.returns[0]).min())

    @property
    def speedup(self) -> float:
        """How many times the second zoo's seconds the first zoo took."""
        with np.errstate(divide="ignore", invalid="ignore"):  # seconds are rounded to tenths
            return float(self.seconds[0] / self.seconds[1])


def compare_zoos(
    first: Path,
    second: Path,
    *,
    n_episodes: int = 20,
    seed: int = 0,
    n_steps: int | None = None,
    n_threads: int = 0,
) -> ZooComparison:
    """Plays the experts of two folders in the contexts that both have, from the same starts.

    Args:
        first: folder of experts, those trained independently for instance.
        second: another one of the same family and reward, the chained ones for instance.
        n_episodes: episodes a context.
        seed: of the starts.
        n_steps: longest episode, the family's own by default.
        n_threads: threads to step on, 0 for all cores.

    Raises:
        FileNotFoundError: if a folder has no experts.
        ValueError: if the folders differ in family or reward, share no context, or a number makes
            no sense.
    """
    zoos = load_experts(first), load_experts(second)
    for name, of_first, of_second in (
        ("family", zoos[0].family.env_id, zoos[1].family.env_id),
        ("reward", zoos[0].reward, zoos[1].reward),
    ):
        if of_first != of_second:
            raise ValueError(
                f"both zoos must have the same {name}, {first} has {of_first!r}, "
                f"{second} has {of_second!r}"
            )
    contexts = tuple(context for context in zoos[0].contexts if context in zoos[1].contexts)
    if not contexts:
        raise ValueError(f"{first} and {second} must have contexts in common, they have none")
    shared = [_select(experts, contexts) for experts in zoos]
    returns = [
        play(
            experts.policies,
            experts.family,
            contexts,
            reward=experts.reward,
            n_episodes=n_episodes,
            seed=STARTS + seed,
            n_steps=n_steps,
            n_threads=n_threads,
        ).returns.mean(axis=1)
        for experts in shared
    ]
    return ZooComparison(
        contexts=contexts,
        returns=np.array(returns),
        seconds=np.array([_total(experts.records, "seconds", np.nan) for experts in shared]),
        steps=np.array([_total(experts.records, "steps", 0) for experts in shared], dtype=np.int64),
        warm_started=np.array(
            [sum(bool(r.get("warm_start")) for r in experts.records) for experts in shared]
        ),
    )


def print_comparison(found: ZooComparison, first: Path, second: Path, console: Console) -> None:
    """Prints a line a zoo, and the ratios.

    Args:
        found: of the two zoos.
        first: folder of the first.
        second: folder of the second.
        console: to print on.
    """
    table = Table(title=f"{len(found.contexts)} contexts")
    table.add_column("zoo", overflow="fold")
    for name in ("return", "smallest", "warm-started", "steps", "training (s)"):
        table.add_column(name, justify="right")
    for i, path in enumerate((first, second)):
        seconds = found.seconds[i]
        table.add_row(
            str(path),
            f"{found.returns[i].mean():.1f}",
            f"{found.returns[i].min():.1f}",
            str(found.warm_started[i]),
            f"{found.steps[i]:,}",
            "not recorded" if np.isnan(seconds) else f"{seconds:.1f}",
        )
    print_table(table, console)
    say(
        console,
        f"return of the second over the first: {found.return_ratio:.3f}, in the context with the "
        f"smallest {found.smallest_ratio:.3f}",
    )
    if not np.isnan(found.speedup):
        say(console, f"training of the first over the second: {found.speedup:.2f} in seconds")


def _select(experts: Experts, contexts: Sequence[Context]) -> Experts:
    index = {context: i for i, context in enumerate(experts.contexts)}
    return experts.select([index[context] for context in contexts])


def _total(records: Sequence[Mapping[str, Any]], name: str, absent: float) -> float:
    return sum(record.get(name, absent) for record in records)
