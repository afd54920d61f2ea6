import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts import MLPPolicies, play
from zeroshot.results import ROWS, SETTINGS, SUMMARY, read_rows
from zeroshot.run import default_workers, experts_of, run, threads_each
from zeroshot.splits import random_split
from zeroshot.suites import Suite

MEAN = "mypkg.mymodule:Mean"
REFERENCES = ["expert", "nearest", "best-of-direction", "best-single", "random", "zero"]


@pytest.mark.parametrize(
    ("cores", "n_workers", "threads"),
    [(8, None, 0), (8, 1, 0), (8, 2, 4), (8, 3, 2), (8, 9, 1), (2, 2, 1), (None, 2, 1)],
)
def test_processes_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, n_workers: int | None, threads: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert threads_each(n_workers) == threads, "0 is all of them"


@pytest.mark.parametrize(
    ("cores", "n_seeds", "workers"), [(4, 3, 3), (4, 5, 4), (64, 50, 8), (None, 5, 1), (4, 0, 1)]
)
def test_processes_of_a_run(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, n_seeds: int, workers: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert default_workers(n_seeds) == workers


def test_a_run_writes_a_row_an_episode(
    suite: Suite, zoo: Path, user_module: str, tmp_path: Path
) -> None:
    summary = run(suite, [MEAN], seeds=3, out=tmp_path / "out", zoo=zoo)
    rows = read_rows(tmp_path / "out" / ROWS)
    per_unit = Counter((row["method"], row["seed"]) for row in rows)
    assert per_unit == {(m, s): 2 * 3 for m in [*REFERENCES, MEAN] for s in range(3)}
    for row in rows:
        split = random_split(suite, seed=row["seed"])
        assert row["context"] in [suite.contexts[i] for i in split.test]
        assert (row["suite"], row["suite_version"], row["split"]) == ("tiny", 1, "test")
        assert (row["split_rule"], row["protocol"], row["shots"]) == ("random:0.7", "zero-shot", 0)
        assert "unit_rows" not in row
        assert row["kind"] == ("method" if row["method"] == MEAN else "reference")
        assert row["length"] == 12 and set(row["outcome"]) == {"velocity"}
        assert row["versions"]["mujoco"] and "commit" in row
        assert row["config"] == ({"seconds": 0.0} if row["method"] == MEAN else {})
        assert row.get("expert_of", "") == (None if row["method"] == MEAN else "")
    assert json.loads((tmp_path / "out" / SUMMARY).read_text()) == summary
    assert summary["complete"] and summary["seeds"] == [0, 1, 2]


def test_expert_returns_are_what_the_experts_reach_in_the_same_episodes(
    suite: Suite, zoo: Path, tmp_path: Path
) -> None:
    run(suite, [], seeds=[5], out=tmp_path, zoo=zoo)
    rows = read_rows(tmp_path / ROWS)
    expert = [row for row in rows if row["method"] == "expert"]
    for context in {tuple(row["context"].items()) for row in expert}:
        own = [row for row in expert if tuple(row["context"].items()) == context]
        assert np.mean([row["return"] for row in own]) == pytest.approx(own[0]["expert_return"])
    ids = random_split(suite, seed=5).test
    experts = experts_of(suite, zoo)
    played = play(
        experts.policies.select(ids),
        suite.family,
        [suite.contexts[i] for i in ids],
        reward="track",
        n_episodes=3,
        seed=1_000_005,
        n_steps=12,
    )
    assert [row["return"] for row in expert] == played.returns.ravel().tolist()


class _Spy:
    """Records what it is given."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def fit(self, data: Any, *, seed: int, progress: Any = None) -> "_Spy":
        self.seen.append((seed, data))
        return self

    def policies(self, contexts: Sequence[Any]) -> "_Spy":
        self.asked = tuple(contexts)
        return self

    def act(self, observations: Any) -> Any:
        return np.zeros((*observations.shape[:2], 6), np.float32)


class _HandsOut:
    """Gives every context but the last asked for the first training expert as it is."""

    def fit(self, data: Any, *, seed: int, progress: Any = None) -> "_HandsOut":
        self.experts = data.experts
        return self

    def policies(self, contexts: Sequence[Any]) -> MLPPolicies:
        first = self.experts.policies.select([0] * len(contexts))
        biases = [bias.copy() for bias in first.biases]
        biases[-1][-1] += 0.5
        return replace(first, biases=tuple(biases))


def test_rows_tell_whose_expert_was_handed_out(suite: Suite, zoo: Path, tmp_path: Path) -> None:
    run(suite, {"copy": _HandsOut()}, seeds=[4], out=tmp_path, zoo=zoo, train_rows=True)
    split = random_split(suite, seed=4)
    first = dict(suite.contexts[split.train[0]])
    for ids, part in ((split.test, "test"), (split.train, "train")):
        rows = [
            (row["context"], row["expert_of"])
            for row in read_rows(tmp_path / ROWS)
            if row["method"] == "copy" and row["split"] == part
        ]
        *others, last = [dict(suite.contexts[i]) for i in ids]
        expected = [(context, first) for context in others] + [(last, None)]
        assert rows == [pair for pair in expected for _ in range(suite.n_episodes)]


def test_nothing_of_a_test_context_reaches_a_method(
    suite: Suite, zoo: Path, tmp_path: Path
) -> None:
    spy = _Spy()
    run(suite, {"spy": spy}, seeds=[4], out=tmp_path, zoo=zoo)
    split = random_split(suite, seed=4)
    train = tuple(suite.contexts[i] for i in split.train)
    ((seed, data),) = spy.seen
    assert seed == 4
    assert data.contexts == data.experts.contexts == train
    assert len(data.observations) == len(data.experts.policies) == len(data.experts.records) == 6
    assert data.observations.base is None, "a view would reach the test contexts' rollouts"
    assert spy.asked == tuple(suite.contexts[i] for i in split.test)


def test_one_and_two_processes_give_the_same_rows(
    suite: Suite, zoo: Path, user_module: str, tmp_path: Path
) -> None:
    run(suite, [MEAN], seeds=2, out=tmp_path / "one", zoo=zoo, workers=1)
    run(suite, [MEAN], seeds=2, out=tmp_path / "two", zoo=zoo, workers=2)
    assert comparable(tmp_path / "one") == comparable(tmp_path / "two")


def test_training_contexts_are_played_on_request(
    suite: Suite, zoo: Path, user_module: str, tmp_path: Path
) -> None:
    run(suite, [MEAN], seeds=1, out=tmp_path, zoo=zoo, train_rows=True)
    counts = Counter((row["method"], row["split"]) for row in read_rows(tmp_path / ROWS))
    assert counts[(MEAN, "test")] == 6 and counts[(MEAN, "train")] == 18


def test_resume_adds_methods_and_seeds_and_redoes_nothing(
    suite: Suite, zoo: Path, user_module: str, tmp_path: Path
) -> None:
    run(suite, [], seeds=1, out=tmp_path, zoo=zoo)
    before = (tmp_path / ROWS).read_bytes()
    summary = run(suite, [MEAN], seeds=2, out=tmp_path, zoo=zoo, resume=True)
    after = (tmp_path / ROWS).read_bytes()
    assert after.startswith(before) and len(after) > len(before)
    assert set(summary["methods"]) == {*REFERENCES, MEAN} and summary["seeds"] == [0, 1]
    run(suite, [MEAN], seeds=2, out=tmp_path, zoo=zoo, resume=True)
    assert (tmp_path / ROWS).read_bytes() == after


def test_resume_repairs_what_a_kill_left(
    suite: Suite, zoo: Path, user_module: str, tmp_path: Path
) -> None:
    run(suite, [MEAN], seeds=2, out=tmp_path, zoo=zoo)
    whole = comparable(tmp_path)
    payload = (tmp_path / ROWS).read_bytes()
    for kept in (0, 17, len(payload) // 2, len(payload) - 1):
        (tmp_path / ROWS).write_bytes(payload[:kept])
        run(suite, [MEAN], seeds=2, out=tmp_path, zoo=zoo, resume=True)
        assert comparable(tmp_path) == whole


def test_without_resume_a_used_folder_is_refused(suite: Suite, zoo: Path, tmp_path: Path) -> None:
    run(suite, [], seeds=1, out=tmp_path, zoo=zoo)
    with pytest.raises(FileExistsError, match="is not empty: use --resume"):
        run(suite, [], seeds=1, out=tmp_path, zoo=zoo)


def test_another_split_holds_out_other_contexts_and_is_not_mixed(
    suite: Suite, zoo: Path, tmp_path: Path
) -> None:
    summary = run(suite, [], seeds=2, out=tmp_path, zoo=zoo, split="gap")
    rows = read_rows(tmp_path / ROWS)
    assert {row["context"]["speed"] for row in rows} == {-2.0, 3.0}
    assert {row["split_rule"] for row in rows} == {"gap"}
    assert (summary["split_rule"], summary["n_test"]) == ("gap", 2)
    assert summary["train_fraction"] == 0.75
    assert json.loads((tmp_path / SETTINGS).read_text())["split_rule"] == "gap"
    for split, now in (("random", "random:0.7"), ("random:0.5", "random:0.5")):
        with pytest.raises(ValueError, match=rf"another `split_rule` \('gap', now '{now}'\)"):
            run(suite, [], seeds=2, out=tmp_path, zoo=zoo, split=split, resume=True)
    run(suite, [], seeds=2, out=tmp_path, zoo=zoo, split="gap", resume=True)


def test_a_run_from_before_there_were_rules_goes_on_with_its_own(
    suite: Suite, zoo: Path, tmp_path: Path
) -> None:
    run(suite, [], seeds=1, out=tmp_path, zoo=zoo)
    settings = json.loads((tmp_path / SETTINGS).read_text())
    assert settings.pop("split_rule") == "random:0.7" and settings.pop("shots") == []
    (tmp_path / SETTINGS).write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"another `split_rule` \(None, now 'gap'\)"):
        run(suite, [], seeds=1, out=tmp_path, zoo=zoo, split="gap", resume=True)
    run(suite, [], seeds=1, out=tmp_path, zoo=zoo, resume=True)


def test_results_of_another_config_are_not_mixed(
    suite: Suite, zoo: Path, user_module: str, tmp_path: Path
) -> None:
    from mypkg.mymodule import Config, Mean

    run(suite, {"mine": Mean()}, seeds=1, out=tmp_path, zoo=zoo)
    with pytest.raises(ValueError, match=r"has mine with another config \(seconds changed\)"):
        run(
            suite,
            {"mine": Mean(Config(seconds=0.1))},
            seeds=2,
            out=tmp_path,
            zoo=zoo,
            resume=True,
        )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"methods": ["a:b", "a:b"]}, "`methods` must be distinct"),
        ({"methods": ["nope"]}, "unknown method 'nope'"),
        ({"methods": ["nearest"]}, r"`methods` must not be named like references, got \['nearest'"),
        ({"seeds": 0}, "`seeds` must be a number of at least 1 or distinct seeds, got 0"),
        ({"seeds": [1, 1]}, "`seeds` must be"),
        ({"suite": "nope"}, "unknown suite 'nope'"),
        ({"split": "holes"}, "`split` must be one of random, random:FRACTION"),
        ({"split": "quadrant"}, "quadrant needs two features that vary, tiny has"),
        ({"shots": [2, 2]}, "`shots` must be distinct numbers of at least 0"),
    ],
)
def test_bad_arguments_write_nothing(
    suite: Suite, zoo: Path, tmp_path: Path, changes: dict[str, Any], text: str
) -> None:
    arguments = {"suite": suite, "methods": [], "seeds": 1, **changes}
    with pytest.raises(ValueError, match=text):
        run(arguments.pop("suite"), out=tmp_path / "out", zoo=zoo, **arguments)
    assert not (tmp_path / "out").exists()


def test_experts_must_fit_the_suite(suite: Suite, zoo: Path, tmp_path: Path) -> None:
    def like(**changes: Any) -> Suite:
        record = {"name": "other", "env_id": "ParamCheetah-v0", "reward": "track"}
        return Suite(**{**record, "grid": {"speed": (1.0, 2.0)}, **changes})

    assert experts_of(like(), zoo).contexts == like().contexts
    with pytest.raises(ValueError, match="the experts' reward is 'track', other needs 'reach'"):
        experts_of(like(reward="reach"), zoo)
    with pytest.raises(ValueError, match="the experts' family is 'ParamCheetah-v0'"):
        experts_of(like(env_id="ParamWalker-v0"), zoo)
    with pytest.raises(ValueError, match="1 of 3 contexts of other have no expert, the first is"):
        experts_of(like(grid={"speed": (1.0, 2.0, 2.5)}), zoo)
    with pytest.raises(FileNotFoundError):
        experts_of(suite, tmp_path)


def comparable(out: Path) -> list[dict[str, Any]]:
    """The rows of a run without what differs between equal runs, in a fixed order."""
    rows = read_rows(out / ROWS)
    for row in rows:
        for name in ("fit_seconds", "commit"):
            row.pop(name)
    return sorted(rows, key=json.dumps)
