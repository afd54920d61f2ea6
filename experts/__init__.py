"""Near-optimal policies for every context, built through Stable-Baselines3, and their rollouts.

The names that need torch and Stable-Baselines3 (`build`, `train`, `to_sb3`, `ParamVecEnv`) live in
their own modules; what is re-exported here only needs NumPy and safetensors.
"""

from experts.audit import Audit, audit
from experts.build import build
from experts.collections import Collection, load_collection, read_checkpoints, save_collection
from experts.evaluation import Played, Policies, play
from experts.jobs import BuildError, BuildProgress
from experts.policy import MLPPolicies, MLPs
from experts.rebuild import Repaired, RepairSettings
from experts.recipes import RECIPES, Recipe, recipe_for
from experts.repair import Repair, repair, repair_rounds
from experts.rollouts import Rollouts, collect
from experts.store import Expert, Experts, gather, load_expert, load_experts, save_expert, zoo_path
from experts.transfer import transfer_matrix

__all__ = [
    "RECIPES",
    "Audit",
    "BuildError",
    "BuildProgress",
    "Collection",
    "Expert",
    "Experts",
    "MLPPolicies",
    "MLPs",
    "Played",
    "Policies",
    "Recipe",
    "Repair",
    "RepairSettings",
    "Repaired",
    "Rollouts",
    "audit",
    "build",
    "collect",
    "gather",
    "load_collection",
    "load_expert",
    "load_experts",
    "play",
    "read_checkpoints",
    "recipe_for",
    "repair",
    "repair_rounds",
    "save_collection",
    "save_expert",
    "transfer_matrix",
    "zoo_path",
]
