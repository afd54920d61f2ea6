"""What the trainings of a build leave, kept for those that start from their experts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from param_envs import Context

if TYPE_CHECKING:
    from experts.offpolicy.legacy import Legacy  # imports torch

FOLDER = "legacies"
SUFFIX = ".safetensors"


class Legacies:
    """Legacies on disk, from a finished expert to those in training and to be trained.

    They lie beside the experts, tens of megabytes each, so that a killed build goes on with them.
    What all that were to start from an expert have taken on is removed; where none was, at the end
    of a chain, it stays for a build that goes on from there.
    """

    def __init__(self, directory: Path, origins: Mapping[Context, Path]) -> None:
        """Begins to watch over the legacies in a folder of experts.

        Args:
            directory: of the experts.
            origins: context to the manifest that its expert starts from, of all that are to be
                trained and have something to take on: bodies must be the same.
        """
        self._directory = directory
        self._origins = dict(origins)

    def of(self, context: Context) -> Legacy | None:
        """What the expert of `context` is to begin with, if it is there.

        Raises:
            ValueError: naming the file, if it is damaged.
        """
        from experts.offpolicy.legacy import load_legacy

        origin = self._origins.get(context)
        path = None if origin is None else _beside(origin)
        return None if path is None or not path.exists() else load_legacy(path)

    def keep(self, manifest: Path, legacy: Legacy) -> None:
        """Writes what the training of an expert left, beside where its manifest will stand.

        Raises:
            OSError: if the disk is full or the folder cannot be written.
        """
        from experts.offpolicy.legacy import save_legacy

        save_legacy(legacy, _beside(manifest))

    def settle(self, context: Context) -> None:
        """Notes that the expert of `context` is there; removes what nobody awaits any more."""
        origin = self._origins.pop(context, None)
        ours = origin is not None and origin.parent == self._directory
        if origin is not None and ours and origin not in self._origins.values():
            _beside(origin).unlink(missing_ok=True)


def _beside(manifest: Path) -> Path:
    return manifest.parent / FOLDER / f"{manifest.stem}{SUFFIX}"
