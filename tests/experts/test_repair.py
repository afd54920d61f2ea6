import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experts import (
    Expert,
    gather,
    load_experts,
    play,
    repair,
    repair_rounds,
    save_expert,
    transfer_matrix,
)
from experts.audit import audit
from experts.jobs import Job, manifest_path
from experts.rebuild import (
    CANDIDATES,
    DECIDED,
    PLAN,
    RepairSettings,
    Round,
    interrupted_round,
    planned_round,
    rebuild,
    renormalised,
)
from experts.store import load_expert
from experts.training import evaluated
from tests.experts.factories import ENV_ID, TINY, untrained

STILL = replace(TINY, learning_rate=1e-12, final_learning_rate=1e-12)
SETTINGS = RepairSettings(
    recipe=STILL, finding_episodes=1, confirming_episodes=4, deciding_episodes=0, n_steps=300
)
NAME = "speed=1_torso=0.5"


@pytest.fixture(scope="module")
def ranked() -> list[Expert]:
    """Experts of one context, the worst first; neighbours differ by more than 2 %."""
    found = [evaluated(untrained({"speed": 1.0}, seed=seed)) for seed in range(6)]
    found.sort(key=lambda expert: expert.record["evaluation"]["return_mean"])
    kept = [found[0], found[3], found[5]]
    returns = [expert.record["evaluation"]["return_mean"] for expert in kept]
    assert returns[1] / returns[0] > 1.05 and returns[2] / returns[1] > 1.05
    return kept


def trains(expert: Expert, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Job]]:
    """Every job "trains" that expert; returns the calls."""
    calls: list[Sequence[Job]] = []

    def run_jobs(jobs: Sequence[Job], *_: Any, directory: Path, **__: Any) -> None:
        calls.append(jobs)
        for job in jobs:
            if not manifest_path(directory, job.context).exists():
                save_expert(expert, directory)

    monkeypatch.setattr("experts.rebuild.run_jobs", run_jobs)
    return calls


def zoos(own: Expert, donor: Expert, tmp_path: Path) -> tuple[Path, Path]:
    save_expert(own, tmp_path / "zoo")
    save_expert(donor, tmp_path / "donors")
    return tmp_path / "zoo", tmp_path / "donors"


def test_transfer_matrix_has_own_returns_on_its_diagonal() -> None:
    found = [evaluated(untrained({"speed": s}, seed=i)) for i, s in enumerate((1.0, -2.0, 3.0))]
    experts = gather(found)
    matrix = transfer_matrix(experts, n_episodes=2, seed=0, n_steps=20)
    assert matrix.shape == (3, 3)
    assert len(np.unique(matrix.round(6))) == 9
    chosen = experts.policies.select([1])
    again = transfer_matrix(experts, chosen, n_episodes=2, seed=0, n_steps=20)
    np.testing.assert_allclose(again, matrix[1:2])


def test_a_beaten_expert_starts_again_from_the_better_one(
    ranked: list[Expert], tmp_path: Path
) -> None:
    """With a learning rate of nothing, the successor is the donor; it stays if it is better."""
    zoo, donors = zoos(ranked[0], ranked[2], tmp_path)
    # Chaos makes any two such policies differ by more than the usual 2 %.
    other = replace(STILL, discount=0.5)
    said = repair(zoo, recipe=other, donors=[donors], workers=1, threshold=0.5)
    assert [r.context["speed"] for r in said] == [1.0]
    assert said[0].after > said[0].before and said[0].kept == "successor"
    assert said[0].donor == donors / f"{NAME}.json"
    record = load_experts(zoo).records[0]
    assert record["warm_start"]["expert"] == NAME
    assert record["discount"] == ranked[0].record["discount"], "a zoo has one"
    assert record["evaluation"]["return_mean"] == pytest.approx(said[0].after, rel=0.2)
    assert not (zoo / CANDIDATES).exists()


