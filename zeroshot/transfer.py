"""Every expert in every context: the matrix that tells what a fixed policy is worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from experts import Experts, MLPPolicies, play

Array = NDArray[np.float64]


class _EveryContext:
    """n policies, each acting in n contexts: slots are ordered (policy, context)."""

    def __init__(self, policies: MLPPolicies) -> None:
        self._policies = policies

    def act(self, observations: NDArray[np.floating]) -> NDArray[np.floating]:
        """Actions (n * n, n_envs, action_size) for (n * n, n_envs, obs_size)."""
        n = len(self._policies)
        actions = self._policies.act(observations.reshape(n, -1, observations.shape[-1]))
        return actions.reshape(*observations.shape[:2], -1)


def transfer_matrix(
    experts: Experts, *, n_episodes: int = 1, seed: int = 0, n_steps: int | None = None
) -> Array:
    """Mean return (n, n) of expert i (rows) in the context of expert j (columns).

    Args:
        experts: n experts.
        n_episodes: episodes a pair; all pairs are played in one batch.
        seed: of the starts.
        n_steps: longest episode, the family's own by default.
    """
    n = len(experts)
    played = play(
        _EveryContext(experts.policies),
        experts.family,
        [context for _ in range(n) for context in experts.contexts],
        reward=experts.reward,
        n_episodes=n_episodes,
        seed=seed,
        n_steps=n_steps,
    )
    return played.returns.mean(axis=1).reshape(n, n)
