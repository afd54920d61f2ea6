"""Fine-tuning against plain SB3: what the TD term and the hooks cost a step of the environment."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import SAC

from experts import MLPPolicies
from experts.finetune_config import FineTuneConfig
from experts.finetune_sac import FineTunedSAC
from experts.sb3 import training_env
from param_envs import family_of

FAMILY = family_of("ParamCheetah-v0")
CONTEXT = FAMILY.context(speed=3.0)
N_STEPS = 20
"""Environment steps a round, an update each."""
PLAIN = {
    "standardise": False,
    "anchor_weight": 0.0,
    "critic_norm": False,
    "entropy_share": 0.0,
}
"""SB3's SAC but for what is timed."""
NO_SLOWER = 0.95
"""Of SB3's rate without any of it: hooks that do nothing cost nothing but for the clock's noise."""
TD_TERM = 0.55
"""Of SB3's rate with the TD term: one more pass of the policy and the target critics, with
gradients, and one of the critics without."""
ALL = 0.45
"""Of SB3's rate with the default's anchor, normalised critics and standardised observations, too,
in networks and batches of SB3's size; the default's own are smaller."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("changes", "least"),
    [
        pytest.param({**PLAIN, "td_weight": 0.0}, NO_SLOWER, id="plain"),
        pytest.param({**PLAIN, "td_weight": 0.1}, TD_TERM, id="td-term"),
        pytest.param({}, ALL, id="default"),
    ],
)
def test_steps_of_fine_tuning(
    changes: dict[str, Any], least: float, comparison: Any, quick: bool, request: Any
) -> None:
    """Steps a second of fine-tuning with networks (256, 256), batches of 256, as a share of SB3's.

    Both sides step one environment and make one update a step; both learn from a full replay.
    """
    hidden, batch_size = ((32, 32), 32) if quick else ((256, 256), 256)
    config = FineTuneConfig(
        **changes,
        critic_hidden=hidden,
        batch_size=batch_size,
        buffer_size=10_000,
        collect_steps=batch_size,
        critic_updates=0,
    )
    tuned = FineTunedSAC(_environment(), config, start=_start(hidden), seed=0)
    plain = SAC(
        "MlpPolicy",
        _environment(),
        buffer_size=10_000,
        learning_starts=batch_size,
        batch_size=batch_size,
        policy_kwargs={"net_arch": list(hidden)},
        seed=0,
        device="cpu",
    )
    for model in (tuned, plain):
        model.learn(batch_size + 1)

    def learn(model: SAC) -> None:
        before = model._n_updates
        weights = model.actor.mu.weight.detach().clone()
        model.learn(N_STEPS, reset_num_timesteps=False)
        assert model._n_updates - before == N_STEPS
        after = model.actor.mu.weight
        assert after.isfinite().all() and not torch.equal(weights, after)

    comparison.measure(lambda: learn(tuned), lambda: learn(plain), rounds=12)
    rate = N_STEPS / comparison.seconds
    reference = N_STEPS / comparison.reference_seconds
    comparison.record(
        ratio_to_sb3=rate / reference, steps_per_second=rate, sb3_steps_per_second=reference
    )
    comparison.require(
        rate / reference >= least,
        f"fine-tuning ({request.node.callspec.id}) has at least {least:.0%} of SB3's rate",
    )


def _environment() -> Any:
    return training_env(FAMILY, CONTEXT, "track", 1)[0]


def _start(hidden: tuple[int, ...]) -> MLPPolicies:
    rng = np.random.default_rng(0)
    sizes = (FAMILY.observation_size, *hidden, FAMILY.action_size)
    shapes = list(pairwise(sizes))
    return MLPPolicies(
        tuple(rng.normal(0, n**-0.5, (1, n, m)).astype(np.float32) for n, m in shapes),
        tuple(np.zeros((1, m), np.float32) for _, m in shapes),
        activation="relu",
    )
