import ast
import hashlib
import json
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import experts
from experts import MLPPolicies, MLPs, load_expert, load_experts, save_expert, zoo_path
from experts.store import NEXT, compact, shipped_experts
from tests.experts.factories import untrained

TWO, MINUS_ONE = "speed=2_torso=0.5", "speed=-1_torso=0.5"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, speed in enumerate((2.0, -1.0, 0.5)):
        save_expert(untrained({"speed": speed}, seed=seed), tmp_path / "zoo")
    return tmp_path / "zoo"


def test_round_trip_is_exact(tmp_path: Path) -> None:
    expert = untrained({"speed": 2.0, "torso": 0.45})
    manifest = save_expert(expert, tmp_path, critic_dtype="float32")
    again = load_expert(manifest)
    observations = np.random.default_rng(0).normal(size=(1, 5, 17))
    assert manifest.name == "speed=2_torso=0.45.json"
    assert again.context == expert.context
    np.testing.assert_array_equal(again.policy.act(observations), expert.policy.act(observations))
    np.testing.assert_array_equal(
        again.critic.apply(observations), expert.critic.apply(observations)
    )
    np.testing.assert_array_equal(again.extras["log_std"], expert.extras["log_std"])
    with pytest.raises(ValueError, match="`critic_dtype` must be 'float16' or 'float32', got 'i'"):
        save_expert(expert, tmp_path, critic_dtype="i")


def test_critics_are_stored_in_half_the_bytes_and_policies_exactly(tmp_path: Path) -> None:
    expert = untrained({"speed": 2.0})
    manifest = save_expert(expert, tmp_path)
    stored = load_file(manifest.with_suffix(".safetensors"))
    halves = {name for name, tensor in stored.items() if tensor.dtype == np.float16}
    layers = ("0.weight", "0.bias", "1.weight", "1.bias")
    assert halves == {f"critic.{layer}" for layer in layers}
    again = load_expert(manifest)
    assert all(weight.dtype == np.float32 for weight in again.critic.weights)
    for name in ("weights", "biases"):
        for new, old in zip(getattr(again.policy, name), getattr(expert.policy, name), strict=True):
            np.testing.assert_array_equal(new, old)
    np.testing.assert_array_equal(again.critic.mean, expert.critic.mean)
    observations = np.random.default_rng(0).normal(size=(1, 100, 17))
    exact = expert.critic.apply(observations)
    error = np.abs(again.critic.apply(observations) - exact).max() / np.sqrt(np.mean(exact**2))
    assert 0.0 < error < 2e-3
    first = manifest.with_suffix(".safetensors").read_bytes()
    save_expert(again, tmp_path)
    assert manifest.with_suffix(".safetensors").read_bytes() == first, "rounded once, for good"


@pytest.mark.parametrize("size", [1e7, 1e-7], ids=["out of range", "below float16's resolution"])
def test_critics_that_do_not_fit_float16_stay_as_they_are(tmp_path: Path, size: float) -> None:
    expert = untrained({"speed": 2.0})
    weights = (expert.critic.weights[0], expert.critic.weights[1] * np.float32(size))
    biases = (expert.critic.biases[0], expert.critic.biases[1] * np.float32(size))
    critic = replace(expert.critic, weights=weights, biases=biases)
    manifest = save_expert(replace(expert, critic=critic), tmp_path)
    np.testing.assert_array_equal(load_expert(manifest).critic.weights[1], weights[1])


def test_compact_rewrites_what_is_not_compact(folder: Path) -> None:
    for seed, speed in enumerate((2.0, -1.0, 0.5)):
        save_expert(untrained({"speed": speed}, seed=seed), folder, critic_dtype="float32")
    exact = load_experts(folder)
    records = {path: json.loads(path.read_text()) for path in folder.glob("*.json")}
    before, after = compact(folder)
    assert after == sum(path.stat().st_size for path in folder.glob("*.safetensors")) < before
    again = load_experts(folder)
    np.testing.assert_array_equal(again.policies.weights[0], exact.policies.weights[0])
    np.testing.assert_array_equal(again.critics.weights[0], exact.critics.weights[0].astype("f2"))
    for path, record in records.items():
        payload = path.with_suffix(".safetensors").read_bytes()
        checksum = hashlib.sha256(payload).hexdigest()
        assert json.loads(path.read_text()) == {**record, "sha256": checksum}
        assert checksum != record["sha256"]
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert compact(folder) == (after, after)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times


