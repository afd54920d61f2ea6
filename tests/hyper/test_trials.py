from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experts import Experts, MLPPolicies, Rollouts
from hyper import trials
from hyper.trials import Lines, Trials

N_EPISODES = 3


def known_experts(data: Rollouts) -> Experts:
    assert data.experts is not None
    return data.experts


def trials_of(data: Rollouts) -> Trials:
    return Trials(data, known_experts(data), seed=0, n_episodes=N_EPISODES)


def policies_for(values: list[float]) -> MLPPolicies:
    """Policies that are told apart by their one bias."""
    weights = np.zeros((len(values), 17, 6), dtype=np.float32)
    biases = np.repeat(np.array(values, dtype=np.float32)[:, None], 6, axis=1)
    return MLPPolicies((weights,), (biases,))


@dataclass
class Played:
    """Stands for `play`: a policy for speed v returns in another context less by |v - v*| * slope.

    It takes speeds from the bias, of experts from `speeds`; a bias of 99 is a policy that falls.
    """

    own: Mapping[float, float]
    speeds: Mapping[bytes, float]
    calls: list[int]
    slope: float = 0.1

    def __call__(
        self, policies: MLPPolicies, _: object, contexts: list[Mapping[str, float]], **options: Any
    ) -> object:
        assert len(policies) == len(contexts) and options["n_episodes"] == N_EPISODES
        starts = np.reshape(options["starts"], (len(policies), N_EPISODES))
        assert (starts == starts[0]).all() and len(set(starts[0])) == N_EPISODES
        self.calls.append(len(policies))
        returns = [self.returned(policies, i, context) for i, context in enumerate(contexts)]
        return SimpleNamespace(returns=np.repeat(np.array(returns)[:, None], N_EPISODES, axis=1))

    def returned(self, policies: MLPPolicies, i: int, context: Mapping[str, float]) -> float:
        speed = self.speeds.get(policies.weights[0][i].tobytes(), float(policies.biases[-1][i, 0]))
        own = self.own[context["speed"]]
        lost = 0.5 if speed == 99.0 else abs(speed - context["speed"]) * self.slope
        return own - lost * abs(own)


@pytest.fixture
def played(data: Rollouts, monkeypatch: pytest.MonkeyPatch) -> Played:
    weights = known_experts(data).policies.weights[0]
    speeds = [context["speed"] for context in data.contexts]
    found = Played(
        own=dict(zip(speeds, data.clean_returns().tolist(), strict=True)),
        speeds={weight.tobytes(): speed for weight, speed in zip(weights, speeds, strict=True)},
        calls=[],
    )
    monkeypatch.setattr(trials, "play", found)
    return found


def better(data: Rollouts, values: list[float], speeds: list[float]) -> list[float | None]:
    """Speeds of the experts to take instead."""
    contexts = [{"speed": speed} for speed in speeds]
    found = trials_of(data).better(policies_for(values), contexts)
    return [None if i < 0 else data.contexts[i]["speed"] for i in found]


def test_a_policy_that_falls_fails_and_one_that_interpolates_does_not(
    data: Rollouts, played: Played
) -> None:
    assert better(data, [1.5, 99.0, -2.7], [1.5, 1.6, -2.7]) == [None, 2.0, None]


@pytest.mark.parametrize(("speed", "found"), [(0.4, 1.0), (1.01, None), (1.99, None), (2.6, 2.0)])
def test_a_policy_has_to_work_on_both_sides(
    data: Rollouts, played: Played, speed: float, found: float | None
) -> None:
    """At 0.4 m/s it is better at 1 m/s than the expert of 2 m/s, but worse at 2 than that of 1."""
    assert better(data, [speed], [1.5]) == [found]


@pytest.mark.parametrize(("speed", "found"), [(0.85, None), (0.8, 1.0)])
def test_where_experts_lose_much_a_policy_has_to_lose_more(
    data: Rollouts, played: Played, speed: float, found: float | None
) -> None:
    """Experts of 1 and 2 m/s lose 0.3 in each other's contexts, 0.05 more than tells everything.

    At 2 m/s these policies lose 0.345 and 0.36.
    """
    played.slope = 0.3
    assert better(data, [speed], [1.5]) == [found]


def test_of_two_better_experts_the_nearer_one_is_taken(data: Rollouts, played: Played) -> None:
    assert better(data, [99.0, 99.0], [1.4, 1.6]) == [1.0, 2.0]


@pytest.mark.parametrize(("slope", "found"), [(0.01, 4.0), (0.5, None)])
def test_at_the_end_of_a_range_experts_count_that_serve(
    data: Rollouts, played: Played, slope: float, found: float | None
) -> None:
    """3.5's expert is as far from 4 as the policy of 4.5."""
    played.slope = slope
    assert better(data, [99.0], [4.5]) == [found]
    assert played.calls == [1, 1][: 2 if found else 1]


def test_far_from_all_contexts_nothing_is_tried(data: Rollouts, played: Played) -> None:
    assert better(data, [99.0], [6.0]) == [None]
    assert played.calls == []


def test_training_contexts_are_not_tried(data: Rollouts, played: Played) -> None:
    known = [context["speed"] for context in data.contexts[:3]]
    assert better(data, [99.0] * 3, known) == [None] * 3
    assert played.calls == []


def test_experts_are_played_once_a_pair(data: Rollouts, played: Played) -> None:
    """Each other's experts in the two contexts, then two policies between them, and no more."""
    tried = trials_of(data)
    for expected in ([2, 4], [2, 4, 4]):
        tried.better(policies_for([1.4, 1.6]), [{"speed": 1.4}, {"speed": 1.6}])
        assert played.calls == expected


def test_episodes_are_played_for_real(data: Rollouts) -> None:
    """Policies that do nothing return less than the made-up experts, who do little."""
    found = trials_of(data).better(policies_for([0.0, 0.0]), [{"speed": 1.4}, {"speed": -2.6}])
    speeds = [data.contexts[i]["speed"] for i in found]
    assert (found >= 0).all() and speeds[0] in (1.0, 2.0) and speeds[1] in (-3.0, -2.0)


def test_contexts_are_compared_along_straight_lines() -> None:
    """Around (0, 0) lie (-1, 0), (1, 0), (0, -2), (0, 4) and (-2.2, 0)."""
    around = np.array([[[-1.0, 0.0], [1.0, 0.0], [0.0, -2.0], [0.0, 4.0], [-2.2, 0.0]]])
    lines = Lines.between(np.zeros((1, 2)), around)
    assert set(zip(*np.nonzero(lines.beyond[0]), strict=True)) == {
        *((0, 1), (1, 0)),  # each beyond (0, 0), seen from the other
        *((1, 4), (4, 1)),
        *((2, 3), (3, 2)),
    }
    assert set(zip(*np.nonzero(lines.opposite[0]), strict=True)) == {(4, 0)}
    left = {
        (actor, place): lines.left[0, actor, place] for actor, place in ((1, 0), (2, 3), (4, 0))
    }
    assert left == pytest.approx({(1, 0): 1 / 2, (2, 3): 2 / 6, (4, 0): 1 / 1.2})


def test_data_without_clean_episodes_is_refused(data: Rollouts) -> None:
    noisy = replace(data, noise=np.full_like(data.noise, 0.1))
    with pytest.raises(ValueError, match=r"noise-free episode of every context.*`trials` to 0"):
        trials_of(noisy)
