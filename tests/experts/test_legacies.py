"""What trainings leave along a chain: whose it is, what it is worth, how long it is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experts import BuildError, build, load_experts
from experts.jobs import BuildProgress
from experts.offpolicy import train_many
from experts.offpolicy.agents import make_learner
from experts.offpolicy.legacy import Legacy, load_legacy, save_legacy
from experts.offpolicy.loop import Loop
from experts.offpolicy.replay import Replay
from experts.policy import Floats
from experts.recipes import Recipe
from experts.store import Expert
from param_envs import Family, ParamVectorEnv, family_of
from tests.experts.test_offpolicy_training import RECIPES, TD3

CHEETAH = family_of("ParamCheetah-v0")
ANT = family_of("ParamAnt-v0")
RECIPE = replace(TD3, total_steps=24, warm_steps=12, learning_starts=6, handed_on=16)
SPEEDS = [CHEETAH.context(speed=speed) for speed in (2.0, 3.0, 4.0)]


def numbered(n_steps: int, *, capacity: int) -> Replay:
    """Two agents with two environments each; a transition's entries tell its agent and number."""
    replay = Replay(2, 2, capacity, observation_size=3, action_size=2, n_outcomes=1)
    for number in range(n_steps):
        base = torch.tensor([[0.0, 1.0], [100.0, 101.0]]) + 2.0 * number
        wide = base[..., None]
        three = wide.expand(-1, -1, 3)
        replay.add(three, -wide.expand(-1, -1, 2), base, base % 2, three + 0.5, wide / 4)
    return replay


def learner_of(recipe: Recipe = TD3, seeds: tuple[int, ...] = (0, 1)):
    return make_learner(CHEETAH, recipe, seeds, "cpu")


def left(n_steps: int, n: int) -> Legacy:
    return Legacy.of(learner_of().tensors(), numbered(n_steps, capacity=6), n)


@pytest.mark.parametrize(("n_steps", "n", "first"), [(2, 9, 0), (5, 4, 6), (5, 9, 4)])
def test_the_latest_are_the_last_and_in_order(n_steps: int, n: int, first: int) -> None:
    legacy = left(n_steps, n)
    numbers = np.arange(first, 2 * n_steps) + np.array([[0.0], [100.0]])
    assert legacy.n_agents == 2 and len(legacy) == numbers.shape[1]
    np.testing.assert_array_equal(legacy.observations, numbers[..., None].repeat(3, 2))
    np.testing.assert_array_equal(legacy.actions, -numbers[..., None].repeat(2, 2))
    np.testing.assert_array_equal(legacy.dones, numbers % 2)
    np.testing.assert_array_equal(legacy.next_observations[..., 1], numbers + 0.5)
    np.testing.assert_array_equal(legacy.outcomes[..., 0], numbers / 4)


def test_heirs_draw_what_was_seen_with_its_new_rewards() -> None:
    legacy, replay = left(3, 5), Replay(2, 2, 8, 3, 2, n_outcomes=1)
    legacy.bequeath(learner_of(seeds=(5, 6)), replay, -legacy.observations[..., 0])
    assert len(replay) == 4, "two whole steps of two environments"
    batch = replay.draw(200, torch.Generator().manual_seed(0))
    torch.testing.assert_close(batch.rewards, -batch.observations[..., 0])
    torch.testing.assert_close(batch.outcomes[..., 0], batch.observations[..., 0] / 4)
    assert {int(number) for number in batch.observations[1, :, 0]} == {101, 102, 103, 104}
    assert not Replay(2, 2, 8, 3, 2).latest(3).outcomes.numel()


def test_other_networks_inherit_nothing() -> None:
    replay = Replay(2, 2, 8, 3, 2)
    legacy = left(3, 5)
    message = r"`legacy` must be of the same networks: `actor` .* \(\d+,\), got \(\d+,\)"
    with pytest.raises(ValueError, match=message):
        legacy.bequeath(learner_of(replace(TD3, hidden=(9,))), replay, legacy.dones)
    with pytest.raises(ValueError, match=r"`log_entropy_weight` must have .*, got None"):
        sac = replace(RECIPES["sac"], critic_hidden=None)
        doubled = {k: np.zeros(v.shape, np.float32) for k, v in learner_of(sac).tensors().items()}
        doubled.pop("log_entropy_weight")
        replace(legacy, learner=doubled).bequeath(learner_of(sac), replay, legacy.dones)
    assert len(replay) == 0