@contextmanager
def killed_after(n_replaced: int) -> Iterator[None]:
    """What is done in here ends, as by Ctrl-C, when so many files are in place."""
    replaced: list[str] = []
    true_replace = os.replace

    def killed(source: Path, target: Path) -> None:
        if len(replaced) == n_replaced:
            raise KeyboardInterrupt
        replaced.append(str(target))
        true_replace(source, target)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed)
        yield


@pytest.mark.parametrize("n_replaced", [0, 1, 2])
def test_compact_can_be_killed_at_any_moment(tmp_path: Path, n_replaced: int) -> None:
    expert = untrained({"speed": 2.0})
    manifest = save_expert(expert, tmp_path, critic_dtype="float32")
    with killed_after(n_replaced):
        compact(tmp_path)
    again = load_expert(manifest)
    np.testing.assert_array_equal(again.policy.weights[0], expert.policy.weights[0])
    assert NEXT not in again.record
    compact(tmp_path)
    assert NEXT not in json.loads(manifest.read_text())
    assert load_expert(manifest).critic.weights[0].dtype == np.float32


@pytest.mark.parametrize("n_replaced", [0, 1, 2])
def test_a_kill_while_an_expert_is_replaced_leaves_one_of_the_two(
    tmp_path: Path, n_replaced: int
) -> None:
    """With its own record."""
    old, new = untrained({"speed": 2.0}), untrained({"speed": 2.0}, seed=1)
    new = replace(new, record={**new.record, "recipe": "another"})
    manifest = save_expert(old, tmp_path)
    with killed_after(n_replaced):
        save_expert(new, tmp_path)
    again, expected = load_expert(manifest), new if n_replaced == 2 else old
    np.testing.assert_array_equal(again.policy.weights[0], expected.policy.weights[0])
    assert again.record.get("recipe") == expected.record.get("recipe")
    save_expert(new, tmp_path)
    again = load_expert(manifest)
    np.testing.assert_array_equal(again.policy.weights[0], new.policy.weights[0])
    assert NEXT not in json.loads(manifest.read_text())
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_shipped_experts_are_found_by_checksum(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent / "another-zoo").mkdir(exist_ok=True)
    monkeypatch.setattr("experts.store.ZOO", folder.parent)
    known = load_experts(folder)
    checksums = [record["sha256"] for record in known.records]
    found = shipped_experts(checksums[::-1])
    assert found is not None and found.contexts == known.contexts[::-1]
    for others in ([*checksums, "0" * 64], [*checksums, None], []):
        assert shipped_experts(others) is None
    monkeypatch.setattr("experts.store.ZOO", folder / "absent")
    assert shipped_experts(checksums) is None


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
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"speed=2_torso=0\.5\.safetensors: checksum"):
        load_experts(folder)


def test_one_flipped_bit_is_found(folder: Path) -> None:
    path = folder / "speed=2_torso=0.5.safetensors"
    payload = bytearray(path.read_bytes())
    payload[-1] ^= 1
    path.write_bytes(payload)
    with pytest.raises(ValueError, match=r"speed=2_torso=0\.5\.safetensors: .*file is damaged"):
        load_experts(folder)


def test_another_experts_manifest_is_found(folder: Path) -> None:
    (folder / f"{TWO}.json").write_bytes((folder / f"{MINUS_ONE}.json").read_bytes())
    with pytest.raises(ValueError, match=rf"{TWO}\.safetensors: .*or the manifest is another's"):
        load_experts(folder)


def test_two_experts_of_one_context_are_refused(folder: Path) -> None:
    for suffix in (".json", ".safetensors"):
        (folder / f"{TWO}{suffix}").write_bytes((folder / f"{MINUS_ONE}{suffix}").read_bytes())
    with pytest.raises(ValueError, match=rf"{TWO}\.json: {MINUS_ONE}\.json is of the same"):
        load_experts(folder)


class Intruder:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("intruder-was-here",))


def vouched_for(folder: Path, payload: bytes) -> None:
    """Replaces an expert's weights, and the checksum in its manifest along with them."""
    (folder / f"{TWO}.safetensors").write_bytes(payload)
    path = folder / f"{TWO}.json"
    checksum = hashlib.sha256(payload).hexdigest()
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": checksum}))


