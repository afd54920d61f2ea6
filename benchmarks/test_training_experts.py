"""TD3 and SAC of many agents at once, against Stable-Baselines3's `train()`, one thread each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.logger import Logger

from experts import Recipe, recipe_for
from experts.offpolicy.agents import make_learner
from experts.offpolicy.replay import Replay
from experts.offpolicy.updates import Updates
from experts.sb3 import training_env
from param_envs import family_of

FAMILY = family_of("ParamCheetah-v0")
STORED = 2000
"""Transitions an agent; both sides draw from as many."""
NO_SLOWER = 0.9
"""Of SB3's rate an agent: no slower, but for the clock's noise. Large layers take most of the time
on a processor, and a batched product is as fast as many single ones."""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("n_agents", [1, 8, 40])
@pytest.mark.parametrize("name", ["td3-paper", "sac-paper"])
def test_updates_of_experts(name: str, n_agents: int, comparison, quick) -> None:
    """Agent-updates a second are no fewer than SB3's, with the papers' networks (256, 256)."""
    recipe = recipe_for(name, FAMILY.env_id)
    if quick:
        recipe = replace(recipe, hidden=(32, 32), batch_size=32)
    _compare(recipe, n_agents, comparison)
    comparison.require(
        comparison.benchmark.extra_info["ratio_to_sb3"] >= NO_SLOWER,
        "an agent's update in a batch takes no longer than SB3's",
    )


@pytest.mark.parametrize("n_agents", [8])
@pytest.mark.parametrize("name", ["td3-fast", "sac-fast"])
def test_updates_of_small_experts(name: str, n_agents: int, comparison, quick) -> None:
    """With the small networks of the fast recipes a batch is faster than one by one."""
    _compare(recipe_for(name, FAMILY.env_id), n_agents, comparison)
    comparison.require(
        comparison.benchmark.extra_info["ratio_to_sb3"] >= 1.0,
        "an agent's update in a batch takes no longer than SB3's",
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["td3-paper", "sac-paper"])
def test_updates_on_a_gpu(name: str, comparison, quick) -> None:
    """At least 30,000 agent-updates a second over 40 agents, with CUDA graphs."""
    recipe = recipe_for(name, FAMILY.env_id)
    batched = _batched(recipe, 40, "cuda", n_updates=200)

    def subject() -> None:
        batched()
        torch.cuda.synchronize()

    comparison.measure(subject, _sb3(recipe, n_updates=4), rounds=10)
    rate = 40 * 200 / comparison.seconds
    comparison.record(
        ratio_to_sb3=rate / (4 / comparison.reference_seconds), agent_updates_per_second=rate
    )
    comparison.require(rate >= 30_000, "a GPU makes 30,000 agent-updates a second")


def _compare(recipe: Recipe, n_agents: int, comparison: Any) -> None:
    # Both do as many agent-updates a round: other work on the machine disturbs long rounds more.
    n_updates = 2 if n_agents >= 40 else 4
    total = n_agents * n_updates
    rounds = max(4, 80 // total)
    comparison.measure(
        _batched(recipe, n_agents, "cpu", n_updates), _sb3(recipe, total), rounds=rounds
    )
    rate = total / comparison.seconds
    reference = total / comparison.reference_seconds
    comparison.record(
        ratio_to_sb3=rate / reference,
        agent_updates_per_second=rate,
        sb3_updates_per_second=reference,
    )


def _batched(recipe: Recipe, n_agents: int, device: str, n_updates: int) -> Callable[[], None]:
    """`n_updates` updates of all agents; each must leave finite weights, and other ones."""
    learner = make_learner(FAMILY, recipe, list(range(n_agents)), device)
    learner.held = 0  # updates of everything are timed, not those that rest the policy
    replay = Replay(n_agents, 1, STORED, FAMILY.observation_size, FAMILY.action_size, device=device)
    for row in _transitions():
        entries = (torch.from_numpy(entry) for entry in row)
        replay.add(*(entry.expand(n_agents, 1, *entry.shape) for entry in entries))
    generator = torch.Generator(device=device).manual_seed(0)
    updates = Updates(learner, replay, batch_size=recipe.batch_size, generator=generator)

    def run() -> None:
        before = learner.actor.flat[:1000].clone()
        updates.run(n_updates)
        after = learner.actor.flat[:1000]
        assert after.isfinite().all() and not torch.equal(before, after)

    return run


def _sb3(recipe: Recipe, n_updates: int) -> Callable[[], None]:
    """`n_updates` of SB3's own, of one agent."""
    environment, _ = training_env(FAMILY, FAMILY.context(speed=3.0), "reach", 1)
    hidden: Any = list(recipe.hidden)
    if recipe.critic_hidden is not None:
        hidden = {"pi": hidden, "qf": list(recipe.critic_hidden)}
    model: Any = (SAC if recipe.algorithm == "sac" else TD3)(
        "MlpPolicy",
        environment,
        learning_rate=recipe.learning_rate,
        buffer_size=STORED,
        policy_kwargs={"net_arch": hidden},
        device="cpu",
        seed=0,
    )
    model.set_logger(Logger(None, []))
    for observation, action, reward, done, reached in _transitions():
        model.replay_buffer.add(
            observation[None], reached[None], action[None], reward[None], done[None], [{}]
        )
    return lambda: model.train(gradient_steps=n_updates, batch_size=recipe.batch_size)


def _transitions() -> list[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(0)
    sizes = (FAMILY.observation_size, FAMILY.action_size)
    return [
        (
            rng.normal(size=sizes[0]).astype(np.float32),
            rng.uniform(-1, 1, sizes[1]).astype(np.float32),
            np.array(rng.random(), dtype=np.float32),
            np.array(0.0, dtype=np.float32),
            rng.normal(size=sizes[0]).astype(np.float32),
        )
        for _ in range(STORED)
    ]
