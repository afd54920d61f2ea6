"""What a report is made from: the files of one run, tolerant of what older runs lack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroshot.references import EXPERT
from zeroshot.results import ROWS, SETTINGS, SUMMARY, Row, judged, read_rows
from zeroshot.suites import SUITES, Suite

TRANSFER = "transfer.npy"


@dataclass(frozen=True, kw_only=True, eq=False)
class RunFolder:
    """A run that is finished, or as far as it got.

    Attributes:
        path: its folder.
        summary: of its summary.json.
        settings: of its run.json, empty if there is none.
        rows: of its results.jsonl.
        transfer: mean return (n, n) of expert i in context j, None if there is none.
        suite: the registered suite of that name and version, None if there is none.
    """

    path: Path
    summary: dict[str, Any]
    settings: dict[str, Any]
    rows: Sequence[Row]
    transfer: NDArray[np.float64] | None
    suite: Suite | None

    @property
    def name(self) -> str:
        """The suite's name."""
        return str(self.summary["suite"])

    @cached_property
    def test(self) -> list[Row]:
        """Rows of zero-shot episodes in contexts held out."""
        return [row for row in self.rows if row["split"] == "test" and not row.get("shots")]

    @cached_property
    def learned(self) -> list[Row]:
        """Rows of zero-shot episodes in contexts that were learned from, where a run has them."""
        return [row for row in self.rows if row["split"] == "train" and not row.get("shots")]

    @cached_property
    def methods(self) -> list[str]:
        """Names of the methods that learn, best score first."""
        kinds = self.summary["methods"]
        return [name for name, row in kinds.items() if row["kind"] == "method"]

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Names of the features that vary."""
        if self.suite is not None:
            return self.suite.features
        values: dict[str, set[float]] = {}
        for row in self.rows:
            for name, value in row["context"].items():
                values.setdefault(name, set()).add(value)
        return tuple(name for name, found in values.items() if len(found) > 1)

    @cached_property
    def expert_returns(self) -> dict[tuple[float, ...], float]:
        """Context's varying values to its own expert's mean return.

        From the rows of the expert; for contexts that it was not played in, from the transfer
        matrix, an episode or so each, where it is known which contexts that has.
        """
        found: dict[tuple[float, ...], float] = {}
        if self.suite is not None and self.transfer is not None:
            returns = np.diag(self.transfer)
            if len(returns) == len(self.suite.contexts):
                found = {
                    self.key(context): float(value)
                    for context, value in zip(self.suite.contexts, returns, strict=True)
                }
        played: dict[tuple[float, ...], list[float]] = {}
        for row in (*self.test, *self.learned):
            if row["method"] == EXPERT:
                played.setdefault(self.key(row["context"]), []).append(row["return"])
        found |= {key: float(np.mean(values)) for key, values in played.items()}
        return dict(sorted(found.items()))

    def key(self, context: Any) -> tuple[float, ...]:
        """A context's values of the features that vary."""
        return tuple(float(context[name]) for name in self.features)

    def label(self, feature: str) -> str:
        """A feature's name with its unit, where it is known."""
        unit = self._record(feature, "unit")
        return f"{feature} ({unit})" if unit not in (None, "1") else feature

    def two_ways(self, feature: str) -> bool:
        """Whether behaviour jumps where the feature changes its sign."""
        return bool(self._record(feature, "encoding") == "signed")

    def _record(self, feature: str, attribute: str) -> Any:
        if self.suite is None:
            return None
        known = {f.name: f for f in self.suite.family.features}
        return getattr(known[feature], attribute, None)


def read_run(path: Path) -> RunFolder:
    """Reads a folder that `zeroshot run` wrote.

    Raises:
        FileNotFoundError: if there is no summary in it.
        ValueError: if its summary is no summary of a run, or a file of it is damaged.
    """
    file = path / SUMMARY
    if not file.exists():
        raise FileNotFoundError(f"`runs` must be folders that `zeroshot run` wrote, no {file}")
    summary = _json(file, "; `zeroshot run ... --resume` writes it again")
    if not isinstance(summary, dict) or not {"suite", "methods"} <= set(summary):
        raise ValueError(f"{file}: not the summary of a run")
    settings = path / SETTINGS
    transfer = path / TRANSFER
    suite = SUITES.get(summary["suite"])
    if suite is not None and suite.version != summary.get("suite_version", suite.version):
        suite = None
    return RunFolder(
        path=path,
        summary=summary,
        settings=_json(settings) if settings.exists() else {},
        rows=judged(read_rows(path / ROWS)),
        transfer=np.load(transfer) if transfer.exists() else None,
        suite=suite,
    )


def _json(file: Path, cure: str = "") -> Any:
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file}: not JSON ({error}){cure}") from error
