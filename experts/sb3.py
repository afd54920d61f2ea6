"""Experts to Stable-Baselines3 models and back, with equal predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnv
from torch import nn

from experts.policy import MLPPolicies, MLPs
from experts.store import Expert
from experts.vec_env import ParamVecEnv, RetryingVecEnv
from param_envs import Family, ParamVectorEnv

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}


class TanhMeanPolicy(ActorCriticPolicy):
    """SB3's actor-critic policy with Gaussian actions around the tanh of a network's output.

    Deterministic actions are tanh(output): smooth and within bounds, so easier to imitate than a
    clipped mean. Noise is added after tanh, and SB3 clips what leaves the bounds: noise before tanh
    vanishes where the policy is saturated, and a policy that holds a posture with full force never
    finds out of it (from scratch, the walker then crawls for ever and a long finger trembles beside
    its spinner).
    """

    def _get_action_dist_from_latent(self, latent_pi: torch.Tensor) -> Distribution:
        mean = torch.tanh(self.action_net(latent_pi))
        return self.action_dist.proba_distribution(mean, self.log_std)


def export(
    model: BaseAlgorithm, normaliser: VecNormalize | None, record: Mapping[str, Any]
) -> Expert:
    """Turns a trained SB3 model into an expert.

    Args:
        model: PPO with `TanhMeanPolicy`, TD3 or SAC, with MLP policies.
        normaliser: the `VecNormalize` that it was trained behind; its `clip_obs` is not applied.
        record: the manifest.

    Raises:
        ValueError: for another algorithm, or a policy whose deterministic action is not tanh of an
            MLP's output (SB3's default PPO policy clips instead).
    """
    mean, scale = _observation_statistics(normaliser)
    reward_scale = _reward_scale(normaliser)
    actor, critic = _layers(model)
    activation = cast(Any, model.policy).activation_fn
    kind = "v" if isinstance(model, PPO) else "q"
    extras: dict[str, NDArray[np.float32]] = {}
    if isinstance(model, PPO):
        extras["log_std"] = _array(model.policy.log_std)
        extras["reward_scale"] = np.array([reward_scale], dtype=np.float32)
    elif normaliser is None:
        extras = _off_policy_extras(model)
    names: dict[type[nn.Module], Any] = {cls: name for name, cls in ACTIVATIONS.items()}
    if activation not in names:
        raise ValueError(f"`activation_fn` must be Tanh or ReLU, got {activation.__name__}")
    shared: dict[str, Any] = {"activation": names[activation]}
    critic_weights, critic_biases = _stacked(critic)
    critic_weights[-1] *= reward_scale
    critic_biases[-1] *= reward_scale
    actor_weights, actor_biases = _stacked(actor)
    return Expert(
        policy=MLPPolicies(
            tuple(actor_weights), tuple(actor_biases), **shared, mean=mean, scale=scale
        ),
        critic=MLPs(
            tuple(critic_weights),
            tuple(critic_biases),
            **shared,
            **_critic_statistics(mean, scale, model, kind),
        ),
        extras=extras,
        record={**record, "critic": kind},
    )


def to_sb3(expert: Expert, *, buffer_size: int = 1_000_000) -> BaseAlgorithm:
    """An SB3 model whose `predict(observation, deterministic=True)` equals the expert's action.

    PPO experts become PPO models, TD3 and SAC experts models of their own; observation statistics
    are folded into the first layer, so the model takes raw observations. The model can be trained
    on; its critic predicts unscaled values. Target critics start as copies, and so does the twin
    critic of an expert that kept but one. The critic of an expert that has none is as wide as its
    policy, and untrained. `model.get_env().close()` frees the environment that it is trained on in.

    Raises:
        ValueError: if the manifest names no known algorithm.
    """
    env = ParamVecEnv(
        ParamVectorEnv(
            expert.family,
            1,
            contexts=[expert.context],
            reward=expert.record["reward"],
            autoreset_mode="SameStep",
        )
    )
    with ExitStack() as unless_made:
        unless_made.callback(env.close)
        model = _model_of(expert, env, buffer_size)
        unless_made.pop_all()
    return model


def _model_of(expert: Expert, env: VecEnv, buffer_size: int) -> BaseAlgorithm:
    algorithm = expert.record["algorithm"]
    networks = {"pi": expert.policy, "vf" if algorithm == "ppo" else "qf": expert.critic}
    widths = {
        name: [weight.shape[2] for weight in (network or expert.policy).weights[:-1]]
        for name, network in networks.items()
    }
    activation = ACTIVATIONS[expert.policy.activation]
    kwargs: dict[str, Any] = {"net_arch": widths, "activation_fn": activation}
    shared: dict[str, Any] = {"policy_kwargs": kwargs, "device": "cpu"}
    shared["gamma"] = expert.record["discount"]
    model: BaseAlgorithm
    if algorithm == "ppo":
        model = PPO(TanhMeanPolicy, env, **shared)
        if "log_std" in expert.extras:
            model.policy.log_std.data.copy_(torch.as_tensor(expert.extras["log_std"]))
    elif algorithm == "td3":
        model = TD3("MlpPolicy", env, buffer_size=buffer_size, **shared)
    elif algorithm == "sac":
        model = SAC("MlpPolicy", env, buffer_size=buffer_size, **shared)
        if "log_entropy_weight" in expert.extras and model.log_ent_coef is not None:
            model.log_ent_coef.data.copy_(torch.as_tensor(expert.extras["log_entropy_weight"]))
    else:
        raise ValueError(f"`algorithm` must be ppo, td3 or sac, got {algorithm!r}")
    actor, critic = _layers(model)
    _fill(actor, expert.policy.folded().layers(0))
    if expert.critic is not None:
        _fill(critic, expert.critic.folded().layers(0))
    policy = cast(Any, model.policy)
    if isinstance(model, TD3):
        policy.actor_target.load_state_dict(policy.actor.state_dict())
    if not isinstance(model, PPO):
        policy.critic.qf1.load_state_dict(policy.critic.qf0.state_dict())
        if expert.critic is not None:
            _fill_off_policy(policy, expert.extras)
        policy.critic_target.load_state_dict(policy.critic.state_dict())
    return model


def resume_ppo(model: PPO, normaliser: VecNormalize, expert: Expert) -> None:
    """Gives a PPO model and its normaliser the weights and statistics of an expert."""
    assert expert.critic is not None
    reward_scale = float(expert.extras["reward_scale"][0])
    weights = [weight[0].copy() for weight in expert.critic.weights]
    biases = [bias[0].copy() for bias in expert.critic.biases]
    weights[-1] /= reward_scale
    biases[-1] /= reward_scale
    actor, critic = _layers(model)
    _fill(critic, (weights, biases))
    _fill(actor, ([w[0] for w in expert.policy.weights], [b[0] for b in expert.policy.biases]))
    statistics: Any = normaliser.obs_rms
    assert expert.policy.mean is not None and expert.policy.scale is not None
    statistics.mean = expert.policy.mean[0].astype(np.float64)
    statistics.var = expert.policy.scale[0].astype(np.float64) ** 2 - normaliser.epsilon
    statistics.count = WARM_COUNT
    returns: Any = normaliser.ret_rms
    returns.var = np.float64(reward_scale**2 - normaliser.epsilon)
    returns.count = WARM_COUNT


def adopt_policy(model: PPO, normaliser: VecNormalize, expert: Expert) -> None:
    """Gives a PPO model the policy of an expert of any algorithm; the critic stays untrained.

    The normaliser's statistics come from episodes of that policy, and are folded out of its first
    layer, so that it acts as before.
    """
    normaliser.reset()
    for _ in range(STATISTICS_STEPS):
        observations = cast(Any, normaliser.get_original_obs())
        normaliser.step(expert.policy.act(observations[None])[0])
    statistics: Any = normaliser.obs_rms
    statistics.count = WARM_COUNT
    weights, biases = expert.policy.folded().layers(0)
    scale = np.sqrt(statistics.var + normaliser.epsilon)
    biases[0] = biases[0] + statistics.mean @ weights[0]
    weights[0] = weights[0] * scale[:, None]
    _fill(_layers(model)[0], (weights, biases))


def freeze_actor(model: PPO, frozen: bool) -> None:
    """Stops or lets the training of a PPO model's policy, but for its noise."""
    for layer in _layers(model)[0]:
        layer.requires_grad_(not frozen)


