"""Answers of a generator of many policies, and a run in which a method learns from many."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts import MLPPolicies, Rollouts, load_experts, play, save_collection
from experts.collections import collection_of_experts
from hyper.hyplatent_config import HypLatentConfig
from zeroshot.bench import Bench
from zeroshot.cli import main
from zeroshot.frozen import split_of
from zeroshot.genhyper import Spread, spread
from zeroshot.run import run
from zeroshot.splits import rule_of
from zeroshot.suites import SUITES, Suite

SPREAD = Spread(
    contexts=({"speed": 1.0}, {"speed": 2.0}),
    mean=np.array([5.0, 6.0]),
    samples=np.array([[1.0, 9.0, 2.0], [7.0, 3.0, 8.0]]),
)


def test_the_oracle_is_apart_from_what_a_method_can_answer() -> None:
    assert SPREAD.sample.tolist() == [4.0, 6.0]
    assert SPREAD.oracle().tolist() == [9.0, 8.0]
    assert SPREAD.oracle(2).tolist() == [5.5, 7.5]
    assert SPREAD.oracle(3).tolist() == SPREAD.sample.tolist()
    rows = SPREAD.rows(2)
    assert [row["answer"] for row in rows[::2]] == [
        "mean policy",
        "one sample",
        "oracle: best 2 of 3",
    ]
    assert [row["oracle"] for row in rows] == [False] * 4 + [True] * 2
    assert [row["return"] for row in rows] == [5.0, 6.0, 4.0, 6.0, 5.5, 7.5]
    with pytest.raises(ValueError, match=r"`top` must be in \[1, 3\], got 4"):
        SPREAD.oracle(4)


class _Two:
    """Two samples a context: an expert as it is, and one that does nothing."""

    def __init__(self, policies: MLPPolicies) -> None:
        self.policies = policies

    def mean_policies(self, contexts: Sequence[Any]) -> MLPPolicies:
        return self.policies

    def samples(self, contexts: Sequence[Any], n: int, *, seed: int) -> MLPPolicies:
        idle = replace(
            self.policies,
            weights=(self.policies.weights[0], 0 * self.policies.weights[1]),
            biases=(self.policies.biases[0], 0 * self.policies.biases[1]),
        )
        both = MLPPolicies.stack([self.policies, idle])
        n_contexts = len(contexts)
        return both.select([i + k * n_contexts for i in range(n_contexts) for k in range(n)])


def test_samples_are_played_in_their_own_context(suite: Suite, zoo: Path) -> None:
    experts = load_experts(zoo).select([0, 3, 5])
    once = partial(
        play, family=suite.family, reward=suite.reward, n_episodes=2, seed=0, n_steps=5, n_threads=1
    )
    found = spread(
        _Two(experts.policies),
        experts.contexts,
        lambda policies, contexts: once(policies, contexts=contexts),
        n_samples=2,
        seed=0,
    )
    assert found.samples.shape == (3, 2)
    np.testing.assert_array_equal(found.samples[:, 0], found.mean)
    assert (found.samples[:, 1] != found.mean).any()


class _Keeps:
    """A method that keeps what it is given."""

    def fit(self, data: Rollouts, *, seed: int, progress: Any = None) -> _Keeps:
        self.data = data
        return self

    def policies(self, contexts: Sequence[Any]) -> MLPPolicies:
        assert self.data.experts is not None
        return self.data.experts.policies.select([0] * len(contexts))


@pytest.fixture
def many(suite: Suite, zoo: Path, tmp_path: Path) -> Path:
    """The zoo with a collection of two policies a context beside it."""
    folder = tmp_path / "many"
    folder.mkdir()
    for file in zoo.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    single = collection_of_experts(load_experts(zoo))
    twice = replace(
        single,
        vectors=tuple(np.concatenate([v, v + 0.01]) for v in single.vectors),
        steps=(np.arange(2),) * len(single),
    )
    save_collection(twice, folder / "collection")
    return folder


def test_a_fit_gets_many_policies_of_the_training_contexts_and_no_other(
    suite: Suite, many: Path, tmp_path: Path
) -> None:
    method = _Keeps()
    out = tmp_path / "out"
    run(suite, {"keeps": method}, seeds=[3], out=out, zoo=many)
    collection = method.data.collection
    assert collection is not None
    split = split_of(suite, rule_of("random", suite), seed=3)
    assert [dict(t) for t in collection.tasks] == [dict(suite.contexts[i]) for i in split.train]
    assert set(collection.n_policies) == {2}
    test = {str(dict(suite.contexts[i])) for i in split.test}
    assert not test & {str(dict(task)) for task in collection.tasks}
    assert not test & {str(record["context"]) for record in collection.records}


def test_results_of_another_collection_are_not_gone_on_with(
    suite: Suite, many: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(suite, {"keeps": _Keeps()}, seeds=[0], out=out, zoo=many)
    single = collection_of_experts(load_experts(many))
    save_collection(single, many / "collection")
    with pytest.raises(ValueError, match="collection"):
        run(suite, {"keeps": _Keeps()}, seeds=[1], out=out, zoo=many, resume=True)
    shutil.rmtree(many / "collection")
    with pytest.raises(ValueError, match=r"another `collection` .*, now None"):
        run(suite, {"keeps": _Keeps()}, seeds=[1], out=out, zoo=many, resume=True)


def test_a_suite_with_fixed_tasks_runs_on_some_of_them(
    suite: Suite, zoo: Path, tmp_path: Path
) -> None:
    fixed = replace(suite, name="fixed", test_ids=(1, 6), train_sizes=(3, 6))
    out = tmp_path / "out"
    summary = run(
        fixed, {"keeps": _Keeps()}, seeds=[0], out=out, zoo=zoo, split="tasks:3", train_rows=True
    )
    assert (summary["split_rule"], summary["n_test"]) == ("tasks:3", 2)
    assert summary["train_fraction"] == 3 / 8 and summary["complete"]
    bench = Bench(
        suite=fixed,
        experts=load_experts(zoo),
        transfer=np.zeros((8, 8)),
        methods={},
        rule=rule_of("tasks:3", fixed),
        train_rows=True,
    )
    assert bench.rows_per_unit == (2 + 3) * fixed.n_episodes


def test_the_command_writes_what_answers_return(
    suite: Suite,
    zoo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(SUITES, "tiny", suite)
    out = tmp_path / "samples" / "tiny.json"
    words = ["samples", "tiny", "--zoo", str(zoo), "--out", str(out), "--episodes", "2"]
    config = replace(HypLatentConfig(), updates=3, autoencoder_updates=3)
    monkeypatch.setattr("hyper.hyplatent_config.HypLatentConfig", lambda: config)
    assert main([*words, "--samples", "3"]) == 0
    said = capsys.readouterr().out
    assert "oracle: best 1 of 3" in said and "mean policy" in said and str(out.name) in said
    found = json.loads(out.read_text())
    n_test = len(split_of(suite, rule_of("random", suite), seed=0).test)
    assert np.shape(found["samples"]) == (n_test, 3) and len(found["mean_policy"]) == n_test
    best = np.max(found["samples"], axis=1).mean()
    assert found["returns"]["oracle: best 1 of 3"] == pytest.approx(best, abs=1e-3)
    assert found["returns"]["expert"] == pytest.approx(np.mean(found["expert"]), abs=1e-3)
    for more, text in (
        (["--samples", "0"], "`samples` must be at least 1, got 0"),
        (["--method", "interpolation"], "`method` must generate many policies, 'interpolation'"),
        (["--split", "half"], "half"),
    ):
        assert main([*words, *more]) == 2
        assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "text"),
    [
        ("folder", "`out` must be a file, {}/folder is a folder"),
        ("file/a.json", "`out` must be in a folder, got {0}/file/a.json, but {0}/file is a file"),
        ("file/a/b.json", "`out` must be in a folder, got {0}/file/a/b.json, but {0}/file is a"),
    ],
)
def test_where_samples_go_is_checked_before_a_fit(
    suite: Suite,
    zoo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    out: str,
    text: str,
) -> None:
    monkeypatch.setitem(SUITES, "tiny", suite)
    monkeypatch.setattr("zeroshot.bench.rollouts_of", None)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert main(["samples", "tiny", "--zoo", str(zoo), "--out", str(tmp_path / out)]) == 2
    assert text.format(tmp_path) in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "file"}
