"""The families, one a file. `FAMILIES` is the registry: an environment id to its family."""

from param_envs.families.ant import Ant
from param_envs.families.cheetah import Cheetah
from param_envs.families.cheetah_vel import CheetahVel
from param_envs.families.finger import Finger
from param_envs.families.walker import Walker
from param_envs.family import Family

FAMILIES: dict[str, Family] = {
    family.env_id: family for family in (Cheetah(), Walker(), Finger(), Ant(), CheetahVel())
}


def family_of(env_id: str) -> Family:
    """The family registered as `env_id`.

    Raises:
        ValueError: if there is none.
    """
    if env_id not in FAMILIES:
        raise ValueError(f"`env_id` must be one of {sorted(FAMILIES)}, got {env_id!r}")
    return FAMILIES[env_id]
