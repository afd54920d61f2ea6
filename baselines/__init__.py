"""What hypernetworks are compared with: the same data and embedding, without generated weights."""

from baselines.conditioned import Conditioned, ConditionedConfig, FittedConditioned
from baselines.film import FiLM, FiLMConfig
from baselines.interpolation import FittedInterpolation, Interpolation, InterpolationConfig
from baselines.maml import MAML, FittedMAML, MAMLConfig
from baselines.pearl import PEARL, FittedPEARL, PEARLConfig, PEARLPolicies
from baselines.uvfa import UVFA, FittedUVFA, UVFAConfig

__all__ = [
    "MAML",
    "PEARL",
    "UVFA",
    "Conditioned",
    "ConditionedConfig",
    "FiLM",
    "FiLMConfig",
    "FittedConditioned",
    "FittedInterpolation",
    "FittedMAML",
    "FittedPEARL",
    "FittedUVFA",
    "Interpolation",
    "InterpolationConfig",
    "MAMLConfig",
    "PEARLConfig",
    "PEARLPolicies",
    "UVFAConfig",
]
