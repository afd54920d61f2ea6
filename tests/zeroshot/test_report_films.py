"""Films of the page: what is played, and that it fits into it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from experts import Rollouts
from zeroshot.report.films import MOST_BYTES, held_out, make_films
from zeroshot.report.runs import read_run
from zeroshot.run import experts_of, run
from zeroshot.suites import SUITES, Suite


def test_films_show_expert_method_and_nearest_in_held_out_contexts(
    suite: Suite,
    zoo: Path,
    user_module: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SUITES, "tiny", suite)
    run(suite, [f"{user_module}:Mean"], seeds=1, out=tmp_path / "run", zoo=zoo)
    found = read_run(tmp_path / "run")
    seen: list[Rollouts] = []

    class Spy:
        def fit(self, data, *, seed, progress=None):  # type: ignore[no-untyped-def]
            from zeroshot.methods import make_method

            seen.append(data)
            return make_method(f"{user_module}:Mean").fit(data, seed=seed, progress=progress)

    monkeypatch.setattr("zeroshot.report.films.make_method", lambda name: Spy())
    films = make_films(
        found, experts_of(suite, zoo), count=2, method="spy", seconds=0.1, size=(64, 48)
    )
    seed, test, train = held_out(found, suite)
    assert seed == 0 and sorted([*test, *train]) == list(range(8)) and len(test) == 2
    assert [film.context["speed"] for film in films] == [suite.contexts[i]["speed"] for i in test]
    assert len(seen) == 1 and seen[0].contexts == tuple(suite.contexts[i] for i in train)
    for film in films:
        assert film.panels == ("expert", "spy", "nearest")
        assert film.returns[0] is not None and film.returns[1] is None
        assert film.mp4[4:8] == b"ftyp" and len(film.mp4) < MOST_BYTES


def test_training_contexts_are_those_of_the_split(
    suite: Suite, zoo: Path, user_module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of fixed tasks, three are learned from: neither the two held out nor the three others."""
    fixed = replace(suite, name="fixed", test_ids=(1, 6), train_sizes=(3, 6))
    monkeypatch.setitem(SUITES, "fixed", fixed)
    run(fixed, [f"{user_module}:Mean"], seeds=1, out=tmp_path, zoo=zoo, split="tasks:3")
    found = read_run(tmp_path)
    _, test, train = held_out(found, fixed)
    assert test == [1, 6] and len(train) == 3
    with pytest.raises(ValueError, match="are not those of the split gap"):
        held_out(replace(found, settings={"split_rule": "gap"}), fixed)


def test_a_suite_that_is_not_registered_cannot_be_filmed(
    write_run: Callable[..., Path], zoo: Path, suite: Suite
) -> None:
    found = read_run(write_run("run", name="other"))
    with pytest.raises(ValueError, match="films need a registered suite, 'other' is not one"):
        make_films(found, experts_of(suite, zoo), count=1)
