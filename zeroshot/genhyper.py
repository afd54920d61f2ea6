"""Many policies for one context: what one of them scores, what their mean does, what luck adds.

GenHyper reports the best k of many generated policies, chosen by the returns that are reported.
No method can choose so, as it would have to play the test context first: here that number is named
`oracle` and stands beside the ones that a method can answer with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from experts import MLPPolicies, Played
from experts.validation import require
from zeroshot.protocol import Policies

Array = NDArray[np.float64]
Contexts = Sequence[Mapping[str, float]]
Play = Callable[[Policies, Contexts], Played]
"""Plays one policy a context; `functools.partial` of `experts.play` does."""


class Sampling(Protocol):
    """A fitted method that has many policies for a context, such as `hyper.FittedHypLatent`."""

    def mean_policies(self, contexts: Contexts) -> MLPPolicies:
        """One policy a context, of the samples' mean parameters."""

    def samples(self, contexts: Contexts, n: int, *, seed: int) -> MLPPolicies:
        """Policies (n_contexts * n), those of the first context first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Spread:
    """Mean returns of what was generated for n contexts, k samples each.

    Attributes:
        contexts: n contexts.
        mean: of the mean policy, (n,).
        samples: of each sample, (n, k).
    """

    contexts: tuple[Mapping[str, float], ...]
    mean: Array
    samples: Array

    @property
    def sample(self) -> Array:
        """Mean return (n,) of a sample that is drawn without looking."""
        return self.samples.mean(axis=1)

    def oracle(self, top: int = 1) -> Array:
        """Mean return (n,) of the `top` samples with the highest returns of each context.

        They are chosen by the returns that are reported: an upper bound, and no method's result.

        Raises:
            ValueError: if there are fewer samples, or `top` is below 1.
        """
        k = self.samples.shape[1]
        require("top", top, 1 <= top <= k, f"in [1, {k}]")
        return np.sort(self.samples, axis=1)[:, k - top :].mean(axis=1)

    def rows(self, top: int = 1) -> list[dict[str, Any]]:
        """A row a context and way of answering; `oracle` says what no method could answer."""
        k = self.samples.shape[1]
        ways = (
            ("mean policy", False, self.mean),
            ("one sample", False, self.sample),
            (f"oracle: best {top} of {k}", True, self.oracle(top)),
        )
        return [
            {"context": dict(context), "answer": name, "oracle": oracle, "return": float(own)}
            for name, oracle, returns in ways
            for context, own in zip(self.contexts, returns, strict=True)
        ]


def spread(
    fitted: Sampling, contexts: Contexts, play: Play, *, n_samples: int, seed: int
) -> Spread:
    """Plays the mean policy and many samples of every context, from the same starts.

    Args:
        fitted: has the policies.
        contexts: n contexts.
        play: plays one policy a context.
        n_samples: k.
        seed: of the samples.

    Raises:
        ValueError: if `n_samples` is below 1.
    """
    n = len(contexts)
    drawn = fitted.samples(contexts, n_samples, seed=seed)
    returns = [
        play(drawn.select(np.arange(n) * n_samples + i), contexts).returns.mean(axis=1)
        for i in range(n_samples)
    ]
    return Spread(
        contexts=tuple(contexts),
        mean=play(fitted.mean_policies(contexts), contexts).returns.mean(axis=1),
        samples=np.stack(returns, axis=1),
    )
