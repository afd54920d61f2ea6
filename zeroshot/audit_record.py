"""Audits on disk: a JSON of what is said about each expert, and an array of the matrix."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from experts.audit import Audit
from experts.provenance import command, commit, machine, now, versions
from experts.store import Experts, expert_name, load_experts, write_atomically
from param_envs import family_of
from zeroshot.suites import Suite

FORMAT_VERSION = 1


def policies_fingerprint(experts: Experts) -> str:
    """A checksum of what experts do: their contexts and policies, not their critics."""
    digest = hashlib.sha256(" ".join(map(expert_name, experts.contexts)).encode())
    policies = experts.policies
    for array in (*policies.weights, *policies.biases, policies.mean, policies.scale):
        if array is not None:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def audit_record(
    audit: Audit, suite: Suite, *, experts: Experts, donors: Sequence[str], seconds: float
) -> dict[str, Any]:
    """An audit as JSON has it, but for the matrix.

    Args:
        audit: the audit.
        suite: the suite whose experts were played.
        experts: those that were played.
        donors: names of the other zoos whose experts were rivals.
        seconds: that it took.
    """
    tracking = None
    if audit.speed_errors is not None and audit.reachable is not None:
        within = audit.speed_errors[audit.reachable]
        tracking = {
            "reachable": int(audit.reachable.sum()),
            "mean": _rounded(within.mean() if len(within) else float("nan")),
            "largest": _rounded(within.max() if len(within) else float("nan")),
            "above_0.1": int((within > 0.1).sum()),
        }
    direction = audit.direction_relevance
    return {
        "format": FORMAT_VERSION,
        "suite": suite.name,
        "suite_version": suite.version,
        "env_id": suite.env_id,
        "reward": suite.reward,
        "experts": policies_fingerprint(experts),
        "donors": list(donors),
        "n_experts": len(audit),
        "n_contexts": len(suite.contexts),
        "mean_return": _rounded(audit.own.mean()),
        "threshold": audit.threshold,
        "beaten": int(audit.beaten.sum()),
        "largest_relative_regret": _rounded(audit.relative_regret.max()),
        "best_single": dict(audit.contexts[audit.best_single]),
        "context_relevance": _rounded(audit.context_relevance),
        "direction_relevance": None if direction is None else _rounded(direction),
        "neighbour_relevance": _rounded(audit.neighbour_relevance),
        "tracking": tracking,
        "finding_episodes": audit.finding_episodes,
        "confirming_episodes": audit.confirming_episodes,
        "deciding_episodes": audit.deciding_episodes,
        "seed": audit.seed,
        "command": command(),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "date": now(),
        "wall_seconds": round(seconds, 1),
        "rows": [_row(audit, i) for i in range(len(audit))],
    }


def save_audit(audit: Audit, record: dict[str, Any], out: Path) -> Path:
    """Writes `SUITE.json` and `SUITE.npz` to a folder; returns the JSON's path."""
    out.mkdir(parents=True, exist_ok=True)
    buffer = BytesIO()
    np.savez_compressed(buffer, returns=audit.returns.astype(np.float32))
    path = out / f"{record['suite']}.json"
    write_atomically(path.with_suffix(".npz"), buffer.getvalue())
    write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())
    return path


def load_audit(path: Path) -> tuple[Audit, dict[str, Any]]:
    """Reads what `save_audit` wrote: the audit, its numbers rounded, and the whole record.

    Raises:
        ValueError: naming the file, if one is missing, damaged, or of another format.
    """
    try:
        record = json.loads(path.read_text())
        with np.load(BytesIO(path.with_suffix(".npz").read_bytes())) as arrays:
            returns = arrays["returns"].astype(np.float64)
        if record["format"] != FORMAT_VERSION:
            raise ValueError(f"`format` must be {FORMAT_VERSION}, got {record['format']}")
        rows = record["rows"]
        if returns.shape != (len(rows), len(rows)):
            raise ValueError(f"the matrix must be of {len(rows)} experts, got {returns.shape}")
        family = family_of(record["env_id"])
        audit = Audit(
            family=family,
            reward=record["reward"],
            contexts=tuple(family.context(**row["context"]) for row in rows),
            returns=returns,
            own=_column(rows, "own"),
            regret=_column(rows, "regret"),
            regret_error=_column(rows, "regret_error"),
            rivals=tuple(Path(f"{row['rival']}.json") for row in rows),
            velocities=_column(rows, "velocity") if "velocity" in rows[0] else None,
            limits=_column(rows, "limit") if "limit" in rows[0] else None,
            threshold=record["threshold"],
            finding_episodes=record["finding_episodes"],
            confirming_episodes=record["confirming_episodes"],
            deciding_episodes=record.get("deciding_episodes", 0),
            decided=np.array([row.get("decided", False) for row in rows], dtype=np.bool_),
            seed=record["seed"],
        )
    except (
        OSError,
        EOFError,
        BadZipFile,
        zlib.error,
        KeyError,
        IndexError,
        TypeError,
        ValueError,
    ) as error:
        raise ValueError(f"{path}: not a whole audit ({error})") from error
    return audit, record


def load_findings(
    path: Path, suite: Suite, directory: Path, donors: Sequence[Path], threshold: float
) -> Audit:
    """Reads an audit of the experts in a folder, whose rivals are in that folder and the donors'.

    Args:
        path: what `save_audit` wrote.
        suite: of the experts.
        directory: folder of the experts.
        donors: the further folders that the audit was made with, in any order.
        threshold: takes the place of the audit's own.

    Raises:
        ValueError: naming the file, if it is damaged, of another suite or of other experts, or if a
            rival's folder is not among the donors.
    """
    audit, record = load_audit(path)
    for name, has, needs in (
        ("suite", record["suite"], suite.name),
        ("experts", record["experts"], policies_fingerprint(load_experts(directory))),
    ):
        if has != needs:
            raise ValueError(f"{path}: is of {name} {has}, {directory} has {needs}: audit anew")
    folders = {donor.name: donor for donor in donors}
    missing = sorted({*record["donors"]} - {*folders})
    if missing:
        raise ValueError(f"{path}: was made with the donors {', '.join(missing)} too: name them")
    rivals = tuple(
        folders[rival.parent.name] / rival.name
        if rival.parent.name in record["donors"]
        else directory / rival.name
        for rival in audit.rivals
    )
    return replace(audit, rivals=rivals, threshold=threshold)


def _row(audit: Audit, i: int) -> dict[str, Any]:
    row = {
        "context": dict(audit.contexts[i]),
        "own": _rounded(audit.own[i]),
        "regret": _rounded(audit.regret[i]),
        "regret_error": _rounded(audit.regret_error[i]),
        "decided": bool(audit.decided[i]),
        "rival": f"{audit.rivals[i].parent.name}/{audit.rivals[i].stem}",
    }
    if audit.velocities is not None and audit.limits is not None:
        row["velocity"] = _rounded(audit.velocities[i])
        row["limit"] = _rounded(audit.limits[i])
    return row


def _rounded(value: float | np.floating) -> float | None:
    number = float(value)
    return None if np.isnan(number) else round(number, 4)


def _column(rows: Sequence[dict[str, Any]], name: str) -> NDArray[np.float64]:
    return np.array([row[name] for row in rows], dtype=np.float64)
