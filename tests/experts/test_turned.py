"""One policy for contexts that are one task, turned: what it sees, what it becomes, going on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experts import Expert, load_expert
from experts.collections import read_checkpoints
from experts.jobs import BuildProgress, manifest_path
from experts.offpolicy import CheckpointSchedule, Saving, train_many, train_turned
from experts.offpolicy.crowd import Crowd
from experts.offpolicy.legacy import Legacy
from experts.offpolicy.loop import Loop
from experts.offpolicy.replay import Batch
from experts.offpolicy.turned import turn
from experts.store import save_expert
from experts.turned_build import STAGED, STATE, build_turned, turn_as_it_is
from param_envs import ParamVectorEnv, family_of
from tests.experts.test_offpolicy_training import RECIPES, Killed, assert_same_experts, killed_after

ANT = family_of("ParamAnt-v0")
RECIPE = replace(RECIPES["sac"], warm_steps=24, n_candidates=2, learning_starts=4)
HOME = ANT.context(direction=1.0)
CONTEXTS = tuple(ANT.context(direction=d) for d in (0.0, 1.0, 2.0, 4.0))
LEAVES = CONTEXTS[2:3]
ARGUMENTS = {"reward": "direction", "recipe": RECIPE, "leaves": LEAVES}


@pytest.fixture(scope="module")
def start() -> tuple[Expert, Legacy]:
    left: list[Legacy] = []
    recipe = replace(RECIPE, handed_on=16)
    [expert] = train_many(
        ANT, [HOME], reward="direction", recipe=recipe, seed=0, n_threads=1, on_legacy=left.append
    )
    return expert, left[0]


@pytest.fixture
def zoo(start: tuple[Expert, Legacy], tmp_path: Path) -> Path:
    save_expert(start[0], tmp_path / "anchor", critic_dtype="float32")
    return tmp_path / "anchor"


def test_an_agent_sees_other_contexts_in_its_own_frame() -> None:
    arguments = {"reward": "direction", "n_envs": 4, "seed": (0,), "n_threads": 1}
    people = Crowd(ANT, [HOME], turned=CONTEXTS, **arguments)
    seeds = [int(np.random.SeedSequence([0, 0, j]).generate_state(1)[0]) for j in range(4)]
    plain = ParamVectorEnv(ANT, 4, contexts=CONTEXTS, reward="direction", autoreset_mode="SameStep")
    observations, _ = plain.reset(seed=seeds)
    frames = ANT.frames(CONTEXTS, HOME)
    for _ in range(3):
        wanted = np.einsum("eij,ej->ei", frames, observations)
        np.testing.assert_allclose(people.observations[0], wanted, atol=1e-5)
        actions = torch.full((1, 4, 8), 0.2)
        rewards, _, reached, _ = people.step(actions)
        observations, earned, *_ = plain.step(actions[0].numpy())
        np.testing.assert_allclose(rewards[0], earned, atol=1e-5)
        torch.testing.assert_close(reached, people.observations)
    people.close()
    plain.close()
    with pytest.raises(ValueError, match="`turned` must be the contexts of one agent's environ"):
        Crowd(ANT, [HOME], turned=CONTEXTS[:3], **arguments)
    with pytest.raises(ValueError, match="got 4 for 2 agents with 4 each"):
        Crowd(ANT, CONTEXTS[:2], turned=CONTEXTS, **arguments)


def test_a_turned_expert_does_to_what_it_sees_what_the_other_does_to_what_that_is_at_home(
    start: tuple[Expert, Legacy],
) -> None:
    expert, there = start[0], CONTEXTS[3]
    [frame] = ANT.frames([there], HOME)
    turned = turn(expert, frame, there)
    seen = np.random.default_rng(0).normal(size=(1, 9, 27))
    home = np.einsum("ij,nmj->nmi", frame, seen)
    np.testing.assert_allclose(turned.policy.act(seen), expert.policy.act(home), atol=1e-5)
    actions = expert.policy.act(home)
    values = [
        one.critic.apply(np.concatenate([obs, actions], axis=-1))
        for one, obs in ((turned, seen), (expert, home))
    ]
    np.testing.assert_allclose(*values, atol=1e-4)
    twins = [
        np.concatenate([obs[0], actions[0]], axis=-1) @ one.extras["twin.0.weight"]
        for one, obs in ((turned, seen), (expert, home))
    ]
    np.testing.assert_allclose(*twins, atol=1e-4)
    assert turned.context == there and turned.record["seed"] == expert.record["seed"]
    with pytest.raises(ValueError, match="`matrices` must be one a network, 3, got 2"):
        expert.policy.select([0, 0, 0]).behind(np.stack([frame, frame]))


def test_all_experts_are_one_policy_that_never_was_in_the_leaves(
    start: tuple[Expert, Legacy], monkeypatch: pytest.MonkeyPatch
) -> None:
    expert, legacy = start
    loops: list[Loop] = []
    run = Loop.run

    def noting(self: Loop, on_steps) -> None:
        loops.append(self)
        begun = self._replay.latest(99).rewards
        np.testing.assert_array_equal(begun[0], legacy.rewards(ANT, [HOME], "direction")[0, :15])
        run(self, on_steps)

    monkeypatch.setattr(Loop, "run", noting)
    arguments = {**ARGUMENTS, "recipe": replace(RECIPE, n_candidates=1)}
    experts = train_turned(ANT, CONTEXTS, expert, legacy=legacy, **arguments)
    assert loops[0]._crowd._env.contexts == [c for c in CONTEXTS if c not in LEAVES]
    assert [e.context for e in experts] == list(CONTEXTS)
    frames, at_home = ANT.frames(CONTEXTS, HOME), np.random.default_rng(0).normal(size=27)
    acted = [
        e.policy.act(np.linalg.solve(frame, at_home)[None, None])
        for e, frame in zip(experts, frames, strict=True)
    ]
    np.testing.assert_allclose(np.concatenate(acted), acted[:1][0].repeat(4, 0), atol=1e-5)
    for own in experts:
        record = own.record
        assert record["recipe"] == "tiny-turned" and record["steps"] == 6
        assert record["updates"] == 3 * 8, "as many a step of an environment as in the recipe"
        assert record["warm_start"]["transitions"] == 16
        assert record["turned"]["home"] == "direction=1_leg=1"
        assert record["turned"]["contexts"] == [f"direction={d}_leg=1" for d in (0, 1, 4)]
    other = experts[0].policy.weights[0]
    assert not np.array_equal(other, expert.policy.behind(frames[:1]).weights[0])


def test_what_is_stored_is_in_labels_of_its_own(
    start: tuple[Expert, Legacy], monkeypatch: pytest.MonkeyPatch
) -> None:
    expert, legacy = start
    stored: list[Batch] = []
    run = Loop.run

    def noting(self: Loop, on_steps) -> None:
        stored.append(self._replay.latest(15))  # what was taken on
        run(self, on_steps)
        stored.append(self._replay.latest(99))

    monkeypatch.setattr(Loop, "run", noting)
    arguments = {**ARGUMENTS, "recipe": replace(RECIPE, n_candidates=1)}
    experts = train_turned(ANT, CONTEXTS, expert, legacy=legacy, relabelled=True, **arguments)
    assert experts[0].record["turned"]["relabelled"] is True
    seen, done = ANT.relabellings()
    labels = set()
    taken = stored[0]
    for i in range(15):
        own, acted, reached = legacy.observations[0, i], legacy.actions[0, i], taken.inputs[0, i]
        fits = [
            np.allclose(seen[m] @ own, reached[:27], atol=1e-5)
            and np.allclose(done[m] @ acted, reached[27:], atol=1e-5)
            and np.allclose(
                seen[m] @ legacy.next_observations[0, i], taken.next_observations[0, i], atol=1e-5
            )
            for m in range(8)
        ]
        assert sum(fits) == 1
        labels.add(fits.index(True))
    assert len(labels) > 3
    signs = stored[1].observations[0, 15:, 1] < 0.0  # no ant lay on its back so soon
    assert signs.any() and not signs.all()


def test_the_policy_that_is_kept_is_the_best_in_the_mean_over_what_it_was_trained_in(
    start: tuple[Expert, Legacy], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def play(policies, family, contexts, **options):
        asked.append((len(policies), tuple(contexts)))
        returns = np.array([[3.0], [0.0], [0.0]] if len(asked) == 2 else [[2.0], [0.0], [0.0]])
        return type("Played", (), {"returns": returns})

    monkeypatch.setattr("experts.offpolicy.turned.play", play)
    experts = train_turned(ANT, CONTEXTS, start[0], **ARGUMENTS)
    assert asked == [(3, tuple(c for c in CONTEXTS if c not in LEAVES))] * 3
    assert {e.record["kept_from_step"] for e in experts} == {18}


def test_a_killed_training_goes_on(start: tuple[Expert, Legacy], tmp_path: Path) -> None:
    saving = Saving(path=tmp_path / "state", minutes=0.0)
    with pytest.raises(Killed):
        train_turned(ANT, CONTEXTS, start[0], saving=saving, on_steps=killed_after(12), **ARGUMENTS)
    seen: list[int] = []
    train_turned(ANT, CONTEXTS, start[0], saving=saving, on_steps=seen.append, **ARGUMENTS)
    assert seen[0] > 3
    with pytest.raises(ValueError, match=r"the state is of another training, with `seed` 0 inst"):
        train_turned(ANT, CONTEXTS, start[0], saving=saving, seed=1, **ARGUMENTS)


def test_a_build_writes_what_is_missing(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    arguments = {"home": HOME, "zoo": zoo, "directory": out, **ARGUMENTS}
    monkeypatch.setattr("experts.training.EVALUATION_STEPS", 200)
    progress = []
    build_turned(ANT, CONTEXTS, on_progress=progress.append, **arguments)
    assert progress[-1].finished == progress[-1].total == 4
    paths = [manifest_path(out, context) for context in CONTEXTS]
    first = [load_expert(path) for path in paths]
    assert all("return_mean" in expert.record["evaluation"] for expert in first)
    assert not (out / STATE).exists()
    kept = paths[0].read_bytes()
    paths[1].unlink()
    build_turned(ANT, CONTEXTS, **arguments)
    assert paths[0].read_bytes() == kept
    assert_same_experts([load_expert(paths[1])], first[1:2])
    trainings = []
    monkeypatch.setattr("experts.turned_build.train_turned", trainings.append)
    build_turned(ANT, CONTEXTS, **arguments)
    assert trainings == []


def test_policies_along_the_training_are_turned_as_experts_are(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experts.turned_build.evaluated", lambda expert: expert)
    monkeypatch.setattr("experts.turned_build.SAVE_MINUTES", 0.0)
    found = {}
    for name in ("whole", "killed"):
        out = tmp_path / name
        schedule = CheckpointSchedule(directory=out / "checkpoints", every=6, start=12)
        arguments = {"home": HOME, "zoo": zoo, "directory": out, "checkpoints": schedule}
        if name == "killed":

            def kill(progress: BuildProgress) -> None:
                if progress.steps_done >= 18:
                    raise Killed

            with pytest.raises(Killed):
                build_turned(ANT, CONTEXTS, on_progress=kill, **arguments, **ARGUMENTS)
            assert (out / STAGED).exists()
        build_turned(ANT, CONTEXTS, **arguments, **ARGUMENTS)
        assert not (out / STAGED).exists()
        found[name] = read_checkpoints(out / "checkpoints", CONTEXTS)
    whole, killed = found.values()
    assert [list(steps) for steps in whole.steps] == [[12, 18, 24]] * 4
    for own, resumed in zip(whole.vectors, killed.vectors, strict=True):
        np.testing.assert_array_equal(own, resumed)
    # All are one policy: what it does where it looks turns with the direction.
    frames = ANT.frames(CONTEXTS, HOME)
    seen = np.random.default_rng(0).normal(size=(3, frames.shape[1]))
    acted = [whole.policies(i).act(seen @ np.linalg.inv(frames[i]).T) for i in range(4)]
    for each in acted:
        np.testing.assert_allclose(each, acted[1], atol=1e-4)
    assert not np.allclose(whole.policies(0).act(seen), acted[1], atol=1e-2)


def test_policies_that_no_training_can_keep_are_refused(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experts.turned_build.evaluated", lambda expert: expert)
    out = tmp_path / "out"
    arguments = {"home": HOME, "zoo": zoo, "directory": out, **ARGUMENTS}
    late = CheckpointSchedule(directory=out / "checkpoints", every=6, start=25)
    with pytest.raises(ValueError, match="`checkpoint_from` must be at most 24, got 25"):
        build_turned(ANT, CONTEXTS, checkpoints=late, **arguments)
    assert not out.exists()

    def full(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr("experts.turned_build.save_expert", full)
        with pytest.raises(OSError, match="no space left"):
            build_turned(ANT, CONTEXTS, **arguments)
    with pytest.raises(ValueError, match=r"must be asked for before a training ends.*are written"):
        build_turned(ANT, CONTEXTS, checkpoints=replace(late, start=0), **arguments)
    assert len(list(out.glob("*.json"))) == 4


def test_experts_that_are_lost_while_they_are_evaluated_cost_no_training(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"home": HOME, "zoo": zoo, "directory": tmp_path / "out", **ARGUMENTS}

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("experts.turned_build.evaluated", full)
    with pytest.raises(OSError, match="no space left"):
        build_turned(ANT, CONTEXTS, **arguments)
    monkeypatch.setattr("experts.turned_build.evaluated", lambda expert: expert)
    monkeypatch.setattr(Loop, "_step", full)
    build_turned(ANT, CONTEXTS, **arguments)
    assert len(list((tmp_path / "out").glob("*.json"))) == 4


def test_what_cannot_be_built_is_said_before_anything_is_written(zoo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = {"home": HOME, "zoo": zoo, "directory": out, **ARGUMENTS}
    with pytest.raises(ValueError, match=r"`zoo` must have .*direction=2_leg=1\.json, it is abs"):
        build_turned(ANT, CONTEXTS, **{**arguments, "home": CONTEXTS[2]})
    cheetah = family_of("ParamCheetah-v0")
    with pytest.raises(ValueError, match="`frames` needs a family whose tasks are one, turned"):
        build_turned(cheetah, [cheetah.context()], **{**arguments, "home": cheetah.context()})
    with pytest.raises(ValueError, match="must have one that is not among `leaves`"):
        build_turned(ANT, CONTEXTS, **{**arguments, "leaves": CONTEXTS})
    assert not out.exists()


def test_an_expert_is_turned_as_it_is(start: tuple[Expert, Legacy], tmp_path: Path) -> None:
    expert = start[0]
    bare = replace(expert, critic=None, extras={}, record={**expert.record, "critic": None})
    checksum = load_expert(save_expert(bare, tmp_path / "bare")).record["sha256"]
    arguments = {"home": HOME, "zoo": tmp_path / "bare", "reward": "direction"}
    other = (*CONTEXTS[:2], ANT.context(direction=5.5))
    assert turn_as_it_is(ANT, other, directory=tmp_path / "zoo", **arguments) == 3
    frames = ANT.frames(other, HOME)
    seen = np.random.default_rng(0).normal(size=(1, 9, 27))
    for context, frame in zip(other, frames, strict=True):
        found = load_expert(manifest_path(tmp_path / "zoo", context))
        home = np.einsum("ij,nmj->nmi", frame, seen)
        np.testing.assert_allclose(found.policy.act(seen), expert.policy.act(home), atol=1e-5)
        told = {"home": "direction=1_leg=1", "seam": None, "home_sha256": checksum}
        assert found.record["turned_as_it_is"] == told
        assert found.record["evaluation"]["return_mean"] != 0.0
    turn_as_it_is(ANT, other, directory=tmp_path / "sewn", seam=4.0, **arguments)
    for context, frame in zip(other, ANT.frames(other, HOME, seam=4.0), strict=True):
        found = load_expert(manifest_path(tmp_path / "sewn", context))
        home = np.einsum("ij,nmj->nmi", frame, seen)
        np.testing.assert_allclose(found.policy.act(seen), expert.policy.act(home), atol=1e-5)
        assert found.record["turned_as_it_is"]["seam"] == 4.0
    kept = manifest_path(tmp_path / "zoo", other[0])
    written = kept.stat().st_mtime_ns
    assert turn_as_it_is(ANT, other, directory=tmp_path / "zoo", **arguments) == 0
    assert kept.stat().st_mtime_ns == written
    with pytest.raises(
        ValueError, match=r"`zoo` must have .*direction=1_leg=1\.json, it is absent"
    ):
        turn_as_it_is(ANT, other, directory=tmp_path, **{**arguments, "zoo": tmp_path / "none"})


@pytest.mark.parametrize("seam", [float("nan"), float("inf"), -0.1, 4.0, 9.0])
def test_a_seam_must_have_a_direction_beyond_it(zoo: Path, tmp_path: Path, seam: float) -> None:
    arguments = {"home": HOME, "zoo": zoo, "reward": "direction", "directory": tmp_path / "out"}
    message = rf"`seam` must be in \[0, 4\), with a `direction` beyond it, got {seam}"
    with pytest.raises(ValueError, match=message):
        turn_as_it_is(ANT, CONTEXTS, seam=seam, **arguments)
    assert not (tmp_path / "out").exists()


def test_an_expert_turned_otherwise_is_not_gone_on_with(
    start: tuple[Expert, Legacy], zoo: Path, tmp_path: Path
) -> None:
    out, some = tmp_path / "out", CONTEXTS[1:]
    for each in (start[0], turn(start[0], np.eye(27), CONTEXTS[0])):
        save_expert(each, tmp_path / "critics")  # in other types: other weights
    asked = {"home": HOME, "zoo": zoo, "reward": "direction", "directory": out, "seam": 3.0}
    assert turn_as_it_is(ANT, some, **asked) == 3
    first = r"out.direction=1_leg=1\.json has the "
    for change, message in (
        ({"seam": 2.0}, first + r"`seam` 3\.0, asked for is 2\.0: turn into another folder"),
        ({"seam": None}, first + r"`seam` 3\.0, asked for is None"),
        ({"zoo": tmp_path / "critics"}, first + "`home_sha256` "),
        (
            {"zoo": tmp_path / "critics", "home": CONTEXTS[0]},
            first + "`home` direction=1_leg=1, asked for is direction=0_leg=1: turn into another",
        ),
        ({"reward": "other"}, first + "reward direction, asked for is other"),
    ):
        with pytest.raises(ValueError, match=message):
            turn_as_it_is(ANT, CONTEXTS, **{**asked, **change})
    assert not manifest_path(out, CONTEXTS[0]).exists()
    path = manifest_path(out, HOME)
    record = json.loads(path.read_text())
    del record["turned_as_it_is"]["home_sha256"]  # as earlier versions wrote it
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=first + "`home_sha256` None, asked for is "):
        turn_as_it_is(ANT, CONTEXTS, **asked)
    save_expert(start[0], out)
    with pytest.raises(ValueError, match=r"direction=1_leg=1\.json was not turned as it is: turn"):
        turn_as_it_is(ANT, CONTEXTS, **asked)


def test_a_build_goes_on_with_experts_of_the_same_training_alone(
    start: tuple[Expert, Legacy], zoo: Path, tmp_path: Path
) -> None:
    told = {"home": "direction=1_leg=1", "contexts": [f"direction={d}_leg=1" for d in (0, 1, 4)]}
    for there, message in (
        ({}, "was not trained in turned frames: turn into another folder"),
        ({"turned": told, "turned_as_it_is": {}}, "was not trained in turned frames"),
        ({"turned": {**told, "home": "x"}}, "has the `home` x, asked for is direction=1_leg=1"),
        ({"turned": {**told, "relabelled": True}}, "has the `relabelled` True, asked for is None"),
        ({"turned": {**told, "contexts": []}}, r"has the `contexts` \[\], asked for is \['dir"),
    ):
        save_expert(replace(start[0], record={**start[0].record, **there}), tmp_path / "out")
        with pytest.raises(ValueError, match=rf"direction=1_leg=1\.json {message}"):
            build_turned(ANT, CONTEXTS, home=HOME, zoo=zoo, directory=tmp_path / "out", **ARGUMENTS)
