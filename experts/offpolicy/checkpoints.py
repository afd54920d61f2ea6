"""Policies along a training, many a context: what methods in weight space learn from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save as save_tensors

from experts.offpolicy.state import reading
from experts.policy import MLPPolicies
from experts.store import expert_name, write_atomically
from experts.validation import require

SUFFIX = ".safetensors"


@dataclass(frozen=True, kw_only=True)
class CheckpointSchedule:
    """Which policies of a training are kept, and where.

    Attributes:
        directory: one file a context is written there, named as the context's expert is in its
            own folder.
        every: environment steps of an agent between checkpoints.
        start: environment steps of an agent before the first.
        last: only so many are kept, those of the end; None for all.
        flush_every: checkpoints between writes; each write is of the whole file.

    Raises:
        ValueError: for a number that makes no sense, named.
    """

    directory: Path
    every: int
    start: int = 0
    last: int | None = None
    flush_every: int = 25

    def __post_init__(self) -> None:
        require("every", self.every, self.every >= 1, "at least 1")
        require("start", self.start, self.start >= 0, "at least 0")
        require("last", self.last, self.last is None or self.last >= 1, "at least 1")
        require("flush_every", self.flush_every, self.flush_every >= 1, "at least 1")


@dataclass(frozen=True, eq=False, kw_only=True)
class PolicyCheckpoints:
    """The policies of one context along its training.

    Attributes:
        policies: n policies.
        steps: environment steps before each, (n,).
        record: what the file tells about the training: context, env_id, reward, recipe, seed.
    """

    policies: MLPPolicies
    steps: NDArray[np.int64]
    record: Mapping[str, Any]


def checkpoint_path(directory: Path, context: Mapping[str, float]) -> Path:
    """Where the policies of a context's training stand, or will."""
    return directory / f"{expert_name(context)}{SUFFIX}"


def load_checkpoints(path: Path) -> PolicyCheckpoints:
    """Reads the policies of one context; nothing is unpickled.

    Raises:
        ValueError: naming the file, if it cannot be read or is something else.
    """
    with reading(path, "policy checkpoints"):
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        record = json.loads(metadata["record"])
        layers = range(sum(name.startswith("weight.") for name in tensors))
        return PolicyCheckpoints(
            policies=MLPPolicies(
                tuple(tensors[f"weight.{layer}"] for layer in layers),
                tuple(tensors[f"bias.{layer}"] for layer in layers),
                record["activation"],
            ),
            steps=tensors["steps"],
            record=record,
        )


def save_checkpoints(found: PolicyCheckpoints, directory: Path) -> Path:
    """Writes the file of one context, whole or not at all; returns its path.

    Raises:
        OSError: if the disk is full or the folder cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, NDArray[Any]] = {"steps": found.steps}
    for name, layers in (("weight", found.policies.weights), ("bias", found.policies.biases)):
        tensors |= {f"{name}.{layer}": array for layer, array in enumerate(layers)}
    told = {**found.record, "activation": found.policies.activation}
    path = checkpoint_path(directory, found.record["context"])
    write_atomically(path, save_tensors(tensors, metadata={"record": json.dumps(told)}))
    return path


class CheckpointRecorder:
    """Keeps the policies of K agents as their training goes on, and writes them now and then."""

    def __init__(self, schedule: CheckpointSchedule, records: Sequence[Mapping[str, Any]]) -> None:
        """Begins without policies.

        Args:
            schedule: when and where.
            records: of each agent, with its `context`; written into its file.
        """
        self._schedule = schedule
        self._records = records
        self._steps: list[int] = []
        self._policies: list[MLPPolicies] = []
        self._unwritten = 0
        self.last: int | None = None
        """Environment steps before the last policy kept, written or not."""

    def due(self, steps: int) -> bool:
        """Whether a policy is to be kept after `steps` environment steps of each agent."""
        if steps < self._schedule.start:
            return False
        return self.last is None or steps >= self.last + self._schedule.every

    def keep(self, steps: int, policies: MLPPolicies) -> None:
        """Keeps the policies of all agents, and writes where it is time to."""
        self.last = steps
        self._steps.append(steps)
        self._policies.append(policies)
        self._unwritten += 1
        if self._schedule.last is not None:
            self._steps = self._steps[-self._schedule.last :]
            self._policies = self._policies[-self._schedule.last :]
        if self._unwritten >= self._schedule.flush_every:
            self.flush()

    def flush(self) -> None:
        """Writes everything, one file an agent, each whole or not at all."""
        if not self._unwritten:
            return
        steps = np.array(self._steps, dtype=np.int64)
        for i, record in enumerate(self._records):
            policies = MLPPolicies.stack([kept.select([i]) for kept in self._policies])
            found = PolicyCheckpoints(policies=policies, steps=steps, record=record)
            save_checkpoints(found, self._schedule.directory)
        self._unwritten = 0

    def restore(self, steps: int, last: int | None) -> None:
        """Takes up what the files have of the first `steps` environment steps of this training.

        Nothing, where one is missing or of another training: the first write was cut short.

        Args:
            steps: environment steps of an agent that are done.
            last: those before the last policy kept until then, which a file may have no more.

        Raises:
            ValueError: naming a damaged file.
        """
        self.last = last
        paths = [checkpoint_path(self._schedule.directory, r["context"]) for r in self._records]
        if not all(path.exists() for path in paths):
            return
        found = [load_checkpoints(path) for path in paths]
        for own, each in zip(self._records, found, strict=True):
            if not json.loads(json.dumps(own)).items() <= each.record.items():
                return
        # A kill between two files leaves some with policies that others lack.
        common = set.intersection(*({int(step) for step in each.steps} for each in found))
        for step in sorted(step for step in common if step <= steps):
            rows = [int(np.flatnonzero(each.steps == step)[0]) for each in found]
            self._steps.append(step)
            self._policies.append(
                MLPPolicies.stack(
                    [each.policies.select([row]) for each, row in zip(found, rows, strict=True)]
                )
            )
