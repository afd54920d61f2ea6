"""Many policies of each of several tasks, as vectors: what methods in weight space learn from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from experts.policy import MLPPolicies
from experts.store import Experts, write_atomically
from experts.validation import require
from experts.weight_space import Schema, policies_of, schema_of, vectors_of

Vectors = NDArray[np.float16] | NDArray[np.float32]

MANIFEST = "collection.json"
"""In a shipped collection's folder, beside one safetensors file a task; it is written last."""
FORMAT = 1
FOLDERS = ("collection", "checkpoints")
"""Where it is looked for within the experts' folder: shipped, or as a training leaves it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Collection:
    """n tasks' policies, all of one schema.

    A task stands here once, with all of its policies. So a selection of tasks has all policies of a
    task or none: they are never on both sides of a split.

    Attributes:
        schema: of the vectors.
        tasks: what identifies each task, in terms of JSON: its context, or a name.
        vectors: of each task, (n_policies, schema.size), float16 or float32.
        steps: environment steps before each policy, (n_policies,) a task.
        records: what is known of each task's training.

    Raises:
        ValueError: if a task is there twice or has no policy, lengths do not fit each other, or an
            entry is not finite.
    """

    schema: Schema
    tasks: tuple[Mapping[str, Any], ...]
    vectors: tuple[Vectors, ...]
    steps: tuple[NDArray[np.int64], ...]
    records: tuple[Mapping[str, Any], ...]

    def __post_init__(self) -> None:
        counts = {name: len(getattr(self, name)) for name in ("vectors", "steps", "records")}
        if not self.tasks or set(counts.values()) != {len(self.tasks)}:
            raise ValueError(f"a collection of {len(self.tasks)} tasks must have as many, {counts}")
        keys = [_key(task) for task in self.tasks]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                raise ValueError(f"`tasks` must be all different, {key} is there twice")
        for key, vectors, steps in zip(keys, self.vectors, self.steps, strict=True):
            if vectors.shape != (len(steps), self.schema.size) or not len(steps):
                raise ValueError(
                    f"task {key}: `vectors` must be ({len(steps)}, {self.schema.size}) for the "
                    f"policies after {len(steps)} numbers of steps, got {vectors.shape}"
                )
            if not np.isfinite(vectors).all():
                raise ValueError(f"task {key}: `vectors` has entries that are not finite")

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def n_policies(self) -> tuple[int, ...]:
        """How many policies each task has."""
        return tuple(len(steps) for steps in self.steps)

    def select(self, ids: Sequence[int] | NDArray[np.intp]) -> Collection:
        """The tasks `ids`, in that order, each with all of its policies; nothing of any other."""
        return replace(
            self,
            tasks=tuple(self.tasks[i] for i in ids),
            vectors=tuple(self.vectors[i] for i in ids),
            steps=tuple(self.steps[i] for i in ids),
            records=tuple(self.records[i] for i in ids),
        )

    def of(self, tasks: Sequence[Mapping[str, Any]]) -> Collection:
        """The collection of `tasks`, in that order.

        Raises:
            ValueError: naming the first that is not there.
        """
        index = {_key(task): i for i, task in enumerate(self.tasks)}
        for task in tasks:
            if _key(task) not in index:
                raise ValueError(f"the collection has no policies of {_key(task)}")
        return self.select([index[_key(task)] for task in tasks])

    def with_experts(self, experts: Experts) -> Collection:
        """Each task's expert among its policies, where they are networks of one kind.

        A training's last policies are not always the one that was kept of it.

        Args:
            experts: one a task, in order.

        Raises:
            ValueError: if they are of other tasks.
        """
        if [dict(task) for task in self.tasks] != [dict(context) for context in experts.contexts]:
            raise ValueError("`experts` must be of the collection's tasks, in their order")
        if schema_of(experts.policies) != self.schema:
            return self
        found = collection_of_experts(experts)
        vectors, steps = list(self.vectors), list(self.steps)
        for i, expert in enumerate(found.vectors):
            row = expert.astype(vectors[i].dtype)
            if not (vectors[i] == row).all(axis=1).any():
                vectors[i] = np.concatenate([vectors[i], row])
                steps[i] = np.concatenate([steps[i], found.steps[i]])
        return replace(self, vectors=tuple(vectors), steps=tuple(steps))

    def policies(self, task: int) -> MLPPolicies:
        """The policies of the task at a position.

        Raises:
            ValueError: if they are networks of another kind.
        """
        return policies_of(self.vectors[task], self.schema)


def collection_of_experts(experts: Experts) -> Collection:
    """One policy a task: its expert."""
    vectors = vectors_of(experts.policies)
    steps = [int(record.get("steps", 0)) for record in experts.records]
    return Collection(
        schema=schema_of(experts.policies),
        tasks=tuple(dict(context) for context in experts.contexts),
        vectors=tuple(row[None].copy() for row in vectors),
        steps=tuple(np.array([n], dtype=np.int64) for n in steps),
        records=experts.records,
    )


def read_checkpoints(
    directory: Path,
    contexts: Sequence[Mapping[str, float]],
    *,
    first_step: int = 0,
    n_policies: int | None = None,
) -> Collection:
    """The collection of what `train_many` kept along its training, one file a context.

    Args:
        directory: of the checkpoints.
        contexts: the tasks.
        first_step: policies after fewer steps are left out.
        n_policies: how many a task from there on, by growing steps; all by default.

    Raises:
        ValueError: naming the file, if one is missing, damaged, or of too few policies, or if the
            policies' shapes differ.
    """
    from experts.offpolicy.checkpoints import checkpoint_path, load_checkpoints  # imports torch

    require("n_policies", n_policies, n_policies is None or n_policies >= 1, "at least 1")
    schema: Schema | None = None
    vectors, steps, records = [], [], []
    for context in contexts:
        path = checkpoint_path(directory, context)
        found = load_checkpoints(path)
        ids = np.flatnonzero(found.steps >= first_step)[:n_policies]
        if not len(ids) or len(ids) < (n_policies or 0):
            raise ValueError(
                f"{path}: must have {n_policies or 'some'} policies from step {first_step} on, "
                f"it has {len(ids)}"
            )
        kept = found.policies.select(ids)
        schema = schema or schema_of(kept)
        if schema_of(kept) != schema:
            raise ValueError(f"{path}: the policies have other layers than those before")
        vectors.append(vectors_of(kept))
        steps.append(found.steps[ids])
        records.append(dict(found.record))
    if schema is None:
        raise ValueError("`contexts` must hold at least one context, got none")
    return Collection(
        schema=schema,
        tasks=tuple(dict(context) for context in contexts),
        vectors=tuple(vectors),
        steps=tuple(steps),
        records=tuple(records),
    )


def save_collection(collection: Collection, directory: Path) -> Path:
    """Writes a collection in float16, a file a task, and returns its manifest's path.

    A reader sees a whole collection or none: an older manifest is removed first, and the new one,
    with the checksums, comes last.

    Raises:
        ValueError: if an entry is beyond the range of float16.
        OSError: if the disk is full or the folder cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    manifest = directory / MANIFEST
    manifest.unlink(missing_ok=True)
    entries = []
    for i, task in enumerate(collection.tasks):
        with np.errstate(over="ignore"):
            halved = np.ascontiguousarray(collection.vectors[i], dtype=np.float16)
        if not np.isfinite(halved).all():
            raise ValueError(f"task {_key(task)}: `vectors` must be in the range of float16")
        payload = save_tensors({"vectors": halved, "steps": collection.steps[i]})
        name = f"task-{i:03}.safetensors"
        write_atomically(directory / name, payload)
        entries.append(
            {
                "task": dict(task),
                "file": name,
                "bytes": len(payload),
                "sha256": hashlib.sha256(payload).hexdigest(),
                "n_policies": len(halved),
                "record": dict(collection.records[i]),
            }
        )
    content = {"format": FORMAT, "schema": asdict(collection.schema), "tasks": entries}
    write_atomically(manifest, (json.dumps(content, indent=1) + "\n").encode())
    return manifest


