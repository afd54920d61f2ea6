"""What a policy between training contexts should do: what their experts do, where that works.

A blend is the mean of the actions of the experts of a context's nearest training contexts, weighted
by 1 / distance. Beyond the last training context of a single feature's range there is none on the
other side; there a blend goes on from the last two, by half of what their experts differ. Whether
such means control anything depends on the task. If the desired speed is a minimum, a neighbour's
expert may do; if it is a target, neither that one nor a mean of two very different gaits need do
anything. Which of them a task is can be found without leaving the training contexts: every one of
them is played once more by the blend of the others' experts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experts import Experts, Rollouts, play
from experts.evaluation import episode_seeds
from experts.minibatches import Minibatches, States
from experts.neighbours import ActionMeans, Neighbours
from param_envs import Family, UniformSampler

N_BLENDED = 2048
"""Contexts drawn for blending, before the first update."""

TRUST_SEED = 8_000_000
"""Added to a fit's seed for the starts of the blends' own episodes in training contexts."""

TRUST_EPISODES = 2
"""Of each training context."""

TRUSTED = 0.97
"""Share of its expert's return that the blend of the others must have for a context to count."""

TRUSTED_BEYOND = 0.85
"""The same at the end of a range, if the nearest other expert has less. Left to itself, a generator
often does better beyond its training contexts than blends that lose more."""

GOES_ON = 0.5
"""Of the difference between the experts of the last two training contexts, what a blend goes on by
that is beyond the last one as far as that is from the one before, or farther: slopes at the end of
a range are steep, and the whole of them overshoots."""


class Mixtures(NamedTuple):
    """What n contexts are blended from.

    Attributes:
        ids: of k training contexts near each, (n, k).
        shares: what each of these counts, (n, k); sums are 1.
        beyond: whether a context lies beyond the training contexts, (n,); there the share of the
            last training context but one is below 0.
    """

    ids: NDArray[np.intp]
    shares: NDArray[np.float64]
    beyond: NDArray[np.bool_]

    @classmethod
    def around(
        cls,
        family: Family,
        features: tuple[str, ...],
        known: Sequence[Mapping[str, float]],
        asked: Sequence[Mapping[str, float]],
    ) -> Mixtures:
        """Of `asked` contexts from `known` ones, which differ in `features`."""
        near = Neighbours(family, known, features)
        ids, shares = near.shares(asked)
        varied = family.selected(features)
        if len(varied) > 1 or varied[0].encoding == "angle" or len(known) < 2:
            return cls(ids, shares, np.zeros(len(asked), dtype=np.bool_))
        encoded = near.encoded(asked)
        places, place = near.known[:, -1], encoded[:, -1]  # the rest is the direction
        alike = (near.known[None, :, :-1] == encoded[:, None, :-1]).all(axis=-1)
        below = place < np.where(alike, places, np.inf).min(axis=1)
        above = place > np.where(alike, places, -np.inf).max(axis=1)
        beyond = (below | above) & (alike.sum(axis=1) > 1)
        last, before = places[ids[beyond, :2]].T
        more = GOES_ON * np.minimum(np.abs((place[beyond] - last) / (last - before)), 1.0)
        shares[beyond] = np.stack([1.0 + more, -more], axis=1)
        return cls(ids, shares, beyond)


