"""Episodes kept in a folder while something long is made of them: a kill does not cost them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from experts.evaluation import Played
from experts.policy import MLPPolicies
from experts.provenance import commit, versions
from experts.store import write_atomically

OUTCOME = "outcome."
"""Begins the names of an entry's measured quantities."""


@dataclass(frozen=True)
class EpisodeCache:
    """Episodes by what decides them.

    It is there to save time: a folder that cannot be written to, a full disk or a damaged entry
    cost the saving and nothing else.

    Attributes:
        folder: one file an entry; made when there is something to keep.
    """

    folder: Path

    def find(self, key: str) -> Played | None:
        """The episodes of a key, None if they are not there whole."""
        try:
            tensors = load_tensors((self.folder / key).read_bytes())
            return Played(
                returns=tensors.pop("returns"),
                lengths=tensors.pop("lengths"),
                outcomes={name.removeprefix(OUTCOME): array for name, array in tensors.items()},
            )
        except (OSError, SafetensorError, KeyError):
            return None

    def keep(self, key: str, played: Played) -> None:
        """Writes the episodes of a key."""
        outcomes = {OUTCOME + name: array for name, array in played.outcomes.items()}
        payload = save_tensors({"returns": played.returns, "lengths": played.lengths, **outcomes})
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / key, payload)

    def clear(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def key_of(policies: MLPPolicies, facts: Mapping[str, Any]) -> str:
    """A hash of all that decides episodes, of this program and the packages that it runs on too.

    Args:
        policies: those that play.
        facts: what else the episodes depend on, as JSON can have it.
    """
    told = {**facts, "activation": policies.activation, "commit": commit(), "with": versions()}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for array in (*policies.weights, *policies.biases, policies.mean, policies.scale):
        digest.update(b"none" if array is None else f"{array.shape}".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
