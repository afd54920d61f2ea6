"""Near-optimal policies for every context, built through Stable-Baselines3, and their rollouts.

The names that need torch and Stable-Baselines3 (`build`, `train`, `to_sb3`, `ParamVecEnv`) live in
their own modules; what is re-exported here only needs NumPy and safetensors.
"""

from experts.build import BuildError, BuildProgress, build
from experts.evaluation import Played, Policies, play
from experts.policy import MLPPolicies, MLPs
from experts.recipes import RECIPES, Recipe, recipe_for
from experts.rollouts import Rollouts, collect
from experts.store import Expert, Experts, gather, load_expert, load_experts, save_expert, zoo_path

__all__ = [
    "RECIPES",
    "BuildError",
    "BuildProgress",
    "Expert",
    "Experts",
    "MLPPolicies",
    "MLPs",
    "Played",
    "Policies",
    "Recipe",
    "Rollouts",
    "build",
    "collect",
    "gather",
    "load_expert",
    "load_experts",
    "play",
    "recipe_for",
    "save_expert",
    "zoo_path",
]
