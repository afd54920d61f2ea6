"""Whether a generated policy works between training contexts, tried in the training contexts.

The experts of two neighbouring contexts may do the same in two ways, with two gaits for instance. A
generator that fills in between them may get neither, and its policies fall. To find out, no other
context has to be played: a context in between is nearer to each of its neighbours than these are
to each other, and its policy should do no worse there than the others' experts do.
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

FARTHER = 1.1
"""Times as far from a neighbour as a policy's own context has another one to be at least, for its
expert to be what the policy is compared with there."""

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

        In each training context around a policy's own, the policy is compared with those experts
        of the others around that come from farther away; a context counts by its share, see
        `Neighbours.shares`. Where none does, as beyond all training contexts, nothing fails, nor
        does the policy of a training context.

        Args:
            policies: one a context.
            contexts: what they are for.

        Raises:
            ValueError: if there is no context, or for an unknown feature or a value out of range.
        """
        ids, shares = self._neighbours.shares(contexts)
        around = self._neighbours.known[ids]
        away = np.linalg.norm(around - self._neighbours.encoded(contexts)[:, None], axis=-1)
        apart = np.linalg.norm(around[:, :, None] - around[:, None], axis=-1)
        near = shares > 0
        compared = near[:, :, None] & near[:, None] & (apart > FARTHER * away[:, None])
        behind, weights = np.zeros(ids.shape), shares * compared.any(axis=1)
        tried, places = np.nonzero(weights)
        if not tried.size:
            return np.zeros(len(contexts), dtype=np.bool_)
        own = self._gains(policies.select(tried), ids[tried, places])
        behind[tried, places] = self._others(ids, compared)[tried, places] - own
        failing: NDArray[np.bool_] = (weights * (behind - self._margin)).sum(axis=1) > 0
        return failing

    def _others(self, ids: NDArray[np.intp], compared: NDArray[np.bool_]) -> NDArray[np.float64]:
        """What neighbours' experts gain in each neighbour's context, in mean (n, k), 0 for none.

        Args:
            ids: the neighbours, (n, k).
            compared: which of them counts as an expert in which place, (n, k, k).
        """
        actors, places = np.broadcast_arrays(ids[:, :, None], ids[:, None])
        missing = np.zeros_like(self._known, dtype=np.bool_)
        missing[actors[compared], places[compared]] = True
        rows, columns = np.nonzero(missing & np.isnan(self._known))
        if rows.size:
            self._known[rows, columns] = self._gains(self._experts.policies.select(rows), columns)
        gains = np.where(compared, self._known[actors, places], 0.0).sum(axis=1)
        means: NDArray[np.float64] = gains / np.maximum(compared.sum(axis=1), 1)
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
