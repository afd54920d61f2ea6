"""Registers every family with Gymnasium; importing `param_envs` calls `register_all` once."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from param_envs.env import ParamEnv
from param_envs.families import FAMILIES, family_of
from param_envs.vector_env import ParamVectorEnv


def make_env(env_id: str, **kwargs: Any) -> ParamEnv:
    """Entry point of `gym.make`: see `ParamEnv`."""
    return ParamEnv(family_of(env_id), **kwargs)


def make_vector_env(env_id: str, num_envs: int, **kwargs: Any) -> ParamVectorEnv:
    """Entry point of `gym.make_vec`: see `ParamVectorEnv`."""
    return ParamVectorEnv(family_of(env_id), num_envs, **kwargs)


def register_all() -> None:
    """Registers the families that Gymnasium does not know yet.

    Entry points are words and not functions, so that the specification can be written as JSON, as
    datasets of Minari do.
    """
    for env_id, family in FAMILIES.items():
        if env_id not in gym.registry:
            gym.register(
                env_id,
                entry_point=f"{__name__}:{make_env.__name__}",
                vector_entry_point=f"{__name__}:{make_vector_env.__name__}",
                kwargs={"env_id": env_id},
                max_episode_steps=family.max_episode_steps,
            )
