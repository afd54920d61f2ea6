"""What an expert takes: Stable-Baselines3 as it comes, `ppo-fast`, and a chain of warm starts.

SB3 as it comes is its PPO with all defaults on `make_vec_env` with 4 environments, as its
documentation shows PPO: single environments in a `DummyVecEnv`, for as many steps as `ppo-fast`
takes. PPO rather than SAC, since the algorithm is then the same, and the ratio is that of settings
and environments; SAC makes an update a step and takes longer still.

`--full` trains cheetah-speed experts to the end, on one thread, in about an hour. Speed must not be
bought with return: all are played in the same contexts from the same starts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

from experts import Recipe, load_experts, play, recipe_for, save_expert
from experts.training import train
from param_envs import Context
from zeroshot.statistics import ratio
from zeroshot.suites import SUITES
from zeroshot.zoo_comparison import STARTS, compare_zoos

pytestmark = pytest.mark.usefixtures("one_thread")

SUITE = SUITES["cheetah-speed"]
SPEEDS = (5.0, 4.5, 4.0)
"""In m/s. In the chain the first is trained from scratch, each other from the one before it."""
SB3_ENVS = 4
EPISODES = 20
QUICK = {
    "total_steps": 128,
    "warm_steps": 64,
    "n_envs": 4,
    "rollout_steps": 16,
    "batch_size": 32,
    "epochs": 1,
    "n_candidates": 1,
}
QUICK_STEPS = 50
"""Control steps of an episode that tells the return."""

FASTER_THAN_SB3 = 5.0
CHAINED_FASTER = 2.0
"""How many times the seconds of a chained expert one from scratch takes."""
SAME_RETURN = 0.97
CHAIN_KEEPS = 0.9
"""Share of the return. Under `track` a link or two of few steps may lose some percent, which the
audit's repair finds; docs/zoo.md has what a chain of a whole suite keeps."""


def test_seconds_of_an_expert(comparison, quick, full, tmp_path):
    """Seconds a context, as ratios in one run, and the returns in the context of all three."""
    if not (quick or full):
        pytest.skip("trains experts to the end: give --full (an hour), or --quick (a few steps)")
    recipe = recipe_for("ppo-fast", SUITE.env_id)
    if quick:
        recipe = replace(recipe, **QUICK)
    n_steps = QUICK_STEPS if quick else None
    speeds = SPEEDS[:2] if quick else SPEEDS
    contexts = [SUITE.family.context(speed=speed) for speed in speeds]
    independent, chained = tmp_path / "independent", tmp_path / "chained"
    comparison.benchmark.pedantic(
        train_zoos, (contexts, recipe, independent, chained), rounds=1, iterations=1
    )
    found = compare_zoos(independent, chained, n_episodes=EPISODES, n_steps=n_steps)
    compared = found.contexts[:1]  # whose starts are the same when it is played alone
    assert compared == (contexts[-1],)
    start = time.perf_counter()
    model = sb3_as_it_comes(contexts[-1], recipe.total_steps, quick=quick)
    seconds = np.array([time.perf_counter() - start, *seconds_each(independent, chained)])
    sb3 = play(
        Predicting(model),
        SUITE.family,
        compared,
        reward=SUITE.reward,
        n_episodes=EPISODES,
        seed=STARTS,
        n_steps=n_steps,
    )
    returns = np.array([sb3.returns.mean(), *found.returns[:, 0]])
    links = found.returns[:, : len(contexts) - 1]  # without the start, which both zoos have
    kept = ratio(links[1], links[0])
    comparison.record(
        steps=recipe.total_steps,
        chained_steps=recipe.warm_steps,
        sb3_return=returns[0],
        ppo_fast_return=returns[1],
        chained_return=returns[2],
        chained_return_over_ppo_fast=kept,
    )
    assert found.warm_started.tolist() == [0, len(contexts) - 1]
    assert np.isfinite(returns).all() and model.num_timesteps >= recipe.total_steps
    if quick:  # a few steps tell nothing about speed
        return
    ratios = seconds[[0, 0, 1]] / seconds[[1, 2, 2]]
    comparison.record(
        sb3_seconds=seconds[0],
        ppo_fast_seconds=seconds[1],
        chained_seconds=seconds[2],
        sb3_over_ppo_fast=ratios[0],
        sb3_over_chained=ratios[1],
        ppo_fast_over_chained=ratios[2],
    )
    comparison.require(ratios[0] >= FASTER_THAN_SB3, f"{FASTER_THAN_SB3:g} times as fast as SB3")
    comparison.require(ratios[2] >= CHAINED_FASTER, f"a warm start is {CHAINED_FASTER:g} times so")
    comparison.require(returns[1] >= SAME_RETURN * returns[0], "with SB3's return or more")
    comparison.require(kept >= CHAIN_KEEPS, f"a chain keeps {CHAIN_KEEPS:g} of the return")


def train_zoos(
    contexts: Sequence[Context], recipe: Recipe, independent: Path, chained: Path
) -> None:
    """Trains the contexts' experts from scratch, and all but the first again as a chain."""
    parent = None
    for seed, context in enumerate(contexts):
        settings = {"reward": SUITE.reward, "recipe": recipe, "seed": seed}
        alone = train(SUITE.family, context, **settings)
        save_expert(alone, independent)
        if parent is not None:
            alone = train(SUITE.family, context, warm_start=parent, **settings)
        save_expert(alone, chained)
        parent = alone


def seconds_each(independent: Path, chained: Path) -> tuple[float, float]:
    """Mean seconds of an expert from scratch, and of one that was warm-started."""
    from_scratch = [record["seconds"] for record in load_experts(independent).records]
    links = [r["seconds"] for r in load_experts(chained).records if r["warm_start"] is not None]
    return float(np.mean(from_scratch)), float(np.mean(links))


def sb3_as_it_comes(context: Context, n_steps: int, *, quick: bool) -> PPO:
    """SB3's PPO after that many steps; only with `quick` are its rollouts shorter than usual."""
    settings = {"reward": SUITE.reward, **context}
    environments = make_vec_env(SUITE.env_id, n_envs=SB3_ENVS, seed=0, env_kwargs=settings)
    short = {"n_steps": 16, "n_epochs": 1} if quick else {}
    return PPO("MlpPolicy", environments, seed=0, device="cpu", **short).learn(n_steps)


class Predicting:
    """An SB3 model as the policy of one context."""

    def __init__(self, model: PPO) -> None:
        self._model = model

    def act(self, observations: NDArray[np.floating]) -> NDArray[np.floating]:
        """Deterministic actions (1, n_envs, action_size)."""
        return self._model.predict(observations[0], deterministic=True)[0][None]
