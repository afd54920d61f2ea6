"""Experts on disk: one safetensors file and one JSON manifest each, written atomically."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from experts.policy import MLPPolicies, MLPs
from experts.weights import Dtype, decode, encode
from param_envs import Context, Family, family_of

FORMAT_VERSION = 1
NEXT = "next"
"""In a manifest while its weights are replaced: the manifest of those to come."""
ZOO = Path(__file__).parent / "zoo"


@dataclass(frozen=True, eq=False, kw_only=True)
class Expert:
    """A trained policy for one context.

    Attributes:
        policy: one deterministic policy.
        critic: one network; its input is (observation,) where the manifest's `critic` is "v", and
            (observation, action) where it is "q". Values are discounted returns in units of the
            environment's reward. None where it was left out (`experts.shipping`).
        extras: further tensors that a warm start needs, such as `log_std` (action_size,).
        record: the manifest: context, env_id, reward, recipe, seed, steps, evaluation, versions.
    """

    policy: MLPPolicies
    critic: MLPs | None
    extras: Mapping[str, NDArray[np.float32]]
    record: Mapping[str, Any]

    @property
    def family(self) -> Family:
        """The family that the expert was trained on."""
        return family_of(self.record["env_id"])

    @property
    def context(self) -> Context:
        """The context that it was trained in."""
        return self.family.context(**self.record["context"])


@dataclass(frozen=True, eq=False, kw_only=True)
class Experts:
    """The experts of several contexts as one batch: expert i acts for context i.

    Attributes:
        family: their family.
        reward: the meaning of the reward that they maximise.
        contexts: n contexts.
        policies: n policies.
        critics: n critics, or None where some have none or their shapes differ.
        records: n manifests.
    """

    family: Family
    reward: str
    contexts: tuple[Context, ...]
    policies: MLPPolicies
    critics: MLPs | None
    records: tuple[Mapping[str, Any], ...]

    def __len__(self) -> int:
        return len(self.contexts)

    @property
    def returns(self) -> NDArray[np.float64]:
        """Mean return (n,) of each expert in its own context, from its manifest."""
        return np.array([record["evaluation"]["return_mean"] for record in self.records])

    def select(self, ids: Sequence[int] | NDArray[np.intp]) -> Experts:
        """The experts `ids`, in that order."""
        return Experts(
            family=self.family,
            reward=self.reward,
            contexts=tuple(self.contexts[i] for i in ids),
            policies=self.policies.select(ids),
            critics=None if self.critics is None else self.critics.select(ids),
            records=tuple(self.records[i] for i in ids),
        )


def expert_name(context: Mapping[str, float]) -> str:
    """File name of a context's expert, without a suffix: `speed=3.5_torso=0.5`."""
    return "_".join(f"{name}={value:g}" for name, value in context.items())


def zoo_path(zoo: str) -> Path:
    """Folder of a shipped zoo.

    Raises:
        FileNotFoundError: if no zoo of that name is shipped; names those that are.
    """
    path = ZOO / zoo
    if not path.is_dir():
        shipped = sorted(p.name for p in ZOO.iterdir() if p.is_dir()) if ZOO.is_dir() else []
        raise FileNotFoundError(f"no zoo {zoo!r} is shipped, there are {shipped}")
    return path


