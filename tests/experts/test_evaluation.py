import gymnasium as gym
import numpy as np
import pytest

from experts import collect, gather, play
from experts.evaluation import Step, episode_seeds
from param_envs import family_of
from tests.experts.factories import noted_environments, untrained

ANT = family_of("ParamAnt-v0")


class Thrash:
    """Jumps about until the ant falls, in some episodes sooner than in others."""

    def act(self, observations: np.ndarray) -> np.ndarray:
        sign = np.sign(np.sin(1e3 * observations[..., :1]))
        return np.broadcast_to(sign, (*observations.shape[:2], ANT.action_size))


def test_returns_equal_single_environments() -> None:
    experts = gather([untrained({"speed": 2.0}), untrained({"speed": -3.0, "torso": 0.4}, seed=1)])
    played = play(
        experts.policies,
        experts.family,
        experts.contexts,
        reward="track",
        n_episodes=2,
        seed=5,
        n_steps=40,
    )
    seeds = episode_seeds(5, 2, 2)
    for i, context in enumerate(experts.contexts):
        env = gym.make("ParamCheetah-v0", max_episode_steps=40, **context)
        for j in range(2):
            observation, _ = env.reset(seed=seeds[2 * i + j])
            total, speeds, done = 0.0, [], False
            while not done:
                action = experts.policies.select([i]).act(observation[None, None])[0, 0]
                observation, reward, terminated, truncated, info = env.step(action)
                total, done = total + reward, terminated or truncated
                speeds.append(info["velocity"])
            assert played.returns[i, j] == pytest.approx(total, rel=1e-5)
            assert played.outcomes["velocity"][i, j] == pytest.approx(np.mean(speeds), rel=1e-4)
            assert played.lengths[i, j] == 40


def test_episodes_that_fail_stop_counting() -> None:
    played = play(
        Thrash(), ANT, [ANT.context()], reward="direction", n_episodes=20, seed=0, n_threads=1
    )
    shortest = played.lengths[0].argmin()
    env = gym.make("ParamAnt-v0")
    observation, _ = env.reset(seed=episode_seeds(0, 1, 20)[shortest])
    rewards, velocities, terminated = [], [], False
    while not terminated:
        action = Thrash().act(observation[None, None])[0, 0]
        observation, reward, terminated, _, info = env.step(action)
        rewards.append(reward)
        velocities.append([info["x_velocity"], info["y_velocity"]])
    assert played.lengths.max() == 200
    assert played.lengths[0, shortest] == len(rewards) < 150, "thrashing ants fall"
    assert played.returns[0, shortest] == pytest.approx(sum(rewards), rel=1e-5)
    means = [played.outcomes[name][0, shortest] for name in ("x_velocity", "y_velocity")]
    assert means == pytest.approx(np.mean(velocities, axis=0), rel=1e-4)


def test_whoever_watches_is_told_of_every_step() -> None:
    """Of episodes that are over, too, as such: what was running adds up to what is returned."""
    steps: list[Step] = []
    played = play(
        Thrash(), ANT, [ANT.context()] * 2, reward="direction", n_episodes=5, seed=0,
        watch=steps.append,
    )  # fmt: skip
    assert len(steps) == played.lengths.max() > played.lengths.min()
    running = np.stack([step.running for step in steps])
    np.testing.assert_array_equal(running.sum(axis=0), played.lengths)
    rewards = np.stack([step.rewards for step in steps]) * running
    np.testing.assert_allclose(rewards.sum(axis=0), played.returns)
    measured = np.stack([step.outcomes for step in steps]) * running[..., None]
    for i, name in enumerate(ANT.outcome_names):
        means = measured[..., i].sum(axis=0) / played.lengths
        np.testing.assert_allclose(means, played.outcomes[name], rtol=1e-6)
    assert all(step.actions.shape == (2, 5, ANT.action_size) for step in steps)


