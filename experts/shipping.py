"""Experts as small as they get, for zoos whose networks are wide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from experts.policy import Floats, MLPPolicies
from experts.store import load_expert, save_expert
from experts.training import evaluated


def lighten(source: Path, target: Path) -> tuple[int, int]:
    """Copies the experts of a folder as policies alone, in float16.

    Critics, and what else only a warm start needs, are left out. The rounded policies are evaluated
    anew, so that manifests tell what the copies do.

    Returns:
        Bytes of all weights before and after.

    Raises:
        ValueError: naming the file, if an expert is damaged, or beyond the range of float16.
        FileExistsError: if `target` has experts already.
        OSError: if the disk is full or the folder cannot be written.
    """
    if any(target.glob("*.json")):
        raise FileExistsError(f"`target` must not have experts yet, {target} has")
    before = after = 0
    for manifest in sorted(source.glob("*.json")):
        expert = load_expert(manifest)
        try:
            policy = _rounded(expert.policy)
        except ValueError as error:
            raise ValueError(f"{manifest}: must be in the range of float16: {error}") from error
        record = {**expert.record, "critic": None}
        light = replace(expert, policy=policy, critic=None, extras={}, record=record)
        written = save_expert(evaluated(light), target, policy_dtype="float16")
        before += manifest.with_suffix(".safetensors").stat().st_size
        after += written.with_suffix(".safetensors").stat().st_size
    return before, after


def _rounded(policy: MLPPolicies) -> MLPPolicies:
    return replace(
        policy,
        weights=tuple(_halved(weight) for weight in policy.weights),
        biases=tuple(_halved(bias) for bias in policy.biases),
    )


def _halved(array: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return array.astype(np.float16).astype(np.float32)