def test_a_successor_that_is_no_better_is_turned_down(
    ranked: list[Expert], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo, donors = zoos(ranked[1], ranked[1], tmp_path)
    trains(ranked[0], monkeypatch)
    before = (zoo / f"{NAME}.json").read_bytes()
    job = Job(context=ranked[1].context, seed=0, warm_from=donors / f"{NAME}.json")
    (said,) = rebuild(
        zoo, SETTINGS, Round(number=0, jobs=(job,)), workers=1, engine=None, on_progress=None
    )
    assert said.kept == "old" and said.after == said.before
    assert (zoo / f"{NAME}.json").read_bytes() == before


def test_the_donors_policy_is_the_last_resort_and_the_manifest_says_so(
    ranked: list[Expert], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo, donors = zoos(ranked[0], ranked[2], tmp_path)
    successor = replace(
        ranked[1], record={**ranked[1].record, "recipe": "tiny-chained", "warm_start": {}}
    )
    trains(successor, monkeypatch)
    settings = replace(SETTINGS, donors=(donors,))
    (said,) = repair_rounds(zoo, settings, rounds=1).rounds[0]
    assert said.kept == "donor" and said.after > said.before
    kept = load_expert(zoo / f"{NAME}.json")
    assert kept.record["recipe"] == "tiny-copied"
    donor = load_expert(donors / f"{NAME}.json")
    assert kept.record["policy_from"] == {
        "expert": NAME,
        "reward": "track",
        "sha256": donor.record["sha256"],
    }
    seen = np.random.default_rng(0).normal(size=(1, 20, 17)).astype(np.float32)
    np.testing.assert_allclose(kept.policy.act(seen), donor.policy.act(seen), atol=1e-5)
    np.testing.assert_allclose(
        kept.critic.apply(seen), successor.critic.apply(seen), rtol=0.02, atol=0.02
    )
    measured = kept.record["evaluation"]["return_mean"]
    assert measured == evaluated(kept).record["evaluation"]["return_mean"]
    assert measured > 1.05 * ranked[1].record["evaluation"]["return_mean"]


@pytest.mark.parametrize(("own", "kept"), [(0, "donor"), (1, "old")])
def test_who_adopts_keeps_no_successor(
    ranked: list[Expert],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own: int,
    kept: str,
) -> None:
    zoo, donors = zoos(ranked[own], ranked[1 - own], tmp_path)
    trains(replace(ranked[2], record={**ranked[2].record, "recipe": "tiny"}), monkeypatch)
    job = Job(context=ranked[own].context, seed=0, warm_from=donors / f"{NAME}.json")
    # A margin beyond which the donor is not: who adopts asks for none.
    settings = replace(SETTINGS, threshold=10.0, adopt=True)
    (said,) = rebuild(
        zoo, settings, Round(number=0, jobs=(job,)), workers=1, engine=None, on_progress=None
    )
    assert said.kept == kept
    seen = np.random.default_rng(0).normal(size=(1, 20, 17)).astype(np.float32)
    expert = load_expert(zoo / f"{NAME}.json")
    np.testing.assert_allclose(expert.policy.act(seen), ranked[1].policy.act(seen), atol=1e-5)


def test_renormalising_changes_the_statistics_and_not_the_function() -> None:
    policy, like = untrained({}, seed=0).policy, untrained({}, seed=1).policy
    seen = np.random.default_rng(0).normal(size=(1, 50, 17)).astype(np.float32)
    for source in (policy, replace(policy, mean=None, scale=None)):
        changed = renormalised(source, like)
        assert changed.mean is like.mean and changed.scale is like.scale
        assert not np.allclose(changed.weights[0], source.weights[0])
        np.testing.assert_allclose(changed.act(seen), source.act(seen), atol=1e-5)


def test_rounds_end_when_nothing_is_beaten(
    ranked: list[Expert], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo, donors = zoos(ranked[0], ranked[2], tmp_path)
    calls = trains(ranked[2], monkeypatch)
    beaten: list[int] = []
    done = repair_rounds(
        zoo,
        replace(SETTINGS, donors=(donors,)),
        on_found=lambda found: beaten.append(int(found.beaten.sum())),
    )
    assert done.outcome == "clean" and beaten == [1, 0] and len(calls) == 1
    assert [repaired.kept for repaired in done.rounds[0]] == ["successor"]
    assert not done.audit.beaten.any()
    assert "shortfall" in load_expert(zoo / f"{NAME}.json").record


def test_rounds_end_when_one_improves_nothing(
    ranked: list[Expert], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the successor is bad and the donor never wins the final comparison."""
    zoo, donors = zoos(ranked[0], ranked[2], tmp_path)
    calls = trains(ranked[0], monkeypatch)
    monkeypatch.setattr("experts.rebuild.load_expert", lambda path: ranked_at(path, ranked[0]))
    done = repair_rounds(zoo, replace(SETTINGS, donors=(donors,)), rounds=4)
    assert done.outcome == "stuck" and len(calls) == 1
    assert [repaired.kept for repaired in done.rounds[0]] == ["old"]
    assert done.audit.beaten.tolist() == [True]
    with pytest.raises(ValueError, match="`rounds` must be at least 1, got 0"):
        repair_rounds(zoo, SETTINGS, rounds=0)


def ranked_at(path: Path, stand_in: Expert) -> Expert:
    """What is at `path`, with the policy of another."""
    found = load_expert(path)
    sha256 = found.record["sha256"] if CANDIDATES not in path.parts else "another"
    return replace(found, policy=stand_in.policy, record={**found.record, "sha256": sha256})


def test_what_is_always_held_out_lends_nothing(
    ranked: list[Expert], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = tmp_path / "zoo"
    save_expert(ranked[0], zoo)
    held_out = ranked[0].family.context(speed=1.1)
    save_expert(replace(ranked[2], record={**ranked[2].record, "context": dict(held_out)}), zoo)
    calls = trains(ranked[2], monkeypatch)
    done = repair_rounds(zoo, replace(SETTINGS, leaves=(held_out,)))
    assert done.outcome == "stuck" and done.audit.beaten[0] and not calls and not done.rounds
    assert not (zoo / CANDIDATES).exists()
    assert repair_rounds(zoo, SETTINGS, rounds=1).rounds and calls


def test_rounds_are_not_endless(
    ranked: list[Expert], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo, donors = zoos(ranked[0], ranked[2], tmp_path)
    trains(ranked[1], monkeypatch)
    settings = replace(SETTINGS, donors=(donors,))
    monkeypatch.setattr("experts.rebuild._copied", lambda donor, successor: successor)
    done = repair_rounds(zoo, settings, rounds=1)
    assert done.outcome == "exhausted" and len(done.rounds) == 1


def test_an_interrupted_round_goes_on_with_its_plan(
    ranked: list[Expert], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo, donors = zoos(ranked[0], ranked[2], tmp_path)
    settings = replace(SETTINGS, donors=(donors,), seed=7)
    audited = audit(zoo, donors=[donors], confirming_episodes=4, deciding_episodes=0, n_steps=100)
    planned = planned_round(zoo, settings, audited, 2)
    assert [job.seed for job in planned.jobs] == [3007]
    save_expert(ranked[2], zoo / CANDIDATES)  # its only job, finished before the kill
    assert interrupted_round(zoo, ENV_ID, settings) == planned
    with pytest.raises(ValueError, match=r"other settings was interrupted here \(seed changed\)"):
        repair_rounds(zoo, replace(settings, seed=8))
    said: list[Any] = []

    def no_training(*_: Any, **__: Any) -> None:
        raise AssertionError("all candidates are there")

    monkeypatch.setattr("experts.jobs.LocalEngine.open", no_training)
    done = repair_rounds(zoo, settings, on_round=said.extend)
    assert [repaired.kept for repaired in said] == ["successor"]
    assert done.outcome == "clean" and done.audit.seed == 7 + 3
    assert not (zoo / CANDIDATES).exists()


def test_a_plan_is_plain_text_and_replaces_what_was_left(
    ranked: list[Expert], tmp_path: Path
) -> None:
    zoo, donors = zoos(ranked[0], ranked[2], tmp_path)
    save_expert(ranked[1], zoo / CANDIDATES)
    audited = audit(zoo, donors=[donors], confirming_episodes=4, deciding_episodes=0, n_steps=100)
    planned_round(zoo, SETTINGS, audited, 0)
    assert [path.name for path in (zoo / CANDIDATES).iterdir()] == [PLAN]
    plan = json.loads((zoo / CANDIDATES / PLAN).read_text())
    assert plan["jobs"][0]["donor"] == str(donors / f"{NAME}.json")
    assert plan["settings"]["recipe"]["name"] == "tiny"


def test_threshold_must_not_be_negative(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`threshold` must be at least 0, got -1"):
        repair(tmp_path, recipe=TINY, threshold=-1)


def test_what_a_round_decided_survives_a_kill(
    ranked: list[Expert], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while the first expert was replaced: the donor's copy is installed all the same."""
    zoo, donors = zoos(ranked[0], ranked[2], tmp_path)
    trains(replace(ranked[1], record={**ranked[1].record, "recipe": "tiny"}), monkeypatch)
    settings = replace(SETTINGS, donors=(donors,))

    def killed(expert: Expert, directory: Path) -> None:
        if directory == zoo:
            raise KeyboardInterrupt
        save_expert(expert, directory)

    with monkeypatch.context() as patch:
        patch.setattr("experts.rebuild.save_expert", killed)
        with pytest.raises(KeyboardInterrupt):
            repair_rounds(zoo, settings, rounds=1)
    assert (zoo / CANDIDATES / DECIDED).exists()
    (donors / f"{NAME}.json").unlink()  # it is not looked at again
    save_expert(ranked[1], donors)
    said: list[Any] = []
    repair_rounds(zoo, settings, rounds=1, on_round=said.extend)
    assert [repaired.kept for repaired in said] == ["donor"]
    assert said[0].donor == donors / f"{NAME}.json" and said[0].after > said[0].before
    kept = load_expert(zoo / f"{NAME}.json")
    seen = np.random.default_rng(0).normal(size=(1, 20, 17)).astype(np.float32)
    np.testing.assert_allclose(kept.policy.act(seen), ranked[2].policy.act(seen), atol=1e-5)
    assert not (zoo / CANDIDATES).exists()


def test_a_killed_round_decides_nothing_twice(
    ranked: list[Expert], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in its second decision, it begins again with that one."""
    zoo, donors = zoos(ranked[0], ranked[1], tmp_path)
    second = evaluated(untrained({"speed": 2.0}, seed=0))
    save_expert(second, zoo)
    trained = {e.context["speed"]: e for e in (ranked[2], second)}
    parents = donors / f"{NAME}.json", zoo / "speed=2_torso=0.5.json"
    jobs = tuple(
        Job(context=expert.context, seed=0, warm_from=parent)
        for expert, parent in zip(trained.values(), parents, strict=True)
    )

    def run_jobs(jobs: Sequence[Job], *_: Any, directory: Path, **__: Any) -> None:
        for job in jobs:
            save_expert(trained[job.context["speed"]], directory)

    monkeypatch.setattr("experts.rebuild.run_jobs", run_jobs)
    looked: list[float] = []
    killed = [True]

    def played(policies: Any, family: Any, contexts: Any, **settings: Any) -> Any:
        looked.append(contexts[0]["speed"])
        if len(looked) == 2 and killed.pop():
            raise KeyboardInterrupt
        return play(policies, family, contexts, **settings)

    monkeypatch.setattr("experts.rebuild.play", played)
    again: dict[str, Any] = {"workers": 1, "engine": None, "on_progress": None}
    before = (zoo / f"{NAME}.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        rebuild(zoo, SETTINGS, Round(number=0, jobs=jobs), **again)
    assert (zoo / f"{NAME}.json").read_bytes() == before, "nothing is replaced yet"
    said = rebuild(zoo, SETTINGS, Round(number=0, jobs=jobs), **again)
    assert looked == [1.0, 2.0, 2.0]
    assert [repaired.context["speed"] for repaired in said] == [1.0, 2.0]
    assert [repaired.kept for repaired in said] == ["successor", "old"]


@pytest.mark.parametrize(
    ("successors", "deciding", "kept", "n_episodes"),
    [
        ((60.0, 170.0), 0, "successor", 20),
        ((60.0, 170.0), 50, "old", 50),  # 115 in 20 episodes, by luck
        ((115.0, 115.0), 50, "successor", 20),
        ((90.0, 90.0), 50, "old", 20),
        ((101.0, 103.0), 50, "successor", 20),
    ],
)
def test_doubt_among_candidates_is_settled_by_more_episodes(
    ranked: list[Expert],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    successors: tuple[float, float],
    deciding: int,
    kept: str,
    n_episodes: int,
) -> None:
    """Of the old expert every episode returns 100, of the donor 80."""
    zoo, donors = zoos(ranked[0], ranked[2], tmp_path)
    trains(ranked[1], monkeypatch)
    starts: list[Sequence[int]] = []

    def played(*_: Any, n_episodes: int, **settings: Any) -> Any:
        starts.append(settings["starts"])
        assert list(settings["starts"][:n_episodes]) * 3 == settings["starts"]
        successor = np.resize(successors, n_episodes) if n_episodes == 20 else [90.0] * n_episodes
        return SimpleNamespace(
            returns=np.array([[100.0] * n_episodes, successor, [80.0] * n_episodes])
        )

    monkeypatch.setattr("experts.rebuild.play", played)
    job = Job(context=ranked[0].context, seed=0, warm_from=donors / f"{NAME}.json")
    (said,) = rebuild(
        zoo,
        replace(SETTINGS, deciding_episodes=deciding),
        Round(number=0, jobs=(job,)),
        workers=1,
        engine=None,
        on_progress=None,
    )
    assert said.kept == kept and said.before == 100.0
    assert len(starts[-1]) == 3 * n_episodes
    assert len({seed for some in starts for seed in some}) == sum(len(s) for s in starts) / 3
