"""The first words of a report: what the best learned method is, and whether learning paid off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from zeroshot.comparisons import TRIVIAL, best_learned, interval_of
from zeroshot.report.runs import RunFolder
from zeroshot.report.series import paired_difference, ratio_interval
from zeroshot.summary import cells, share_of_copies

Status = Literal["better", "tie", "worse", "nothing learned"]

WORDS = {"better": "is better than", "tie": "is not told apart from", "worse": "loses to"}
"""By a comparison's status."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A method against another row.

    Attributes:
        name: of that row.
        ratio: of its return to the experts', see `statistics.ratio`.
        difference: of the ratios, the method's less this one's, in the same contexts.
        low: lower end of the difference's 95 % interval.
        high: upper end.
    """

    name: str
    ratio: float
    difference: float
    low: float
    high: float

    @property
    def status(self) -> Status:
        """Whether the method is better, worse, or not told apart."""
        return "better" if self.low > 0.0 else "worse" if self.high < 0.0 else "tie"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the top of a report says about one run.

    Attributes:
        best: the learned method with the highest ratio, see `comparisons.best_learned`; None if
            there is none.
        ratio: of its return to the experts', see `statistics.ratio`.
        low: lower end of the ratio's 95 % interval.
        high: upper end.
        n_splits: on which it was fitted.
        n_cells: contexts of these splits in which it was played.
        copies: share of these contexts for which it hands out a training expert as it is.
        comparisons: with the trivial rows, the strongest first.
        few_shot: protocol and number of episodes, and the best learned method there against the
            best trivial row.
    """

    best: str | None = None
    ratio: float = 0.0
    low: float = 0.0
    high: float = 0.0
    n_splits: int = 0
    n_cells: int = 0
    copies: float = 0.0
    comparisons: tuple[Comparison, ...] = ()
    few_shot: tuple[tuple[str, int, str, Comparison], ...] = ()

    @property
    def status(self) -> Status:
        """The worst comparison decides; with none, nothing is shown."""
        if self.best is None:
            return "nothing learned"
        if not self.comparisons:
            return "tie"
        found = {comparison.status for comparison in self.comparisons}
        return "worse" if "worse" in found else "tie" if "tie" in found else "better"

    @property
    def headline(self) -> str:
        """A few words."""
        if self.best is None:
            return "No learned method has finished."
        if not self.comparisons:
            return f"{self.best} reaches a ratio of {_percent(self.ratio)} to the experts' return."
        return {
            "better": f"{self.best} beats every trivial reference.",
            "tie": f"A trivial reference is as good as the best learned method, {self.best}.",
            "worse": f"A trivial reference is better than the best learned method, {self.best}.",
        }[self.status]

    @property
    def sentences(self) -> list[str]:
        """What the headline rests on."""
        if self.best is None:
            return ["There is nothing to compare with the references yet."]
        lines = [
            f"{self.best} reaches a ratio of {_percent(self.ratio)} to the experts' return in "
            "contexts that it never saw"
            + (
                " (a single one, of which no interval can be had)."
                if self.n_cells == 1
                else f" (95 % interval {_percent(self.low)} to {_percent(self.high)}, contexts "
                "alone redrawn)."
            )
        ]
        if self.copies > 0.0:
            lines.append(
                f"For {_percent(self.copies)} of these contexts it hands out the policy of a "
                "training expert as it is."
            )
        lines += [
            f"It {WORDS[c.status]} {c.name} ({_percent(c.ratio)}): the difference is "
            f"{_points(c.difference)} points"
            + (
                f", 95 % interval {_points(c.low)} to {_points(c.high)}."
                if np.isfinite(c.low)
                else "."
            )
            for c in self.comparisons
        ]
        if self.status in ("tie", "worse"):
            lines.append("So these results do not show that learning pays off on this suite.")
        lines += [
            f"After {shots} episode{'s' * (shots > 1)} of {protocol} the best learned method, "
            f"{learned}, {WORDS[c.status]} {c.name} ({_percent(c.ratio)}): the difference is "
            f"{_points(c.difference)} points."
            for protocol, shots, learned, c in self.few_shot
        ]
        if self.n_splits == 1:
            lines.append("It was fitted on one split only: the intervals say nothing about others.")
        return lines


def verdict(run: RunFolder) -> Verdict:
    """Compares the learned method of the highest ratio with every trivial row, in pairs."""
    learned = [name for name in run.methods if not _trivial(name)]
    rows = {name: [row for row in run.test if row["method"] == name] for name in _played(run)}
    learned = [name for name in learned if rows.get(name)]
    if not learned:
        return Verdict()
    best = run.summary.get("best_learned")
    if best not in learned:  # summaries of earlier versions do not tell
        by_method = cells(run.test)
        kinds = {name: run.summary["methods"][name]["kind"] for name in by_method}
        best = best_learned(by_method, kinds) or learned[0]
    ratio, low, high = ratio_interval(rows[best])
    return Verdict(
        best=best,
        ratio=ratio,
        low=low,
        high=high,
        n_splits=len({row["seed"] for row in rows[best]}),
        n_cells=len({(row["seed"], *row["context"].values()) for row in rows[best]}),
        copies=share_of_copies(rows[best]) or 0.0,
        comparisons=tuple(
            sorted(
                (
                    found
                    for name in rows
                    if _trivial(name) and (found := compared(run, best, name)) is not None
                ),
                key=lambda comparison: comparison.difference,
            )
        ),
        few_shot=tuple(
            (protocol, found["shots"], found["learned"], _of_few_shot(found))
            for protocol, records in run.summary.get("few_shot_best", {}).items()
            for found in records
        ),
    )


def compared(run: RunFolder, method: str, name: str) -> Comparison | None:
    """A method against another row; None where they share no context of a split.

    It is the summary's own paired difference; older runs have none, then it is computed.
    """
    found = run.summary.get("vs", {}).get(method, {}).get(name)
    if found is not None:
        difference = found["difference"]
        low, high = interval_of(found)
    else:
        mine, other = ([row for row in run.test if row["method"] == n] for n in (method, name))
        if not _shared(mine, other):
            return None
        difference, low, high = paired_difference(mine, other)
    ratio = run.summary["methods"][name]["ratio"]
    return Comparison(name=name, ratio=ratio, difference=difference, low=low, high=high)


def _of_few_shot(found: Mapping[str, Any]) -> Comparison:
    low, high = interval_of(found)
    return Comparison(
        name=found["row"],
        ratio=found["row_ratio"],
        difference=found["difference"],
        low=low,
        high=high,
    )


def _trivial(name: str) -> bool:
    return name in TRIVIAL


def _played(run: RunFolder) -> list[str]:
    return [name for name in run.summary["methods"] if any(r["method"] == name for r in run.test)]


def _shared(one: Any, other: Any) -> bool:
    return bool(
        {(r["seed"], *r["context"].values()) for r in one}
        & {(r["seed"], *r["context"].values()) for r in other}
    )


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"


def _points(share: float) -> str:
    return f"{100.0 * share:+.1f}".replace("-", "−")
