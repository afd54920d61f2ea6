"""A run: splits × methods on a suite, resumable, with a summary and figures at the end."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np

from experts import Experts, load_experts, transfer_matrix, zoo_path
from experts.collections import collection_fingerprint, find_collection
from experts.engines import Engine
from experts.provenance import command, commit, machine, now, versions
from zeroshot.bench import Bench, method_named
from zeroshot.comparisons import compare, few_shot_best, few_shot_curves
from zeroshot.fewshot import FROM_SCRATCH, checked_shots
from zeroshot.frozen import split_of
from zeroshot.methods import config_of
from zeroshot.progress import Reporter, Silent
from zeroshot.protocol import Method
from zeroshot.references import EXPERT, REFERENCES, reference_names
from zeroshot.results import (
    SETTINGS,
    SUMMARY,
    ResultsFolder,
    Row,
    Unit,
    judged,
    open_results,
    plain,
    unit_of,
)
from zeroshot.splits import SplitRule, rule_of
from zeroshot.suites import Suite, suite_of
from zeroshot.summary import summarise_methods
from zeroshot.workers import perform_all

TRANSFER = "transfer.npy"
MOST_WORKERS = 8


def run(
    suite: Suite | str,
    methods: Sequence[str] | Mapping[str, Method],
    *,
    seeds: int | Iterable[int] = 5,
    out: Path,
    resume: bool = False,
    workers: int = 1,
    engine: Engine | None = None,
    zoo: Path | None = None,
    split: str = "random",
    shots: Sequence[int] = (),
    train_rows: bool = False,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Fits methods on splits of a suite and plays the contexts held out; returns the summary.

    Writes `results.jsonl` (a row an episode, appended a whole (method, seed) at a time),
    `summary.json`, `run.json` and `transfer.npy` to `out`. Killed at any moment, it loses at most
    the units in flight; `resume=True` does the rest, and may add methods and seeds.

    Args:
        suite: the suite or its name.
        methods: registered names and import paths, or methods by the name of their rows.
        seeds: number of splits (0, 1, ...) or the splits' seeds; each seeds the fits as well.
        out: folder for the results; must be empty or absent unless `resume` is set.
        resume: go on with what an earlier run of the same settings left in `out`.
        workers: processes, 0 to choose by the number of cores, or with an engine by its own rules.
            More than 1, or an engine, needs methods that can be pickled, and
            `if __name__ == "__main__":` around the calling script.
        engine: where units are performed, see `experts.engines`; this machine by default.
        zoo: folder of experts, the suite's shipped ones by default.
        split: which contexts are held out: `random` (the suite's own fraction), `random:FRACTION`,
            `gap`, `extrapolation` or `quadrant`, see `zeroshot.splits`.
        shots: also play the test contexts after so many episodes there, demonstrated ones and the
            method's own (rows with `shots` and `protocol`), see `zeroshot.fewshot`.
        train_rows: also play the training contexts (`split` is `train` in their rows).
        reporter: is told how it goes.

    Raises:
        ValueError: for an unknown suite, method or split, or results of other settings in `out`.
        FileExistsError: if `out` is not empty and `resume` is off.
        FileNotFoundError: if the suite has no experts.
    """
    suite = suite_of(suite) if isinstance(suite, str) else suite
    reporter = reporter or Silent()
    start = time.monotonic()
    chosen, own = chosen_methods(methods)
    split_seeds = _seeds(seeds)
    rule = rule_of(split, suite)
    n_shots = checked_shots(shots)
    first = split_of(suite, rule, seed=split_seeds[0])
    n_test = len(first.test)
    experts = experts_of(suite, zoo)
    collection = find_collection(zoo or zoo_path(suite.zoo))
    settings = settings_of(
        suite,
        experts,
        collection=collection,
        rule=rule,
        shots=n_shots,
        train_rows=train_rows,
        out=out,
    )
    with open_results(out, settings, resume=resume) as folder:
        transfer = _transfer(folder, suite, experts, reporter)
        scratch = [FROM_SCRATCH] if n_shots else []
        names = [*reference_names(suite.features, experts), *scratch, *chosen]
        n_workers = (workers or None) if engine else workers or default_workers(len(split_seeds))
        bench = Bench(
            suite=suite,
            experts=experts,
            transfer=transfer,
            methods=own,
            rule=rule,
            shots=n_shots,
            train_rows=train_rows,
            collection=collection,
            n_threads=1 if engine else threads_each(n_workers),
        )
        done = folder.keep_whole_units(bench.rows_per_unit)
        changed = changed_configs([r for r in folder.read() if unit_of(r) in done], own, chosen)
        if changed:
            name, entries = next(iter(changed.items()))
            raise ValueError(
                f"{folder.path} has {name} with another config ({', '.join(entries)} changed): "
                "use another --out"
            )
        units = [Unit(name, seed) for seed in split_seeds for name in names]
        waiting = [unit for unit in units if unit not in done]
        reporter.begin(waiting, len(units) - len(waiting), names[: len(names) - len(chosen)])

        def tell(*, complete: bool) -> dict[str, Any]:
            reporter.end()
            folder.keep_whole_units(bench.rows_per_unit)
            summary = {
                "suite": suite.name,
                "train_fraction": rule.fraction or len(first.train) / len(suite.contexts),
                "split_rule": str(rule),
                "shots": list(n_shots),
                "n_test": n_test,
                **_summary(suite, judged(folder.read()), units, complete, time.monotonic() - start),
            }
            folder.write_json(SUMMARY, summary)
            return summary

        try:
            performed = perform_all(
                waiting,
                bench.prepare,
                n_workers=n_workers,
                on_progress=reporter.progress,
                engine=engine,
            )
            with closing(performed):
                for unit, rows in performed:
                    folder.append(rows)
                    reporter.finished(unit, rows)
        except BaseException:
            with suppress(ValueError):  # what ended the run is what matters
                tell(complete=False)
            raise
        return tell(complete=True)


