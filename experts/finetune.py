"""Fine-tuning a policy in one context, and how its return develops meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from experts.evaluation import play
from experts.finetune_config import FineTuneConfig
from experts.finetune_sac import FineTunedSAC, policy_of
from experts.policy import MLPPolicies
from experts.sb3 import training_env
from experts.validation import require
from param_envs import Family


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """How a policy's return developed.

    Attributes:
        steps: environment steps done before each evaluation, the first one 0, (n_points,).
        returns: of the deterministic policy, always from the same starts, (n_points, n_episodes).
        policy: the last policy.
        seconds: that all of it took.
    """

    steps: NDArray[np.int64]
    returns: NDArray[np.float64]
    policy: MLPPolicies
    seconds: float


def fine_tune(
    start: MLPPolicies | None,
    family: Family,
    context: Mapping[str, float],
    *,
    reward: str,
    n_steps: int,
    seed: int,
    config: FineTuneConfig | None = None,
    every: int = 5_000,
    n_episodes: int = 10,
    evaluation_seed: int = 0,
    evaluation_starts: Sequence[int] | None = None,
    episode_steps: int | None = None,
    on_steps: Callable[[int], None] | None = None,
) -> Curve:
    """Trains a policy on in one context, and evaluates it on the way.

    Args:
        start: one policy, None for random weights.
        family: the family.
        context: the context.
        reward: meaning of the reward.
        n_steps: environment steps.
        seed: of networks, exploration and training episodes.
        config: hyperparameters, the defaults of `FineTuneConfig` if None.
        every: environment steps between evaluations; one at step 0 and one at the end are made in
            any case.
        n_episodes: of an evaluation.
        evaluation_seed: decides the starts of all evaluations.
        evaluation_starts: seeds of the starts instead, (n_episodes,).
        episode_steps: longest episode, the family's own by default.
        on_steps: told after every step how many there were. An exception that it raises ends the
            training.

    Raises:
        ValueError: for a number below 1, a context or reward that the family does not have, or a
            start that is not one policy of this family.
    """
    for name, value in (("n_steps", n_steps), ("every", every), ("n_episodes", n_episodes)):
        require(name, value, value >= 1, "at least 1")
    began = time.perf_counter()
    config = config or FineTuneConfig()
    config = replace(config, buffer_size=min(config.buffer_size, n_steps))
    environment, batched = training_env(family, context, reward, 1, episode_steps)

    def evaluate() -> NDArray[np.float64]:
        played = play(
            policy_of(model),
            family,
            [context],
            reward=reward,
            n_episodes=n_episodes,
            seed=evaluation_seed,
            starts=evaluation_starts,
            n_steps=episode_steps,
            n_threads=1,
        )
        return played.returns[0]

    evaluations = _Evaluations(evaluate, every, on_steps)
    with closing(batched):
        model = FineTunedSAC(environment, config, start=start, seed=seed)
        model.set_logger(Logger(None, []))  # SB3's own leaves a temporary folder behind
        model.learn(n_steps, callback=evaluations, log_interval=n_steps)
    return Curve(
        steps=np.array(list(evaluations.returns), dtype=np.int64),
        returns=np.stack(list(evaluations.returns.values())),
        policy=policy_of(model),
        seconds=time.perf_counter() - began,
    )


class _Evaluations(BaseCallback):
    """Evaluates before the first step, then every so many steps, and at the end."""

    def __init__(
        self,
        evaluate: Callable[[], NDArray[np.float64]],
        every: int,
        on_steps: Callable[[int], None] | None,
    ) -> None:
        super().__init__()
        self.returns: dict[int, NDArray[np.float64]] = {}
        self._evaluate, self._every, self._on_steps = evaluate, every, on_steps

    def _on_rollout_start(self) -> None:  # after the updates that belong to the last step
        if self.num_timesteps % self._every == 0:
            self.returns[self.num_timesteps] = self._evaluate()

    def _on_step(self) -> bool:
        if self._on_steps is not None:
            self._on_steps(self.num_timesteps)
        return True

    def _on_training_end(self) -> None:
        self.returns[self.num_timesteps] = self._evaluate()