def load_collection(directory: Path) -> Collection:
    """Reads what `save_collection` wrote; nothing is unpickled.

    Raises:
        ValueError: naming the file, if it is missing, truncated, changed, or something else.
    """
    manifest = directory / MANIFEST
    try:
        content = json.loads(manifest.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError(f"{manifest}: `format` must be {FORMAT}, got {content['format']}")
        schema = Schema(**content["schema"])
        entries = [(e["task"], e["file"], e["bytes"], e["sha256"]) for e in content["tasks"]]
        records = tuple(entry["record"] for entry in content["tasks"])
    except OSError as error:
        raise ValueError(f"{manifest}: cannot be read ({error.strerror})") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{manifest}: not JSON ({error})") from error
    except (KeyError, TypeError) as error:
        raise ValueError(f"{manifest}: not the manifest of a collection ({error!r})") from error
    except ValueError as error:
        raise _naming(manifest, error) from error
    found = [_read(directory / name, size, digest) for _, name, size, digest in entries]
    try:
        return Collection(
            schema=schema,
            tasks=tuple(task for task, *_ in entries),
            vectors=tuple(tensors["vectors"] for tensors in found),
            steps=tuple(tensors["steps"] for tensors in found),
            records=records,
        )
    except ValueError as error:
        raise _naming(manifest, error) from error


def _naming(path: Path, error: ValueError) -> ValueError:
    """The error with the file's name, which is not said twice."""
    return error if str(path) in str(error) else ValueError(f"{path}: {error}")


def find_collection(experts: Path) -> Path | None:
    """The folder of the collection that stands beside a folder's experts, None if there is none.

    A shipped one goes before the checkpoints of the experts' training; one without its manifest is
    what a kill left of it.
    """
    shipped, checkpoints = (experts / name for name in FOLDERS)
    if (shipped / MANIFEST).exists():
        return shipped
    return checkpoints if checkpoints.is_dir() else None


def collection_in(path: Path, contexts: Sequence[Mapping[str, float]]) -> Collection:
    """The collection of `contexts` in a folder as `find_collection` finds it.

    Raises:
        ValueError: naming the file, if one is missing or damaged, or the task that is not there.
    """
    if (path / MANIFEST).exists():
        return load_collection(path).of(contexts)
    return read_checkpoints(path, contexts)


def collection_fingerprint(path: Path) -> str:
    """A checksum, of 16 characters, of what is in such a folder.

    A shipped collection's manifest has the checksums of its files; checkpoints are looked through.
    """
    files = [path / MANIFEST] if (path / MANIFEST).exists() else sorted(path.glob("*.safetensors"))
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            whole.update(file.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest()[:16]


def _read(path: Path, size: int, digest: str) -> dict[str, NDArray[Any]]:
    try:
        payload = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    if len(payload) != size:
        raise ValueError(f"{path}: must have {size} bytes, it has {len(payload)}: truncated?")
    if hashlib.sha256(payload).hexdigest() != digest:
        raise ValueError(f"{path}: the checksum is not the manifest's, the file is damaged")
    try:
        tensors = load_tensors(payload)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error
    missing = {"vectors", "steps"} - set(tensors)
    if missing:
        raise ValueError(f"{path}: lacks the tensors {', '.join(sorted(missing))}")
    return tensors


def _key(task: Mapping[str, Any]) -> str:
    return json.dumps(dict(task), sort_keys=True)