def experts_of(suite: Suite, zoo: Path | None = None) -> Experts:
    """The experts of a suite's contexts, in its order.

    Args:
        suite: the suite.
        zoo: their folder, the shipped one by default.

    Raises:
        FileNotFoundError: if there are none; says how to build those of a suite without.
        ValueError: if they are of another family or reward, or a context has none.
    """
    try:
        path = zoo or zoo_path(suite.zoo)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"no experts of {suite.name} are shipped: `zeroshot experts build {suite.name} --out "
            "FOLDER` builds them, --zoo FOLDER uses them (docs/genhyper.md)"
        ) from error
    experts = load_experts(path)
    for name, has, needs in (
        ("family", experts.family.env_id, suite.env_id),
        ("reward", experts.reward, suite.reward),
    ):
        if has != needs:
            raise ValueError(
                f"{path}: the experts' {name} is {has!r}, {suite.name} needs {needs!r}"
            )
    index = {context: i for i, context in enumerate(experts.contexts)}
    lacking = [context for context in suite.contexts if context not in index]
    if lacking:
        raise ValueError(
            f"{path}: {len(lacking)} of {len(suite.contexts)} contexts of {suite.name} have no "
            f"expert, the first is {dict(lacking[0])}"
        )
    return experts.select([index[context] for context in suite.contexts])


def manifest_fingerprint(experts: Experts) -> str:
    """A checksum of the experts, from those in their manifests."""
    joined = " ".join(str(record.get("sha256", "")) for record in experts.records)
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def chosen_methods(
    methods: Sequence[str] | Mapping[str, Method],
) -> tuple[list[str], Mapping[str, Method]]:
    """Names of a run's methods, and those methods that are the caller's own, by name.

    Raises:
        ValueError: for an unknown name, one that comes twice, or one of a reference.
    """
    names = list(methods)
    if len(set(names)) != len(names):
        raise ValueError(f"`methods` must be distinct, got {names}")
    own = methods if isinstance(methods, Mapping) else {}
    taken = sorted({EXPERT, *REFERENCES, FROM_SCRATCH} & set(names))
    if taken:
        raise ValueError(f"`methods` must not be named like references, got {taken}")
    for name in names:
        method_named(name, own)  # an unknown name must not surface after an hour
    return names, own


