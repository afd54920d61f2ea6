from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experts import MLPPolicies, Rollouts
from experts.evaluation import Step, Watch
from hyper import calibration, mixes
from hyper.calibration import ROUNDS, Calibration, n_candidates, n_watched
from param_envs.families.speed_reward import speed_reward

N_STEPS = 30


def policies_of(speeds: Sequence[float]) -> MLPPolicies:
    """Policies that are told apart by their one bias: the speed that they run at."""
    weights = np.zeros((len(speeds), 17, 6), dtype=np.float32)
    biases = np.repeat(np.array(speeds, dtype=np.float32)[:, None], 6, axis=1)
    return MLPPolicies((weights,), (biases,))


def speeds_of(policies: MLPPolicies) -> list[float]:
    return [round(float(bias), 4) for bias in policies.biases[0][:, 0]]


class Playing:
    """Stands for `play`: every policy is at its speed at once, noisily for learning."""

    def __init__(self) -> None:
        self.contexts: list[Mapping[str, float]] = []
        self.starts: list[Any] = []
        self.rng = np.random.default_rng(0)

    def __call__(
        self,
        policies: MLPPolicies,
        _: object,
        contexts: Sequence[Mapping[str, float]],
        *,
        watch: Watch,
        n_episodes: int,
        starts: Sequence[int] | None,
        **__: Any,
    ) -> None:
        self.contexts.extend(contexts)
        self.starts.append(starts)
        shape = (len(contexts), n_episodes)
        desired = np.array([context["speed"] for context in contexts])[:, None]
        for _step in range(N_STEPS):
            noise = self.rng.standard_normal(shape) * (0.03 if starts is None else 0.0)
            speed = policies.biases[0][:, :1].astype(np.float64) * (1.0 + noise)
            watch(
                Step(
                    outcomes=speed[..., None],
                    actions=np.zeros((*shape, 6)),
                    rewards=speed_reward(speed, np.broadcast_to(desired, shape), "track"),
                    running=np.ones(shape, dtype=np.bool_),
                )
            )


@pytest.fixture
def playing(monkeypatch: pytest.MonkeyPatch) -> Playing:
    found = Playing()
    monkeypatch.setattr(calibration, "play", found)
    monkeypatch.setattr(calibration, "EVERY", 1)
    return found


def calibrated(data: Rollouts, share: float, experts: Mapping[float, float]) -> Calibration:
    """Generated policies run at `share` of the speed asked for, `experts` at those of their own."""

    def of_training(ids: np.ndarray) -> MLPPolicies:
        wanted = [data.contexts[i]["speed"] for i in ids]
        return policies_of([experts.get(speed, speed) for speed in wanted])

    def generated(contexts: Sequence[Mapping[str, float]]) -> MLPPolicies:
        return policies_of([share * context["speed"] for context in contexts])

    return Calibration(data, generated, of_training, seed=0, n_episodes=2)


@pytest.mark.parametrize(
    ("share", "times"), [(1.0, 1.0), (0.95, 1.06), (0.98, 1.02), (1.07, 0.94), (0.84, 1.2)]
)
def test_a_policy_that_runs_too_slowly_or_too_fast_gives_way_to_that_of_another_speed(
    data: Rollouts, playing: Playing, share: float, times: float
) -> None:
    """Experts of 1 and 2 m/s are far from 1.5."""
    found = calibrated(data, share, {}).best([data.family.context(speed=1.5)])
    assert speeds_of(found) == pytest.approx([1.5 * share * times], abs=1e-3)


def test_an_expert_of_a_neighbour_that_does_better_is_taken(
    data: Rollouts, playing: Playing
) -> None:
    asked = [data.family.context(speed=1.5)]
    assert speeds_of(calibrated(data, 0.5, {2.0: 1.51}).best(asked)) == [1.51]


def with_experts(data: Rollouts) -> Rollouts:
    """The same, with experts that run at their speeds, of the kind that is generated."""
    assert data.experts is not None
    policies = policies_of([context["speed"] for context in data.contexts])
    return replace(data, experts=replace(data.experts, policies=policies))


def test_a_mix_of_two_experts_that_does_better_is_taken(data: Rollouts, playing: Playing) -> None:
    useless = {context["speed"]: 0.1 for context in data.contexts}
    found = calibrated(with_experts(data), 0.7, useless).best([data.family.context(speed=1.5)])
    assert speeds_of(found) == pytest.approx([1.5])


