"""Splits in files: which contexts were held out, by their values, so that it cannot drift.

A file a suite, written by `zeroshot suites --write-splits FOLDER` and shipped with the package. The
checksum is over the content in canonical form; it is verified when a file is read, and a test
draws all splits again and compares the bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from experts.store import write_atomically
from zeroshot.splits import Split, SplitRule, draw, rule_of, rules_for
from zeroshot.suites import Suite

FROZEN = Path(__file__).parent / "frozen_splits"

FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.85)
"""Training fractions of the random splits that are frozen."""

SEEDS = range(5)
"""Seeds of the random splits that are frozen."""

ANY_SEED = "any"
"""Stands for all seeds of a rule that does not draw."""

FORMAT = 1
AGAIN = "write them again with `zeroshot suites --write-splits`"


def split_of(suite: Suite, rule: SplitRule, *, seed: int, directory: Path = FROZEN) -> Split:
    """The split of a suite: from its file where that has it, otherwise drawn by the rule.

    Args:
        suite: whose contexts.
        rule: of the split.
        seed: of the split; rules that do not draw give the same one for all.
        directory: of the files, the shipped ones by default.

    Raises:
        ValueError: if the file is damaged or of another version or grid, or if the suite is too
            small for the rule or lacks the features.
    """
    file = directory / f"{suite.name}.json"
    frozen = read_splits(file) if file.exists() else {"test": {}}
    by_seed = frozen["test"].get(str(rule), {})
    held_out = by_seed.get(ANY_SEED if rule.shared else str(seed))
    if held_out is None:
        return draw(suite, rule, seed=seed)
    if (frozen["suite_version"], frozen["contexts"]) != (suite.version, _values(suite)):
        raise ValueError(f"{file}: of another version or grid than {suite.name} has now; {AGAIN}")
    index = {tuple(values): i for i, values in enumerate(frozen["contexts"])}
    test = {index[tuple(values)] for values in held_out}
    learned = frozen.get("train", {}).get(str(rule), {}).get(ANY_SEED)
    train = set(index.values()) - test
    if learned is not None:
        train = {index[tuple(values)] for values in learned}
    return Split(train=tuple(sorted(train)), test=tuple(sorted(test)))


def write_splits(suite: Suite, directory: Path) -> Path:
    """Draws the splits of a suite by every rule that it allows and writes its file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{suite.name}.json"
    write_atomically(path, frozen_bytes(suite))
    read_splits.cache_clear()
    return path


def frozen_bytes(suite: Suite) -> bytes:
    """The content of a suite's file: a line a split, the checksum last.

    What is learned from is written too where it is not simply all that is not held out.
    """
    values = _values(suite)
    test: dict[str, dict[str, Any]] = {}
    train: dict[str, dict[str, Any]] = {}
    for rule, seed in _frozen_rules(suite):
        split = draw(suite, rule, seed=seed)
        key = ANY_SEED if rule.shared else str(seed)
        test.setdefault(str(rule), {})[key] = [values[i] for i in split.test]
        if len(split.train) + len(split.test) < len(values):
            train.setdefault(str(rule), {})[key] = [values[i] for i in split.train]
    content: dict[str, Any] = {
        "format": FORMAT,
        "suite": suite.name,
        "suite_version": suite.version,
        "features": list(suite.features),
        "contexts": values,
    }
    lines = [f' "{name}": {json.dumps(value)}' for name, value in content.items()]
    for name, by_rule in {"test": test, "train": train}.items():
        if by_rule:
            content[name] = by_rule
            lines.append(f' "{name}": {_rule_lines(by_rule)}')
    lines.append(f' "sha256": "{checksum(content)}"')
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _rule_lines(by_rule: dict[str, dict[str, Any]]) -> str:
    rules = [
        f'  "{rule}": {{\n'
        + ",\n".join(f'   "{seed}": {json.dumps(values)}' for seed, values in by_seed.items())
        + "\n  }"
        for rule, by_seed in by_rule.items()
    ]
    return "{\n" + ",\n".join(rules) + "\n }"


def checksum(content: dict[str, Any]) -> str:
    """SHA-256 of a file's content without its checksum: keys sorted, no spaces."""
    kept = {name: value for name, value in content.items() if name != "sha256"}
    canonical = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


@cache
def read_splits(file: Path) -> dict[str, Any]:
    """Reads a file of splits and verifies its checksum.

    Raises:
        ValueError: naming the file, if it is not one, damaged, or changed by hand.
    """
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file}: not JSON ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{file}: not a file of splits in format {FORMAT}")
    if content.get("sha256") != checksum(content):
        raise ValueError(f"{file}: the checksum is not that of the content; {AGAIN}")
    return content


def _values(suite: Suite) -> list[list[float]]:
    """Values of the features that vary, a list a context."""
    return [[context[name] for name in suite.features] for context in suite.contexts]


def _frozen_rules(suite: Suite) -> Iterator[tuple[SplitRule, int]]:
    fractions = sorted({*FRACTIONS, suite.train_fraction})
    for fraction in fractions:
        for seed in SEEDS:
            yield SplitRule(name="random", fraction=fraction), seed
    for name in rules_for(suite):
        if name not in ("random", "tasks"):
            yield rule_of(name, suite), 0
    for size in suite.train_sizes:
        yield SplitRule(name="tasks", size=size), 0