STATISTICS_STEPS = 400
"""Steps of every environment from which the statistics of an adopted policy come."""

WARM_COUNT = 1e6
"""Observations that inherited statistics count for, so that they move slowly."""


def _observation_statistics(
    normaliser: VecNormalize | None,
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    if normaliser is None or not normaliser.norm_obs:
        return None, None
    statistics: Any = normaliser.obs_rms
    scale = np.sqrt(statistics.var + normaliser.epsilon)
    return statistics.mean.astype(np.float32), scale.astype(np.float32)


def _reward_scale(normaliser: VecNormalize | None) -> float:
    if normaliser is None or not normaliser.norm_reward:
        return 1.0
    return float(np.sqrt(normaliser.ret_rms.var + normaliser.epsilon))


def _critic_statistics(
    mean: NDArray[np.float32] | None,
    scale: NDArray[np.float32] | None,
    model: BaseAlgorithm,
    kind: str,
) -> dict[str, Any]:
    if kind == "v" or mean is None or scale is None:
        return {"mean": mean, "scale": scale}
    n_actions = _size(model.action_space)
    return {
        "mean": np.concatenate([mean, np.zeros(n_actions, dtype=np.float32)]),
        "scale": np.concatenate([scale, np.ones(n_actions, dtype=np.float32)]),
    }


def _size(space: Any) -> int:
    return int(np.prod(space.shape))


def _layers(model: BaseAlgorithm) -> tuple[list[nn.Linear], list[nn.Linear]]:
    policy: Any = model.policy
    if isinstance(model, PPO) and isinstance(policy, TanhMeanPolicy):
        heads = policy.mlp_extractor
        return (
            [*_linears(heads.policy_net), *_linears(policy.action_net)],
            [*_linears(heads.value_net), *_linears(policy.value_net)],
        )
    if isinstance(model, TD3):
        return _linears(policy.actor.mu), _linears(policy.critic.qf0)
    if isinstance(model, SAC):
        actor = [*_linears(policy.actor.latent_pi), *_linears(policy.actor.mu)]
        return actor, _linears(policy.critic.qf0)
    raise ValueError(
        "`model` must be TD3, SAC, or PPO with TanhMeanPolicy, got "
        f"{type(model).__name__} with {type(policy).__name__}"
    )


def _fill_off_policy(policy: Any, extras: Mapping[str, NDArray[np.float32]]) -> None:
    """Twin critic and SAC's deviations, where they were kept."""
    heads = {f"twin.{layer}": linear for layer, linear in enumerate(_linears(policy.critic.qf1))}
    if hasattr(policy.actor, "log_std"):
        heads["log_std"] = policy.actor.log_std
    for name, linear in heads.items():
        if f"{name}.weight" in extras:
            _fill([linear], ([extras[f"{name}.weight"]], [extras[f"{name}.bias"]]))


def _off_policy_extras(model: BaseAlgorithm) -> dict[str, NDArray[np.float32]]:
    """Twin critic, SAC's deviations and log entropy weight, named as by `experts.offpolicy`."""
    policy: Any = model.policy
    extras: dict[str, NDArray[np.float32]] = {}
    for layer, linear in enumerate(_linears(policy.critic.qf1)):
        extras[f"twin.{layer}.weight"] = np.ascontiguousarray(_array(linear.weight).T)
        extras[f"twin.{layer}.bias"] = _array(linear.bias)
    if isinstance(model, SAC):
        extras["log_std.weight"] = np.ascontiguousarray(_array(policy.actor.log_std.weight).T)
        extras["log_std.bias"] = _array(policy.actor.log_std.bias)
        if model.log_ent_coef is not None:
            extras["log_entropy_weight"] = _array(model.log_ent_coef).reshape(1)
    return extras


def _linears(network: nn.Module) -> list[nn.Linear]:
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float32)


