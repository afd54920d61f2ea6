"""Recipes: an SB3 algorithm with all its hyperparameters, per family where they differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from experts.validation import require

Algorithm = Literal["ppo", "td3", "sac"]


_COUNTS = {
    "total_steps": 1,
    "warm_steps": 1,
    "n_envs": 1,
    "batch_size": 1,
    "n_candidates": 1,
    "rollout_steps": 1,
    "epochs": 1,
    "policy_delay": 1,
    "updates_per_step": 1,
    "buffer_size": 1,
    "episode_steps": 1,
    "exploration_steps": 1,
    "critic_steps": 0,
    "learning_starts": 0,
    "policy_hold": 0,
    "handed_on": 0,
}
_RATES = (
    "learning_rate",
    "final_learning_rate",
    "warm_learning_rate",
    "exploration",
    "warm_exploration",
    "final_exploration",
    "clip_range",
    "final_layer_scale",
    "target_noise_clip",
)
_WEIGHTS = ("entropy_weight", "target_noise")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one expert is trained.

    Attributes:
        name: under which the recipe is recorded.
        algorithm: of Stable-Baselines3.
        total_steps: environment steps of a training from scratch.
        warm_steps: environment steps after a warm start from a neighbour's expert.
        critic_steps: PPO, environment steps within a training that started from an expert of TD3 or
            SAC before the policy changes.
        n_envs: parallel environments.
        hidden: width of each hidden layer of policy and critic.
        critic_hidden: the same for the critic alone, where it differs.
        activation: of the hidden layers.
        learning_rate: of Adam, at the start.
        final_learning_rate: reached linearly at the end; equal to the first for a constant one.
        warm_learning_rate: TD3 and SAC, the rate at the start of a training that was warm-started;
            None for `learning_rate`.
        discount: γ.
        batch_size: samples a gradient step.
        exploration: standard deviation of the actions' noise at the start (SAC tunes its own and
            ignores it).
        warm_exploration: the same, at the start of a training that was warm-started.
        final_exploration: reached at the end of `exploration_steps`, geometrically for PPO and
            linearly for TD3. With little noise left, the deterministic policy does what was
            trained: under noise a gait is slower or faster than without.
        exploration_steps: environment steps over which exploration falls; None for all of them.
        n_candidates: snapshots over the last quarter of a training, the last one included, of which
            the one whose deterministic play is best is kept. A policy that explores a little never
            sees the postures in which it would rest for ever without. Of TD3 and SAC the expert
            that a chained training starts from is one more.
        episode_steps: control steps of a training's episodes; None for the family's. Short ones see
            more of the starts, on which robust policies depend; they count as truncated, so that
            the values of what would follow are learned all the same.
        retry_share: share of a training's episodes that start where an episode of less than half
            the median return did (`experts.vec_env.RetryingVecEnv`).
        normalise_reward: divide rewards by the running deviation of the discounted return.
        rollout_steps: PPO, steps an environment between updates.
        epochs: PPO, passes over a rollout.
        gae_lambda: PPO, λ of generalised advantage estimation.
        clip_range: PPO, of the probability ratio.
        entropy_weight: PPO, weight of the entropy bonus.
        learning_starts: TD3 and SAC, uniformly random steps before the first update.
        target_tau: TD3 and SAC, rate of the target networks.
        orthogonal: TD3, orthogonal weights and zero biases at the start.
        final_layer_scale: TD3, the policy's last layer at the start is multiplied by it. With a
            small one, actions start near 0, where tanh has a slope to learn by.
        exploration_levels: TD3, parallel environment i has `exploration` times level i (they are
            repeated, or cut off, to `n_envs`), so that careful and bold behaviour is seen at once.
        target_noise: TD3, deviation of the smoothing noise; None to follow `exploration`.
        target_noise_clip: TD3, bound of the smoothing noise.
        policy_delay: TD3, updates of the critics an update of the policy.
        policy_hold: TD3 and SAC of `train_many`, first updates that train critics alone: the slope
            of a critic that knows nothing drives tanh into saturation.
        updates_per_step: TD3 and SAC, updates after each step of all parallel environments.
        buffer_size: TD3 and SAC, transitions that the replay holds for one expert.
        handed_on: TD3 and SAC, transitions of an expert's training that those chained to it with
            the same body take on, with rewards computed anew, and with them the networks and
            optimisers as they were when the expert's policy was made. With none, a chained training
            begins with an empty replay, and its policy first gets worse.

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
    warm_learning_rate: float | None = None
    discount: float = 0.99
    batch_size: int = 256
    exploration: float = 0.1
    warm_exploration: float = 0.1
    final_exploration: float = 0.1
    exploration_steps: int | None = None
    critic_hidden: tuple[int, ...] | None = None
    n_candidates: int = 1
    critic_steps: int = 100_000
    episode_steps: int | None = None
    retry_share: float = 0.0
    normalise_reward: bool = False
    rollout_steps: int = 128
    epochs: int = 6
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    entropy_weight: float = 0.0
    learning_starts: int = 4000
    target_tau: float = 0.005
    orthogonal: bool = False
    final_layer_scale: float = 1.0
    exploration_levels: tuple[float, ...] = (1.0,)
    target_noise: float | None = None
    target_noise_clip: float = 0.3
    policy_delay: int = 2
    policy_hold: int = 0
    updates_per_step: int = 1
    buffer_size: int = 1_000_000
    handed_on: int = 0

    def __post_init__(self) -> None:
        for name, least in _COUNTS.items():
            value = getattr(self, name)
            if value is not None:
                whole = isinstance(value, int) and value >= least
                require(name, value, whole, f"a whole number of at least {least}")
        for name in _RATES:
            value = getattr(self, name)
            if value is not None:
                require(name, value, 0.0 < value < math.inf, "above 0 and finite")
        for name in _WEIGHTS:
            value = getattr(self, name)
            if value is not None:
                require(name, value, 0.0 <= value < math.inf, "at least 0 and finite")
        require("retry_share", self.retry_share, 0.0 <= self.retry_share <= 1.0, "in [0, 1]")
        require("gae_lambda", self.gae_lambda, 0.0 <= self.gae_lambda <= 1.0, "in [0, 1]")
        require("target_tau", self.target_tau, 0.0 < self.target_tau <= 1.0, "in (0, 1]")
        require("discount", self.discount, 0.0 < self.discount < 1.0, "in (0, 1)")
        known = ("ppo", "td3", "sac")
        require("algorithm", self.algorithm, self.algorithm in known, "ppo, td3 or sac")
        for name in ("hidden", "critic_hidden"):
            widths = getattr(self, name) or ()
            require(name, widths, all(width >= 1 for width in widths), "widths of at least 1")
        levels = self.exploration_levels
        fits = bool(levels) and all(0.0 <= level < math.inf for level in levels)
        require("exploration_levels", levels, fits, "numbers of at least 0")

    @property
    def levels(self) -> tuple[float, ...]:
        """`exploration_levels`, one a parallel environment."""
        repeats = -(-self.n_envs // len(self.exploration_levels))
        return (self.exploration_levels * repeats)[: self.n_envs]


@dataclass(frozen=True, kw_only=True)
class RecipeFamily:
    """A recipe and what single families change in it, by environment id."""

    base: Recipe
    families: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def for_family(self, env_id: str) -> Recipe:
        """The recipe with that family's settings."""
        return replace(self.base, **self.families.get(env_id, {}))  # type: ignore[arg-type]


