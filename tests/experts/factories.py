"""Small experts and recipes for tests; nothing here is trained."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from experts import Expert, MLPPolicies, MLPs, Recipe
from param_envs import ParamVectorEnv, family_of

ENV_ID = "ParamCheetah-v0"
TINY = Recipe(
    name="tiny",
    algorithm="ppo",
    total_steps=64,
    warm_steps=32,
    n_envs=4,
    hidden=(8,),
    activation="tanh",
    learning_rate=1e-3,
    final_learning_rate=1e-4,
    batch_size=32,
    exploration=0.5,
    warm_exploration=0.3,
    final_exploration=0.1,
    normalise_reward=True,
    rollout_steps=8,
    epochs=1,
)


def untrained(context: Mapping[str, float], *, seed: int = 0, **record: Any) -> Expert:
    """An expert with random weights for a cheetah context."""
    family = family_of(ENV_ID)
    rng = np.random.default_rng(seed)

    def layers(*sizes: int) -> dict[str, Any]:
        pairs = list(pairwise(sizes))
        return {
            "weights": tuple(rng.normal(0, 0.3, (1, i, o)).astype(np.float32) for i, o in pairs),
            "biases": tuple(rng.normal(0, 0.1, (1, o)).astype(np.float32) for _, o in pairs),
        }

    statistics = {
        "mean": rng.normal(size=family.observation_size).astype(np.float32),
        "scale": rng.uniform(0.5, 2.0, family.observation_size).astype(np.float32),
    }
    return Expert(
        policy=MLPPolicies(**layers(family.observation_size, 8, family.action_size), **statistics),
        critic=MLPs(**layers(family.observation_size, 8, 1), **statistics),
        extras={"log_std": np.zeros(6, np.float32), "reward_scale": np.ones(1, np.float32)},
        record={
            "env_id": ENV_ID,
            "context": dict(family.context(**context)),
            "reward": "track",
            "algorithm": "ppo",
            "critic": "v",
            "discount": 0.99,
            "evaluation": {"return_mean": 1.0},
            **record,
        },
    )


def noted_environments(monkeypatch: pytest.MonkeyPatch) -> list[ParamVectorEnv]:
    """All batched environments that are made from now on."""
    made: list[ParamVectorEnv] = []
    make = ParamVectorEnv.__init__

    def noting(self: ParamVectorEnv, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(ParamVectorEnv, "__init__", noting)
    return made