def _stacked(
    layers: Sequence[nn.Linear],
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    weights = [np.ascontiguousarray(_array(layer.weight).T)[None] for layer in layers]
    return weights, [_array(layer.bias)[None] for layer in layers]


def _fill(
    layers: Sequence[nn.Linear], values: tuple[Sequence[NDArray[Any]], Sequence[NDArray[Any]]]
) -> None:
    with torch.no_grad():
        for layer, weight, bias in zip(layers, *values, strict=True):
            layer.weight.copy_(torch.as_tensor(weight.T.copy()))
            layer.bias.copy_(torch.as_tensor(bias.copy()))


def training_env(
    family: Family,
    context: Mapping[str, float],
    reward: str,
    n_envs: int,
    episode_steps: int | None = None,
    retry_share: float = 0.0,
    seed: int = 0,
) -> tuple[VecEnv, ParamVectorEnv]:
    """The environments that one expert trains in, all in the same context, on one thread.

    Their episodes have `episode_steps`, by default the family's; a share of them starts where
    another failed (`RetryingVecEnv`), as chosen by `seed`.
    """
    env = ParamVectorEnv(
        family,
        n_envs,
        contexts=[family.context(**context)] * n_envs,
        reward=reward,
        autoreset_mode="SameStep",
        n_threads=1,
        max_episode_steps=episode_steps,
    )
    if retry_share > 0.0:
        return RetryingVecEnv(env, retry_share, seed), env
    return ParamVecEnv(env), env
