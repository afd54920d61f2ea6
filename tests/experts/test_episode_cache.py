from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts import audit, gather, save_expert
from experts.audit import Audit
from experts.episode_cache import EpisodeCache, key_of
from experts.evaluation import Played, play
from experts.rebuild import PLAYED, RepairSettings
from tests.experts.factories import TINY, untrained

PLAYED_ONCE = Played(
    returns=np.array([[1.5, 2.5]]),
    lengths=np.array([[3, 4]]),
    outcomes={"velocity": np.array([[0.5, -0.5]])},
)
POLICIES = gather([untrained({"speed": 1.0})]).policies


def test_what_is_kept_is_found(tmp_path: Path) -> None:
    cache = EpisodeCache(tmp_path / "a" / "b")
    assert cache.find("key") is None
    cache.keep("key", PLAYED_ONCE)
    found = cache.find("key")
    assert found is not None and list(found.outcomes) == ["velocity"]
    np.testing.assert_array_equal(found.returns, PLAYED_ONCE.returns)
    np.testing.assert_array_equal(found.lengths, PLAYED_ONCE.lengths)
    np.testing.assert_array_equal(found.outcomes["velocity"], PLAYED_ONCE.outcomes["velocity"])
    assert cache.find("other") is None
    cache.clear()
    assert not cache.folder.exists()
    cache.clear()


def test_damaged_entries_are_not_there(tmp_path: Path) -> None:
    cache = EpisodeCache(tmp_path)
    cache.keep("key", PLAYED_ONCE)
    (tmp_path / "key").write_bytes((tmp_path / "key").read_bytes()[:-5])
    assert cache.find("key") is None


def test_a_folder_that_cannot_be_written_costs_the_cache_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = EpisodeCache(tmp_path / "file" / "folder")
    cache.keep("key", PLAYED_ONCE)
    assert cache.find("key") is None
    cache.clear()


@pytest.mark.parametrize(
    "other",
    [
        replace(POLICIES, biases=(POLICIES.biases[0] + 1, *POLICIES.biases[1:])),
        replace(POLICIES, weights=(*POLICIES.weights[:-1], -POLICIES.weights[-1])),
        replace(POLICIES, activation="relu"),
        replace(POLICIES, mean=np.ones((1, 17), dtype=np.float32)),
        replace(POLICIES, scale=np.full((1, 17), 2, dtype=np.float32)),
    ],
)
def test_other_policies_have_another_key(other: Any) -> None:
    assert key_of(POLICIES, {"n": 1}) == key_of(replace(POLICIES), {"n": 1})
    assert key_of(POLICIES, {"n": 1}) != key_of(other, {"n": 1})


def test_facts_and_the_program_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_of(POLICIES, {"n": 1})
    assert key_of(POLICIES, {"n": 2}) != key
    monkeypatch.setattr("experts.episode_cache.commit", lambda: "another")
    assert key_of(POLICIES, {"n": 1}) != key


@pytest.mark.parametrize("last", [0, 1, 2, 3, 4])
def test_a_killed_audit_plays_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    """Five chunks are played: two that find, two that confirm, one that decides."""
    for i, speed in enumerate((1.0, 2.0)):
        evaluation = {"return_mean": 1.0, "velocity_mean": 0.0}
        save_expert(untrained({"speed": speed}, seed=i, evaluation=evaluation), tmp_path)
    episodes = {"finding_episodes": 2, "confirming_episodes": 2, "deciding_episodes": 2}
    settings = RepairSettings(recipe=TINY, threshold=0.0, n_steps=20, **episodes)
    monkeypatch.setattr("experts.transfer.SLOTS", 4)
    monkeypatch.setitem(audit.__globals__, "DOUBT", 1e9)
    whole = audit(tmp_path, threshold=0.0, n_steps=20, **episodes)
    assert whole.decided.any() and not (tmp_path / PLAYED).exists()
    plays = 0

    def interrupted(*args: Any, **settings: Any) -> Played:
        nonlocal plays
        plays += 1
        if plays == last + 1:
            raise KeyboardInterrupt
        return play(*args, **settings)

    monkeypatch.setattr("experts.transfer.play", interrupted)
    fractions: list[float] = []
    with pytest.raises(KeyboardInterrupt):
        settings.audit(tmp_path, 0)
    assert len(list(tmp_path.glob(f"{PLAYED}/*"))) == last
    again = settings.audit(tmp_path, 0, fractions.append)
    assert plays == 5 + 1
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1.0)
    assert not (tmp_path / PLAYED).exists()
    same(again, whole)


def same(first: Audit, second: Audit) -> None:
    for name in ("returns", "own", "regret", "regret_error", "decided", "limits"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.rivals == second.rivals