def test_a_pickle_in_disguise_is_refused_and_not_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    payload = pickle.dumps(Intruder())
    vouched_for(folder, payload)
    with pytest.raises(ValueError, match=rf"{TWO}\.safetensors: not a safetensors file"):
        load_experts(folder)
    assert not (folder / "intruder-was-here").exists()
    pickle.loads(payload)
    assert (folder / "intruder-was-here").exists(), "the test itself would see it"


@pytest.mark.parametrize(
    ("policy", "critic", "message"),
    [
        (None, None, "the policy is missing"),
        (MLPPolicies, None, "the critic is missing"),
        (MLPPolicies, MLPs, "the policy must map 17 numbers to 6, it maps 3 to 2"),
    ],
)
def test_other_networks_are_refused(folder: Path, policy, critic, message: str) -> None:
    from safetensors.numpy import save

    tensors = {"other": np.zeros(1, np.float32)}
    for name, kind in (("policy", policy), ("critic", critic)):
        if kind is not None:
            tensors[f"{name}.0.weight"] = np.zeros((3, 2), np.float32)
            tensors[f"{name}.0.bias"] = np.zeros(2, np.float32)
    vouched_for(folder, save(tensors))
    with pytest.raises(ValueError, match=rf"{TWO}\.safetensors: {message}"):
        load_experts(folder)


@pytest.mark.parametrize(
    ("tensor", "value", "message"),
    [
        ("policy.0.weight", np.full((17, 8), np.nan, np.float32), "weights that are not finite"),
        ("policy.1.bias", np.zeros(5, np.float32), "layer 1 must take"),
        ("policy.1.bias", np.zeros((6, 1), np.float32), "biases vectors"),
    ],
)
def test_impossible_weights_are_named(folder: Path, tensor: str, value, message: str) -> None:
    from safetensors.numpy import save

    tensors = load_file(folder / f"{TWO}.safetensors")
    vouched_for(folder, save({**tensors, tensor: value}))
    with pytest.raises(ValueError, match=rf"{TWO}\.safetensors: .*{message}"):
        load_experts(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env_id": "Unicorn-v0"}, "`env_id` must be one of"),
        ({"context": {"speed": 99.0}}, r"`speed` must be in \[-10, 10\]"),
        ({"context": {"wings": 1.0}}, "unknown feature `wings`"),
        ({"context": [1.0]}, "`context` must map feature names to values, got a list"),
    ],
)
def test_impossible_manifests_are_named(folder: Path, changes: dict, message: str) -> None:
    path = folder / f"{TWO}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ValueError, match=rf"{TWO}\.json: {message}"):
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
    monkeypatch.undo()
    save_expert(untrained({"speed": 2.0}), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_expert(untrained({"speed": 2.0}, seed=1), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    save_expert(untrained({"speed": 2.0}), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    bad = untrained({"speed": 2.0}, seed=1)
    bad = replace(bad, record={**bad.record, "seam": float("nan")})
    with pytest.raises(ValueError, match="`record` must have finite numbers alone"):
        save_expert(bad, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


UNPICKLING = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "pandas"}


def calls_that_unpickle(source: str) -> list[str]:
    """What in a module's source can unpickle, as `line: code`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if function == "torch.load" and options.get("weights_only") != "True":
                found.append(f"{node.lineno}: {function}")
            if function in {"PPO.load", "TD3.load", "SAC.load", "VecNormalize.load"}:
                found.append(f"{node.lineno}: {function}")
            if options.get("allow_pickle", "False") != "False":
                found.append(f"{node.lineno}: allow_pickle")
        found += [f"{node.lineno}: {n}" for n in names if n.split(".")[0] in UNPICKLING]
    return found


def test_nothing_under_experts_unpickles() -> None:
    sources = sorted(Path(experts.__file__).parent.rglob("*.py"))
    assert len(sources) > 15
    assert {p.name: f for p in sources if (f := calls_that_unpickle(p.read_text()))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    from cloudpickle import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "PPO.load(path)",
    ],
)
def test_that_check_sees_what_unpickles(source: str) -> None:
    assert calls_that_unpickle(source)
    assert not calls_that_unpickle("torch.load(p, weights_only=True)\nnp.load(p)")
