"""Nothing of a test context reaches a method before its time, by any rule of splitting."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts import Experts, Rollouts, collect
from experts.evaluation import episode_seeds
from experts.store import ZOO, expert_name
from experts.synthetic import smooth_experts
from zeroshot.bench import ROLLOUT_SEED, TEST_STARTS, Bench
from zeroshot.fewshot import DEMONSTRATION_STARTS, INTERACTION_STARTS
from zeroshot.frozen import split_of
from zeroshot.results import Unit
from zeroshot.run import experts_of, run
from zeroshot.splits import rule_of, rules_for
from zeroshot.suites import SUITES, Suite

QUICK = ("cheetah-speed", "cheetah-speed-torso")
RULES = ["random", "random:0.05", "random:0.5", "gap", "extrapolation", "quadrant", "tasks"]


class _Stop(Exception):
    pass


class _Spy:
    """Keeps what it is given, and does not go on."""

    def fit(self, data: Any, *, seed: int, progress: Any = None) -> Any:
        self.given = (data, seed, progress)
        raise _Stop


@pytest.fixture(scope="module")
def benches() -> dict[str, Bench]:
    return {}


def bench_of(suite: Suite, benches: dict[str, Bench]) -> Bench:
    """Made-up experts of a suite, whose records name their context; played for two steps."""
    if suite.name not in benches:
        experts = named_experts(suite)
        benches[suite.name] = Bench(
            suite=replace(suite, n_steps=2, n_episodes=1),
            experts=experts,
            transfer=np.zeros((len(experts), len(experts))),
            methods={},
            n_threads=1,
        )
    return benches[suite.name]


def named_experts(suite: Suite) -> Experts:
    found = smooth_experts(
        suite.family, suite.contexts, features=suite.features, seed=0, reward=suite.reward
    )
    named = tuple({**record, "file": expert_name(record["context"])} for record in found.records)
    return replace(found, records=named)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in SUITES],
)
def test_nothing_of_a_test_context_is_reachable_from_what_a_fit_gets(
    name: str, benches: dict[str, Bench]
) -> None:
    bench, spy = bench_of(SUITES[name], benches), _Spy()
    suite = bench.suite
    for rule in [rule for rule in RULES if rule.partition(":")[0] in rules_for(suite)]:
        given = replace(bench, methods={"spy": spy}, rule=rule_of(rule, suite), shots=(1,))
        given.__dict__["rollouts"] = bench.rollouts  # collected once for all rules
        with pytest.raises(_Stop):
            given.perform(Unit("spy", 1), lambda fraction: None)
        split = split_of(suite, rule_of(rule, suite), seed=1)
        assert spy.given[0].contexts == tuple(suite.contexts[i] for i in split.train)
        assert traces(spy.given, suite, bench.experts, split.test) == []


def test_the_search_for_traces_finds_what_leaks(suite: Suite) -> None:
    experts = named_experts(suite)
    data = collect(experts, features=suite.features, noise=(0.0,), seed=0, n_steps=2)
    kept = data.select([0, 1, 2])
    assert traces(kept, suite, experts, [4]) == []
    leaking: list[Any] = [
        replace(kept, contexts=(*kept.contexts, suite.contexts[4])),
        replace(kept, experts=data.experts),
        replace(kept, rewards=data.rewards[:3]),
        {"hidden": [expert_name(suite.contexts[4])]},
        lambda: data.contexts[4],
    ]
    for leak in leaking:
        assert traces(leak, suite, experts, [4])


def traces(root: Any, suite: Suite, experts: Experts, test: Sequence[int]) -> list[str]:
    """Where the objects reachable from `root` mention a test context or hold its expert."""
    contexts = [suite.contexts[i] for i in test]
    asked = {tuple(c[f] for f in suite.features) for c in contexts}
    named = re.compile("|".join(rf"{re.escape(expert_name(c))}(?![\d.]*\d)" for c in contexts))
    canaries = np.unique(experts.policies.weights[0][list(test), 0, 0])
    found = []
    for path, thing in walk(root, "data", set()):
        if isinstance(thing, Mapping) and all(f in thing for f in suite.features):
            if tuple(thing[f] for f in suite.features) in asked:
                found.append(f"{path}: {dict(thing)}")
        elif isinstance(thing, str) and named.search(thing):
            found.append(f"{path}: {thing}")
        elif isinstance(thing, np.ndarray):
            if isinstance(thing.base, np.ndarray) and thing.base.size > thing.size:
                found.append(f"{path}: a view of a larger array")
            if thing.dtype == np.float32 and np.isin(canaries, thing).any():
                found.append(f"{path}: weights of a test expert")
    return found


def walk(thing: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Everything reachable: items, attributes, slots, array bases and what functions close over."""
    if id(thing) in seen or isinstance(thing, int | float | type):
        return
    seen.add(id(thing))
    yield path, thing
    children: list[tuple[str, Any]] = []
    if isinstance(thing, Mapping):
        children += [(f"[{key!r}]", value) for key, value in thing.items()]
    elif isinstance(thing, list | tuple | set | frozenset):
        children += [(f"[{i}]", value) for i, value in enumerate(thing)]
    elif isinstance(thing, np.ndarray) and thing.base is not None:
        children.append((".base", thing.base))
    cells = getattr(thing, "__closure__", None) or ()
    children += [(f".closure[{i}]", cell.cell_contents) for i, cell in enumerate(cells)]
    if is_dataclass(thing):
        children += [(f".{f.name}", getattr(thing, f.name)) for f in fields(thing)]
    children += [(f".{name}", value) for name, value in getattr(thing, "__dict__", {}).items()]
    for name in getattr(type(thing), "__slots__", ()):
        children.append((f".{name}", getattr(thing, name)))
    for step, child in children:
        yield from walk(child, path + step, seen)


