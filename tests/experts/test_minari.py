"""Minari datasets out and in. Nothing is written outside temporary folders."""

import json
import re
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import minari
import numpy as np
import pytest

from experts import Rollouts, collect, gather, load_experts, save_expert
from experts.minari import dataset_path, environment_spec, from_minari, to_minari
from experts.synthetic import smooth_experts
from param_envs import family_of
from tests.experts.factories import untrained

CHEETAH = family_of("ParamCheetah-v0")
NAME = "cheetah/experts-v0"
ARRAYS = (
    "observations",
    "actions",
    "labels",
    "rewards",
    "next_observations",
    "values",
    "mask",
    "terminated",
    "noise",
    "seeds",
)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of shipped zoos, with one zoo of three experts."""
    folder = tmp_path_factory.mktemp("zoos")
    for seed, speed in enumerate((2.0, -3.0, 0.5)):
        save_expert(untrained({"speed": speed, "torso": 0.45}, seed=seed), folder / "tiny")
    return folder


@pytest.fixture(autouse=True)
def surroundings(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experts.store.ZOO", zoo)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))  # never the home


@pytest.fixture(scope="module")
def rollouts(zoo: Path) -> Rollouts:
    experts = load_experts(zoo / "tiny")
    return collect(experts, features=("speed",), noise=(0.0, 0.3, 0.0), seed=3, n_steps=12)


@pytest.fixture
def written(rollouts: Rollouts, tmp_path: Path) -> Path:
    to_minari(rollouts, NAME, folder=tmp_path, description="Three cheetahs.")
    return tmp_path


def assert_equal(found: Rollouts, expected: Rollouts) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
        assert getattr(found, name).dtype == getattr(expected, name).dtype, name
    for name in ("family", "features", "reward", "discount", "contexts"):
        assert getattr(found, name) == getattr(expected, name), name


# --------------------------------------------------------------------------- there and back


def test_round_trip_is_exact(rollouts: Rollouts, written: Path) -> None:
    again = from_minari(NAME, folder=written)
    assert_equal(again, rollouts)
    assert again.contexts[0] == {"speed": -3.0, "torso": 0.45}
    assert [r["sha256"] for r in again.experts.records] == [
        r["sha256"] for r in rollouts.experts.records
    ]
    states = rollouts.observations[:, 0]
    np.testing.assert_array_equal(
        again.experts.policies.act(states), rollouts.experts.policies.act(states)
    )


def test_failures_and_different_lengths_survive(tmp_path: Path) -> None:
    family = family_of("ParamAnt-v0")
    contexts = [{"direction": d, "leg": 0.9} for d in (0.0, 1.0)]
    quiet = smooth_experts(family, contexts, features=("direction",), seed=0)
    weights = tuple(20.0 * weight for weight in quiet.policies.weights)
    experts = replace(quiet, policies=replace(quiet.policies, weights=weights))
    data = collect(experts, features=("direction",), noise=(0.0, 1.0), seed=0)
    assert data.terminated.any() and not data.mask.all()
    to_minari(data, "ants-v3", folder=tmp_path)
    assert_equal(from_minari("ants-v3", folder=tmp_path), data)
    opened = minari.MinariDataset(tmp_path / "ants-v3" / "data")
    for episode, failed, length in zip(
        opened, data.terminated.ravel(), data.mask.sum(axis=2).ravel(), strict=True
    ):
        assert len(episode) == length
        assert (episode.terminations[-1], episode.truncations[-1]) == (failed, not failed)
        assert not episode.terminations[:-1].any() and not episode.truncations[:-1].any()


def test_data_without_experts_and_seeds_survive(rollouts: Rollouts, tmp_path: Path) -> None:
    bare = replace(rollouts.select([2, 0]), experts=None, seeds=None)
    to_minari(bare, NAME, folder=tmp_path)
    again = from_minari(NAME, folder=tmp_path)
    assert again.experts is None and again.seeds is None
    assert again.contexts == bare.contexts
    np.testing.assert_array_equal(again.values, bare.values)


def test_what_is_read_can_be_written_again(rollouts: Rollouts, written: Path) -> None:
    to_minari(from_minari(NAME, folder=written), "second-v0", folder=written)
    assert_equal(from_minari("second-v0", folder=written), rollouts)


# -------------------------------------------------------------------------- as Minari sees it


def test_minari_lists_and_loads_it(
    rollouts: Rollouts, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(written))
    assert list(minari.list_local_datasets()) == [NAME]
    dataset = minari.load_dataset(NAME)
    assert (dataset.total_episodes, dataset.total_steps) == (9, 9 * 12)
    assert dataset.storage.metadata["description"] == "Three cheetahs."
    episode = dataset[1]
    assert episode.observations.shape == (13, 17) and episode.actions.shape == (12, 6)
    np.testing.assert_array_equal(episode.rewards, rollouts.rewards[0, 1])
    np.testing.assert_array_equal(episode.infos["value"][:-1], rollouts.values[0, 1])
    assert np.isnan(episode.infos["value"][-1])
    assert from_minari(NAME).contexts == rollouts.contexts


def test_every_episode_has_its_context(rollouts: Rollouts, written: Path) -> None:
    dataset = minari.MinariDataset(written / NAME / "data")
    records = list(dataset.storage.get_episode_metadata(range(9)))
    for k, (episode, about) in enumerate(zip(dataset, records, strict=True)):
        i, e = divmod(k, 3)
        assert about["context"] == dict(rollouts.contexts[i])
        assert about["noise"] == rollouts.noise[e] and about["reward"] == "track"
        assert about["seed"] == rollouts.seeds[i, e]
        assert about["expert_sha256"] == rollouts.experts.records[i]["sha256"]
        for name, value in rollouts.contexts[i].items():
            np.testing.assert_array_equal(episode.infos["context"][name], np.full(13, value))


def test_the_environment_is_recovered_in_any_context(rollouts: Rollouts, written: Path) -> None:
    dataset = minari.MinariDataset(written / NAME / "data")
    env = dataset.recover_environment(speed=-3.0)
    assert env.unwrapped.context == {"speed": -3.0, "torso": 0.45}, "what is shared is the default"
    assert env.unwrapped.reward_mode == "track" and env.spec.max_episode_steps == 12
    for i, context in enumerate(rollouts.contexts):
        env = dataset.recover_environment(**context)
        seed = next(iter(dataset.storage.get_episode_metadata([3 * i + 1])))["seed"]
        observation, info = env.reset(seed=seed)
        assert info["context"] == context
        for t in range(12):
            expected = rollouts.observations[i, 1, t]
            np.testing.assert_array_equal(observation.astype(np.float32), expected)
            observation, reward, terminated, truncated, _ = env.step(rollouts.actions[i, 1, t])
            assert np.float32(reward) == rollouts.rewards[i, 1, t]
            assert (terminated, truncated) == (False, t == 11)


def test_filtered_and_combined_datasets_are_read(
    rollouts: Rollouts, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = minari.MinariDataset(written / NAME / "data")
    noisy = dataset.filter_episodes(lambda episode: episode.infos["noise"][0] > 0)
    found = from_minari(noisy)
    np.testing.assert_array_equal(found.labels[:, 0], rollouts.labels[:, 1])
    np.testing.assert_array_equal(found.clean, [False])
    ragged = from_minari(minari.MinariDataset(dataset.storage, np.array([0, 1, 2, 4])))
    assert ragged.contexts == rollouts.contexts[:2]
    assert ragged.mask.any(axis=2).tolist() == [[True] * 3, [False, True, False]]
    np.testing.assert_array_equal(ragged.observations[1, 1], rollouts.observations[1, 1])

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(written))
    (written / "both-v0").parent.mkdir(exist_ok=True)
    both = minari.combine_datasets([dataset], "both-v0")
    combined = from_minari(both, discount=0.99)
    for name in ("labels", "values", "noise", "seeds"):
        expected = getattr(rollouts, name)
        if name != "seeds":
            np.testing.assert_array_equal(getattr(combined, name), expected)
    assert combined.contexts == rollouts.contexts and combined.features == ("speed",)
    assert combined.experts is None, "combining drops who played"


def test_other_environments_are_refused(written: Path) -> None:
    path = written / NAME / "data" / "metadata.json"
    metadata = json.loads(path.read_text())
    spec = json.loads(metadata["env_spec"])
    path.write_text(json.dumps({**metadata, "env_spec": json.dumps({**spec, "id": "Maze-v0"})}))
    with pytest.raises(ValueError, match=r"main_data.hdf5: `env_id` must be one of .*'Maze-v0'"):
        from_minari(NAME, folder=written)
    ant = {**spec, "id": "ParamAnt-v0"}
    path.write_text(json.dumps({**metadata, "env_spec": json.dumps(ant)}))
    with pytest.raises(ValueError, match=r"main_data\.hdf5: unknown feature `speed`"):
        from_minari(NAME, folder=written)
    del metadata["env_spec"]
    path.write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match=r"metadata\.json: the dataset does not say its env"):
        from_minari(NAME, folder=written)


# --------------------------------------------------------------------------------- experts


def test_experts_can_be_given(rollouts: Rollouts, written: Path, zoo: Path) -> None:
    more = gather([untrained({"speed": 9.0}), untrained({"speed": -3.0, "torso": 0.45}, seed=1)])
    own = from_minari(minari.MinariDataset(written / NAME / "data", np.array([0])), experts=more)
    assert own.experts.contexts == own.contexts == rollouts.contexts[:1]
    with pytest.raises(ValueError, match=r"one of every context, none is of Context\(speed=0\.5"):
        from_minari(NAME, folder=written, experts=more)
    wrong = replace(rollouts.experts, policies=rollouts.experts.policies.select([0, 2, 1]))
    with pytest.raises(ValueError, match=r"must act as recorded, that of Context\(speed=0\.5"):
        from_minari(NAME, folder=written, experts=wrong)


def test_values_have_the_discount_they_were_made_with(written: Path) -> None:
    assert from_minari(NAME, folder=written, discount=0.99).discount == 0.99
    with pytest.raises(ValueError, match=r"`discount` must be 0\.99, the dataset's own, got 0\.5"):
        from_minari(NAME, folder=written, discount=0.5)


def test_experts_that_are_not_shipped_are_left_out(
    rollouts: Rollouts, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experts.store.ZOO", tmp_path / "empty")
    again = from_minari(NAME, folder=written)
    assert again.experts is None
    assert_equal(again, rollouts)


# --------------------------------------------------------------------------- damage and misuse


def flip(path: Path) -> None:
    payload = bytearray(path.read_bytes())
    payload[len(payload) // 2] ^= 1
    path.write_bytes(payload)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize("damage", [flip, truncate])
def test_damaged_data_are_named(written: Path, damage) -> None:
    damage(written / NAME / "data" / "main_data.hdf5")
    with pytest.raises(ValueError, match=r"data/main_data\.hdf5: checksum differs from the one in"):
        from_minari(NAME, folder=written)


def test_damage_that_is_not_verified_is_named_if_it_cannot_be_read(written: Path) -> None:
    truncate(written / NAME / "data" / "main_data.hdf5")
    with pytest.raises(ValueError, match=r"data/main_data\.hdf5: .*truncated"):
        from_minari(NAME, folder=written, verify=False)


def test_changes_can_be_read_on_request(rollouts: Rollouts, written: Path) -> None:
    dataset = minari.MinariDataset(written / NAME / "data")
    dataset.storage.update_episode_metadata([{"mine": 1}], [0])
    with pytest.raises(ValueError, match="or was changed"):
        from_minari(NAME, folder=written)
    assert_equal(from_minari(NAME, folder=written, verify=False), rollouts)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_broken_metadata_are_named(written: Path, text: str) -> None:
    (written / NAME / "data" / "metadata.json").write_text(text)
    with pytest.raises(ValueError, match=r"data/metadata\.json: Minari cannot open"):
        from_minari(NAME, folder=written)


def test_other_formats_are_refused(written: Path) -> None:
    path = written / NAME / "data" / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["param_envs"]["format"] = 9
    path.write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match=r"metadata\.json: `format` must be 1, got 9"):
        from_minari(NAME, folder=written)


def test_nothing_is_overwritten_or_left_half_written(
    rollouts: Rollouts, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileExistsError, match=r"experts-v0 exists already: use another name"):
        to_minari(rollouts, NAME, folder=written)

    def full(path: Path) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("experts.minari.writing.checksum_of", full)
    with pytest.raises(OSError, match="No space left"):
        to_minari(rollouts, "cheetah/other-v0", folder=written)
    assert [path.name for path in (written / "cheetah").iterdir()] == ["experts-v0"]


@pytest.mark.parametrize("name", ["experts", "a b-v0", "../up-v0", "/root-v0", "x-v", ""])
def test_impossible_names_are_refused(rollouts: Rollouts, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="`name` must look like cheetah/experts-v0, got"):
        to_minari(rollouts, name, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_absent_datasets_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"no dataset 'a/b-v0' in {tmp_path}$"):
        from_minari("a/b-v0", folder=tmp_path)


def test_relative_folders_are_fine(
    rollouts: Rollouts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert to_minari(rollouts, NAME, folder=Path("here")) == tmp_path / "here" / NAME
    assert_equal(from_minari(NAME, folder=Path("here")), rollouts)


def test_the_pages_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    monkeypatch.undo()  # with the experts that are shipped
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        exec(compile(block, "data.md", "exec"), names)
    assert names["info"]["context"] == names["data"].contexts[0]
    assert names["again"].experts is not None


def test_minaris_own_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    assert dataset_path("a/b-v0") == tmp_path / "a" / "b-v0"


def test_episodes_must_be_contiguous(rollouts: Rollouts, tmp_path: Path) -> None:
    shifted = rollouts.next_observations + np.float32(1)
    with pytest.raises(ValueError, match="next_observations` must be the next step's"):
        to_minari(replace(rollouts, next_observations=shifted), NAME, folder=tmp_path)
    with pytest.raises(ValueError, match="mask` must be true up to an episode's end"):
        to_minari(
            replace(rollouts, mask=rollouts.mask & (np.arange(12) != 4)), NAME, folder=tmp_path
        )


def test_without_minari_the_extra_is_named(
    rollouts: Rollouts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experts.minari.layout.find_spec", lambda name: None)
    for use in (
        lambda: to_minari(rollouts, NAME, folder=tmp_path),
        lambda: from_minari(NAME, folder=tmp_path),
        lambda: dataset_path(NAME),
    ):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'param-envs\[minari\]'"):
            use()


def test_specs_make_environments_and_are_json() -> None:
    spec = environment_spec(CHEETAH, speed=-2.0)
    again = gym.envs.registration.EnvSpec.from_json(spec.to_json())
    env = gym.make(again, torso=0.3)
    assert env.unwrapped.context == {"speed": -2.0, "torso": 0.3}
    assert env.spec.max_episode_steps == 1000 and env.spec.id == "ParamCheetah-v0"
    with pytest.raises(ValueError, match="`reward` must be one of"):
        environment_spec(CHEETAH, reward="fun")
    with pytest.raises(ValueError, match="`speed` must be in"):
        environment_spec(CHEETAH, speed=99.0)
