"""How a run tells what it does: nothing, lines, or bars."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from zeroshot.results import Row, Unit
from zeroshot.statistics import ratio

REFERENCE_WEIGHT = 0.02
"""Time of a reference row, which only plays, as a share of a method's, which fits first."""


def say(console: Console, text: str, style: str | None = None) -> None:
    """Prints a line as it is: however long, and whatever its brackets."""
    console.print(text, highlight=False, soft_wrap=True, markup=False, style=style)


class Reporter(Protocol):
    """Is told how a run goes."""

    def stage(self, text: str) -> None:
        """Something that takes seconds begins."""

    def begin(self, units: Sequence[Unit], n_done: int, references: Sequence[str]) -> None:
        """These units are to do, some of them references; `n_done` were done before."""

    def progress(self, unit: Unit, fraction: float) -> None:
        """Which fraction of a unit's fit is done."""

    def finished(self, unit: Unit, rows: Sequence[Row]) -> None:
        """A unit is stored."""

    def end(self) -> None:
        """No more units, whatever the reason."""


class Silent:
    """Reports nothing."""

    def stage(self, text: str) -> None:
        """Does nothing."""

    def begin(self, units: Sequence[Unit], n_done: int, references: Sequence[str]) -> None:
        """Does nothing."""

    def progress(self, unit: Unit, fraction: float) -> None:
        """Does nothing."""

    def finished(self, unit: Unit, rows: Sequence[Row]) -> None:
        """Does nothing."""

    def end(self) -> None:
        """Does nothing."""


class ConsoleReporter:
    """Bars on a terminal; a line a fitted method elsewhere, such as in a log file."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._tasks: dict[Unit, TaskID] = {}
        self._total: TaskID | None = None
        self._weights: dict[Unit, float] = {}
        self._fractions: dict[Unit, float] = {}
        self._start = 0.0

    def stage(self, text: str) -> None:
        """Prints it."""
        say(self._console, text)

    def begin(self, units: Sequence[Unit], n_done: int, references: Sequence[str]) -> None:
        """Prints how much there is to do, and starts the bars."""
        before = f", {n_done} were done before" if n_done else ""
        text = f"{len(units)} units to do, a unit is one method on one split{before}"
        say(self._console, text)
        self._start = time.monotonic()
        self._weights = {
            unit: REFERENCE_WEIGHT if unit.method in references else 1.0 for unit in units
        }
        if self._console.is_terminal and units:
            self._total = self._bars.add_task("everything", total=1.0, left="")
            self._bars.start()

    def progress(self, unit: Unit, fraction: float) -> None:
        """Moves the unit's bar."""
        self._fractions[unit] = fraction
        if self._total is not None:
            if unit not in self._tasks:
                name = f"{unit.method}, split {unit.seed}"
                self._tasks[unit] = self._bars.add_task(name, total=1.0, left="")
            self._bars.update(self._tasks[unit], completed=fraction)
            self._bars.update(self._total, completed=self.fraction, left=self.left)

    def finished(self, unit: Unit, rows: Sequence[Row]) -> None:
        """Prints a method's result."""
        self._fractions[unit] = 1.0
        if unit in self._tasks:
            self._bars.remove_task(self._tasks.pop(unit))
        if self._total is not None:
            self._bars.update(self._total, completed=self.fraction, left=self.left)
        if self._weights[unit] == 1.0:
            test = [row for row in rows if row["split"] == "test" and not row.get("shots")]
            returns = np.array([row["return"] for row in test])
            reached = ratio(returns, np.array([row["expert_return"] for row in test]))
            say(
                self._console,
                f"{unit.method}, split {unit.seed}: return {returns.mean():.1f}, ratio "
                f"{reached:.3f}, fitted in {rows[0]['fit_seconds']:.1f} s; {self.left}",
            )

    def end(self) -> None:
        """Stops the bars."""
        if self._total is not None:
            self._bars.stop()
            self._total = None

    @property
    def fraction(self) -> float:
        """Estimated fraction in [0, 1] of the work that is done."""
        total = sum(self._weights.values())
        return sum(self._weights[unit] * f for unit, f in self._fractions.items()) / max(
            total, 1e-9
        )

    @property
    def left(self) -> str:
        """Estimated time left."""
        done = self.fraction
        if done <= 0.0:
            return ""
        seconds = round((time.monotonic() - self._start) * (1.0 - done) / done)
        return f"{seconds // 60}:{seconds % 60:02d} left"


@contextmanager
def fraction_bars(console: Console) -> Iterator[Callable[[str], Callable[[float], None]]]:
    """Makes reporters of fractions: bars on a terminal, elsewhere a line every tenth."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as bars:

        def reporter(name: str) -> Callable[[float], None]:
            task = bars.add_task(name, total=1.0)
            said = 0

            def report(fraction: float) -> None:
                nonlocal said
                bars.update(task, completed=fraction)
                tenth = int(10 * fraction)
                if not console.is_terminal and tenth != said and tenth < 10:
                    say(console, f"{name}: {10 * tenth} %")
                said = tenth

            return report

        yield reporter