def save_expert(
    expert: Expert,
    directory: Path,
    *,
    policy_dtype: Dtype = "float32",
    critic_dtype: Dtype = "float16",
) -> Path:
    """Writes weights, then the manifest that vouches for them; returns the manifest's path.

    A reader sees all of the expert, all of an older one, or nothing if there was none: while its
    weights are replaced an older manifest holds both records, and the weights tell which is right.

    Args:
        expert: the expert.
        directory: its folder, made if absent.
        policy_dtype: `float32` is exact.
        critic_dtype: `float16` halves the critic, which only serves q* and warm starts, unless
            that changes its values too much (`weights.CRITIC_TOLERANCE`).

    Raises:
        ValueError: for another type, a policy beyond the range of float16, or a number in the
            record that is not finite.
        OSError: if the disk is full or the folder cannot be written; nothing half-written stays,
            and an older expert does.
    """
    payload = encode(
        expert.policy,
        expert.critic,
        expert.extras,
        policy_dtype=policy_dtype,
        critic_dtype=critic_dtype,
    )
    directory.mkdir(parents=True, exist_ok=True)
    name = expert_name(expert.context)
    record = {
        **expert.record,
        "format": FORMAT_VERSION,
        "activation": expert.policy.activation,
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    manifest = directory / f"{name}.json"
    _put(manifest, payload, record, before=_present(manifest))
    return manifest


def load_expert(manifest: Path) -> Expert:
    """Reads one expert; nothing is unpickled.

    Raises:
        ValueError: naming the file, if it is missing, truncated, tampered with, or not an expert.
    """
    record = read_manifest(manifest)
    weights = manifest.with_suffix(".safetensors")
    try:
        payload = weights.read_bytes()
    except OSError as error:
        raise ValueError(f"{weights}: cannot be read ({error.strerror})") from error
    checksum = hashlib.sha256(payload).hexdigest()
    following = record.pop(NEXT, None)
    if following is not None and checksum != record["sha256"]:
        record = _checked(following, manifest)
    if checksum != record["sha256"]:
        raise ValueError(
            f"{weights}: checksum differs from the manifest's, the file is damaged or the manifest "
            "is another's"
        )
    try:
        policy, critic, extras = decode(payload, activation=record["activation"])
    except ValueError as error:
        raise ValueError(f"{weights}: {error}") from error
    if (critic is None) != (record.get("critic") is None):
        raise ValueError(f"{weights}: the critic is missing, or the manifest knows of none")
    expert = Expert(policy=policy, critic=critic, extras=extras, record=record)
    try:
        sizes = (expert.family.observation_size, expert.family.action_size)
        expert.context  # noqa: B018 (an unknown feature or a value out of range raises)
    except ValueError as error:
        raise ValueError(f"{manifest}: {error}") from error
    if (expert.policy.input_size, expert.policy.output_size) != sizes:
        raise ValueError(
            f"{weights}: the policy must map {sizes[0]} numbers to {sizes[1]}, it maps "
            f"{expert.policy.input_size} to {expert.policy.output_size}"
        )
    return expert


def load_experts(directory: Path) -> Experts:
    """Reads all experts of a folder, ordered by context.

    Raises:
        FileNotFoundError: if the folder has no expert.
        ValueError: naming the file, if one is damaged, belongs to another family or reward, or is
            of a context that another one is of.
    """
    manifests = sorted(directory.glob("*.json")) if directory.is_dir() else []
    if not manifests:
        raise FileNotFoundError(f"no experts in {directory}")
    found = [load_expert(path) for path in manifests]
    first = found[0].record
    seen: dict[Context, Path] = {}
    for path, expert in zip(manifests, found, strict=True):
        for key in ("env_id", "reward"):
            if expert.record[key] != first[key]:
                raise ValueError(
                    f"{path}: `{key}` is {expert.record[key]!r}, the folder's is {first[key]!r}"
                )
        if seen.setdefault(expert.context, path) != path:
            raise ValueError(f"{path}: {seen[expert.context].name} is of the same context")
    found.sort(key=lambda expert: tuple(expert.context.values()))
    return gather(found)


def shipped_experts(checksums: Sequence[str | None]) -> Experts | None:
    """The shipped experts with those checksums, in that order; None unless a zoo has all of them.

    Args:
        checksums: n SHA-256 of weights, as manifests have them, or None where unknown.

    Raises:
        ValueError: naming the file, if an expert among them is damaged.
    """
    for directory in sorted(ZOO.iterdir()) if ZOO.is_dir() else []:
        manifests = {
            read_manifest(path)["sha256"]: path for path in sorted(directory.glob("*.json"))
        }
        if checksums and set(checksums) <= set(manifests):
            return gather([load_expert(manifests[checksum]) for checksum in checksums])
    return None


def compact(directory: Path) -> tuple[int, int]:
    """Rewrites the experts of a folder as `save_expert` does by default: critics in float16.

    Policies and records stay as they are, but for the checksum. Killed at any moment, it leaves
    every expert readable.

    Returns:
        Bytes of all weights before and after.

    Raises:
        ValueError: naming the file, if an expert is damaged; those before it are rewritten.
        OSError: if the disk is full or the folder cannot be written.
    """
    before = after = 0
    for manifest in sorted(directory.glob("*.json")):
        weights = manifest.with_suffix(".safetensors")
        expert = load_expert(manifest)
        payload = encode(expert.policy, expert.critic, expert.extras)
        before += weights.stat().st_size
        after += len(payload)
        checksum = hashlib.sha256(payload).hexdigest()
        rewritten = {**expert.record, "sha256": checksum}
        if rewritten != read_manifest(manifest):  # which may still hold two records
            _put(manifest, payload, rewritten, before=expert.record)
    return before, after


def gather(found: Sequence[Expert]) -> Experts:
    """Batches experts of one family and reward.

    Raises:
        ValueError: if there is none, or the policies' shapes differ.
    """
    if not found:
        raise ValueError("`found` must hold at least one expert, got none")
    critics = [expert.critic for expert in found if expert.critic is not None]
    shapes = {tuple(w.shape for w in critic.weights) for critic in critics}
    same = len(critics) == len(found) and len(shapes) == 1
    return Experts(
        family=found[0].family,
        reward=found[0].record["reward"],
        contexts=tuple(expert.context for expert in found),
        policies=MLPPolicies.stack([expert.policy for expert in found]),
        critics=MLPs.stack(critics) if same else None,
        records=tuple(expert.record for expert in found),
    )


def write_atomically(path: Path, payload: bytes) -> None:
    """Writes a file that is either whole or absent, even after a kill or a full disk."""
    with _on_disk(path, payload) as temporary:
        os.replace(temporary, path)


@contextmanager
def _on_disk(path: Path, payload: bytes) -> Iterator[Path]:
    """A temporary file beside `path`, whole and safe from a power cut, gone at the end."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{crc32(payload):08x}.part")
    try:
        with temporary.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def read_manifest(manifest: Path) -> dict[str, Any]:
    """What a manifest says; while its expert is replaced, what it says of the older one.

    Raises:
        ValueError: naming the file, if it is missing, damaged or of another format.
    """
    try:
        record = json.loads(manifest.read_text())
    except OSError as error:
        raise ValueError(f"{manifest}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ValueError(f"{manifest}: not a JSON manifest ({error})") from error
    return _checked(record, manifest)


def _checked(record: Any, manifest: Path) -> dict[str, Any]:
    needed = {"format", "env_id", "reward", "context", "sha256", "activation", "evaluation"}
    absent = sorted(needed - set(record)) if isinstance(record, dict) else sorted(needed)
    if absent:
        raise ValueError(f"{manifest}: the manifest lacks {absent}")
    if record["format"] != FORMAT_VERSION:
        raise ValueError(
            f"{manifest}: `format` must be {FORMAT_VERSION}, got {record['format']}; "
            "it was written by another version of this package"
        )
    if not isinstance(record["context"], dict):
        raise ValueError(
            f"{manifest}: `context` must map feature names to values, got a "
            f"{type(record['context']).__name__}"
        )
    return dict(record)


def _present(manifest: Path) -> Mapping[str, Any] | None:
    """The record of the expert that a manifest and its weights are of; None if there is none."""
    try:
        return load_expert(manifest).record
    except ValueError:
        return None


def _put(
    manifest: Path, payload: bytes, record: Mapping[str, Any], *, before: Mapping[str, Any] | None
) -> None:
    """Replaces an expert, or none; killed at any moment, one of the two is there."""
    weights = manifest.with_suffix(".safetensors")
    with _on_disk(weights, payload) as new_weights, _on_disk(manifest, _json(record)) as new:
        if before is None:
            manifest.unlink(missing_ok=True)  # weights of its own are damaged or absent
        else:
            write_atomically(manifest, _json({**before, NEXT: record}))
        os.replace(new_weights, weights)
        os.replace(new, manifest)


def _json(record: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(record, indent=1, allow_nan=False) + "\n").encode()
    except ValueError as error:
        raise ValueError(f"`record` must have finite numbers alone ({error})") from error
