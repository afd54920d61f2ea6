from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from experts import Experts, MLPPolicies, Rollouts
from hyper import trials
from hyper.trials import Trials

N_EPISODES = 3


def known_experts(data: Rollouts) -> Experts:
    assert data.experts is not None
    return data.experts


def trials_of(data: Rollouts) -> Trials:
    return Trials(data, known_experts(data), seed=0, n_episodes=N_EPISODES, margin=0.05)


def policies_for(values: list[float]) -> MLPPolicies:
    """Policies that are told apart by their one bias."""
    weights = np.zeros((len(values), 17, 6), dtype=np.float32)
    biases = np.repeat(np.array(values, dtype=np.float32)[:, None], 6, axis=1)
    return MLPPolicies((weights,), (biases,))


@dataclass
class Played:
    """Stands for `play`: a policy for speed v returns in another context less by |v - v*| / 100.

    It takes speeds from the bias, of experts from `speeds`; a bias of 99 is a policy that falls.
    """

    own: Mapping[float, float]
    speeds: Mapping[bytes, float]
    calls: list[int]

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
        lost = 0.5 if speed == 99.0 else abs(speed - context["speed"]) / 100.0
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


def failing(data: Rollouts, values: list[float], speeds: list[float]) -> NDArray[np.bool_]:
    contexts = [{"speed": speed} for speed in speeds]
    return trials_of(data).failing(policies_for(values), contexts)


def test_a_policy_that_falls_fails_and_one_that_interpolates_does_not(
    data: Rollouts, played: Played
) -> None:
    found = failing(data, [1.5, 99.0, -1.5], [1.5, 1.5, -1.5])
    assert found.tolist() == [False, True, False]


def test_with_both_neighbours_on_one_side_nothing_is_tried(data: Rollouts, played: Played) -> None:
    """Nearest to -2.75 are -3 and -2, and to 4.6 are 4 and 3.5, between which it is not."""
    assert failing(data, [99.0], [-2.75]).all()
    played.calls.clear()
    assert not failing(data, [99.0], [4.6]).any()
    assert played.calls == []


def test_training_contexts_are_not_tried(data: Rollouts, played: Played) -> None:
    known = [context["speed"] for context in data.contexts[:3]]
    assert not failing(data, [99.0] * 3, known).any()
    assert played.calls == []


def test_experts_are_played_once_a_pair(data: Rollouts, played: Played) -> None:
    """Two policies between the same two contexts, each other's experts there, and no more."""
    tried = trials_of(data)
    for expected in ([4, 2], [4, 2, 4]):
        tried.failing(policies_for([1.4, 1.6]), [{"speed": 1.4}, {"speed": 1.6}])
        assert played.calls == expected


def test_episodes_are_played_for_real(data: Rollouts) -> None:
    """The experts' own policies do not fail where they come from, nor between alike experts."""
    tried = trials_of(data)
    between = [{"speed": 1.5}, {"speed": -1.5}]
    assert not tried.failing(tried.nearest(between).policies, between).any()


def test_the_nearest_training_contexts_expert_is_found(data: Rollouts) -> None:
    tried = trials_of(data)
    found = tried.nearest([{"speed": 1.1}, {"speed": -0.9}])
    assert [context["speed"] for context in found.contexts] == [1.0, -1.0]


def test_data_without_clean_episodes_is_refused(data: Rollouts) -> None:
    noisy = replace(data, noise=np.full_like(data.noise, 0.1))
    with pytest.raises(ValueError, match=r"noise-free episode of every context.*`trials` to 0"):
        trials_of(noisy)
