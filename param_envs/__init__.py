"""Gymnasium environments whose reward and body are parameters.

`import param_envs` registers the environments; `gym.make("ParamCheetah-v0", speed=2.0)` makes one,
`gym.make_vec("ParamCheetah-v0", num_envs=64, torso=...)` steps many different bodies at once.
"""

from param_envs.offscreen import use_offscreen_backend

use_offscreen_backend()

from param_envs.checks import ContextCheckError, ContextReport, FeatureEffect, check_context_env  # noqa: E402
from param_envs.context import Context, Feature, stack_contexts  # noqa: E402
from param_envs.env import ParamEnv  # noqa: E402
from param_envs.families import FAMILIES, family_of  # noqa: E402
from param_envs.family import Family, State  # noqa: E402
from param_envs.registration import register_all  # noqa: E402
from param_envs.sampling import ListSampler, UniformSampler  # noqa: E402
from param_envs.vector_env import ParamVectorEnv  # noqa: E402
from param_envs.wrappers import ContextObservation, ContextVectorObservation  # noqa: E402

__all__ = [
    "FAMILIES",
    "Context",
    "ContextCheckError",
    "ContextObservation",
    "ContextReport",
    "ContextVectorObservation",
    "Family",
    "Feature",
    "FeatureEffect",
    "ListSampler",
    "ParamEnv",
    "ParamVectorEnv",
    "State",
    "UniformSampler",
    "check_context_env",
    "family_of",
    "register_all",
    "stack_contexts",
]

register_all()
