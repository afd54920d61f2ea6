"""Rates and noise in the course of a training, against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from stable_baselines3 import PPO

from experts import Expert
from experts.offpolicy import train_many
from experts.offpolicy.td3 import TD3Learner
from experts.recipes import Recipe
from experts.sb3 import export
from experts.training import train
from param_envs import family_of
from tests.experts.factories import ENV_ID, TINY, untrained

FAMILY = family_of(ENV_ID)
CONTEXT = FAMILY.context(speed=2.0)
TD3 = replace(
    TINY,
    algorithm="td3",
    n_envs=2,
    batch_size=4,
    learning_starts=0,
    total_steps=48,
    warm_steps=24,
    exploration_levels=(1.0, 0.2),
)


@pytest.fixture(autouse=True)
def _without_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("experts.training", "experts.offpolicy.training"):
        monkeypatch.setattr(f"{module}.evaluated", lambda expert: expert)


def sb3_trained(recipe: Recipe, parent: Expert | None = None) -> Expert:
    return train(FAMILY, CONTEXT, reward="track", recipe=recipe, seed=0, warm_start=parent)


@pytest.mark.parametrize(
    ("changes", "warm", "deviation"),
    [
        ({}, False, math.sqrt(0.5 * 0.1)),
        ({}, True, math.sqrt(0.3 * 0.1)),
        ({"exploration_steps": 128}, False, 0.5**0.75 * 0.1**0.25),
        ({"exploration_steps": 32}, False, 0.1),
        ({"exploration_steps": 16}, False, 0.1),
    ],
)
def test_the_noise_of_ppo_falls_geometrically(
    changes: dict[str, Any], warm: bool, deviation: float
) -> None:
    """The second and last rollout begins after 32 of 64 steps."""
    parent = untrained({"speed": 2.0}) if warm else None
    expert = sb3_trained(replace(TINY, warm_steps=64, **changes), parent)
    assert expert.extras["log_std"] == pytest.approx([math.log(deviation)] * 6, abs=1e-5)


@pytest.mark.parametrize(
    ("final", "warm", "rates"),
    [
        (1e-4, False, [5.5e-4, 1e-4]),
        (1e-4, True, [3e-4, 1e-4]),
        (1e-3, False, [1e-3, 1e-3]),
        (1e-3, True, [1e-3, 1e-3]),
    ],
)
def test_a_warm_start_of_ppo_begins_at_half_of_a_rate_that_falls(
    final: float, warm: bool, rates: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Updates come after 32 and 64 of 64 steps; from 1e-3, or from 5e-4 in a warm start."""
    seen, true_train = [], PPO.train

    def spying(model: PPO) -> None:
        true_train(model)
        seen.append(model.policy.optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(PPO, "train", spying)
    recipe = replace(TINY, warm_steps=64, final_learning_rate=final)
    sb3_trained(recipe, untrained({"speed": 2.0}) if warm else None)
    assert seen == pytest.approx(rates)


@pytest.mark.parametrize(
    ("exploration_steps", "target_noise", "levels", "smoothing"),
    [
        (92, None, [0.3, 0.06], 0.3),
        (46, None, [0.1, 0.02], 0.1),
        (20, None, [0.1, 0.02], 0.1),
        (20, 0.25, [0.1, 0.02], 0.25),
    ],
)
def test_the_noise_of_sb3s_td3_falls_linearly(
    exploration_steps: int,
    target_noise: float | None,
    levels: list[float],
    smoothing: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From 0.5 to 0.1, at levels 1 and 0.2; the last step begins after 46."""
    models = []

    def spying(model: Any, *rest: Any) -> Expert:
        models.append(model)
        return export(model, *rest)

    monkeypatch.setattr("experts.training.export", spying)
    sb3_trained(replace(TD3, exploration_steps=exploration_steps, target_noise=target_noise))
    [model] = models
    for noise, level in zip(model.action_noise.noises, levels, strict=True):
        assert noise._sigma == pytest.approx([level] * 6)
    assert model.target_policy_noise == pytest.approx(smoothing)


class Course:
    """Deviations, smoothing and learning rates at the steps at which a learner explores."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.deviations: list[list[float]] = []
        self.smoothing: list[float] = []
        self.rates: list[float] = []
        true_explore = TD3Learner.explore

        def spying(learner: TD3Learner, observations: Any, deviations: Any, generator: Any) -> Any:
            self.deviations.append(deviations.tolist())
            self.smoothing.append(float(learner._target_noise))
            self.rates.append(learner.optimisers["actor"].param_groups[0]["lr"])
            return true_explore(learner, observations, deviations, generator)

        monkeypatch.setattr(TD3Learner, "explore", spying)


def many_trained(recipe: Recipe, **options: Any) -> None:
    train_many(FAMILY, [CONTEXT], reward="track", recipe=recipe, seed=0, n_threads=1, **options)


def test_noise_and_rates_of_agents_trained_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 0, 12, 24 and 46 of 48 steps; the noise has fallen after 24."""
    course = Course(monkeypatch)
    many_trained(replace(TD3, exploration_steps=24))
    assert len(course.rates) == 24
    found = [(course.deviations[i], course.smoothing[i]) for i in (0, 6, 12, 23)]
    for (levels, smoothing), deviation in zip(found, [0.5, 0.3, 0.1, 0.1], strict=True):
        assert levels == pytest.approx([deviation, 0.2 * deviation])
        assert smoothing == pytest.approx(deviation)
    rates = [course.rates[i] for i in (0, 6, 12, 23)]
    assert rates == pytest.approx([1e-3, 7.75e-4, 5.5e-4, 1.375e-4])


def test_noise_and_rates_of_agents_after_a_warm_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 0, 12 and 18 of 24 steps; the target's noise is fixed."""
    course = Course(monkeypatch)
    recipe = replace(TD3, warm_learning_rate=5e-4, target_noise=0.25)
    many_trained(recipe, warm_starts=[untrained({"speed": 2.0})])
    assert [course.deviations[i][0] for i in (0, 6, 9)] == pytest.approx([0.3, 0.2, 0.15])
    assert [course.rates[i] for i in (0, 6, 9)] == pytest.approx([5e-4, 3e-4, 2e-4])
    assert set(course.smoothing) == {0.25}
