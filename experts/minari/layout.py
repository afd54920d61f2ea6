"""Where a dataset is, what its files are called, and which environment it remembers."""

from __future__ import annotations

import hashlib
import re
from importlib.util import find_spec
from pathlib import Path

from gymnasium.envs.registration import EnvSpec

from param_envs import Family

BLOCK = "param_envs"
"""Key of our part of a dataset's metadata."""
FORMAT_VERSION = 1
DATA, METADATA = "main_data.hdf5", "metadata.json"
NAME = re.compile(r"(?:[-_\w]+/)*[-_\w]+?-v\d+")


def environment_spec(
    family: Family,
    *,
    reward: str | None = None,
    max_episode_steps: int | None = None,
    **features: float,
) -> EnvSpec:
    """What `gym.make` makes an environment of, in a form that can be written as JSON.

    Environments that Minari is to remember have to be made of it: a registered one may name
    itself by a function, which JSON cannot hold.

    Args:
        family: the family.
        reward: meaning of the reward, the family's first by default.
        max_episode_steps: the family's by default.
        **features: values of the context; the others take their defaults.

    Raises:
        ValueError: for an unknown feature or reward, or a value out of range.
    """
    context = family.context(**features)
    mode = family.check_reward_mode(reward or family.reward_modes[0])
    return EnvSpec(
        id=family.env_id,
        entry_point="param_envs.registration:make_env",
        max_episode_steps=max_episode_steps or family.max_episode_steps,
        kwargs={
            "env_id": family.env_id,
            "reward": mode,
            **{name: context[name] for name in features},
        },
    )


def dataset_path(name: str, folder: Path | None = None) -> Path:
    """Where a dataset stands, or will.

    Args:
        name: such as `cheetah/experts-v0`.
        folder: of all datasets; Minari's own by default (MINARI_DATASETS_PATH, else in the home).

    Raises:
        ValueError: for a name that Minari does not allow.
        ModuleNotFoundError: if Minari is not installed.
    """
    if NAME.fullmatch(name) is None:
        raise ValueError(f"`name` must look like cheetah/experts-v0, got {name!r}")
    if folder is not None:
        return folder.absolute() / name  # Minari mistakes the files of relative paths
    require_minari()
    from minari.storage import get_dataset_path

    return Path(get_dataset_path(name))


def new_dataset_path(name: str, folder: Path | None = None) -> Path:
    """Where a dataset will stand: `dataset_path`, if nothing is in the way of writing it.

    Raises:
        ValueError: for a name that Minari does not allow.
        FileExistsError: if there is a dataset of that name.
        ModuleNotFoundError: if Minari is not installed.
    """
    require_minari()
    path = dataset_path(name, folder)
    if path.exists():
        raise FileExistsError(f"{path} exists already: use another name or version, or delete it")
    return path


def require_minari() -> None:
    """Says how to install Minari.

    Raises:
        ModuleNotFoundError: if it or h5py is not installed.
    """
    if find_spec("minari") is None or find_spec("h5py") is None:
        raise ModuleNotFoundError(
            "Minari datasets need Minari and h5py: pip install 'param-envs[minari]'"
        )


def checksum_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
