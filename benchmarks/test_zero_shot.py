"""A whole zero-shot evaluation: how long it takes, and what HyperZero scores."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from experts import collect, play
from experts.store import ZOO
from hyper import HyperZero, HyperZeroConfig
from zeroshot.run import experts_of
from zeroshot.splits import random_split
from zeroshot.suites import SUITES, Suite

N_EPISODES = 10
SEED = 0
LOOP_STEPS = 100
"""Control steps of the reference, which plays one episode at a time."""


def has_all_experts(suite: Suite) -> bool:
    """Whether the shipped zoo holds an expert of each of the suite's contexts."""
    return len(list((ZOO / suite.zoo).glob("*.json"))) == len(suite.contexts)


CASES = sorted(name for name, suite in SUITES.items() if has_all_experts(suite))


@pytest.fixture(scope="module", params=CASES)
def fitted(request, quick):
    """A suite, its split, its experts, and HyperZero fitted on the training contexts."""
    suite = SUITES[request.param]
    experts = experts_of(suite)
    split = random_split(suite, seed=SEED)
    data = collect(
        experts.select(split.train),
        features=suite.features,
        seed=SEED,
        n_steps=100 if quick else suite.n_steps,
    )
    config = HyperZeroConfig(updates=20) if quick else HyperZeroConfig()
    return suite, split, experts, HyperZero(config).fit(data, seed=SEED)


def test_evaluation_of_all_test_contexts(fitted, comparison, quick):
    """6 contexts × 10 episodes × 1000 steps in seconds, generation of the policies included.

    The reference plays single environments one after the other, as evaluation loops usually do.
    On the full run HyperZero also has to reach 0.95 of the experts' return on this split.
    """
    suite, split, experts, hyperzero = fitted
    contexts = [suite.contexts[i] for i in split.test]
    n_steps = 100 if quick else suite.family.max_episode_steps
    settings = {"reward": suite.reward, "n_episodes": N_EPISODES, "seed": SEED, "n_steps": n_steps}
    found = {}

    def evaluate():
        found["played"] = play(hyperzero.policies(contexts), suite.family, contexts, **settings)

    def loop():
        env = gym.make(suite.env_id, reward=suite.reward, **contexts[0]).unwrapped
        policies = hyperzero.policies(contexts[:1])
        observation, _ = env.reset(seed=SEED)
        for _ in range(LOOP_STEPS):
            action = policies.act(observation[None, None])[0, 0]
            observation, *_ = env.step(action)

    comparison.measure(evaluate, loop, rounds=5)
    played = found["played"]
    assert played.returns.shape == (suite.n_test, N_EPISODES)
    assert (played.lengths == n_steps).all()
    best = play(experts.policies.select(split.test), suite.family, contexts, **settings)
    ratio = played.returns.mean() / best.returns.mean()
    n_control_steps = len(contexts) * N_EPISODES * n_steps
    comparison.record(
        seconds=comparison.seconds,
        ratio_to_single_environments=comparison.speedup * n_control_steps / LOOP_STEPS,
        return_over_expert=ratio,
    )
    comparison.require(comparison.seconds < 10.0, "a zero-shot evaluation takes seconds")
    comparison.require(ratio >= 0.95, "HyperZero reaches 0.95 of the experts' return")
    assert np.isfinite(played.returns).all()