def test_experts_of_another_kind_are_not_mixed(data: Rollouts, playing: Playing) -> None:
    calibrated(data, 1.0, {}).best([data.family.context(speed=1.5)])
    starts = next(starts for starts in playing.starts if starts is not None)
    assert len(starts) == n_candidates(data.features) - len(mixes.REACHES)


def test_only_training_contexts_are_played_and_in_a_round_all_policies_from_the_same_starts(
    data: Rollouts, playing: Playing
) -> None:
    asked = [data.family.context(speed=speed) for speed in (1.5, 2.5)]
    calibrated(data, 1.0, {}).best(asked)
    assert set(playing.contexts) <= set(data.contexts)
    rounds = [starts for starts in playing.starts if starts is not None]
    n_episodes = (1, 1, 4)  # of 11, nine of the generator and two neighbours' experts, then 5 and 3
    assert [len(starts) for starts in rounds] == [2 * 11, 2 * 5, 2 * 3 * 4]
    assert all(
        starts == starts[:n] * (len(starts) // n)
        for starts, n in zip(rounds, n_episodes, strict=True)
    )
    assert len({start for starts in rounds for start in starts}) == sum(n_episodes)
    assert n_watched(11, 2) == 11 + 5 + 3 * 4


class Scripted:
    """Stands for a learned reward: the policies of a round return what it is told."""

    def __init__(self, *rounds: Sequence[float]) -> None:
        self.rounds, self.n_policies = iter(rounds), list[int]()

    def returns_in(self, contexts: Sequence[Mapping[str, float]]) -> Any:
        self.n_policies.append(len(contexts))
        return SimpleNamespace(returns=np.array(next(self.rounds))[:, None])


@pytest.mark.parametrize(
    ("last", "chosen"),
    [([0, 0, 0], 0.94), ([3, 0, 0], 1.0), ([2, 0, 0], 0.94), ([0, 9, 0], 1.02), ([-5] * 3, 0.94)],
)
def test_the_best_go_on_and_what_they_returned_before_counts(
    data: Rollouts, monkeypatch: pytest.MonkeyPatch, last: Sequence[float], chosen: float
) -> None:
    """In the last round are the first, the third and the fourth policy."""
    monkeypatch.setattr(calibration, "play", lambda *_, **__: None)
    found = calibrated(data, 1.0, {})
    reward = Scripted([5, 0, 4, 6, 2, 1, 0, 0, 0, 0, 3], [1, 2, 3, 0, 0], last)
    found.__dict__["reward"] = reward
    best = found.best([data.family.context(speed=1.0)])
    assert speeds_of(best) == pytest.approx([chosen], abs=1e-3)
    assert reward.n_policies == [11, 5, 3]


@pytest.mark.parametrize(
    ("returns", "chosen"), [([2, 1, 0], 4.25), ([1, 2, 0], 4.5), ([0, 1, 2], 4.75)]
)
def test_beyond_the_last_expert_a_line_is_gone_by_half_as_far_and_farther(
    data: Rollouts, monkeypatch: pytest.MonkeyPatch, returns: Sequence[float], chosen: float
) -> None:
    monkeypatch.setattr(calibration, "play", lambda *_, **__: None)
    found = calibrated(with_experts(data), 1.0, {})
    found.__dict__["reward"] = Scripted([0] * 11 + [*returns], [0] * 5, [0] * 3)
    assert speeds_of(found.best([data.family.context(speed=4.5)])) == [chosen]


def test_rewards_are_learned_once(data: Rollouts, playing: Playing) -> None:
    found = calibrated(data, 1.0, {})
    asked = [data.family.context(speed=1.5)]
    found.best(asked)
    n_plays = len(playing.starts)
    found.best(asked)
    assert len(playing.starts) == n_plays + len(ROUNDS)


def test_bodies_of_training_contexts_are_known(data: Rollouts) -> None:
    asked = [{"speed": 1.5, "torso": 0.5}, {"speed": 1.0, "torso": 0.6}, {"speed": -2.0}]
    contexts = [data.family.context(**context) for context in asked]
    assert calibrated(data, 1.0, {}).knows(contexts).tolist() == [True, False, True]


def test_shifted_speeds_stay_in_the_range(data: Rollouts) -> None:
    contexts = [data.family.context(speed=speed) for speed in (9.8, -9.8, 2.0)]
    found = calibrated(data, 1.0, {}).shifted(contexts, 1.06)
    assert [context["speed"] for context in found] == pytest.approx([10.0, -10.0, 2.12])
