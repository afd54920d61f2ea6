"""Training one expert through Stable-Baselines3."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from experts.evaluation import episode_seeds, play
from experts.policy import MLPPolicies
from experts.provenance import provenance
from experts.recipes import Recipe
from experts.sb3 import (
    ACTIVATIONS,
    TanhMeanPolicy,
    adopt_policy,
    export,
    freeze_actor,
    resume_ppo,
    training_env,
)
from experts.store import Expert, expert_name
from param_envs import Context, Family

EVALUATION_STEPS = 10_000
"""Played for an expert's evaluation: 10 episodes of most families, 50 of those with short ones."""
EVALUATION_SEED = 1_000_003
"""Of an expert's evaluation, from the same starts for all. Nothing is learned from its episodes.

The test episodes of `zeroshot`'s split of seed 3 have these starts in its first test context.
"""
SELECTION_STEPS = 10_000
"""Played by each candidate; in short training episodes, in ones of twice their length."""
SELECTION_SEED = 2_000_003
"""Of the episodes that choose among a training's candidates. Nothing is learned from them.

Few-shot demonstrations of `zeroshot`'s split of seed 3 share some starts; no score is of those.
"""
CANDIDATES_FROM = 0.75
"""Share of a training after which snapshots are kept as candidates."""
CURVE_POINTS = 20
UNCLIPPED = 1e9
"""VecNormalize's clipping is put out of reach, so that an expert is a plain network."""


def train(
    family: Family,
    context: Context,
    *,
    reward: str,
    recipe: Recipe,
    seed: int,
    warm_start: Expert | None = None,
    on_steps: Callable[[int], None] | None = None,
) -> Expert:
    """Trains, evaluates and exports the expert of one context.

    Args:
        family: the family.
        context: the context.
        reward: meaning of the reward.
        recipe: algorithm and hyperparameters.
        seed: of networks, exploration and starts.
        warm_start: an expert to start from, a neighbour's for instance; training then takes
            `recipe.warm_steps`. Of an expert of TD3 or SAC only the policy is taken on, and it
            rests for `recipe.critic_steps` while the critic learns its values.
        on_steps: called now and then with the environment steps done so far. An exception that it
            raises ends the training.

    Raises:
        ValueError: if a warm start is asked for with an algorithm other than PPO, or from an expert
            of other layers.
    """
    started = time.perf_counter()
    n_steps = recipe.total_steps if warm_start is None else recipe.warm_steps
    environment, batched = training_env(
        family,
        context,
        reward,
        recipe.n_envs,
        recipe.episode_steps,
        recipe.retry_share,
        seed,
    )
    with closing(batched):
        normaliser: VecNormalize | None = None
        if recipe.algorithm == "ppo":
            normaliser = VecNormalize(
                environment,
                norm_reward=recipe.normalise_reward,
                clip_obs=UNCLIPPED,
                gamma=recipe.discount,
            )
        model = _model(recipe, normaliser or environment, seed, warm=warm_start is not None)
        if warm_start is not None:
            if not isinstance(model, PPO) or normaliser is None:
                raise ValueError(f"warm starts need a PPO recipe, got {recipe.name!r}")
            _check_layers(recipe, warm_start)
            if warm_start.record["critic"] == "v":
                resume_ppo(model, normaliser, warm_start)
            else:
                adopt_policy(model, normaliser, warm_start)
                freeze_actor(model, True)  # `_Monitor` frees it
        start = recipe.exploration if warm_start is None else recipe.warm_exploration
        monitor = _Monitor(recipe, n_steps, start, on_steps)
        model.set_logger(Logger(None, []))  # SB3's own leaves a temporary folder behind
        model.learn(n_steps, callback=monitor)
    steps = int(model.num_timesteps)
    candidates = {**monitor.candidates, steps: export(model, normaliser, {})}
    kept = best_step(candidates, family, context, reward, recipe.episode_steps)
    record = {
        "env_id": family.env_id,
        "context": dict(context),
        "reward": reward,
        "algorithm": recipe.algorithm,
        "recipe": recipe.name if warm_start is None else f"{recipe.name}-chained",
        "hyperparameters": hyperparameters(recipe),
        "seed": seed,
        "steps": steps,
        "kept_from_step": kept,
        "warm_start": None if warm_start is None else parentage(warm_start),
        "discount": recipe.discount,
        "curve": monitor.curve[-CURVE_POINTS:],
        "seconds": round(time.perf_counter() - started, 1),
        **provenance(),
    }
    expert = candidates[kept]
    return evaluated(replace(expert, record={**record, **expert.record}))