def test_no_two_kinds_of_episodes_start_alike() -> None:
    most = max(len(suite.contexts) for suite in SUITES.values())
    seeds = set(episode_seeds(ROLLOUT_SEED, most, 10))
    n = len(seeds)
    for first in (TEST_STARTS, DEMONSTRATION_STARTS, INTERACTION_STARTS):
        for seed in range(5):
            seeds |= set(episode_seeds(first + seed, most, 10))
            n += most * 10
    assert len(seeds) == n


class _Records:
    """A method that keeps a diary."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def fit(self, data: Any, *, seed: int, progress: Any = None) -> "_Records":
        self.events.append("fit")
        return self

    def policies(self, contexts: Sequence[Any]) -> "_Records":
        self.events.append(("policies", len(contexts)))
        return self

    def adapt(self, demonstrations: Rollouts, *, seed: int) -> "_Records":
        self.events.append(("adapt", demonstrations))
        return self

    def act(self, observations: Any) -> Any:
        return np.zeros((*observations.shape[:2], 6), np.float32)


def test_a_method_sees_k_demonstrations_of_the_test_contexts_and_only_at_the_end(
    suite: Suite, zoo: Path, tmp_path: Path
) -> None:
    method = _Records()
    run(suite, {"mine": method}, seeds=[3], out=tmp_path, zoo=zoo, shots=[0, 2, 1])
    events = method.events
    kinds = [event if event == "fit" else event[0] for event in events]
    assert kinds == ["fit", *["policies"] * 5, "adapt", "adapt"]
    # zero-shot, whether there is a memory, all candidates, after 1 and after 2 own episodes
    assert [event[1] for event in events[1:6]] == [2, 2, 2 * 2, 2, 2]
    split = split_of(suite, rule_of("random", suite), seed=3)
    for k, (_, shown) in zip((1, 2), events[6:], strict=True):
        assert shown.contexts == tuple(suite.contexts[i] for i in split.test)
        assert shown.observations.shape[:2] == (2, k) and shown.experts is None
        others = [i for i in range(len(suite.contexts)) if i not in split.test]
        assert traces(shown, suite, experts_of(suite, zoo), others) == []


@pytest.mark.parametrize(
    "name",
    [n for n in SUITES if SUITES[n].test_ids and (ZOO / SUITES[n].zoo).is_dir()],
)
def test_no_shipped_expert_descends_from_one_that_is_always_held_out(name: str) -> None:
    suite = SUITES[name]
    held_out = {expert_name(context) for context in suite.held_out}
    experts = experts_of(suite, None)
    parents = {
        expert_name(context): (record["warm_start"] or {}).get("expert")
        for context, record in zip(experts.contexts, experts.records, strict=True)
    }
    assert held_out <= parents.keys()
    assert not {own for own, parent in parents.items() if parent in held_out - {own}}
    shared = [record.get("turned", {}).get("contexts", ()) for record in experts.records]
    assert not held_out & {name for names in shared for name in names}
    lenders = [record.get("policy_from", {}).get("expert") for record in experts.records]
    assert not held_out & set(lenders)
