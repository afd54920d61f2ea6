"""How the baselines' settings were looked for: `python docs/baseline_search.py [FOLDER]`.

Every setting of `CANDIDATES`, all else as it is by default, is fitted on three splits of
`cheetah-speed` that no result is reported of, and plays their held-out contexts. Killed, the same
command goes on in FOLDER (results/baseline-search by default). docs/results/baseline-search.json
has the returns, and docs/hyperzero.md shows them.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experts.provenance import machine, provenance
from experts.store import write_atomically
from zeroshot.methods import make_method
from zeroshot.protocol import Method
from zeroshot.results import ROWS, read_rows
from zeroshot.run import run
from zeroshot.statistics import ratio

ROOT = Path(__file__).parents[1]
FILE = Path("docs/results/baseline-search.json")
SUITE = "cheetah-speed"
SEEDS = (50, 51, 52)
"""Of the splits; results are of splits 0 to 4."""

CANDIDATES: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "hyperzero": ({"learning_rate": 2e-3}, {"learning_rate": 1e-3}, {"learning_rate": 4e-3}),
    "conditioned": ({"learning_rate": 3e-3}, {"learning_rate": 1e-3}, {"learning_rate": 5e-4}),
    "conditioned-uvfa": ({"learning_rate": 3e-3}, {"learning_rate": 1e-3}, {"learning_rate": 5e-4}),
    "film": ({"learning_rate": 3e-3}, {"learning_rate": 1e-3}, {"learning_rate": 5e-4}),
    "maml": (
        {"learning_rate": 3e-3, "inner_steps": 5, "inner_rate": 0.01, "updates": 2000},
        {"learning_rate": 3e-3, "inner_steps": 5, "inner_rate": 0.001, "updates": 2000},
        {"learning_rate": 3e-3, "inner_steps": 1, "inner_rate": 0.01, "updates": 2000},
        {"learning_rate": 1e-3, "inner_steps": 1, "inner_rate": 0.01, "updates": 6000},
    ),
    "pearl": (
        {"learning_rate": 3e-3, "kl_weight": 1e-4, "latent_size": 8, "batch_encoded": 32},
        {"learning_rate": 1e-3, "kl_weight": 1e-4, "latent_size": 8, "batch_encoded": 32},
        {"learning_rate": 3e-3, "kl_weight": 1e-2, "latent_size": 8, "batch_encoded": 32},
        {"learning_rate": 3e-3, "kl_weight": 1e-4, "latent_size": 3, "batch_encoded": 32},
        {"learning_rate": 3e-3, "kl_weight": 1e-4, "latent_size": 8, "batch_encoded": 128},
    ),
}
"""Method to the settings that are tried of it."""

WORKERS = 2
"""Units at once."""


def named(name: str, changes: Mapping[str, Any]) -> str:
    """The name of a candidate's rows, `maml:inner_rate=0.1`."""
    return ":".join([name, *(f"{field}={value}" for field, value in changes.items())])


def changed(name: str, changes: Mapping[str, Any]) -> Method:
    """A registered method with another setting."""
    method = make_method(name)
    return type(method)(replace(method.config, **changes))


def main(arguments: list[str], root: Path = ROOT) -> Path:
    """Fits, plays, and writes the file; returns its path.

    Raises:
        ValueError: for more than one argument.
    """
    if len(arguments) > 1:
        raise ValueError(f"at most one FOLDER is allowed, got {arguments}")
    folder = Path(arguments[0]) if arguments else root / "results" / "baseline-search"
    methods = {
        named(name, changes): changed(name, changes)
        for name, tried in CANDIDATES.items()
        for changes in tried
    }
    run(SUITE, methods, seeds=SEEDS, out=folder, resume=folder.exists(), workers=WORKERS)
    rows = read_rows(folder / ROWS)
    found = {}
    for name in methods:
        own = [row for row in rows if row["method"] == name]
        ratios = []
        for seed in SEEDS:
            pairs = [(row["return"], row["expert_return"]) for row in own if row["seed"] == seed]
            ratios.append(round(ratio(*np.array(pairs).T), 4))
        seconds = min(row["fit_seconds"] for row in own)  # other processes disturbed it least
        found[name] = {"ratios": ratios, "fit_seconds": seconds}
    record = {
        "searched": SUITE,
        "splits": SEEDS,
        "found": found,
        "command": shlex.join(["python", "docs/baseline_search.py"]),
        **provenance(),
        "machine": machine(),
    }
    path = root / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())
    return path


if __name__ == "__main__":
    print(main(sys.argv[1:]))