def played(family: Family, reward: str, here: dict[str, float], there: dict[str, float]):
    """Random play in one context, with the rewards that another context has for it."""
    contexts = [family.context(**here), family.context(**there)]
    env = ParamVectorEnv(family, 2, contexts=contexts, reward=reward)
    env.reset(seed=[0, 0])
    rng = np.random.default_rng(0)
    actions = rng.uniform(-0.6, 0.6, size=(30, 1, family.action_size)).astype(np.float32)
    rows = [env.step(action.repeat(2, 0)) for action in actions]
    env.close()
    outcomes = [[row[4][name][0] for name in family.outcome_names] for row in rows]
    empty = np.zeros((1, 30, 0), dtype=np.float32)
    legacy = Legacy(
        observations=empty,
        actions=actions[None, :, 0],
        dones=np.zeros((1, 30), dtype=np.float32),
        next_observations=empty,
        outcomes=np.array([outcomes], dtype=np.float32),
        learner={},
    )
    return legacy, contexts, np.array([row[1] for row in rows])


@pytest.mark.parametrize(
    ("family", "reward", "here", "there"),
    [
        (ANT, "default", {"direction": 0.3}, {"direction": 2.5}),
        (family_of("ParamCheetahVel-v0"), "default", {"velocity": 0.2}, {"velocity": 1.9}),
        (CHEETAH, "reach", {"speed": 1.0}, {"speed": -4.0}),
        (family_of("ParamWalker-v0"), "track", {"speed": 0.5}, {"speed": 1.5}),
    ],
)
def test_rewards_are_those_of_the_other_context(
    family: Family, reward: str, here: dict[str, float], there: dict[str, float]
) -> None:
    """Two slots that start and act alike: the body is one, so that the environment tells both."""
    reward = family.reward_modes[0] if reward == "default" else reward
    legacy, contexts, rewards = played(family, reward, here, there)
    assert not np.allclose(rewards[:, 0], rewards[:, 1])
    for context, own in zip(contexts, rewards.T, strict=True):
        [found] = legacy.rewards(family, [context], reward)
        np.testing.assert_allclose(found, own, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("algorithm", ["td3", "sac"])
def test_a_training_goes_on_where_another_ended(
    algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPES[algorithm], total_steps=24, warm_steps=12, handed_on=16)
    arguments = {"reward": "track", "recipe": recipe, "seed": 0, "n_threads": 1}
    ended, begun, after = [], [], []
    parents = train_many(CHEETAH, SPEEDS[:2], on_legacy=ended.append, **arguments)
    [legacy] = ended
    assert len(legacy) == 16 and any("adam" in name for name in legacy.learner)
    run = Loop.run

    def noting(self: Loop, on_steps) -> None:
        tensors = {name: tensor.clone() for name, tensor in self.learner.tensors().items()}
        begun.append((self._replay.latest(99).rewards.clone(), tensors, self.learner.held))
        run(self, on_steps)

    monkeypatch.setattr(Loop, "run", noting)
    heirs = SPEEDS[1:]
    experts = train_many(
        CHEETAH, heirs, warm_starts=parents, legacy=legacy, on_legacy=after.append, **arguments
    )
    rewards, tensors, held = begun[0]
    np.testing.assert_array_equal(rewards, legacy.rewards(CHEETAH, heirs, "track"))
    assert set(tensors) == set(legacy.learner) and held == 0
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, legacy.learner[name])
    assert [e.record["warm_start"]["transitions"] for e in experts] == [16, 16]
    np.testing.assert_array_equal(after[0].observations[:, :4], legacy.observations[:, 12:])
    with pytest.raises(ValueError, match="`legacy` must come with as many `warm_starts`, 2, got 0"):
        train_many(CHEETAH, heirs, legacy=legacy, **arguments)


@pytest.mark.parametrize("chosen", ["parent", "snapshot", "end"])
def test_the_learner_that_is_handed_on_is_that_of_the_kept_policy(
    chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, n_candidates=2)
    arguments = {"reward": "track", "recipe": recipe, "seed": 0, "n_threads": 1}
    first: list[Legacy] = []
    parents = train_many(CHEETAH, SPEEDS[:1], on_legacy=first.append, **arguments)
    left, ends, asked = [], [], []
    run = Loop.run

    def noting(self: Loop, on_steps) -> None:
        run(self, on_steps)
        ends.append({name: tensor.clone() for name, tensor in self.learner.tensors().items()})

    def choose(candidates: dict[int, Expert], *_: object) -> int:
        asked.append(candidates)
        return {"parent": 0, "snapshot": 10, "end": 12}[chosen]

    monkeypatch.setattr(Loop, "run", noting)
    monkeypatch.setattr("experts.offpolicy.training.best_step", choose)
    [heir] = train_many(
        CHEETAH,
        SPEEDS[1:2],
        warm_starts=parents,
        legacy=first[0],
        on_legacy=left.append,
        **arguments,
    )
    [candidates], [end], [legacy] = asked, ends, left
    assert list(candidates) == [0, 10, 12] and set(legacy.learner) == set(end)
    same = [np.array_equal(array, end[name]) for name, array in legacy.learner.items()]
    assert all(same) == (chosen != "snapshot")
    if chosen != "parent":
        np.testing.assert_array_equal(legacy.learner["actor"].ravel(), actor_of(heir))


