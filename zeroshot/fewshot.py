"""Few-shot: what k episodes of a test context are worth, demonstrated or the method's own.

Demonstrations are noise-free episodes of the test context's expert. A method with `adapt` looks at
them in its own way; policies that are networks are cloned by the published protocol
(`experts.cloning`); others stay at k = 0.

Interaction has no expert, only k episodes in the test context and their returns. Policies with
memory play the episodes one after the other and keep what they saw. Any other method is asked for
the policies of k contexts near the given one, each plays one episode, and the best by its return
stays. The first is the policy of the given context, so that k = 1 of this search equals k = 0.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experts import Experts, MLPPolicies, Rollouts, collect
from experts.evaluation import Played, episode_seeds
from experts.policy import Floats
from param_envs import Context, Feature
from zeroshot.protocol import Adaptable, Fitted, Observing, Policies

DEMONSTRATION_STARTS = 2_000_000
INTERACTION_STARTS = 3_000_000
"""Added to the split's seed for the starts of such episodes: no rollout or test has them.

Demonstrations of the split of seed 3 share some with the episodes by which candidates for experts
were compared (`experts.training.SELECTION_SEED`), from which nothing is learned.
"""

RADIUS = 0.1
"""Half-width of the region that the search looks at, as a share of the trained range."""

SMALLEST_SCALE = 1e-2
"""Floor of the standard deviation of an observation's entry in a net cloned from scratch."""

FROM_SCRATCH = "from-scratch"
"""The reference row of a net with random weights, cloned on the same demonstrations."""

Contexts = Sequence[Mapping[str, float]]
Play = Callable[[Policies, Contexts, Sequence[int]], Played]
"""Plays policies in contexts, one episode each, from starts of those seeds."""


def checked_shots(shots: Sequence[int]) -> tuple[int, ...]:
    """The numbers of episodes, ascending, without 0, which is played anyway.

    Raises:
        ValueError: if one repeats or is below 0.
    """
    if len(set(shots)) != len(shots) or min(shots, default=0) < 0:
        raise ValueError(f"`shots` must be distinct numbers of at least 0, got {list(shots)}")
    return tuple(sorted(k for k in shots if k > 0))


def demonstrate(
    experts: Experts,
    *,
    features: Sequence[str],
    n_episodes: int,
    seed: int,
    n_steps: int | None = None,
    n_threads: int = 0,
) -> Rollouts:
    """Noise-free episodes of the experts, without the experts themselves.

    Args:
        experts: of the test contexts.
        features: names of the features that vary.
        n_episodes: episodes a context.
        seed: of the split.
        n_steps: longest episode, the family's own by default.
        n_threads: threads to step on, 0 for all cores.
    """
    found = collect(
        experts,
        features=features,
        noise=(0.0,) * n_episodes,
        seed=DEMONSTRATION_STARTS + seed,
        n_steps=n_steps,
        n_threads=n_threads,
    )
    return replace(found, experts=None)


def first_episodes(rollouts: Rollouts, n: int) -> Rollouts:
    """The first n episodes of every context, copied: nothing of the others is reachable.

    Raises:
        ValueError: if there are not that many.
    """
    if not 1 <= n <= len(rollouts.noise):
        raise ValueError(f"`n` must be in [1, {len(rollouts.noise)}], got {n}")
    names = ["observations", "actions", "labels", "rewards", "next_observations", "values"]
    arrays = {name: getattr(rollouts, name) for name in [*names, "mask", "terminated", "seeds"]}
    first: dict[str, Any] = {
        name: None if array is None else array[:, :n].copy() for name, array in arrays.items()
    }
    return replace(rollouts, noise=rollouts.noise[:n].copy(), **first)


def adapt(fitted: Fitted, demonstrations: Rollouts, *, seed: int) -> Policies | None:
    """The policies of the demonstrations' contexts after looking at those; None if it cannot."""
    from experts.cloning import clone  # imports torch

    if isinstance(fitted, Adaptable):
        return fitted.adapt(demonstrations, seed=seed)
    policies = fitted.policies(demonstrations.contexts)
    if isinstance(policies, MLPPolicies):
        return clone(policies, demonstrations, seed=seed)
    return None


def interact(
    fitted: Fitted,
    contexts: Contexts,
    training: Sequence[Context],
    *,
    features: Sequence[Feature],
    shots: Sequence[int],
    seed: int,
    play: Play,
) -> Iterator[tuple[int, Policies]]:
    """Yields each number of episodes with the policies that the method has after them.

    More episodes go on where fewer ended: 5 are the first of 10.

    Args:
        fitted: makes the policies.
        contexts: n test contexts.
        training: the training contexts, which bound the search.
        features: those that vary.
        shots: numbers of episodes, ascending, each at least 1.
        seed: of the split; decides the starts.
        play: plays in the test contexts.
    """
    if not shots:
        return
    starts = np.reshape(
        episode_seeds(INTERACTION_STARTS + seed, len(contexts), shots[-1]), (len(contexts), -1)
    )
    keeps = "keep_episodes" in inspect.signature(fitted.policies).parameters
    policies = fitted.policies(contexts, **({"keep_episodes": True} if keeps else {}))
    if isinstance(policies, Observing):
        for episode in range(shots[-1]):
            play(policies, contexts, starts[:, episode].tolist())
            if episode + 1 in shots:
                yield episode + 1, Sealed(policies)
        return
    tried = [nearby(context, training, features, shots[-1]) for context in contexts]
    returns = play(
        fitted.policies([candidate for near in tried for candidate in near]),
        [context for context in contexts for _ in range(shots[-1])],
        starts.ravel().tolist(),
    ).returns.reshape(starts.shape)
    for k in shots:
        best = returns[:, :k].argmax(axis=1)  # of equals the first
        yield k, fitted.policies([near[i] for near, i in zip(tried, best, strict=True)])