def left_out(data: Rollouts) -> Mixtures:
    """For each of the n training contexts what it is blended from among the others."""
    parts = []
    for i, context in enumerate(data.contexts):
        others = np.delete(np.arange(len(data.contexts)), i)
        known = [data.contexts[j] for j in others]
        near = Mixtures.around(data.family, data.features, known, [context])
        parts.append(near._replace(ids=others[near.ids]))
    return Mixtures(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def own_returns(data: Rollouts, instead: str) -> NDArray[np.float64]:
    """What each training context's expert returned (n,), to compare other policies with.

    Raises:
        ValueError: if a context has no noise-free episode; says what to do `instead`.
    """
    own = data.clean_returns()
    if np.isnan(own).any():
        raise ValueError(
            f"`data` must have a noise-free episode of every context, got none; {instead}"
        )
    return own


def trust(data: Rollouts, experts: Experts, seed: int) -> NDArray[np.bool_]:
    """In which training contexts (n,) the blend of the others' experts may teach.

    Where it is as good as the own one: its return is within 1 - `TRUSTED` of the expert's, relative
    to its size. At the end of a range, where nobody else tells what to do beyond, also where it is
    within 1 - `TRUSTED_BEYOND` and more than the nearest other expert has.

    Raises:
        ValueError: if a context of `data` has no noise-free episode to compare with.
    """
    own = own_returns(data, "set `blend_weight` to 0 to train without blends")
    others = left_out(data)
    starts = np.array(episode_seeds(TRUST_SEED + seed, len(own), TRUST_EPISODES))

    def returns(places: NDArray[np.intp], shares: NDArray[np.float64]) -> NDArray[np.float64]:
        ids = others.ids[places, : shares.shape[1]]
        played = play(
            ActionMeans(experts.policies.select(ids.reshape(-1)), shares.astype(np.float32)),
            data.family,
            [data.contexts[i] for i in places],
            reward=data.reward,
            n_episodes=TRUST_EPISODES,
            seed=TRUST_SEED + seed,
            starts=starts.reshape(len(own), -1)[places].reshape(-1).tolist(),
            n_steps=data.mask.shape[2],
            n_threads=torch.get_num_threads(),
        )
        means: NDArray[np.float64] = played.returns.mean(axis=-1)
        return means

    blended = returns(np.arange(len(own)), others.shares)
    trusted: NDArray[np.bool_] = own - blended <= (1.0 - TRUSTED) * np.abs(own)
    ends = np.flatnonzero(others.beyond)
    if ends.size:
        alone = returns(ends, np.ones((ends.size, 1)))
        close = own - blended <= (1.0 - TRUSTED_BEYOND) * np.abs(own)
        trusted[ends] |= close[ends] & (blended[ends] > alone)
    return trusted


class Drawn(NamedTuple):
    """n contexts between training contexts.

    `inputs` are (n, n_inputs); `ids` (n, k) and `shares` (n, k) are of their neighbours, who act by
    `experts`.
    """

    inputs: Tensor
    ids: Tensor
    shares: Tensor
    experts: Experts

    def states(self, batches: Minibatches, n_states: int, generator: torch.Generator) -> States:
        """About n_states states of each context's neighbours, and the blend's actions there."""
        each = max(1, n_states // self.ids.shape[1])
        seen = torch.cat([batches.states(i, each, generator).observations for i in self.ids.T], 1)
        raw = seen.numpy() * batches.observation_scale + batches.observation_mean
        policies = self.experts.policies.select(self.ids.numpy().reshape(-1))
        blend = ActionMeans(policies, self.shares.numpy())
        return States(seen, torch.from_numpy(blend.act(raw)))


class Blends:
    """Contexts all over the family's range, each with the training contexts nearest to it.

    A context counts by (distance to the nearest training context)² times the share of its
    neighbours that `trust` finds right, or beyond the training contexts whether it finds the last
    one right; distances are between what the network is told of contexts, whose entries are in
    [-1, 1]. Where the training contexts fill a part of the range, as joint grids do, most of the
    weight is beyond them.

    Attributes:
        weight: mean of that over the range; contexts are drawn in proportion to it.
    """

    def __init__(
        self,
        data: Rollouts,
        experts: Experts,
        seed: int,
        told: Callable[[Sequence[Mapping[str, float]]], Tensor],
    ) -> None:
        """Draws the contexts uniformly and finds what they count.

        Args:
            data: rollouts of the training contexts' experts.
            experts: those.
            seed: of the contexts, and of the starts in which `trust` is found.
            told: what the network is told of contexts, (n_contexts, n_inputs).

        Raises:
            ValueError: if a context of `data` has no noise-free episode to compare with.
        """
        self._experts = experts
        draw, rng = UniformSampler(data.family, data.features), np.random.default_rng(seed)
        contexts: list[Mapping[str, float]] = [draw(rng) for _ in range(N_BLENDED)]
        ids, shares, beyond = Mixtures.around(data.family, data.features, data.contexts, contexts)
        found = trust(data, experts, seed)[ids]
        trusted = np.where(beyond, found[:, 0], (shares * found).sum(axis=1))
        self._inputs, known = told(contexts), told(data.contexts)
        self._ids, self._shares = torch.from_numpy(ids), torch.from_numpy(shares).float()
        gaps = (self._inputs - known[self._ids[:, 0]]).square().sum(dim=1)
        self._weights = gaps * torch.from_numpy(trusted).float()
        self.weight = float(self._weights.mean())

    def draw(self, n: int, generator: torch.Generator) -> Drawn:
        """Draws n contexts, with replacement; `weight` must not be 0."""
        rows = torch.multinomial(self._weights, n, replacement=True, generator=generator)
        return Drawn(self._inputs[rows], self._ids[rows], self._shares[rows], self._experts)
