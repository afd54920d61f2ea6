"""Rollouts to a Minari dataset."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from experts.minari.layout import (
    BLOCK,
    DATA,
    FORMAT_VERSION,
    checksum_of,
    environment_spec,
    new_dataset_path,
)
from experts.policy import Floats
from experts.rollouts import Rollouts
from param_envs import Context


def to_minari(
    rollouts: Rollouts, name: str, *, folder: Path | None = None, description: str = ""
) -> Path:
    """Writes rollouts as a Minari dataset; returns its folder.

    `minari.load_dataset(name)` reads it, if `folder` is where Minari looks, and
    `recover_environment(**context)` makes its environment in any context. The dataset is whole or
    absent, even after a kill.

    Args:
        rollouts: the data; steps past the end of an episode are left out.
        name: of the dataset, with its version: `cheetah/experts-v0`.
        folder: of all datasets, Minari's own by default.
        description: a line or more for people.

    Raises:
        ValueError: for a name that Minari does not allow, or episodes that are not contiguous.
        FileExistsError: if there is a dataset of that name.
        ModuleNotFoundError: if Minari is not installed.
    """
    path = new_dataset_path(name, folder)
    from minari.dataset.minari_storage import MinariStorage

    _check_contiguous(rollouts)
    spec = environment_spec(
        rollouts.family,
        reward=rollouts.reward,
        max_episode_steps=rollouts.mask.shape[2],
        **_shared_values(rollouts.contexts),
    )
    env = gym.make(spec)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        (part / "data").mkdir(parents=True)
        storage = MinariStorage.new(
            part / "data",
            observation_space=_single_precision(env.observation_space),
            action_space=env.action_space,
            env_spec=spec,
        )
        cells = [(i, e) for i, e in np.ndindex(rollouts.mask.shape[:2]) if rollouts.mask[i, e, 0]]
        storage.update_episodes(_buffers(rollouts, cells))
        storage.update_episode_metadata([_metadata(rollouts, i, e) for i, e in cells])
        storage.update_metadata(
            {
                "dataset_id": name,
                "minari_version": version("minari"),
                "description": description,
                "requirements": ["param-envs"],
                BLOCK: {
                    "format": FORMAT_VERSION,
                    "features": list(rollouts.features),
                    "reward": rollouts.reward,
                    "discount": rollouts.discount,
                    "n_steps": rollouts.mask.shape[2],
                    "sha256": checksum_of(part / "data" / DATA),
                    "versions": {p: version(p) for p in ("param-envs", "mujoco", "gymnasium")},
                },
            }
        )
        os.replace(part, path)
    finally:
        env.close()
        shutil.rmtree(part, ignore_errors=True)
    return path


def _check_contiguous(rollouts: Rollouts) -> None:
    mask = rollouts.mask
    if (mask[:, :, 1:] & ~mask[:, :, :-1]).any():
        raise ValueError("`rollouts.mask` must be true up to an episode's end, and false after it")
    jumps = rollouts.next_observations[:, :, :-1] != rollouts.observations[:, :, 1:]
    if jumps.any(axis=3)[mask[:, :, 1:]].any():
        raise ValueError("`rollouts.next_observations` must be the next step's `observations`")


def _shared_values(contexts: Sequence[Context]) -> dict[str, float]:
    """The features, with their values, in which all contexts agree."""
    first = contexts[0]
    return {name: value for name, value in first.items() if all(c[name] == value for c in contexts)}


def _single_precision(space: Any) -> gym.spaces.Box:
    low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    return gym.spaces.Box(low, high, dtype=np.float32)


def _buffers(rollouts: Rollouts, cells: Sequence[tuple[int, int]]) -> Iterator[Any]:
    """The episodes as Minari takes them, one at a time."""
    from minari.data_collector import EpisodeBuffer

    for i, e in cells:
        n = int(rollouts.mask[i, e].sum())
        ends = np.arange(n) == n - 1
        failed = bool(rollouts.terminated[i, e])
        last = rollouts.next_observations[i, e, n - 1 : n]
        yield EpisodeBuffer(
            seed=None if rollouts.seeds is None else int(rollouts.seeds[i, e]),
            observations=np.concatenate([rollouts.observations[i, e, :n], last]),
            actions=rollouts.actions[i, e, :n],
            rewards=rollouts.rewards[i, e, :n],
            terminations=ends & failed,
            truncations=ends & (not failed),
            infos={
                "context": {
                    name: np.full(n + 1, value) for name, value in rollouts.contexts[i].items()
                },
                "noise": np.full(n + 1, rollouts.noise[e]),
                "expert_action": _open_ended(rollouts.labels[i, e, :n]),
                "value": _open_ended(rollouts.values[i, e, :n]),
            },
        )


def _open_ended(steps: Floats) -> Floats:
    """Adds a row of NaN for the observation after the last step."""
    return np.concatenate([steps, np.full_like(steps[:1], np.nan)])


def _metadata(rollouts: Rollouts, i: int, e: int) -> dict[str, Any]:
    """An episode's own; a slash makes a level."""
    found: dict[str, Any] = {f"context/{n}": value for n, value in rollouts.contexts[i].items()}
    found |= {"noise": float(rollouts.noise[e]), "reward": rollouts.reward}
    record = {} if rollouts.experts is None else rollouts.experts.records[i]
    if "sha256" in record:
        found["expert_sha256"] = record["sha256"]
    return found