def nearby(
    context: Mapping[str, float],
    training: Sequence[Context],
    features: Sequence[Feature],
    n: int,
) -> list[dict[str, float]]:
    """The context itself and n - 1 others around it, within the trained range.

    The others fill a box of half-width `RADIUS` evenly, by the additive recurrence that
    generalises the golden ratio; the first of more are the same. Directions stay as they are, and
    magnitudes within those trained in that direction. A context outside the range has the box at
    the nearest edge.
    """
    d = len(features)
    root = 1.0
    for _ in range(50):  # converges to the root of x ** (d + 1) = x + 1
        root = (1.0 + root) ** (1.0 / (d + 1))
    steps = root ** -np.arange(1.0, d + 1.0)
    points = (0.5 + np.arange(1, n)[:, None] * steps) % 1.0
    found = [dict(context)]
    for point in points:
        values = dict(context)
        for feature, share in zip(features, point, strict=True):
            values[feature.name] = _between(feature, context[feature.name], training, share)
        found.append(values)
    return found


def _between(feature: Feature, value: float, training: Sequence[Context], share: float) -> float:
    if feature.encoding == "angle":  # there is no seam at 0
        span = feature.high - feature.low
        return float(feature.low + (value - feature.low + RADIUS * span * (2 * share - 1)) % span)
    known = np.array([context[feature.name] for context in training])
    sign = 1.0
    if feature.encoding == "signed":
        sign = float(np.sign(value))
        same = known[np.sign(known) == sign]
        known = np.abs(same if same.size else known)
    low, high = float(known.min()), float(known.max())
    centre, reach = min(max(sign * value, low), high), RADIUS * (high - low)
    first, last = max(low, centre - reach), min(high, centre + reach)
    return float(sign * (first + share * (last - first)))


class Sealed:
    """Policies with memory that keep nothing of whole episodes any more."""

    def __init__(self, policies: Any) -> None:
        self._policies = policies

    def act(self, observations: NDArray[np.floating]) -> NDArray[np.floating]:
        """Actions (n_contexts, n_envs, action_size)."""
        actions: NDArray[np.floating] = self._policies.act(observations)
        return actions

    def reset(self) -> None:
        """Every slot begins an episode."""
        self._policies.reset()

    def observe(
        self,
        observations: NDArray[np.floating],
        actions: NDArray[np.floating],
        rewards: NDArray[np.floating],
        next_observations: NDArray[np.floating],
        dones: NDArray[np.bool_],
    ) -> None:
        """Passes a step on, but never that an episode is over: no test episode informs another."""
        going_on = np.zeros_like(dones)
        self._policies.observe(observations, actions, rewards, next_observations, going_on)


class FromScratch:
    """Random networks of the experts' shape, which demonstrations alone can teach something."""

    def __init__(self, like: MLPPolicies, *, seed: int) -> None:
        self._shapes = [weight.shape[1:] for weight in like.weights]
        self._activation = like.activation
        self._seed = seed

    def policies(self, contexts: Contexts) -> MLPPolicies:
        """Networks with weights uniform within 1 / sqrt(fan-in), whatever the contexts."""
        return self._networks(len(contexts), None, None)

    def adapt(self, demonstrations: Rollouts, *, seed: int) -> MLPPolicies:
        """Those networks, observing by the demonstrations' own statistics, and cloned."""
        from experts.cloning import clone

        seen = [demonstrations.observations[i][m] for i, m in enumerate(demonstrations.mask)]
        mean = np.array([rows.mean(axis=0) for rows in seen], dtype=np.float32)
        scale = np.array([rows.std(axis=0) for rows in seen], dtype=np.float32)
        start = self._networks(len(seen), mean, np.maximum(scale, np.float32(SMALLEST_SCALE)))
        return clone(start, demonstrations, seed=seed)

    def _networks(self, n: int, mean: Floats | None, scale: Floats | None) -> MLPPolicies:
        rng = np.random.default_rng([self._seed, DEMONSTRATION_STARTS])
        weights, biases = [], []
        for fan_in, fan_out in self._shapes:
            bound = fan_in**-0.5
            weights.append(rng.uniform(-bound, bound, (n, fan_in, fan_out)).astype(np.float32))
            biases.append(rng.uniform(-bound, bound, (n, fan_out)).astype(np.float32))
        return MLPPolicies(tuple(weights), tuple(biases), self._activation, mean, scale)
