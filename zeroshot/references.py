"""Reference rows: what is reached without learning a method, from training information alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experts import Experts
from zeroshot.protocol import Policies

Array = NDArray[np.float64]
Contexts = Sequence[Mapping[str, float]]

EXPERT = "expert"
"""The ceiling: each test context's own expert. The one row that no other may learn from."""

BLIND = "best-single"
"""The best context-blind policy: the row that has score 0."""

TIE = 1e-9
"""Distances in encoded space that differ by less are equal; the grid's first context wins."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """All that a reference may be chosen from; nothing of a test context is reachable.

    Attributes:
        experts: of the n training contexts.
        features: names of the features that vary.
        transfer: mean return (n, n) of training expert i in training context j.
        seed: of the split.
    """

    experts: Experts
    features: tuple[str, ...]
    transfer: Array
    seed: int

    def encoded(self, contexts: Contexts) -> Array:
        """Contexts as methods see them, (n_contexts, n_inputs), entries in [-1, 1]."""
        return self.experts.family.encode(contexts, self.features)

    def directions(self, contexts: Contexts) -> list[tuple[bool, ...]]:
        """Signs of the features that have a direction, a tuple a context."""
        signed = [
            f.name for f in self.experts.family.selected(self.features) if f.encoding == "signed"
        ]
        return [tuple(context[name] > 0.0 for name in signed) for context in contexts]


class ConstantPolicies:
    """The same action everywhere."""

    def __init__(self, action: Sequence[float]) -> None:
        self._action = np.asarray(action, dtype=np.float32)

    def act(self, observations: NDArray[np.floating]) -> NDArray[np.floating]:
        """Actions (n_contexts, n_envs, action_size)."""
        return np.broadcast_to(self._action, (*observations.shape[:2], len(self._action)))


class RandomPolicies:
    """Uniform actions, drawn anew at every step."""

    def __init__(self, action_size: int, rng: np.random.Generator) -> None:
        self._size, self._rng = action_size, rng

    def act(self, observations: NDArray[np.floating]) -> NDArray[np.floating]:
        """Actions (n_contexts, n_envs, action_size) in [-1, 1]."""
        shape = (*observations.shape[:2], self._size)
        return self._rng.uniform(-1.0, 1.0, shape).astype(np.float32)


def nearest(training: Training, contexts: Contexts) -> Policies:
    """The expert of the training context that is nearest in encoded space."""
    known = training.encoded(training.experts.contexts)
    distances = np.linalg.norm(training.encoded(contexts)[:, None] - known[None], axis=-1)
    ids = [int(np.flatnonzero(row <= row.min() + TIE)[0]) for row in distances]
    return training.experts.policies.select(ids)


def best_single(training: Training, contexts: Contexts) -> Policies:
    """The one training expert with the highest mean return over all training contexts."""
    best = int(training.transfer.mean(axis=1).argmax())
    return training.experts.policies.select([best] * len(contexts))


def best_of_direction(training: Training, contexts: Contexts) -> Policies:
    """For each direction, the training expert of it with the highest mean return within it.

    Where no training context has a test context's direction, the best single expert stands in.
    """
    directions = training.directions(training.experts.contexts)
    chosen: dict[tuple[bool, ...], int] = {}
    for direction in set(directions):
        ids = np.flatnonzero([d == direction for d in directions])
        within = training.transfer[np.ix_(ids, ids)].mean(axis=1)
        chosen[direction] = int(ids[within.argmax()])
    fallback = int(training.transfer.mean(axis=1).argmax())
    return training.experts.policies.select(
        [chosen.get(direction, fallback) for direction in training.directions(contexts)]
    )


def random(training: Training, contexts: Contexts) -> Policies:
    """Uniformly random actions."""
    return RandomPolicies(training.experts.family.action_size, np.random.default_rng(training.seed))


def zero(training: Training, contexts: Contexts) -> Policies:
    """No control at all."""
    return ConstantPolicies([0.0] * training.experts.family.action_size)


Reference = Callable[[Training, Contexts], Policies]

REFERENCES: dict[str, Reference] = {
    "nearest": nearest,
    "best-of-direction": best_of_direction,
    BLIND: best_single,
    "random": random,
    "zero": zero,
}
"""Every reference that is chosen from training information; `EXPERT` comes on top."""


def reference_names(features: Sequence[str], experts: Experts) -> list[str]:
    """The rows of a suite, the ceiling first.

    `best-of-direction` is left out where no varying feature has two directions.
    """
    both_ways = any(
        f.encoding == "signed" and len({context[f.name] > 0.0 for context in experts.contexts}) == 2
        for f in experts.family.selected(features)
    )
    return [EXPERT, *(name for name in REFERENCES if both_ways or name != "best-of-direction")]
