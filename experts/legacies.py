"""What the agents of a build have seen, kept for those that start from their experts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experts.store import expert_name
from param_envs import Context, Family

if TYPE_CHECKING:
    from experts.offpolicy.experience import Experience  # imports torch

FOLDER = "experience"
SUFFIX = ".safetensors"


class Legacies:
    """Experience on disk, from a finished expert to those in training and to be trained.

    It lies beside the experts, tens of megabytes each, so that a killed build goes on with it; what
    no other expert is left to take on is removed.
    """

    def __init__(
        self, family: Family, directory: Path, heirs: Sequence[tuple[Context, Context]]
    ) -> None:
        """Begins to watch over the experience in a folder of experts.

        Args:
            family: of the experts.
            directory: of the experts.
            heirs: (context, that of the expert which it starts from) of all that is to be trained;
                those of different bodies have nothing to hand on.
        """
        self._directory = directory / FOLDER
        self._origins = {
            context: parent
            for context, parent in heirs
            if family.dynamics(context) == family.dynamics(parent)
        }

    def awaited(self, context: Context) -> bool:
        """Whether an expert is still to start from that of `context`."""
        return context in self._origins.values()

    def of(self, context: Context) -> Experience | None:
        """What the expert of `context` is to begin with, if it is there.

        Raises:
            ValueError: naming the file, if it is damaged.
        """
        from experts.offpolicy.experience import load_experience

        parent = self._origins.get(context)
        path = None if parent is None else self._path(parent)
        return None if path is None or not path.exists() else load_experience(path)

    def keep(self, context: Context, experience: Experience) -> None:
        """Writes what the agent of `context` has seen.

        Raises:
            OSError: if the disk is full or the folder cannot be written.
        """
        from experts.offpolicy.experience import save_experience

        save_experience(experience, self._path(context))

    def settle(self, context: Context) -> None:
        """Notes that the expert of `context` is there; removes what nobody awaits any more."""
        parent = self._origins.pop(context, None)
        if parent is not None and not self.awaited(parent):
            self._path(parent).unlink(missing_ok=True)
            if self._directory.is_dir() and not any(self._directory.iterdir()):
                self._directory.rmdir()

    def _path(self, context: Context) -> Path:
        return self._directory / f"{expert_name(context)}{SUFFIX}"
