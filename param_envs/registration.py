"""Registers every family with Gymnasium; importing `param_envs` calls `register_all` once."""

from __future__ import annotations

from functools import partial
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
    """Registers the families that Gymnasium does not know yet."""
    for env_id, family in FAMILIES.items():
        if env_id not in gym.registry:
            gym.register(
                env_id,
                entry_point=partial(make_env, env_id),
                vector_entry_point=partial(make_vector_env, env_id),
                max_episode_steps=family.max_episode_steps,
            )
