"""Every policy in every context: the matrix that tells what a fixed policy is worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from experts.evaluation import play
from experts.policy import MLPPolicies
from experts.store import Experts

SLOTS = 1600
"""Environments stepped at once, about 100 MB of simulations."""


class _EachEverywhere:
    """m policies, each acting in n contexts: slots are ordered (policy, context)."""

    def __init__(self, policies: MLPPolicies) -> None:
        self._policies = policies

    def act(self, observations: NDArray[np.floating]) -> NDArray[np.floating]:
        """Actions (m * n, n_envs, action_size) for (m * n, n_envs, obs_size)."""
        grouped = observations.reshape(len(self._policies), -1, observations.shape[-1])
        return self._policies.act(grouped).reshape(*observations.shape[:2], -1)


def transfer_matrix(
    experts: Experts,
    policies: MLPPolicies | None = None,
    *,
    n_episodes: int = 1,
    seed: int = 0,
    n_steps: int | None = None,
) -> NDArray[np.float64]:
    """Mean returns (m, n) of policy i (rows) in the context of expert j (columns).

    Args:
        experts: n experts; their contexts and reward count.
        policies: m policies, the experts' own by default.
        n_episodes: episodes a pair.
        seed: of the starts, which differ from pair to pair.
        n_steps: longest episode, the family's own by default.
    """
    chosen = experts.policies if policies is None else policies
    n_contexts = len(experts)
    rows = max(1, SLOTS // (n_contexts * n_episodes))
    parts = []
    for first in range(0, len(chosen), rows):
        ids = np.arange(first, min(first + rows, len(chosen)))
        played = play(
            _EachEverywhere(chosen.select(ids)),
            experts.family,
            [context for _ in ids for context in experts.contexts],
            reward=experts.reward,
            n_episodes=n_episodes,
            seed=seed,
            n_steps=n_steps,
        )
        parts.append(played.returns.mean(axis=1).reshape(len(ids), n_contexts))
    return np.concatenate(parts)