def _seeds(seeds: int | Iterable[int]) -> list[int]:
    found = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not found or min(found) < 0 or len(set(found)) != len(found):
        raise ValueError(f"`seeds` must be a number of at least 1 or distinct seeds, got {seeds}")
    return found


def threads_each(n_workers: int | None) -> int:
    """Threads for the environments of one of so many processes, 0 for all cores."""
    if n_workers is None or n_workers == 1:
        return 0
    return max(1, (os.cpu_count() or 1) // n_workers)


def default_workers(n_seeds: int) -> int:
    """Processes of a run of that many splits on this machine."""
    return max(1, min(os.cpu_count() or 1, n_seeds, MOST_WORKERS))


def _transfer(
    folder: ResultsFolder, suite: Suite, experts: Experts, reporter: Reporter
) -> np.ndarray[Any, np.dtype[np.float64]]:
    path = folder.path / TRANSFER
    if not path.exists():
        reporter.stage(f"playing {len(experts)} experts in {len(experts)} contexts")
        matrix = transfer_matrix(experts, n_steps=suite.n_steps)
        folder.write_array(TRANSFER, matrix)
    return np.asarray(np.load(path), dtype=np.float64)


def settings_of(
    suite: Suite,
    experts: Experts,
    *,
    collection: Path | None,
    rule: SplitRule,
    shots: Sequence[int],
    train_rows: bool,
    out: Path,
) -> dict[str, Any]:
    """All that must not change between a run and its resumption.

    Args:
        suite: the suite.
        experts: of its contexts.
        collection: folder of many policies of every context; None where there are none.
        rule: which contexts are held out.
        shots: numbers of episodes of few-shot rows.
        train_rows: whether training contexts are played, too.
        out: folder of the results, of whose run there may be one from before a setting existed.
    """
    settings = {
        "suite": suite.name,
        "suite_version": suite.version,
        "reward": suite.reward,
        "contexts": len(suite.contexts),
        "train_fraction": suite.train_fraction,
        "n_episodes": suite.n_episodes,
        "n_steps": suite.n_steps,
        "train_rows": train_rows,
        "experts": manifest_fingerprint(experts),
    }
    added: dict[str, tuple[Any, Any]] = {
        "split_rule": (str(rule), str(rule_of("random", suite))),
        "shots": (list(shots), []),
        "collection": (None if collection is None else collection_fingerprint(collection), None),
    }
    return settings | _not_in_older_runs(out, added)


def _not_in_older_runs(out: Path, added: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """Settings as name to value, from name to (value, default).

    A run that was started before a setting existed has its default, and goes on without it.
    """
    file = out / SETTINGS
    before = json.loads(file.read_text()) if file.is_file() else added
    return {
        name: value
        for name, (value, default) in added.items()
        if name in before or value != default
    }


def changed_configs(
    rows: Sequence[Row], own: Mapping[str, Method], chosen: Sequence[str]
) -> dict[str, list[str]]:
    """Methods whose rows were made with another config than they have now, and what differs.

    Args:
        rows: of a run.
        own: methods by the name of their rows.
        chosen: names of the methods to look at.
    """
    before = {row["method"]: row["config"] for row in rows}
    found: dict[str, list[str]] = {}
    for name in chosen:
        config, then = plain(config_of(method_named(name, own))), before.get(name)
        if then is not None and then != config:
            keys = sorted({*config, *then})
            found[name] = [key for key in keys if config.get(key) != then.get(key)]
    return found


def _summary(
    suite: Suite, rows: Sequence[Row], units: Sequence[Unit], complete: bool, seconds: float
) -> dict[str, Any]:
    methods = summarise_methods(rows)
    return {
        "methods": methods,
        **compare(rows, methods),
        "few_shot": few_shot_curves(rows),
        "few_shot_best": few_shot_best(rows),
        "suite_version": suite.version,
        "complete": complete,
        "seeds": sorted({unit.seed for unit in units} | {row["seed"] for row in rows}),
        "episodes": suite.n_episodes,
        "command": command(),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "date": now(),
        "wall_seconds": round(seconds, 1),
    }