RECIPES: dict[str, RecipeFamily] = {
    # PPO on 64 environments: minutes a context on one core.
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
            warm_exploration=0.25,
            final_exploration=0.06,
            n_candidates=5,
            normalise_reward=True,
        ),
        families={
            "ParamWalker-v0": {
                "activation": "relu",
                "learning_rate": 1e-3,
                "rollout_steps": 64,
                "batch_size": 512,
                "epochs": 8,
                "total_steps": 1_500_000,
                "warm_exploration": 0.3,
                "final_exploration": 0.15,
                "n_candidates": 3,
                "episode_steps": 250,
            },
            "ParamFinger-v0": {
                "rollout_steps": 64,
                "batch_size": 512,
                "epochs": 8,
                "total_steps": 1_000_000,
                "exploration": 0.6,
                "warm_exploration": 0.25,
                "final_exploration": 0.08,
                "episode_steps": 150,
                "retry_share": 0.5,
            },
        },
    ),
    # Soft actor-critic on 8 environments, small networks: where PPO gets stuck (the walker crawls),
    # a quarter of an hour on one core gives an expert that a PPO chain can start from.
    "sac-fast": RecipeFamily(
        base=Recipe(
            name="sac-fast",
            algorithm="sac",
            total_steps=240_000,
            warm_steps=80_000,
            n_envs=8,
            hidden=(64, 64),
            critic_hidden=(128, 128),
            activation="relu",
            learning_rate=1e-3,
            final_learning_rate=1e-3,
            learning_starts=5000,
            target_tau=0.01,
            updates_per_step=4,
            buffer_size=300_000,
            n_candidates=5,
        ),
    ),
    # Policies as wide as SAC's usual ones, for methods in weight space, on a laptop: narrow critics
    # and small batches. A link of a chain takes 1 or 2 minutes of a core.
    "sac-laptop": RecipeFamily(
        base=Recipe(
            name="sac-laptop",
            algorithm="sac",
            total_steps=200_000,
            warm_steps=16_000,
            n_envs=8,
            hidden=(256, 256),
            critic_hidden=(128, 128),
            activation="relu",
            learning_rate=1e-3,
            final_learning_rate=1e-4,
            warm_learning_rate=3e-4,
            batch_size=128,
            learning_starts=4000,
            target_tau=0.005,
            updates_per_step=4,
            buffer_size=300_000,
            n_candidates=5,
            handed_on=100_000,
        ),
        families={"ParamAnt-v0": {"n_candidates": 9}},  # it falls now and then
    ),
    # TD3 for `train_many`: bold and careful exploration at once, a policy that starts near zero
    # action and rests until its critics know something. Resting is worth 100 on the cheetah
    # ("reach"), and there it stays for 50,000 steps and more; what came then is in docs/zoo.md.
    "td3-fast": RecipeFamily(
        base=Recipe(
            name="td3-fast",
            algorithm="td3",
            total_steps=240_000,
            warm_steps=80_000,
            n_envs=8,
            hidden=(64, 64),
            activation="relu",
            learning_rate=1e-3,
            final_learning_rate=1e-3,
            batch_size=128,
            exploration=1.0,
            final_exploration=0.1,
            exploration_steps=100_000,
            exploration_levels=(1.0, 0.5, 0.25, 0.1),
            target_noise=0.2,
            learning_starts=5000,
            target_tau=0.01,
            orthogonal=True,
            final_layer_scale=0.1,
            policy_hold=2000,
            updates_per_step=4,
            buffer_size=300_000,
            n_candidates=5,
        ),
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
