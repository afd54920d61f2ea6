import numpy as np
import pytest

from experts.evaluation import Step
from hyper.learned_reward import LearnedReward, Outcomes, Recorder
from param_envs import Family
from param_envs.families.cheetah import Cheetah
from param_envs.families.walker import Walker

SPEEDS = np.array([-4.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 4.0])


def seen_by(family: Family, n: int) -> Outcomes:
    """n random steps in contexts of `SPEEDS`, at zero to twice their speed."""
    rng = np.random.default_rng(0)
    ids = np.repeat(np.arange(len(SPEEDS)), n)
    velocity = SPEEDS[ids] * rng.uniform(0.0, 2.0, len(ids))
    others = {name: rng.uniform(0.0, 1.0, len(ids)) for name in family.outcome_names[1:]}
    actions = rng.uniform(-1.0, 1.0, (len(ids), family.action_size))
    outcome = {"velocity": velocity, **others}
    rewards = family.reward(outcome, actions, {"speed": SPEEDS[ids]}, "track")
    columns = np.stack([outcome[name] for name in family.outcome_names], axis=1)
    return Outcomes(ids, *(a.astype(np.float32) for a in (columns, actions, rewards)))


@pytest.mark.parametrize("family", [Cheetah(), Walker()], ids=["cheetah", "walker"])
def test_rewards_between_the_contexts_are_those_of_the_family(family: Family) -> None:
    """At speeds that nothing was seen of, in the mean over an episode to 2 % of the largest."""
    contexts = [family.context(speed=speed) for speed in SPEEDS]
    learned = LearnedReward(family, ("speed",), contexts, seen_by(family, 2000), seed=0)
    rng = np.random.default_rng(1)
    for speed in (-3.0, -0.7, 0.7, 1.4, 3.0):
        watching = learned.returns_in([family.context(speed=speed)])
        true = 0.0
        for _ in range(50):
            velocity = speed * rng.uniform(0.8, 1.2, (1, 1))
            others = [rng.uniform(0.5, 1.0, (1, 1)) for _ in family.outcome_names[1:]]
            outcome = dict(zip(family.outcome_names, [velocity, *others], strict=True))
            actions = rng.uniform(-1.0, 1.0, (1, 1, family.action_size))
            true += float(
                family.reward(outcome, actions, {"speed": np.array(speed)}, "track")[0, 0]
            )
            watching(
                Step(
                    outcomes=np.stack([velocity, *others], axis=-1),
                    actions=actions,
                    rewards=np.zeros((1, 1)),
                    running=np.ones((1, 1), dtype=np.bool_),
                )
            )
        assert float(watching.returns[0, 0]) == pytest.approx(true, abs=0.02 * 50)


def test_a_step_after_the_end_of_an_episode_returns_nothing() -> None:
    family = Cheetah()
    contexts = [family.context(speed=speed) for speed in SPEEDS]
    learned = LearnedReward(family, ("speed",), contexts, seen_by(family, 100), seed=0)
    watching = learned.returns_in([family.context(speed=1.0), family.context(speed=2.0)])
    step = Step(
        outcomes=np.ones((2, 3, 1)),
        actions=np.zeros((2, 3, 6)),
        rewards=np.zeros((2, 3)),
        running=np.array([[True, True, False], [False, True, True]]),
    )
    watching(step)
    once = watching.returns.copy()
    watching(step)
    assert np.array_equal(once != 0.0, step.running)
    np.testing.assert_allclose(watching.returns, 2.0 * once)
    assert once[0, 0] > once[1, 1] + 0.2  # 1 m/s is what was asked for first
    watching(step._replace(outcomes=np.full((2, 3, 1), np.nan)))
    np.testing.assert_allclose(watching.returns, 2.0 * once)


def test_every_so_many_steps_those_of_running_episodes_are_kept() -> None:
    recorder = Recorder(2)
    running = np.array([[True, True], [False, True]])
    for t in range(3):
        recorder(
            Step(
                outcomes=np.full((2, 2, 1), 10.0 * t) + np.arange(4).reshape(2, 2, 1),
                actions=np.zeros((2, 2, 6)),
                rewards=np.full((2, 2), float(t)),
                running=running if t else np.ones((2, 2), dtype=np.bool_),
            )
        )
    for _ in range(2):
        recorder(
            Step(
                outcomes=np.full((2, 2, 1), np.inf),
                actions=np.zeros((2, 2, 6)),
                rewards=np.zeros((2, 2)),
                running=running,
            )
        )
    kept = recorder.outcomes()
    assert kept.ids.tolist() == [0, 0, 1, 1, 0, 0, 1]
    assert kept.measured[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 20.0, 21.0, 23.0]
    assert kept.rewards.tolist() == [0.0] * 4 + [2.0] * 3
    assert kept.actions.shape == (7, 6)
