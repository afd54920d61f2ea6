"""The state of a training on disk, so that a killed one goes on from there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from experts.validation import require


@dataclass(frozen=True, kw_only=True)
class Saving:
    """How a training is made resumable.

    Attributes:
        path: the file of the state. It is replaced as a whole, and removed at the end.
        minutes: between saves: what a kill loses at most.
        with_replay: keep the replay too. It is by far the largest part (a cheetah's transition
            takes 168 bytes); without it, a resumed training first collects `learning_starts`
            transitions by its policies.

    Raises:
        ValueError: for negative minutes.
    """

    path: Path
    minutes: float = 10.0
    with_replay: bool = True

    def __post_init__(self) -> None:
        require("minutes", self.minutes, self.minutes >= 0.0, "at least 0")


def save_state(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Writes tensors and facts, which JSON must be able to hold, atomically.

    Raises:
        OSError: if the disk is full or the folder cannot be written; the former state stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(plain, temporary, metadata={"facts": json.dumps(facts)})
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def discard_torn_states(path: Path) -> None:
    """Removes what kills in the middle of `save_state` have left."""
    for part in path.parent.glob(f".{path.name}.*.part"):
        part.unlink(missing_ok=True)


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Names the file in what goes wrong while its tensors and JSON are read.

    Args:
        path: the file.
        what: what it should be, for the message.

    Raises:
        ValueError: if the file cannot be read, its JSON is damaged, or an entry is missing.
    """
    try:
        yield
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as {what} ({error})") from error
    except KeyError as error:
        raise ValueError(f"{path}: not {what}, {error} is missing") from error


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what `save_state` wrote; nothing is unpickled.

    Raises:
        ValueError: naming the file, if it is damaged or something else.
    """
    return _read(path, tensors=True)


def load_facts(path: Path) -> dict[str, Any]:
    """Reads the facts alone, without the tensors.

    Raises:
        ValueError: naming the file, if it is damaged or something else.
    """
    return _read(path, tensors=False)[1]


def check_same_training(path: Path, identity: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Refuses a state of another training.

    Raises:
        ValueError: naming the file and what differs.
    """
    wanted = json.loads(json.dumps(identity))
    found = facts.get("identity", {})
    if found != wanted:
        raise ValueError(
            f"{path}: the state is of another training, with {_difference(found, wanted)}; remove "
            "it to begin anew"
        )


def _read(path: Path, *, tensors: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with reading(path, "a training's state"), safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        names = list(file.keys()) if tensors else []
        found: dict[str, Tensor] = {name: file.get_tensor(name) for name in names}
        return found, json.loads(metadata["facts"])


def _difference(found: Any, wanted: Any, name: str = "identity") -> str:
    """Where two JSON values first differ, in words."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in [*wanted, *found]:
            if found.get(key) != wanted.get(key):
                return _difference(found.get(key), wanted.get(key), key)
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for one, other in zip(found, wanted, strict=True):
            if one != other:
                return _difference(one, other, name)
    return f"`{name}` {found!r} instead of {wanted!r}"
