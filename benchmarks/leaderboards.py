"""The zero-shot benchmark: which suites and methods it runs, and how long."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from experts.store import ZOO, expert_name
from zeroshot.leaderboard import PLAIN_WIDTH, leaderboard, print_leaderboard
from zeroshot.methods import make_method
from zeroshot.protocol import Method
from zeroshot.references import BLIND
from zeroshot.reproduce.hyperzero import REACH, TRACK
from zeroshot.run import run
from zeroshot.suites import SUITES, Suite, suite_of

USUAL_SUITES = ("cheetah-speed", "cheetah-speed-reach")
USUAL_METHODS = ("hyperzero", "conditioned")
FULL_SEEDS = 5

FLOORS = {"hyperzero": 0.8, "hyperdistil": 0.9}
"""Ratios to the experts that a method reaches in the mean over the splits of a run, on each of
HyperZero's 18 suites; the least of those published are 0.90 and 0.97, of single splits 0.82 and
0.92 (the files in docs/results/hyperzero/main)."""

QUICK_UPDATES = 10
QUICK_STEPS = 25
"""Control steps of an episode, in rollouts as in tests."""
QUICK_EPISODES = 2


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is run.

    Attributes:
        suites: names of suites whose shipped zoo has every expert.
        methods: registered names and import paths.
        seeds: splits a suite.
        quick: episodes and fits are cut short: it runs, and says nothing about the methods.
    """

    suites: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: int
    quick: bool

    @classmethod
    def of_options(
        cls,
        *,
        suites: Sequence[str] | None,
        methods: Sequence[str] | None,
        seeds: int | None,
        quick: bool,
        full: bool,
    ) -> Choice:
        """The choice that options of the command line make; None for those that are not given.

        Raises:
            ValueError: for an unknown suite or method, a suite that lacks experts, no name at all,
                a number of seeds below 1, or `quick` and `full` at once.
        """
        if quick and full:
            raise ValueError("--quick and --full exclude each other: leave one of them out")
        if seeds is not None and seeds < 1:
            raise ValueError(f"`seeds` must be at least 1, got {seeds}")
        complete = complete_suites()
        named = _words("suite", suites)
        for name in named:
            if name not in complete:
                lacks = "lacks shipped experts" if name in SUITES else "is no suite"
                raise ValueError(f"`suite` {name!r} {lacks}, allowed are {complete}")
        chosen = _words("methods", methods) or USUAL_METHODS
        for name in chosen:
            make_method(name)
        usual = complete if full else [name for name in USUAL_SUITES if name in complete]
        return cls(
            suites=named or tuple(usual),
            methods=chosen,
            seeds=seeds or (FULL_SEEDS if full else 1),
            quick=quick,
        )

    def run(self, suite: str, out: Path) -> dict[str, Any]:
        """Fits the methods on splits of a suite, plays what was held out, returns the summary."""
        if not self.quick:
            return run(suite, self.methods, seeds=self.seeds, out=out, workers=0)
        methods = {name: quick_method(name) for name in self.methods}
        return run(quick_suite(suite_of(suite)), methods, seeds=self.seeds, out=out)


def complete_suites(zoos: Path = ZOO) -> list[str]:
    """Suites of which the shipped zoo has an expert for every context.

    Args:
        zoos: folder of the zoos.
    """
    return sorted(name for name, suite in SUITES.items() if _is_complete(suite, zoos))


def quick_suite(suite: Suite) -> Suite:
    """The suite with a few short episodes."""
    return replace(suite, n_episodes=QUICK_EPISODES, n_steps=QUICK_STEPS)


def quick_method(name: str) -> Method:
    """The method of that name with a fit of a few updates, where its config says how many."""
    method = make_method(name)
    config = getattr(method, "config", None)
    if is_dataclass(config) and not isinstance(config, type) and hasattr(config, "updates"):
        return type(method)(replace(config, updates=QUICK_UPDATES))
    return method


def unmet(summary: Mapping[str, Any]) -> list[str]:
    """What the methods of a whole run fall short of, in words.

    On HyperZero's suites, a method of `FLOORS` has to reach its ratio, and every other that learns
    more than the best single training expert.
    """
    if summary["suite"] not in (*TRACK, *REACH):
        return []
    ratios = {name: row["ratio"] for name, row in summary["methods"].items()}
    learned = [name for name, row in summary["methods"].items() if row["kind"] == "method"]
    least = {name: FLOORS.get(name, ratios[BLIND]) for name in learned}
    return [
        f"{name}'s ratio on {summary['suite']} is at least {floor:.3f}, not {ratios[name]:.3f}"
        for name, floor in least.items()
        if ratios[name] < floor
    ]


def shown(summaries: Iterable[Mapping[str, Any]], *, quick: bool) -> str:
    """The leaderboards as text, a table a suite.

    Args:
        summaries: of the runs.
        quick: whether they were cut short.
    """
    text = io.StringIO()
    console = Console(file=text, width=PLAIN_WIDTH, color_system=None)
    for summary in summaries:
        if quick:
            console.print(leaderboard(summary))
        else:
            print_leaderboard(summary, console)
    if quick:
        console.print(
            f"--quick: {QUICK_UPDATES} updates a fit, episodes of {QUICK_STEPS} steps:\n"
            "these numbers show that it runs, and say nothing about the methods"
        )
    return text.getvalue()


def _is_complete(suite: Suite, zoos: Path) -> bool:
    names = {path.stem for path in (zoos / suite.zoo).glob("*.json")}
    return all(expert_name(context) in names for context in suite.contexts)


def _words(option: str, given: Sequence[str] | None) -> tuple[str, ...]:
    """Names that were separated by blanks or commas."""
    if given is None:
        return ()
    names = tuple(name for word in given for name in word.split(",") if name)
    if not names or len(set(names)) != len(names):
        raise ValueError(f"`{option}` must be distinct names, at least one, got {list(given)}")
    return names
