"""Zero-shot control: how long an evaluation takes, and what methods score."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from benchmarks.leaderboards import unmet
from experts import collect, play
from hyper import HyperZero, HyperZeroConfig
from zeroshot.bench import TEST_STARTS
from zeroshot.references import EXPERT, reference_names
from zeroshot.run import experts_of
from zeroshot.splits import random_split
from zeroshot.statistics import ratio
from zeroshot.suites import suite_of

N_EPISODES = 10
SEED = 0
LOOP_STEPS = 100
"""Control steps of the reference, which plays one episode at a time."""
CLAIMED = {"cheetah-speed": 0.95}
"""Share of the experts' return that HyperZero reaches on the split of `SEED`. Of the other suite
nothing is claimed: its nearest experts reach as much."""


@pytest.fixture(scope="module")
def fitted(suite_name, quick):
    """A suite, its split, its experts, and HyperZero fitted on the training contexts."""
    suite = suite_of(suite_name)
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
    """All held-out contexts × 10 episodes in seconds, generation of the policies included.

    The reference plays single environments one after the other, as evaluation loops usually do.
    Unless it is quick, HyperZero also has to reach what is claimed of it, where something is.
    """
    suite, split, experts, hyperzero = fitted
    contexts = [suite.contexts[i] for i in split.test]
    n_steps = 100 if quick else suite.family.max_episode_steps
    settings = {"reward": suite.reward, "n_episodes": N_EPISODES, "n_steps": n_steps}
    settings["seed"] = TEST_STARTS + SEED  # no start of the data
    env = gym.make(suite.env_id, reward=suite.reward, **contexts[0]).unwrapped
    found = {}

    def evaluate():
        found["played"] = play(hyperzero.policies(contexts), suite.family, contexts, **settings)

    def loop():
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
    reached = ratio(played.returns, best.returns)
    n_control_steps = len(contexts) * N_EPISODES * n_steps
    comparison.record(
        seconds=comparison.seconds,
        ratio_to_single_environments=comparison.speedup * n_control_steps / LOOP_STEPS,
        return_over_expert=reached,
    )
    comparison.require(comparison.seconds < 10.0, "a zero-shot evaluation takes seconds")
    if suite.name in CLAIMED:
        claimed = CLAIMED[suite.name]
        comparison.require(reached >= claimed, f"HyperZero's ratio is at least {claimed}")
    assert np.isfinite(played.returns).all()


@pytest.mark.usefixtures("one_thread")
def test_leaderboard(suite_name, choice, summaries, quick, tmp_path):
    """The methods on splits of the suite by the harness itself; the session ends with the table.

    Unless it is quick, they have to reach what is claimed of them.
    """
    suite = suite_of(suite_name)
    summary = choice.run(suite_name, tmp_path / "run")
    summaries.append(summary)
    methods = summary["methods"]
    references = reference_names(suite.features, experts_of(suite))
    assert summary["complete"] and summary["seeds"] == list(range(choice.seeds))
    assert set(methods) == {*references, *choice.methods}
    assert methods[EXPERT]["ratio"] == 1.0
    for name in choice.methods:
        assert methods[name]["kind"] == "method" and methods[name]["fit_seconds"] > 0.0
        assert np.isfinite(methods[name]["ratio"])
    if not quick:
        assert not unmet(summary)
