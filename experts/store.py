"""Experts on disk: one safetensors file and one JSON manifest each, written atomically."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from experts.policy import MLPPolicies, MLPs
from param_envs import Context, Family, family_of

FORMAT_VERSION = 1
ZOO = Path(__file__).parent / "zoo"


@dataclass(frozen=True, eq=False, kw_only=True)
class Expert:
    """A trained policy for one context.

    Attributes:
        policy: one deterministic policy.
        critic: one network; its input is (observation,) for `critic_kind` "v", and (observation,
            action) for "q". Values are discounted returns in units of the environment's reward.
        extras: further tensors that a warm start needs, such as `log_std` (action_size,).
        record: the manifest: context, env_id, reward, recipe, seed, steps, evaluation, versions.
    """

    policy: MLPPolicies
    critic: MLPs
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
        critics: n critics, or None where their shapes differ.
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


def save_expert(expert: Expert, directory: Path) -> Path:
    """Writes weights, then the manifest that vouches for them; returns the manifest's path.

    A reader sees all of an expert or nothing: the manifest comes last and has the checksum.

    Raises:
        OSError: if the disk is full or the folder cannot be written; nothing half-written stays.
    """
    directory.mkdir(parents=True, exist_ok=True)
    name = expert_name(expert.context)
    payload = save_tensors({**_tensors(expert), **dict(expert.extras)})
    record = {
        **expert.record,
        "format": FORMAT_VERSION,
        "activation": expert.policy.activation,
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    write_atomically(directory / f"{name}.safetensors", payload)
    manifest = directory / f"{name}.json"
    write_atomically(manifest, (json.dumps(record, indent=1) + "\n").encode())
    return manifest


def load_expert(manifest: Path) -> Expert:
    """Reads one expert; nothing is unpickled.

    Raises:
        ValueError: naming the file, if it is missing, truncated, tampered with, or not an expert.
    """
    record = _read_manifest(manifest)
    weights = manifest.with_suffix(".safetensors")
    try:
        payload = weights.read_bytes()
    except OSError as error:
        raise ValueError(f"{weights}: cannot be read ({error.strerror})") from error
    if hashlib.sha256(payload).hexdigest() != record["sha256"]:
        raise ValueError(f"{weights}: checksum differs from the manifest's, the file is damaged")
    try:
        tensors = load_tensors(payload)
    except SafetensorError as error:
        raise ValueError(f"{weights}: not a safetensors file ({error})") from error
    policy = _network(tensors, "policy", record["activation"], weights)
    critic = _network(tensors, "critic", record["activation"], weights)
    used = ("policy.", "critic.")
    return Expert(
        policy=MLPPolicies(**policy),
        critic=MLPs(**critic),
        extras={name: t for name, t in tensors.items() if not name.startswith(used)},
        record=record,
    )


def load_experts(directory: Path) -> Experts:
    """Reads all experts of a folder, ordered by context.

    Raises:
        FileNotFoundError: if the folder has no expert.
        ValueError: naming the file, if one is damaged or belongs to another family or reward.
    """
    manifests = sorted(directory.glob("*.json")) if directory.is_dir() else []
    if not manifests:
        raise FileNotFoundError(f"no experts in {directory}")
    found = [load_expert(path) for path in manifests]
    first = found[0].record
    for path, expert in zip(manifests, found, strict=True):
        for key in ("env_id", "reward"):
            if expert.record[key] != first[key]:
                raise ValueError(
                    f"{path}: `{key}` is {expert.record[key]!r}, the folder's is {first[key]!r}"
                )
    found.sort(key=lambda expert: tuple(expert.context.values()))
    return gather(found)


def gather(found: Sequence[Expert]) -> Experts:
    """Batches experts of one family and reward.

    Raises:
        ValueError: if there is none, or the policies' shapes differ.
    """
    if not found:
        raise ValueError("`found` must hold at least one expert, got none")
    critics = [expert.critic for expert in found]
    same = len({tuple(w.shape for w in critic.weights) for critic in critics}) == 1
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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_manifest(manifest: Path) -> dict[str, Any]:
    try:
        record = json.loads(manifest.read_text())
    except OSError as error:
        raise ValueError(f"{manifest}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ValueError(f"{manifest}: not a JSON manifest ({error})") from error
    needed = {"format", "env_id", "reward", "context", "sha256", "activation", "evaluation"}
    absent = sorted(needed - set(record)) if isinstance(record, dict) else sorted(needed)
    if absent:
        raise ValueError(f"{manifest}: the manifest lacks {absent}")
    if record["format"] != FORMAT_VERSION:
        raise ValueError(
            f"{manifest}: `format` must be {FORMAT_VERSION}, got {record['format']}; "
            "it was written by another version of this package"
        )
    return dict(record)


def _tensors(expert: Expert) -> dict[str, NDArray[np.float32]]:
    tensors = {}
    for prefix, network in (("policy", expert.policy), ("critic", expert.critic)):
        for layer, (w, b) in enumerate(zip(network.weights, network.biases, strict=True)):
            tensors[f"{prefix}.{layer}.weight"] = np.ascontiguousarray(w[0])
            tensors[f"{prefix}.{layer}.bias"] = np.ascontiguousarray(b[0])
        for name in ("mean", "scale"):
            if getattr(network, name) is not None:
                tensors[f"{prefix}.{name}"] = np.ascontiguousarray(getattr(network, name)[0])
    return tensors


def _network(
    tensors: Mapping[str, NDArray[np.float32]], prefix: str, activation: str, path: Path
) -> dict[str, Any]:
    n_layers = sum(name.startswith(f"{prefix}.") and name.endswith(".weight") for name in tensors)
    try:
        return {
            "weights": tuple(tensors[f"{prefix}.{i}.weight"][None] for i in range(n_layers)),
            "biases": tuple(tensors[f"{prefix}.{i}.bias"][None] for i in range(n_layers)),
            "activation": activation,
            "mean": tensors.get(f"{prefix}.mean"),
            "scale": tensors.get(f"{prefix}.scale"),
        }
    except KeyError as error:
        raise ValueError(f"{path}: the tensor {error} is missing") from None
