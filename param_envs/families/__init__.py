"""The families, one a file. `FAMILIES` is the registry: an environment id to its family."""

from param_envs.families.cheetah import Cheetah
from param_envs.family import Family

FAMILIES: dict[str, Family] = {family.env_id: family for family in (Cheetah(),)}


def family_of(env_id: str) -> Family:
    """The family registered as `env_id`.

    Raises:
        ValueError: if there is none.
    """
    if env_id not in FAMILIES:
        raise ValueError(f"`env_id` must be one of {sorted(FAMILIES)}, got {env_id!r}")
    return FAMILIES[env_id]
