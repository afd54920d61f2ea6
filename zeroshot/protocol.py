"""What a method is: a config and two verbs. Structural, so a method needs no base class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from experts import Rollouts

Progress = Callable[[float], None]
"""Told now and then which fraction in [0, 1] of a fit is done."""


@runtime_checkable
class Policies(Protocol):
    """One policy a context, acting for all of them at once."""

    def act(self, observations: NDArray[np.floating]) -> NDArray[np.floating]:
        """Actions (n_contexts, n_envs, action_size), finite, for (n_contexts, n_envs, obs_size)."""


@runtime_checkable
class Fitted(Protocol):
    """What `fit` returns: it makes a policy for any context of the family."""

    def policies(self, contexts: Sequence[Mapping[str, float]]) -> Policies:
        """The policies of `contexts`, in order; weights are made once a context, here."""


@runtime_checkable
class Method(Protocol):
    """A way to get from experts of some contexts to policies for others.

    Its constructor only stores. A public attribute `config`, a dataclass, is copied into every
    result row if there is one.
    """

    def fit(self, data: Rollouts, *, seed: int, progress: Progress | None = None) -> Fitted:
        """Learns from the training contexts' rollouts; `data` holds nothing of a test context."""


@runtime_checkable
class Adaptable(Protocol):
    """A fitted method that can learn from a few demonstrations of new contexts: optional.

    Where it is absent and the policies are `experts.MLPPolicies`, `experts.cloning.clone` does.
    """

    def adapt(self, demonstrations: Rollouts, *, seed: int) -> Policies:
        """The policies of exactly `demonstrations.contexts`, in order, after looking at those.

        Args:
            demonstrations: a few noise-free episodes of each context's expert. A method may use
                the contexts as well, unless it is one that infers them.
            seed: decides everything random.
        """


@runtime_checkable
class Observing(Protocol):
    """Policies with memory, which are told of every step: optional, beside `Policies`.

    `experts.evaluation.play` calls both. A slot is one environment of one context. What is kept
    from one episode to the next is the policies' own affair.
    """

    def reset(self) -> None:
        """Every slot begins an episode. Called before the first; the number of slots may change."""

    def observe(
        self,
        observations: NDArray[np.floating],
        actions: NDArray[np.floating],
        rewards: NDArray[np.floating],
        next_observations: NDArray[np.floating],
        dones: NDArray[np.bool_],
    ) -> None:
        """One step of every slot, after `act`; all leading axes are (n_contexts, n_envs).

        Args:
            observations: before the step, (n_contexts, n_envs, obs_size).
            actions: executed, (n_contexts, n_envs, action_size).
            rewards: (n_contexts, n_envs).
            next_observations: after it, (n_contexts, n_envs, obs_size).
            dones: whether the slot's episode is over, (n_contexts, n_envs). After a step with True,
                the next one of that slot shows nothing: the slot idles, with True again, or is
                being reset (Gymnasium's next-step autoreset) and begins another episode.
        """