def test_same_seed_same_returns_and_threads_do_not_matter() -> None:
    expert = untrained({"speed": 2.0})
    runs = [
        play(
            expert.policy,
            expert.family,
            [expert.context],
            reward="track",
            n_episodes=3,
            seed=seed,
            n_steps=30,
            n_threads=threads,
        ).returns
        for seed, threads in ((1, 1), (1, 2), (2, 1))
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()


@pytest.mark.parametrize("name", ["n_episodes", "contexts"])
def test_counts_below_one_are_refused(name: str) -> None:
    expert = untrained({"speed": 2.0})
    contexts = [] if name == "contexts" else [expert.context]
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0"):
        play(expert.policy, expert.family, contexts, reward="track", n_episodes=0, seed=0)


def test_actions_on_other_axes_are_refused() -> None:
    class Transposed:
        def act(self, observations: np.ndarray) -> np.ndarray:
            return np.zeros((3, 2, 6), np.float32)

    family = untrained({"speed": 2.0}).family
    contexts = [family.context(speed=speed) for speed in (1, 2)]
    message = (
        r"`act` must return actions \(2, 3, 6\) for observations \(2, 3, 17\), got \(3, 2, 6\)"
    )
    with pytest.raises(ValueError, match=message):
        play(Transposed(), family, contexts, reward="track", n_episodes=3, seed=0)


def test_policies_with_memory_are_reset_and_told_of_every_step() -> None:
    """Every call's arguments, against a replay with the single environment."""
    expert = untrained({"speed": 2.0})
    env = gym.make("ParamCheetah-v0", max_episode_steps=5, reward="track", **expert.context)

    class Remembering:
        def __init__(self) -> None:
            self.calls: list[tuple[np.ndarray, ...]] = []

        def reset(self) -> None:
            self.calls.clear()

        def act(self, observations: np.ndarray) -> np.ndarray:
            return expert.policy.act(observations)

        def observe(self, *step: np.ndarray) -> None:
            self.calls.append(tuple(np.array(part) for part in step))

    policies = Remembering()
    settings = {"reward": "track", "n_episodes": 2, "seed": 3, "n_steps": 5}
    for _ in range(2):
        play(policies, expert.family, [expert.context], **settings)
    assert len(policies.calls) == 5
    for episode, seed in enumerate(episode_seeds(3, 1, 2)):
        observation, _ = env.reset(seed=seed)
        for t, (before, action, reward, after, done) in enumerate(policies.calls):
            np.testing.assert_allclose(before[0, episode], observation, atol=1e-6)
            np.testing.assert_array_equal(action[0], expert.policy.act(before)[0])
            observation, expected, _, truncated, _ = env.step(action[0, episode])
            assert reward[0, episode] == pytest.approx(expected, rel=1e-5)
            np.testing.assert_allclose(after[0, episode], observation, atol=1e-6)
            assert bool(done[0, episode]) == truncated == (t == 4)


def test_a_slot_stays_done_once_its_episode_is_over() -> None:
    class Observing(Thrash):
        dones: list[np.ndarray]

        def reset(self) -> None:
            self.dones = []

        def observe(self, *step: np.ndarray) -> None:
            self.dones.append(step[-1][0])

    policies = Observing()
    played = play(
        policies, ANT, [ANT.context()], reward="direction", n_episodes=20, seed=0, n_threads=1
    )
    done = np.array(policies.dones)
    assert played.lengths.min() < played.lengths.max()
    np.testing.assert_array_equal((~done).sum(axis=0) + 1, played.lengths[0])
    assert (np.diff(done.astype(int), axis=0) >= 0).all()


def test_the_environments_are_closed_however_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    made = noted_environments(monkeypatch)
    experts = gather([untrained({"speed": 2.0})])
    arguments = {"reward": "track", "n_episodes": 2, "seed": 0, "n_steps": 3}
    play(experts.policies, experts.family, experts.contexts, **arguments)
    with pytest.raises(ValueError, match="`act` must return actions"):
        play(Thrash(), experts.family, experts.contexts, **arguments)
    collect(experts, features=("speed",), seed=0, n_steps=3)
    other = Thrash()  # its actions are an ant's
    with pytest.raises(ValueError, match="broadcast"):
        collect(experts, features=("speed",), noise=(0.1,), seed=0, n_steps=3, behaviour=other)
    assert [env.closed for env in made] == [True] * 4
