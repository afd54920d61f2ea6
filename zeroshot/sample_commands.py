"""`zeroshot samples`: many policies for one context, and what choosing among them is worth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from tyro.conf import subcommand

from zeroshot.expert_commands import SuiteName, ZooPath
from zeroshot.leaderboard import print_table
from zeroshot.progress import say
from zeroshot.protocol import Method
from zeroshot.splits import Split
from zeroshot.suites import Suite, suite_of

if TYPE_CHECKING:
    from experts import Experts

DIGITS = 3


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Play many policies of every held-out context: their mean, any of them, and the best of them.

    For methods that generate many policies for a context, such as HypLatent. The best ones are
    chosen by the returns that are reported: that row is called oracle, and no method could answer
    so. Writes one JSON file.

    Attributes:
        suite: Name of the suite, see `zeroshot suites`.
        out: The JSON file.
        method: Registered name or import path of the method.
        split: Which contexts are held out, as in `zeroshot run`.
        split_seed: Of the split, of the fit and of the samples.
        samples: Policies a context.
        episodes: Episodes of each, all from the same starts.
        zoo: Folder of experts to use instead of the shipped ones.
    """

    suite: SuiteName
    out: Path
    method: str = "hyplatent"
    split: str = "random"
    split_seed: int = 0
    samples: int = 100
    episodes: int = 10
    zoo: ZooPath = None

    def __call__(self) -> int:
        """Fits, plays, writes the file and prints its table.

        Raises:
            ValueError: for an unknown method or split, a method that has no samples, or a number
                that makes no sense.
            FileNotFoundError: if the suite has no experts.
            OSError: if `out` is a folder, or is to be in one that is a file or cannot be made.
        """
        from experts.store import write_atomically
        from experts.validation import require
        from zeroshot.frozen import split_of
        from zeroshot.methods import make_method
        from zeroshot.run import experts_of
        from zeroshot.splits import rule_of

        _check_out(self.out)
        for name in ("samples", "episodes"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        require("split_seed", self.split_seed, self.split_seed >= 0, "at least 0")
        suite = suite_of(self.suite)
        ids = split_of(suite, rule_of(self.split, suite), seed=self.split_seed)
        experts, method = experts_of(suite, self.zoo), make_method(self.method)
        console = Console()
        self.out.parent.mkdir(parents=True, exist_ok=True)  # or fail before anything is fitted
        content = self._played(method, suite, experts, ids, console)
        lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in content.items()]
        write_atomically(self.out, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
        table = Table(title=f"{suite.name}, {self.split}: returns of {self.method}'s policies")
        table.add_column("answer", no_wrap=True)
        table.add_column("return", justify="right")
        for answer, value in content["returns"].items():
            table.add_row(answer, f"{value:.1f}")
        print_table(table, console)
        say(console, f"results: {self.out}")
        return 0

    def _played(
        self, method: Method, suite: Suite, experts: Experts, ids: Split, console: Console
    ) -> dict[str, Any]:
        """What the file says."""
        from experts import play
        from experts.provenance import command, commit, machine, now, versions
        from zeroshot.bench import TEST_STARTS
        from zeroshot.genhyper import spread
        from zeroshot.methods import config_of
        from zeroshot.run import manifest_fingerprint

        fitted = self._fitted(method, suite, experts, ids, console)
        contexts = [suite.contexts[i] for i in ids.test]
        say(console, f"playing {self.samples} policies of each of {len(contexts)} contexts")
        played = partial(
            play,
            family=suite.family,
            reward=suite.reward,
            n_episodes=self.episodes,
            seed=TEST_STARTS + self.split_seed,
            n_steps=suite.n_steps,
        )
        found = spread(
            fitted,
            contexts,
            lambda policies, where: played(policies, contexts=where),
            n_samples=self.samples,
            seed=self.split_seed,
        )
        own = played(experts.policies.select(ids.test), contexts=contexts).returns.mean(axis=1)
        rows = found.rows()
        returns = {
            answer: float(np.mean([row["return"] for row in rows if row["answer"] == answer]))
            for answer in dict.fromkeys(row["answer"] for row in rows)
        }
        return {
            "suite": suite.name,
            "suite_version": suite.version,
            "method": self.method,
            "config": config_of(method),
            "split_rule": self.split,
            "split_seed": self.split_seed,
            "episodes": self.episodes,
            "experts": manifest_fingerprint(experts),
            "returns": {**returns, "expert": float(own.mean())},
            "contexts": [dict(context) for context in contexts],
            "expert": own.round(DIGITS).tolist(),
            "mean_policy": found.mean.round(DIGITS).tolist(),
            "samples": found.samples.round(DIGITS).tolist(),
            "command": command(),
            "commit": commit(),
            "versions": versions(),
            "machine": machine(),
            "date": now(),
        }

    def _fitted(
        self, method: Method, suite: Suite, experts: Experts, ids: Split, console: Console
    ) -> Any:
        from experts import zoo_path
        from experts.collections import find_collection
        from zeroshot.bench import rollouts_of

        say(console, f"fitting {self.method} on {len(ids.train)} contexts")
        many = find_collection(self.zoo or zoo_path(suite.zoo))
        data = rollouts_of(suite, experts, collection=many).select(ids.train)
        fitted = method.fit(data, seed=self.split_seed)
        if not hasattr(fitted, "samples") or not hasattr(fitted, "mean_policies"):
            raise ValueError(f"`method` must generate many policies, {self.method!r} does not")
        return fitted


def _check_out(out: Path) -> None:
    """Raises OSError where no file of that name can be, before hours go into what it is to say."""
    if out.is_dir():
        raise IsADirectoryError(f"`out` must be a file, {out} is a folder")
    there = next(folder for folder in out.parents if folder.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"`out` must be in a folder, got {out}, but {there} is a file")


SamplesCommand = Annotated[Samples, subcommand("samples")]
