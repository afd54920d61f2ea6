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
        """Actions (n_contexts, n_envs, action_size) for (n_contexts, n_envs, obs_size)."""


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
