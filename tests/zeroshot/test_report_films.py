"""Films of the page: what is played, and that it fits into it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from experts import Rollouts
from experts.evaluation import play
from zeroshot.cli import main
from zeroshot.report.films import (
    MOST_BYTES,
    chosen_contexts,
    films_section,
    held_out,
    make_films,
    spread_contexts,
)
from zeroshot.report.runs import RunFolder, read_run
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
    experts = experts_of(suite, zoo)
    films = make_films(
        found,
        experts,
        contexts=spread_contexts(found, 2),
        methods=["spy"],
        seconds=0.1,
        size=(64, 48),
    )
    of, seed, test, train = held_out(found)
    assert (
        of is suite and seed == 0 and sorted([*test, *train]) == list(range(8)) and len(test) == 2
    )
    assert [film.context["speed"] for film in films] == [suite.contexts[i]["speed"] for i in test]
    assert len(seen) == 1 and seen[0].contexts == tuple(suite.contexts[i] for i in train)
    for i, film in zip(test, films, strict=True):
        assert film.panels == ("expert", "spy", "nearest") and film.note == ""
        assert film.mp4[4:8] == b"ftyp" and len(film.mp4) < MOST_BYTES
        whole = play(
            experts.policies.select([i]),
            suite.family,
            [suite.contexts[i]],
            reward=suite.reward,
            n_episodes=1,
            seed=0,
            starts=[seed],
            n_steps=suite.n_steps,
        )
        assert film.returns[0] == pytest.approx(whole.returns[0, 0])


@pytest.fixture
def played(
    suite: Suite, zoo: Path, user_module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RunFolder:
    monkeypatch.setitem(SUITES, "tiny", suite)
    run(suite, [f"{user_module}:Mean"], seeds=1, out=tmp_path / "run", zoo=zoo)
    return read_run(tmp_path / "run")


def test_chosen_contexts_stand_in_rows_and_are_not_learned_from(
    suite: Suite, zoo: Path, played: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, test, train = held_out(played)
    seen = []

    class Spy:
        def fit(self, data, *, seed, progress=None):  # type: ignore[no-untyped-def]
            seen.append(data.contexts)
            progress(1.0)
            return self

        def policies(self, contexts):  # type: ignore[no-untyped-def]
            return experts.policies.select([0])

    experts = experts_of(suite, zoo)
    told: list[float] = []
    monkeypatch.setattr("zeroshot.report.films.make_method", lambda name: Spy())
    words = [f"speed={suite.contexts[i]['speed']:g}" for i in (train[1], test[0])]
    contexts = chosen_contexts(suite, [*words, "speed=3.3,torso=0.6"])
    films = make_films(
        played,
        experts,
        contexts=contexts,
        methods=["one", "two"],
        seconds=0.05,
        size=(64, 48),
        progress=told.append,
    )
    left = tuple(suite.contexts[i] for i in train if i != train[1])
    assert seen == [left, left] and told == [0.5, 1.0]
    assert [film.panels for film in films] == [
        ("expert", "one", "two", "nearest"),
        ("expert", "one", "two", "nearest"),
        ("one", "two", "nearest"),
    ]
    assert [film.note for film in films] == [
        "learned from in the run, but not here",
        "",
        "not of the suite, so without an expert",
    ]
    assert films[2].context == {"speed": 3.3, "torso": 0.6}
    assert films[0].returns[0] != films[0].returns[-1]  # the nearest expert is another one
    section = films_section(films, "tiny", None)
    assert section is not None and section.body.count("<figure>") == 3
    assert "<b>speed 3.3, torso 0.6</b>; split 0; not of the suite, so" in section.body
    captions = re.findall(r"<li><b>(\w+)</b> −?\d+</li>", section.body)
    assert captions == [name for film in films for name in film.panels]


def test_films_need_a_context_to_learn_from(suite: Suite, zoo: Path, played: RunFolder) -> None:
    with pytest.raises(ValueError, match="`contexts` must leave a training context, got all"):
        make_films(played, experts_of(suite, zoo), contexts=suite.contexts)


def test_the_command_films_chosen_contexts(
    suite: Suite,
    zoo: Path,
    played: RunFolder,
    user_module: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zeroshot.report.films.SECONDS", 0.05)
    methods = [f"{user_module}:Mean", f"{user_module}:mean"]
    words = ["--film-contexts", "speed=2", "speed=-2.5", "--film-methods", *methods]
    assert main(["report", str(played.path), *words, "--zoo", str(zoo)]) == 0
    text = (played.path / "report.html").read_text()
    assert text.count("<video ") == 2
    for name in methods:
        assert len(re.findall(rf"<li><b>{name}</b> −?\d+</li>", text)) == 2


def test_bad_films_are_one_line(
    played: RunFolder, user_module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mean = f"{user_module}:Mean"
    for words, text in (
        (
            ["--film-context", "speed=30"],
            "`film_context` must be of tiny's family, got 'speed=30': `speed` must be in [-10, 10] "
            "without 0 (m/s), got 30",
        ),
        (
            ["--film-context", "mass=3"],
            "got 'mass=3': unknown feature `mass`, allowed are ['speed', 'torso']",
        ),
        (["--film-context", "speed"], "must be feature=value once a feature, got 'speed'"),
        (
            ["--film-context", "speed=2", "speed=2.0"],
            "`film_context` must be distinct, got 'speed=2.0' twice",
        ),
        (
            ["--film-context", *(f"speed={i}" for i in range(1, 14))],
            "`film_context` must be at most 12, got 13",
        ),
        (
            ["--films", "2", "--film-context", "speed=2"],
            "`film_context` stands instead of --films, got 2 of them",
        ),
        (
            ["--films", "1", "--film-method", mean, mean],
            f"`film_method` must be distinct, got {mean} {mean}",
        ),
        (
            ["--films", "1", "--film-method", *"abcde"],
            "`film_method` must be at most 4, got 5",
        ),
    ):
        assert main(["report", str(played.path), *words]) == 2
        said = capsys.readouterr().err
        assert text in said and said.count("\n") == 1


def test_training_contexts_are_those_of_the_split(
    suite: Suite, zoo: Path, user_module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of fixed tasks, three are learned from: neither the two held out nor the three others."""
    fixed = replace(suite, name="fixed", test_ids=(1, 6), train_sizes=(3, 6))
    monkeypatch.setitem(SUITES, "fixed", fixed)
    run(fixed, [f"{user_module}:Mean"], seeds=1, out=tmp_path, zoo=zoo, split="tasks:3")
    found = read_run(tmp_path)
    _, _, test, train = held_out(found)
    assert test == [1, 6] and len(train) == 3
    with pytest.raises(ValueError, match="are not those of the split gap"):
        held_out(replace(found, settings={"split_rule": "gap"}))


def test_a_suite_that_is_not_registered_cannot_be_filmed(
    write_run: Callable[..., Path], zoo: Path, suite: Suite
) -> None:
    found = read_run(write_run("run", name="other"))
    with pytest.raises(ValueError, match="films need a registered suite, 'other' is not one"):
        make_films(found, experts_of(suite, zoo), contexts=suite.contexts[:1])
