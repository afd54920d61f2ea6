"""Whether a generated policy is worth it between training contexts, tried in the training contexts.

The experts of two neighbouring contexts may do the same in two ways, with two gaits for instance. A
generator that fills in between them may get neither, and its policies fall. To find out, no other
context has to be played: a context in between is nearer to each of its neighbours than these are
to each other, and its policy should do better there than the others' experts do. If it does not,
it does not work, or the experts serve each other's contexts, and the one in between as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from experts import Experts, MLPPolicies, Rollouts, play
from experts.evaluation import episode_seeds
from experts.neighbours import Neighbours
from hyper.blending import own_returns

TRIAL_SEED = 9_000_000
"""Added to a fit's seed for the starts of the trials' episodes."""

STRAIGHT = 0.95
"""Cosine of the angle at a neighbour between the way to a policy's own context and that to another
neighbour, for that one to lie straight beyond: where speeds and bodies differ, what a change of
one costs says nothing of the other."""

FARTHER = 1.1
"""Times as far as a policy's own context another one beyond it has to be, for its expert to be what
the policy is compared with."""

SERVING = 0.05
"""An expert on the other side that is as far counts if it loses at most so much, and against a
policy that returns so much less: at the end of a range, what serves both contexts next to it will
serve a third. With one that loses more nothing can be said: slower speeds are missed by more, as a
share."""

TELLING = 0.25
"""Where an expert straight beyond loses more than this share itself, a policy has to return less
than it by as much as that is more: what is lost grows with the distance only for so long, and
among those that nearly fail, chance decides."""

SMALLEST = 1e-6
"""Returns and distances are taken for this large at least, where shares of them are meant."""


class Lines(NamedTuple):
    """How k known contexts lie around each of n others, two and two: (n, k actors, k places).

    Attributes:
        beyond: seen from the place, the actor lies straight beyond the other context.
        opposite: it lies on the other side, as far or farther.
        left: of the actor's distance to the place, the share that the other context has from the
            actor where that lies beyond, and from the place otherwise.
    """

    beyond: NDArray[np.bool_]
    opposite: NDArray[np.bool_]
    left: NDArray[np.float64]

    @classmethod
    def between(cls, asked: NDArray[np.float64], around: NDArray[np.float64]) -> Lines:
        """Of encoded contexts (n, n_inputs) and those around them (n, k, n_inputs)."""
        to_asked = asked[:, None] - around
        to_actor = around[:, :, None] - around[:, None]
        away = np.maximum(np.linalg.norm(to_asked, axis=-1), SMALLEST)
        apart = np.maximum(np.linalg.norm(to_actor, axis=-1), SMALLEST)
        cosines = (to_actor * to_asked[:, None]).sum(axis=-1) / (apart * away[:, None])
        beyond = (cosines > STRAIGHT) & (apart > FARTHER * away[:, None])
        return cls(
            beyond=beyond,
            opposite=(cosines < -STRAIGHT) & (apart > away[:, None] / FARTHER),
            left=np.where(beyond, away[:, :, None], away[:, None]) / apart,
        )


class Trials:
    """Tries policies in the training contexts around the contexts that they are for."""

    def __init__(self, data: Rollouts, experts: Experts, *, seed: int, n_episodes: int) -> None:
        """Notes what is needed; nothing is played yet.

        Args:
            data: rollouts of the training contexts' experts.
            experts: those.
            seed: of the starts, the same ones for all policies, whichever are tried together.
            n_episodes: of each policy in each neighbouring context.

        Raises:
            ValueError: if a context of `data` has no noise-free episode to compare with.
        """
        self._own = own_returns(data, "set `trials` to 0 to do without")
        self._family, self._contexts, self._reward = data.family, data.contexts, data.reward
        self._n_steps, self._seed = data.mask.shape[2], TRIAL_SEED + seed
        self._n_episodes = n_episodes
        self.experts = experts
        self._neighbours = Neighbours(data.family, data.contexts, data.features)
        self._known = np.full((len(data), len(data)), np.nan)

    def better(
        self, policies: MLPPolicies, contexts: Sequence[Mapping[str, float]]
    ) -> NDArray[np.intp]:
        """Which training contexts' experts to take instead of n policies (n,), -1 for none.

        In a training context next to a policy's own, the policy is compared with the experts of
        those others around that lie straight beyond its own: where it returns less than one of
        these, that expert is better; the less it returns itself, the clearer this has to be. The
        policy is also compared with those that lie on the other side, are as far and serve the
        place well: where it returns much less, the place's own expert is better. Of several, that
        one is taken that should lose least if losses grow with the distance. Where there is nobody
        to compare with, as far beyond all training contexts, the policy stays, and so does that of
        a training context.

        Args:
            policies: one a context.
            contexts: what they are for.

        Raises:
            ValueError: if there is no context, or for an unknown feature or a value out of range.
        """
        ids, shares = self._neighbours.shares(contexts)
        near = shares > 0
        pairs = near[:, :, None] & near[:, None]
        lines = Lines.between(self._neighbours.encoded(contexts), self._neighbours.known[ids])
        beyond, opposite = pairs & lines.beyond, pairs & lines.opposite
        gains = self._experts_gains(ids, beyond | opposite)
        serving = opposite & (gains > -SERVING)
        telling = beyond | serving
        own = np.full(ids.shape, np.nan)
        tried = np.nonzero(telling.any(axis=1))
        own[tried] = self._gains(policies.select(tried[0]), ids[tried])
        short = gains - own[:, None]
        doubt = np.maximum(0.0, -gains - TELLING)
        failing = (beyond & (short > doubt)) | (serving & (short > SERVING))
        hopes = np.where(failing, np.round(gains * lines.left, 9), -np.inf).reshape(len(ids), -1)
        actors, places = np.divmod(hopes.argmax(axis=1), ids.shape[1])
        rows = np.arange(len(ids))
        chosen = np.where(beyond[rows, actors, places], actors, places)
        return np.where(failing.any(axis=(1, 2)), ids[rows, chosen], -1)

    def _experts_gains(
        self, ids: NDArray[np.intp], pairs: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """What neighbours' experts gain in each other's contexts, (n, k actors, k places).

        Args:
            ids: the neighbours, (n, k).
            pairs: which of them are asked for; the others are nan, unless they are known.
        """
        actors, places = np.broadcast_arrays(ids[:, :, None], ids[:, None])
        missing = np.zeros_like(self._known, dtype=np.bool_)
        missing[actors[pairs], places[pairs]] = True
        rows, columns = np.nonzero(missing & np.isnan(self._known))
        self._known[rows, columns] = self._gains(self.experts.policies.select(rows), columns)
        return self._known[actors, places]

    def _gains(self, policies: MLPPolicies, ids: NDArray[np.intp]) -> NDArray[np.float64]:
        """How much more n policies return (n,), each in one of the training contexts `ids`.

        More than the context's own expert, and as a share of what that one returns; mostly below 0.
        """
        if not ids.size:
            return np.zeros(0)
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
