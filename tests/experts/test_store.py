import json
import os
from pathlib import Path

import numpy as np
import pytest

from experts import load_expert, load_experts, save_expert, zoo_path
from tests.experts.factories import untrained


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, speed in enumerate((2.0, -1.0, 0.5)):
        save_expert(untrained({"speed": speed}, seed=seed), tmp_path)
    return tmp_path


def test_round_trip_is_exact(tmp_path: Path) -> None:
    expert = untrained({"speed": 2.0, "torso": 0.45})
    manifest = save_expert(expert, tmp_path)
    again = load_expert(manifest)
    observations = np.random.default_rng(0).normal(size=(1, 5, 17))
    assert manifest.name == "speed=2_torso=0.45.json"
    assert again.context == expert.context
    np.testing.assert_array_equal(again.policy.act(observations), expert.policy.act(observations))
    np.testing.assert_array_equal(
        again.critic.apply(observations), expert.critic.apply(observations)
    )
    np.testing.assert_array_equal(again.extras["log_std"], expert.extras["log_std"])


def test_folder_is_ordered_by_context(folder: Path) -> None:
    experts = load_experts(folder)
    assert [context["speed"] for context in experts.contexts] == [-1.0, 0.5, 2.0]
    assert [c["speed"] for c in experts.select([2, 0]).contexts] == [2.0, -1.0]
    expected = untrained({"speed": 2.0}, seed=0).policy.act(np.ones((1, 1, 17)))
    np.testing.assert_array_equal(experts.select([2]).policies.act(np.ones((1, 1, 17))), expected)


def test_truncated_weights_are_named(folder: Path) -> None:
    path = folder / "speed=2_torso=0.5.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"speed=2_torso=0\.5\.safetensors: checksum"):
        load_experts(folder)


def test_one_flipped_bit_is_found(folder: Path) -> None:
    path = folder / "speed=2_torso=0.5.safetensors"
    payload = bytearray(path.read_bytes())
    payload[-1] ^= 1
    path.write_bytes(payload)
    with pytest.raises(ValueError, match="the file is damaged"):
        load_experts(folder)


def test_missing_weights_are_named(folder: Path) -> None:
    (folder / "speed=-1_torso=0.5.safetensors").unlink()
    with pytest.raises(ValueError, match=r"speed=-1_torso=0\.5\.safetensors: cannot be read"):
        load_experts(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not a JSON manifest"), ("{}", "the manifest lacks"), ("[]", "the manifest lacks")],
)
def test_broken_manifest_is_named(folder: Path, text: str, message: str) -> None:
    (folder / "speed=2_torso=0.5.json").write_text(text)
    with pytest.raises(ValueError, match=rf"speed=2_torso=0\.5\.json: {message}"):
        load_experts(folder)


def test_other_format_is_refused(folder: Path) -> None:
    path = folder / "speed=2_torso=0.5.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(ValueError, match="`format` must be 1, got 99"):
        load_experts(folder)


def test_mixed_rewards_are_refused(folder: Path) -> None:
    save_expert(untrained({"speed": 3.0}, reward="reach"), folder)
    with pytest.raises(ValueError, match="`reward` is"):
        load_experts(folder)


def test_empty_folder_and_unknown_zoo(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no experts in"):
        load_experts(tmp_path)
    with pytest.raises(FileNotFoundError, match="no zoo 'unicorn' is shipped"):
        zoo_path("unicorn")


def test_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_expert(untrained({"speed": 2.0}), tmp_path)
    assert list(tmp_path.iterdir()) == []
