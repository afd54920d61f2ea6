"""Recipes: an SB3 algorithm with all its hyperparameters, per family where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Algorithm = Literal["ppo", "td3", "sac"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one expert is trained.

    Attributes:
        name: under which the recipe is recorded.
        algorithm: of Stable-Baselines3.
        total_steps: environment steps of a training from scratch.
        warm_steps: environment steps after a warm start from a neighbour's expert.
        n_envs: parallel environments.
        hidden: width of each hidden layer of policy and critic.
        activation: of the hidden layers.
        learning_rate: of Adam, at the start.
        final_learning_rate: reached linearly at the end; equal to the first for a constant one.
        discount: γ.
        batch_size: samples a gradient step.
        exploration: standard deviation of the actions' noise at the start (before squashing for
            PPO; SAC tunes its own and ignores it).
        warm_exploration: the same, at the start of a training that was warm-started.
        final_exploration: reached at the end of `exploration_steps`, geometrically for PPO and
            linearly for TD3. With little noise left, the deterministic policy does what was
            trained: under noise a gait is slower or faster than without.
        exploration_steps: environment steps over which exploration falls; None for all of them.
        normalise_reward: divide rewards by the running deviation of the discounted return.
        rollout_steps: PPO, steps an environment between updates.
        epochs: PPO, passes over a rollout.
        gae_lambda: PPO, λ of generalised advantage estimation.
        clip_range: PPO, of the probability ratio.
        entropy_weight: PPO, weight of the entropy bonus.
        learning_starts: TD3 and SAC, uniformly random steps before the first update.
        target_tau: TD3 and SAC, rate of the target networks.
        orthogonal: TD3, orthogonal weights and zero biases at the start.

    Raises:
        ValueError: for a number that makes no sense, named.
    """

    name: str
    algorithm: Algorithm
    total_steps: int
    warm_steps: int
    n_envs: int
    hidden: tuple[int, ...]
    activation: Literal["tanh", "relu"]
    learning_rate: float
    final_learning_rate: float
    discount: float = 0.99
    batch_size: int = 256
    exploration: float = 0.1
    warm_exploration: float = 0.1
    final_exploration: float = 0.1
    exploration_steps: int | None = None
    normalise_reward: bool = False
    rollout_steps: int = 128
    epochs: int = 6
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    entropy_weight: float = 0.0
    learning_starts: int = 4000
    target_tau: float = 0.005
    orthogonal: bool = False

    def __post_init__(self) -> None:
        positive = (
            "total_steps",
            "warm_steps",
            "n_envs",
            "learning_rate",
            "final_learning_rate",
            "batch_size",
            "exploration",
            "warm_exploration",
            "final_exploration",
            "rollout_steps",
            "epochs",
        )
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be above 0, got {getattr(self, name)}")
        if not 0.0 < self.discount < 1.0:
            raise ValueError(f"`discount` must be in (0, 1), got {self.discount}")
        if self.algorithm not in ("ppo", "td3", "sac"):
            raise ValueError(f"`algorithm` must be ppo, td3 or sac, got {self.algorithm!r}")


@dataclass(frozen=True, kw_only=True)
class RecipeFamily:
    """A recipe and what single families change in it, by environment id."""

    base: Recipe
    families: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def for_family(self, env_id: str) -> Recipe:
        """The recipe with that family's settings."""
        return replace(self.base, **self.families.get(env_id, {}))  # type: ignore[arg-type]


RECIPES: dict[str, RecipeFamily] = {
    # Squashed Gaussian PPO on 64 environments: minutes a context on one core.
    "ppo-fast": RecipeFamily(
        base=Recipe(
            name="ppo-fast",
            algorithm="ppo",
            total_steps=2_500_000,
            warm_steps=800_000,
            n_envs=64,
            hidden=(64, 64),
            activation="tanh",
            learning_rate=1e-3,
            final_learning_rate=5e-5,
            batch_size=2048,
            exploration=0.8,
            warm_exploration=0.4,
            final_exploration=0.12,
            normalise_reward=True,
        ),
        families={
            "ParamWalker-v0": {
                "hidden": (128, 128),
                "learning_rate": 3e-4,
                "discount": 0.995,
                "entropy_weight": 0.003,
                "rollout_steps": 64,
                "batch_size": 1024,
                "epochs": 10,
            },
        },
    ),
    # HyperZero's experts: the released code's TD3, one environment, one update a step.
    "td3-paper": RecipeFamily(
        base=Recipe(
            name="td3-paper",
            algorithm="td3",
            total_steps=1_000_000,
            warm_steps=200_000,
            n_envs=1,
            hidden=(256, 256),
            activation="relu",
            learning_rate=1e-4,
            final_learning_rate=1e-4,
            batch_size=256,
            exploration=1.0,
            final_exploration=0.1,
            exploration_steps=100_000,
            learning_starts=4000,
            target_tau=0.01,
            orthogonal=True,
        ),
        families={"ParamWalker-v0": {"batch_size": 512}},
    ),
    # GenHyper's experts: SAC with CleanRL's networks; SB3 has one learning rate for all of them.
    "sac-paper": RecipeFamily(
        base=Recipe(
            name="sac-paper",
            algorithm="sac",
            total_steps=1_000_000,
            warm_steps=200_000,
            n_envs=1,
            hidden=(256, 256),
            activation="relu",
            learning_rate=3e-4,
            final_learning_rate=3e-4,
            batch_size=256,
            learning_starts=5000,
            target_tau=0.005,
        ),
    ),
}


def recipe_for(name: str, env_id: str) -> Recipe:
    """The recipe `name` with the settings of a family.

    Raises:
        ValueError: if there is no recipe of that name.
    """
    if name not in RECIPES:
        raise ValueError(f"`recipe` must be one of {sorted(RECIPES)}, got {name!r}")
    return RECIPES[name].for_family(env_id)
