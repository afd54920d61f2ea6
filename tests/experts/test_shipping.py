import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experts import Expert, load_expert, load_experts, save_expert
from experts.sb3 import to_sb3
from experts.shipping import lighten
from tests.experts.factories import untrained

CONTEXTS = ({"speed": 2.0}, {"speed": -3.0})


@pytest.fixture
def heavy(tmp_path: Path) -> Path:
    for i, context in enumerate(CONTEXTS):
        save_expert(untrained(context, seed=i), tmp_path / "heavy")
    return tmp_path / "heavy"


def test_light_experts_are_rounded_policies_evaluated_anew(heavy: Path, tmp_path: Path) -> None:
    before, after = lighten(heavy, tmp_path / "light")
    full, light = load_experts(heavy), load_experts(tmp_path / "light")
    files = sorted((tmp_path / "light").glob("*.safetensors"))
    assert before > after == sum(file.stat().st_size for file in files)
    assert light.contexts == full.contexts and light.critics is None
    for name in ("weights", "biases"):
        for exact, rounded in zip(
            getattr(full.policies, name), getattr(light.policies, name), strict=True
        ):
            np.testing.assert_array_equal(rounded, exact.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(light.policies.mean, full.policies.mean)
    for old, new in zip(full.records, light.records, strict=True):
        assert new["critic"] is None and old["critic"] == "v"
        assert new["evaluation"]["episodes"] == 10
        assert new["algorithm"] == old["algorithm"]


def test_a_light_expert_exports_its_policy(heavy: Path, tmp_path: Path) -> None:
    lighten(heavy, tmp_path / "light")
    expert = load_expert(tmp_path / "light" / "speed=2_torso=0.5.json")
    assert expert.critic is None
    observations = np.random.default_rng(0).normal(size=(5, 17)).astype(np.float32)
    expected = expert.policy.act(observations[None])[0]
    actions, _ = to_sb3(expert).predict(observations, deterministic=True)
    np.testing.assert_allclose(actions, expected, atol=1e-5)


def test_the_target_must_be_empty(heavy: Path) -> None:
    with pytest.raises(FileExistsError, match="`target` must not have experts yet"):
        lighten(heavy, heavy)


def test_weights_beyond_float16_are_refused(tmp_path: Path) -> None:
    expert = untrained(CONTEXTS[0])
    first, *others = expert.policy.weights
    large = replace(expert.policy, weights=(first * 1e6, *others))
    manifest = save_expert(replace(expert, policy=large), tmp_path / "heavy")
    with pytest.raises(ValueError, match=rf"{manifest.name}: must be in the range of float16"):
        lighten(tmp_path / "heavy", tmp_path / "light")
    with pytest.raises(ValueError, match="the policy's weights must be in the range of float16"):
        save_expert(replace(expert, policy=large), tmp_path / "other", policy_dtype="float16")


@pytest.mark.parametrize("critic", ["v", None])
def test_manifest_and_weights_must_agree_on_the_critic(
    heavy: Path, tmp_path: Path, critic: str | None
) -> None:
    if critic:
        lighten(heavy, tmp_path / "light")
    folder = tmp_path / "light" if critic else heavy
    manifest = folder / "speed=2_torso=0.5.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "critic": critic}))
    with pytest.raises(ValueError, match="the critic is missing, or the manifest knows of none"):
        load_expert(manifest)


def test_only_the_known_types_are_stored(tmp_path: Path) -> None:
    expert: Expert = untrained(CONTEXTS[0])
    with pytest.raises(ValueError, match="`policy_dtype` must be 'float16' or 'float32'"):
        save_expert(expert, tmp_path, policy_dtype="int8")