def best_step(
    candidates: Mapping[int, Expert],
    family: Family,
    context: Context,
    reward: str,
    episode_steps: int | None = None,
) -> int:
    """The step after which the deterministic policy was best, on starts that all share.

    Where what decides is the start (`episode_steps` is given), many short episodes are played.
    """
    if len(candidates) == 1:
        return next(iter(candidates))
    longest = family.max_episode_steps
    n_steps = longest if episode_steps is None else min(longest, 2 * episode_steps)
    n_episodes = max(1, SELECTION_STEPS // n_steps)
    played = play(
        MLPPolicies.stack([candidate.policy for candidate in candidates.values()]),
        family,
        [context] * len(candidates),
        reward=reward,
        n_episodes=n_episodes,
        seed=SELECTION_SEED,
        starts=episode_seeds(SELECTION_SEED, 1, n_episodes) * len(candidates),
        n_steps=n_steps,
        n_threads=1,
    )
    return list(candidates)[int(played.returns.mean(axis=1).argmax())]


def evaluated(expert: Expert) -> Expert:
    """The expert with an `evaluation` in its manifest: episodes on `EVALUATION_SEED`'s starts."""
    family, context, reward = expert.family, expert.context, expert.record["reward"]
    n_episodes = max(1, EVALUATION_STEPS // family.max_episode_steps)
    played = play(
        expert.policy,
        family,
        [context],
        reward=reward,
        n_episodes=n_episodes,
        seed=EVALUATION_SEED,
        n_threads=1,
    )
    evaluation = {
        "episodes": n_episodes,
        "seed": EVALUATION_SEED,
        "return_mean": round(float(played.returns.mean()), 3),
        "return_std": round(float(played.returns.std()), 3),
        "return_min": round(float(played.returns.min()), 3),
        **{
            f"{name}_mean": round(float(values.mean()), 4)
            for name, values in played.outcomes.items()
        },
    }
    return Expert(
        policy=expert.policy,
        critic=expert.critic,
        extras=expert.extras,
        record={**expert.record, "evaluation": evaluation},
    )


def parentage(expert: Expert) -> dict[str, Any]:
    """What the manifest of an expert tells about the one that it was warm-started from."""
    return {"expert": expert_name(expert.context), "reward": expert.record["reward"]}


def hyperparameters(recipe: Recipe) -> dict[str, Any]:
    """The recipe as the manifest has it."""
    values = {name: getattr(recipe, name) for name in recipe.__dataclass_fields__}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def _model(recipe: Recipe, environment: Any, seed: int, *, warm: bool) -> BaseAlgorithm:
    rate: Any = recipe.learning_rate
    if recipe.final_learning_rate != recipe.learning_rate:
        start = recipe.learning_rate * (WARM_RATE if warm else 1.0)
        rate = LinearSchedule(start, recipe.final_learning_rate, 1.0)
    policy: dict[str, Any] = {
        "net_arch": list(recipe.hidden),
        "activation_fn": ACTIVATIONS[recipe.activation],
    }
    shared: dict[str, Any] = {
        "learning_rate": rate,
        "gamma": recipe.discount,
        "batch_size": recipe.batch_size,
        "seed": seed,
        "device": "cpu",
    }
    if recipe.algorithm == "ppo":
        policy["optimizer_kwargs"] = {"eps": 1e-5, "fused": True}  # SB3's ε, in one kernel
        ppo = PPO(
            TanhMeanPolicy,
            environment,
            n_steps=recipe.rollout_steps,
            n_epochs=recipe.epochs,
            gae_lambda=recipe.gae_lambda,
            clip_range=recipe.clip_range,
            ent_coef=recipe.entropy_weight,
            policy_kwargs=policy,
            **shared,
        )
        ppo.policy.log_std.requires_grad_(False)  # `_Monitor` lowers it on a schedule
        return ppo
    if recipe.critic_hidden is not None:
        policy["net_arch"] = {"pi": list(recipe.hidden), "qf": list(recipe.critic_hidden)}
    shared["learning_starts"] = recipe.learning_starts
    shared["gradient_steps"] = recipe.updates_per_step
    shared["buffer_size"] = recipe.buffer_size
    shared["tau"] = recipe.target_tau
    if recipe.algorithm == "sac":
        return SAC("MlpPolicy", environment, policy_kwargs=policy, **shared)
    size = environment.action_space.shape[0]
    noise = NormalActionNoise(np.zeros(size), np.full(size, recipe.exploration))
    model = TD3(
        "MlpPolicy",
        environment,
        action_noise=noise,
        target_policy_noise=(
            recipe.exploration if recipe.target_noise is None else recipe.target_noise
        ),
        target_noise_clip=recipe.target_noise_clip,
        policy_delay=recipe.policy_delay,
        policy_kwargs=policy,
        **shared,
    )
    if recipe.orthogonal:
        _make_orthogonal(model, seed)
    _scale_last_layer(model, recipe.final_layer_scale)
    return model


WARM_RATE = 0.5
"""A warm start of PPO begins at so much of a rate that falls; a constant one stays."""


def _make_orthogonal(model: TD3, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for online, target in (
        (model.policy.actor, model.policy.actor_target),
        (model.policy.critic, model.policy.critic_target),
    ):
        for module in online.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight, generator=generator)
                nn.init.zeros_(module.bias)
        target.load_state_dict(online.state_dict())


def _scale_last_layer(model: TD3, scale: float) -> None:
    for actor in (model.policy.actor, model.policy.actor_target):
        last = [module for module in actor.modules() if isinstance(module, nn.Linear)][-1]
        with torch.no_grad():
            last.weight.mul_(scale)
            last.bias.mul_(scale)


def _check_layers(recipe: Recipe, expert: Expert) -> None:
    widths = tuple(int(weight.shape[2]) for weight in expert.policy.weights[:-1])
    if widths != recipe.hidden or expert.policy.activation != recipe.activation:
        raise ValueError(
            f"the warm start must have hidden layers {recipe.hidden} ({recipe.activation}), "
            f"got {widths} ({expert.policy.activation})"
        )


class _Monitor(BaseCallback):
    """Lowers the exploration noise, records the learning curve and reports progress."""

    def __init__(
        self,
        recipe: Recipe,
        n_steps: int,
        exploration: float,
        on_steps: Callable[[int], None] | None,
    ) -> None:
        super().__init__()
        self.curve: list[tuple[int, float]] = []
        self._recipe = recipe
        self._n_steps = n_steps
        self._exploration = exploration
        self._on_steps = on_steps
        self._returns: Any = None
        self._ended: list[float] = []
        self._next_report = 0
        self._next_point = n_steps // CURVE_POINTS
        gaps = max(1, recipe.n_candidates - 1)
        share = [CANDIDATES_FROM + (1.0 - CANDIDATES_FROM) * i / gaps for i in range(gaps)]
        self._snapshots = [int(s * n_steps) for s in share[: recipe.n_candidates - 1]]
        self.candidates: dict[int, Expert] = {}

    def _on_step(self) -> bool:
        rewards = self._rewards()
        self._returns = rewards if self._returns is None else self._returns + rewards
        done = self.locals["dones"]
        if done.any():
            self._ended.extend(float(total) for total in self._returns[done])
            self._returns[done] = 0.0
        if self.num_timesteps >= self._next_point and self._ended:
            self.curve.append((self.num_timesteps, round(float(np.mean(self._ended)), 2)))
            self._ended.clear()
            self._next_point = self.num_timesteps + self._n_steps // CURVE_POINTS
        if self._on_steps is not None and self.num_timesteps >= self._next_report:
            self._next_report = self.num_timesteps + self._n_steps // 100
            self._on_steps(self.num_timesteps)
        return True

    def _rewards(self) -> Any:
        normaliser = self.model.get_vec_normalize_env()
        return self.locals["rewards"] if normaliser is None else normaliser.get_original_reward()

    def _on_rollout_start(self) -> None:
        if self._snapshots and self.num_timesteps >= self._snapshots[0]:
            self._snapshots.pop(0)
            normaliser = self.model.get_vec_normalize_env()
            self.candidates[self.num_timesteps] = export(self.model, normaliser, {})
        recipe, model = self._recipe, cast(Any, self.model)
        if isinstance(self.model, PPO) and self.num_timesteps >= recipe.critic_steps:
            freeze_actor(self.model, False)
        fraction = min(1.0, self.num_timesteps / (recipe.exploration_steps or self._n_steps))
        start, end = self._exploration, recipe.final_exploration
        if recipe.algorithm == "ppo":
            model.policy.log_std.data.fill_(math.log(start) + fraction * math.log(end / start))
        elif recipe.algorithm == "td3":
            deviation = start + fraction * (end - start)
            # SB3 makes one noise an environment of the one that it was given.
            noises = getattr(model.action_noise, "noises", [model.action_noise])
            for noise, level in zip(noises, recipe.levels, strict=True):
                noise._sigma[:] = deviation * level
            if recipe.target_noise is None:
                model.target_policy_noise = deviation
