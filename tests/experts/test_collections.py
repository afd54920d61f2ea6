"""Collections of many policies a task: trained, read, shipped, and never torn apart."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from experts import (
    Collection,
    collect,
    load_collection,
    load_expert,
    load_experts,
    save_collection,
)
from experts.batched_build import CHECKPOINTS
from experts.collections import (
    FOLDERS,
    MANIFEST,
    collection_fingerprint,
    collection_in,
    collection_of_experts,
    find_collection,
    read_checkpoints,
)
from experts.collections_build import PLANS, CollectionPlan, build_collection
from experts.offpolicy.checkpoints import load_checkpoints
from experts.recipes import Recipe
from experts.synthetic import smooth_experts
from experts.weight_space import Schema, vectors_of
from param_envs import family_of

FAMILY = family_of("ParamCheetahVel-v0")
CONTEXTS = tuple(FAMILY.context(velocity=velocity) for velocity in (0.5, 2.0))
SAC = Recipe(
    name="tiny",
    algorithm="sac",
    total_steps=48,
    warm_steps=24,
    n_envs=2,
    hidden=(8, 8),
    activation="relu",
    learning_rate=1e-3,
    final_learning_rate=1e-3,
    batch_size=4,
    learning_starts=12,
)
PLAN = CollectionPlan(first_step=1, every=9, n_policies=4)


def made_up(n_tasks: int = 4, n_policies: int = 3) -> Collection:
    rng = np.random.default_rng(0)
    schema = Schema(names=("0.weight", "0.bias"), shapes=((4, 2), (2,)), activation="tanh")
    return Collection(
        schema=schema,
        tasks=tuple({"goal": 0.5 * i} for i in range(n_tasks)),
        vectors=tuple(
            rng.normal(i, 0.1, (n_policies, schema.size)).astype(np.float32) for i in range(n_tasks)
        ),
        steps=tuple(np.arange(n_policies) for _ in range(n_tasks)),
        records=tuple({"seed": i} for i in range(n_tasks)),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Collection]:
    directory = tmp_path_factory.mktemp("trained")
    found = build_collection(
        FAMILY, CONTEXTS, reward="velocity", recipe=SAC, plan=PLAN, directory=directory, seed=5
    )
    return directory, found


def test_a_training_leaves_the_planned_policies_of_every_task(
    trained: tuple[Path, Collection],
) -> None:
    directory, found = trained
    assert found.n_policies == (4, 4)
    assert all(steps.tolist() == [2, 12, 22, 32] for steps in found.steps)
    assert [dict(task) for task in found.tasks] == [dict(context) for context in CONTEXTS]
    assert found.policies(0).act(np.zeros((4, 1, 20))).shape == (4, 1, 6)
    again = read_checkpoints(directory / "checkpoints", CONTEXTS[::-1], first_step=21)
    assert again.n_policies == (2, 2)
    np.testing.assert_array_equal(again.vectors[0], found.vectors[1][2:])
    assert len(load_experts(directory)) == 2, "the checkpoints are not taken for experts"


def test_a_collection_is_found_beside_the_experts(
    trained: tuple[Path, Collection], tmp_path: Path
) -> None:
    directory, collection = trained
    assert FOLDERS == ("collection", CHECKPOINTS)
    assert find_collection(tmp_path) is None
    path = find_collection(directory)
    assert path == directory / "checkpoints"
    assert len(collection_in(path, CONTEXTS[1:])) == 1
    shipped = tmp_path / "collection"
    save_collection(collection, shipped)
    assert find_collection(tmp_path) == shipped
    np.testing.assert_allclose(
        collection_in(shipped, CONTEXTS[1:]).vectors[0], collection.vectors[1], rtol=1e-3, atol=1e-4
    )
    before = collection_fingerprint(shipped)
    assert before == collection_fingerprint(shipped) != collection_fingerprint(path)
    save_collection(collection.select([0]), shipped)
    assert collection_fingerprint(shipped) != before
    shutil.copytree(path, tmp_path / "checkpoints")
    (shipped / MANIFEST).unlink()  # as a kill leaves it
    assert find_collection(tmp_path) == tmp_path / "checkpoints"


def test_experts_are_among_the_policies(trained: tuple[Path, Collection]) -> None:
    directory, collection = trained
    experts = load_experts(directory)
    earlier = replace(
        collection,
        vectors=tuple(own[:2] for own in collection.vectors),
        steps=tuple(steps[:2] for steps in collection.steps),
    )
    joined = earlier.with_experts(experts)
    assert joined.n_policies == (3, 3)
    np.testing.assert_array_equal(
        np.stack([own[-1] for own in joined.vectors]), vectors_of(experts.policies)
    )
    assert joined.with_experts(experts).n_policies == (3, 3), "once"
    other = replace(earlier, schema=replace(earlier.schema, activation="tanh"))
    assert other.with_experts(experts) is other
    with pytest.raises(ValueError, match="`experts` must be of the collection's tasks"):
        earlier.select([1]).with_experts(experts)


def test_all_tasks_begin_with_the_same_weights(trained: tuple[Path, Collection]) -> None:
    _, found = trained
    np.testing.assert_array_equal(found.vectors[0][0], found.vectors[1][0])
    assert (found.vectors[0][-1] != found.vectors[1][-1]).any()


@pytest.mark.slow
def test_tasks_can_begin_with_an_expert_s_weights(
    trained: tuple[Path, Collection], tmp_path: Path
) -> None:
    base = load_expert(sorted(trained[0].glob("*.json"))[0])
    plan = CollectionPlan(first_step=1, every=2, n_policies=2)
    found = build_collection(
        FAMILY,
        CONTEXTS,
        reward="velocity",
        recipe=SAC,
        plan=plan,
        directory=tmp_path,
        base=base,
    )
    np.testing.assert_allclose(found.policies(0).weights[0][0], base.policy.weights[0][0])
    np.testing.assert_array_equal(found.vectors[0][0], found.vectors[1][0])


def test_plans_count_steps_as_parallel_environments_take_them() -> None:
    paper = PLANS["paper"]
    assert (paper.first_step, paper.every, paper.n_policies) == (500_000, 500, 500)
    assert paper.total_steps(1) == 749_500
    assert CollectionPlan(first_step=19, every=3, n_policies=4).total_steps(2) == 20 + 3 * 4
    with pytest.raises(ValueError, match="`every` must be at least 1, got 0"):
        CollectionPlan(first_step=0, every=0, n_policies=1)


def test_a_selection_has_whole_tasks_and_nothing_of_others() -> None:
    collection = made_up()
    train, test = collection.select([0, 2]), collection.select([1, 3])
    for part, ids in ((train, (0, 2)), (test, (1, 3))):
        assert [task["goal"] for task in part.tasks] == [0.5 * i for i in ids]
        assert part.n_policies == (3, 3)
        assert all(vectors.base is None for vectors in part.vectors), "no view of other tasks"
    both = {row.tobytes() for vectors in train.vectors for row in vectors}
    assert not both & {row.tobytes() for vectors in test.vectors for row in vectors}
    assert [task["goal"] for task in collection.of(test.tasks[::-1]).tasks] == [1.5, 0.5]
    with pytest.raises(ValueError, match=r'the collection has no policies of {"goal": 9}'):
        collection.of([{"goal": 9}])


def test_rollouts_split_the_collection_with_their_contexts() -> None:
    experts = smooth_experts(FAMILY, CONTEXTS, features=["velocity"], seed=0)
    data = collect(experts, features=["velocity"], noise=(0.0,), seed=0, n_steps=3)
    data = replace(data, collection=collection_of_experts(experts))
    kept = data.select([1])
    assert kept.collection is not None and kept.experts is not None
    assert [dict(task) for task in kept.collection.tasks] == [dict(c) for c in kept.contexts]
    own = kept.experts.policies.weights[0]
    np.testing.assert_array_equal(kept.collection.policies(0).weights[0], own)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"tasks": ({"goal": 1.0}, {"goal": 1.0})}, '`tasks` must be all different, {"goal": 1.0}'),
        ({"records": ({},)}, "a collection of 2 tasks must have as many, .*'records': 1"),
        ({"steps": (np.arange(2), np.arange(3))}, r"`vectors` must be \(2, 10\) for the policies"),
        ({"vectors": (np.full((3, 10), np.nan),) * 2}, "has entries that are not finite"),
    ],
)
def test_a_collection_that_makes_no_sense_is_refused(changes: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replace(made_up(2), **changes)


def test_a_shipped_collection_is_half_as_large_and_acts_the_same(
    trained: tuple[Path, Collection], tmp_path: Path
) -> None:
    _, collection = trained
    save_collection(collection, tmp_path)
    found = load_collection(tmp_path)
    assert found.schema == collection.schema and found.records == collection.records
    assert all(vectors.dtype == np.float16 for vectors in found.vectors)
    size = sum(path.stat().st_size for path in tmp_path.glob("*.safetensors"))
    assert size < 0.6 * sum(vectors.nbytes for vectors in collection.vectors)
    observations = np.random.default_rng(0).normal(size=(4, 20, 20))
    for i in range(2):
        np.testing.assert_array_equal(found.steps[i], collection.steps[i])
        own, other = (c.policies(i).act(observations) for c in (found, collection))
        np.testing.assert_allclose(own, other, atol=2e-3)
    save_collection(found, tmp_path / "again")
    assert collection_fingerprint(tmp_path / "again") == collection_fingerprint(tmp_path), (
        "nothing is lost twice"
    )


def test_damaged_collections_are_refused_by_name(tmp_path: Path) -> None:
    manifest = save_collection(made_up(), tmp_path)
    weights = tmp_path / "task-002.safetensors"
    whole, text = weights.read_bytes(), manifest.read_text()
    weights.write_bytes(whole[:-7])
    with pytest.raises(ValueError, match=r"task-002\.safetensors: must have \d+ bytes, .* trunca"):
        load_collection(tmp_path)
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"task-002\.safetensors: the checksum is not the manif"):
        load_collection(tmp_path)
    weights.unlink()
    with pytest.raises(ValueError, match=r"task-002\.safetensors: cannot be read"):
        load_collection(tmp_path)
    weights.write_bytes(whole)
    for changed, message in (
        (text[: len(text) // 2], r"collection\.json: not JSON"),
        ("{}", r"collection\.json: not the manifest of a collection"),
        (json.dumps({**json.loads(text), "format": 9}), "`format` must be 1, got 9"),
        (
            json.dumps({**json.loads(text), "tasks": []}),
            r"collection\.json: a collection of 0 tasks",
        ),
    ):
        manifest.write_text(changed)
        with pytest.raises(ValueError, match=message):
            load_collection(tmp_path)


def test_a_file_of_other_tensors_is_refused_by_name(tmp_path: Path) -> None:
    manifest = save_collection(made_up(), tmp_path)
    content = json.loads(manifest.read_text())
    entry = content["tasks"][1]
    for tensors, message in (
        ({"weights": np.zeros(3)}, r"task-001\.safetensors: lacks the tensors steps, vectors"),
        ({"vectors": np.zeros((2, 3)), "steps": np.arange(2)}, r"collection\.json: "),
    ):
        payload = save(tensors)
        (tmp_path / entry["file"]).write_bytes(payload)
        entry |= {"bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
        manifest.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=message):
            load_collection(tmp_path)


def test_weights_beyond_float16_are_not_shipped(tmp_path: Path) -> None:
    large = made_up(1)
    large = replace(large, vectors=(np.full((3, 10), 1e5, np.float32),))
    with pytest.raises(ValueError, match=r'task {"goal": 0\.0}: `vectors` must be in the range of'):
        save_collection(large, tmp_path)
    assert not (tmp_path / "collection.json").exists()


def test_missing_or_too_few_checkpoints_are_refused(trained: tuple[Path, Collection]) -> None:
    directory, _ = trained
    other = FAMILY.context(velocity=1.0)
    with pytest.raises(ValueError, match=r"velocity=1_torso=1\.safetensors: cannot be read as pol"):
        read_checkpoints(directory / "checkpoints", [other])
    with pytest.raises(ValueError, match="must have 9 policies from step 0 on, it has 4"):
        read_checkpoints(directory / "checkpoints", CONTEXTS, n_policies=9)
    path = directory / "checkpoints" / "velocity=0.5_torso=1.safetensors"
    assert len(load_checkpoints(path).steps) == 4