def actor_of(expert: Expert) -> Floats:
    """An expert's policy as one agent's flat parameters."""
    layers = zip(expert.policy.weights, expert.policy.biases, strict=True)
    return np.concatenate([part.ravel() for pair in layers for part in pair])


def test_files_are_read_back_and_damage_is_named(tmp_path: Path) -> None:
    legacy = left(3, 5)
    path = tmp_path / "deep" / "one.safetensors"
    save_legacy(legacy, path)
    found = load_legacy(path)
    assert found.learner.keys() == legacy.learner.keys()
    pairs = [(found.learner[name], array) for name, array in legacy.learner.items()]
    pairs += [(getattr(found, k), v) for k, v in vars(legacy).items() if k != "learner"]
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"one\.safetensors: cannot be read as what a training l"):
        load_legacy(path)


def files(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "legacies").glob("*")}


NAMES = [f"speed={speed}_torso=0.5" for speed in (2, 3, 4)]


def test_a_chain_hands_on_what_it_saw_and_tidies_up(tmp_path: Path) -> None:
    kept: list[set[str]] = []

    def look(progress: BuildProgress) -> None:
        kept.append(files(tmp_path))

    arguments = {"reward": "track", "recipe": RECIPE, "directory": tmp_path, "workers": 1}
    build(CHEETAH, SPEEDS, anchors=[SPEEDS[0]], on_progress=look, **arguments)
    origins = [record["warm_start"] for record in load_experts(tmp_path).records]
    assert origins == [
        None,
        *({"expert": name, "reward": "track", "transitions": 16} for name in NAMES[:2]),
    ]
    assert {NAMES[0]} in kept and {NAMES[1]} in kept, "each until its only heir was there"
    assert all(len(found) <= 1 for found in kept)
    assert files(tmp_path) == {NAMES[2]}, "for whoever goes on from there"


def test_another_folder_goes_on_and_leaves_it_as_it_is(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    arguments = {"reward": "track", "recipe": RECIPE, "anchors": SPEEDS[:1], "workers": 1}
    build(CHEETAH, SPEEDS[:1], directory=first, **arguments)
    build(CHEETAH, SPEEDS[:2], directory=second, anchor_zoo=first, **arguments)
    origins = [record["warm_start"] for record in load_experts(second).records]
    assert [(origin["expert"], origin["transitions"]) for origin in origins] == [(NAMES[0], 16)] * 2
    assert files(first) == {NAMES[0]} and files(second) == {NAMES[1]}


def test_without_a_chain_nothing_is_kept(tmp_path: Path) -> None:
    build(CHEETAH, SPEEDS[:1], reward="track", recipe=RECIPE, directory=tmp_path)
    assert not files(tmp_path)


def test_another_body_inherits_nothing(tmp_path: Path) -> None:
    bodies = [CHEETAH.context(speed=2.0, torso=torso) for torso in (0.5, 0.6)]
    build(CHEETAH, bodies, reward="track", recipe=RECIPE, directory=tmp_path, anchors=bodies[:1])
    origin = load_experts(tmp_path).records[1]["warm_start"]
    assert origin == {"expert": "speed=2_torso=0.5", "reward": "track"}


def test_a_build_that_broke_off_goes_on_with_what_was_seen(tmp_path: Path) -> None:
    arguments = {"reward": "track", "recipe": RECIPE, "directory": tmp_path, "workers": 1}
    blocked = tmp_path / f"{NAMES[1]}.safetensors"
    blocked.mkdir()  # cannot be replaced by a file
    with pytest.raises(BuildError, match=r"2 of 3 experts failed"):
        build(CHEETAH, SPEEDS, anchors=[SPEEDS[0]], **arguments)
    assert NAMES[0] in files(tmp_path)
    blocked.rmdir()
    build(CHEETAH, SPEEDS, anchors=[SPEEDS[0]], **arguments)
    origins = [record["warm_start"] for record in load_experts(tmp_path).records]
    assert [origin and origin["transitions"] for origin in origins] == [None, 16, 16]
    assert files(tmp_path) == {NAMES[2]}
