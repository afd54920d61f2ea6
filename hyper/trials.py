"""Whether a generated policy works between training contexts, tried in the training contexts.

The experts of two neighbouring contexts may do the same in two ways, with two gaits for instance. A
generator that fills in between them may get neither, and its policies fall. To find out, no other
context has to be played: a policy for a context in between is nearer to each of its neighbours than
the neighbours are to each other, and should do no worse there than the others' experts do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from experts import Experts, MLPPolicies, Rollouts, play
from experts.evaluation import episode_seeds
from experts.neighbours import Neighbours
from hyper.blending import own_returns

TRIAL_SEED = 9_000_000
"""Added to a fit's seed for the starts of the trials' episodes."""

SMALLEST = 1e-6
"""Returns are taken for this large at least, where shares of them are meant."""


class Trials:
    """Tries policies in the training contexts around the contexts that they are for."""

    def __init__(
        self, data: Rollouts, experts: Experts, *, seed: int, n_episodes: int, margin: float
    ) -> None:
        """Notes what is needed; nothing is played yet.

        Args:
            data: rollouts of the training contexts' experts.
            experts: those.
            seed: of the starts, the same ones for all policies, whichever are tried together.
            n_episodes: of each policy in each neighbouring context.
            margin: a policy fails that returns so much less than the neighbours' experts in each
                other's contexts, as a share of what the contexts' own experts return.

        Raises:
            ValueError: if a context of `data` has no noise-free episode to compare with.
        """
        self._own = own_returns(data, "set `trials` to 0 to do without")
        self._family, self._contexts, self._reward = data.family, data.contexts, data.reward
        self._n_steps, self._seed = data.mask.shape[2], TRIAL_SEED + seed
        self._n_episodes, self._margin = n_episodes, margin
        self._experts = experts
        self._neighbours = Neighbours(data.family, data.contexts, data.features)
        self._known = np.full((len(data), len(data)), np.nan)

    def nearest(self, contexts: Sequence[Mapping[str, float]]) -> Experts:
        """The expert of the training context nearest to each context.

        Raises:
            ValueError: if there is no context, or for an unknown feature or a value out of range.
        """
        ids, _ = self._neighbours.shares(contexts)
        return self._experts.select(ids[:, 0])

    def failing(
        self, policies: MLPPolicies, contexts: Sequence[Mapping[str, float]]
    ) -> NDArray[np.bool_]:
        """Which of n policies (n,) do worse around their contexts than the experts from there.

        In each training context around a policy's own, the policy is compared with the experts of
        the others around; a context counts by its share, see `Neighbours.shares`. The policy of
        a training context is not tried, and none fails that has one neighbour alone.

        Args:
            policies: one a context.
            contexts: what they are for.

        Raises:
            ValueError: if there is no context, or for an unknown feature or a value out of range.
        """
        ids, shares = self._neighbours.shares(contexts)
        behind = np.zeros(len(contexts))
        tried = np.flatnonzero((shares > 0).sum(axis=1) > 1)
        if tried.size:
            around, parts = ids[tried], shares[tried]
            chosen = policies.select(np.repeat(tried, around.shape[1]))
            own = self._gains(chosen, around.reshape(-1)).reshape(around.shape)
            behind[tried] = (parts * (self._others(around, parts) - own)).sum(axis=1)
        failing: NDArray[np.bool_] = behind > self._margin
        return failing

    def _others(self, around: NDArray[np.intp], shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the other neighbours' experts gain in each neighbour's context, in mean (n, k)."""
        actors, places = np.broadcast_arrays(around[:, :, None], around[:, None])
        meant = (shares > 0)[:, :, None] & (actors != places)
        missing = np.zeros_like(self._known, dtype=np.bool_)
        missing[actors[meant], places[meant]] = True
        rows, columns = np.nonzero(missing & np.isnan(self._known))
        if rows.size:
            self._known[rows, columns] = self._gains(self._experts.policies.select(rows), columns)
        means: NDArray[np.float64] = self._known[actors, places].mean(axis=1, where=meant)
        return means

    def _gains(self, policies: MLPPolicies, ids: NDArray[np.intp]) -> NDArray[np.float64]:
        """How much more n policies return (n,), each in one of the training contexts `ids`.

        More than the context's own expert, and as a share of what that one returns; mostly below 0.
        """
        played = play(
            policies,
            self._family,
            [self._contexts[i] for i in ids],
            reward=self._reward,
            n_episodes=self._n_episodes,
            seed=self._seed,
            starts=episode_seeds(self._seed, 1, self._n_episodes) * len(ids),
            n_steps=self._n_steps,
            n_threads=torch.get_num_threads(),
        )
        own = self._own[ids]
        gains: NDArray[np.float64] = played.returns.mean(axis=-1) - own
        return gains / np.maximum(np.abs(own), SMALLEST)
