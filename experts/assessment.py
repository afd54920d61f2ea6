"""Is an expert near-optimal? What its manifest says where its return falls short."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experts.store import write_atomically
from param_envs import family_of

ENOUGH = 0.9
"""Share of the largest possible return (1 a step) above which an expert needs no explanation."""
REACHED = 0.9
"""Share of the desired speed from which it counts as reached: the start from rest costs some."""


def assess(directory: Path, limits: Mapping[str, float] | None = None) -> dict[str, str]:
    """Writes `shortfall` into the manifests of a speed family's zoo: null, or why it falls short.

    The largest possible return is 1 a step. An expert below 0.9 of it either asks for more than the
    fastest known policy reaches in that direction, which is evidence of the body's limit and no
    proof, or it is named as improvable.

    Args:
        directory: the zoo.
        limits: expert's name to the highest mean velocity in its desired direction that any policy
            had in its body, as an audit measures it. Without them the zoo's fastest expert of the
            direction stands in, whatever its body.

    Returns:
        Expert's name to its shortfall, where there is one; empty for families without a speed.
    """
    records = {path: json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))}
    fastest = {-1.0: 0.0, 1.0: 0.0}
    for record in records.values():
        if not _has_speed(record):
            return {}
        speed = record["evaluation"]["velocity_mean"]
        sign = 1.0 if speed > 0 else -1.0
        fastest[sign] = max(fastest[sign], abs(speed))
    said = {}
    for path, record in records.items():
        if limits is not None and path.stem in limits:
            limit, who = limits[path.stem], "any policy tried in its body means"
        else:
            limit = fastest[1.0 if record["context"]["speed"] > 0 else -1.0]
            who = "the fastest expert of this zoo means in that direction"
        reason = _shortfall(record, limit, who)
        if reason is not None:
            said[path.stem] = reason
        if record.get("shortfall", "") != reason:
            text = json.dumps({**record, "shortfall": reason}, indent=1) + "\n"
            write_atomically(path, text.encode())
    return said


def _has_speed(record: dict[str, Any]) -> bool:
    return "speed" in record["context"] and "velocity_mean" in record["evaluation"]


def _shortfall(record: dict[str, Any], limit: float, who: str) -> str | None:
    possible = float(family_of(record["env_id"]).max_episode_steps)
    share = record["evaluation"]["return_mean"] / possible
    if share >= ENOUGH:
        return None
    desired = record["context"]["speed"]
    if abs(desired) * REACHED > limit:
        return (
            f"{share:.2f} of the largest possible return: {desired:g} asks for more than the "
            f"{limit:.2f} that {who}"
        )
    return (
        f"{share:.2f} of the largest possible return, though the speed is within reach: improvable"
    )
