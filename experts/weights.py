"""An expert's networks as one safetensors file; nothing is pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from experts.policy import Activation, MLPPolicies, MLPs

Dtype = Literal["float16", "float32"]
CRITIC_TOLERANCE = 0.01
"""Largest error of a critic stored in float16, relative to the root mean square of its values."""
N_PROBES = 256
"""Inputs on which that is measured: normal, with the critic's own mean and scale."""


def encode(
    policy: MLPPolicies,
    critic: MLPs | None,
    extras: Mapping[str, NDArray[Any]],
    *,
    policy_dtype: Dtype = "float32",
    critic_dtype: Dtype = "float16",
) -> bytes:
    """The file of one policy, one critic and further tensors.

    Args:
        policy: stored in `policy_dtype`, but for its observation statistics.
        critic: stored in `critic_dtype`, but for its observation statistics; None for no critic.
        extras: further tensors by name.
        policy_dtype: `float32` is exact.
        critic_dtype: `float16` is only taken if all weights are in its range and the critic's
            values change by at most `CRITIC_TOLERANCE`. A critic that was read from such a file
            gives the same bytes again.

    Raises:
        ValueError: for another type, or a policy beyond the range of float16.
    """
    for name, dtype in (("policy_dtype", policy_dtype), ("critic_dtype", critic_dtype)):
        if dtype not in ("float16", "float32"):
            raise ValueError(f"`{name}` must be 'float16' or 'float32', got {dtype!r}")
    with np.errstate(over="ignore"):
        tensors = _tensors("policy", policy, np.dtype(policy_dtype))
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise ValueError(f"the policy's weights must be in the range of {policy_dtype}")
    if critic is not None:
        halved = critic_dtype == "float16" and _survives_halving(critic)
        tensors |= _tensors("critic", critic, np.dtype("float16" if halved else "float32"))
    return save_tensors({**tensors, **extras})


def decode(
    payload: bytes, *, activation: Activation
) -> tuple[MLPPolicies, MLPs | None, dict[str, NDArray[Any]]]:
    """Policy, critic if any, and further tensors of a file; networks are float32, however stored.

    Raises:
        ValueError: if it is no safetensors file, or networks are missing or no networks.
    """
    try:
        tensors = load_tensors(payload)
    except SafetensorError as error:
        raise ValueError(f"not a safetensors file ({error})") from error
    policy = MLPPolicies(**_network(tensors, "policy"), activation=activation)
    critic = None
    if any(name.startswith("critic.") for name in tensors):
        critic = MLPs(**_network(tensors, "critic"), activation=activation)
    extras = {n: t for n, t in tensors.items() if not n.startswith(("policy.", "critic."))}
    return policy, critic, extras


def _survives_halving(critic: MLPs) -> bool:
    """Whether rounding the weights to float16 changes the critic's values by little enough."""
    with np.errstate(over="ignore"):
        weights = tuple(w.astype(np.float16) for w in critic.weights)
        biases = tuple(b.astype(np.float16) for b in critic.biases)
    if not all(np.isfinite(array).all() for array in (*weights, *biases)):
        return False
    shape = (len(critic), N_PROBES, critic.input_size)
    probes = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    if critic.scale is not None:
        probes *= critic.scale[:, None]
    if critic.mean is not None:
        probes += critic.mean[:, None]
    values = critic.apply(probes)
    rounded = replace(
        critic,
        weights=tuple(w.astype(np.float32) for w in weights),
        biases=tuple(b.astype(np.float32) for b in biases),
    ).apply(probes)
    size = float(np.sqrt(np.mean(values**2)))
    return bool(np.abs(rounded - values).max() <= CRITIC_TOLERANCE * size)


def _tensors(prefix: str, network: MLPs, dtype: np.dtype[Any]) -> dict[str, NDArray[Any]]:
    """The network's tensors by name; observation statistics are always float32."""
    tensors: dict[str, NDArray[Any]] = {}
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        tensors[f"{prefix}.{layer}.weight"] = np.ascontiguousarray(weight[0], dtype=dtype)
        tensors[f"{prefix}.{layer}.bias"] = np.ascontiguousarray(bias[0], dtype=dtype)
    for name in ("mean", "scale"):
        if getattr(network, name) is not None:
            tensors[f"{prefix}.{name}"] = np.ascontiguousarray(getattr(network, name)[0])
    return tensors


def _network(tensors: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, Any]:
    """Arguments of `MLPs`, all but the activation."""
    n_layers = sum(name.startswith(f"{prefix}.") and name.endswith(".weight") for name in tensors)
    if n_layers == 0:
        raise ValueError(f"the {prefix} is missing")
    try:
        layers = range(n_layers)
        weights = tuple(tensors[f"{prefix}.{i}.weight"] for i in layers)
        biases = tuple(tensors[f"{prefix}.{i}.bias"] for i in layers)
    except KeyError as error:
        raise ValueError(f"the tensor {error} is missing") from None
    if any(w.ndim != 2 for w in weights) or any(b.ndim != 1 for b in biases):
        raise ValueError(f"the {prefix}'s weights must be matrices and its biases vectors")
    return {
        "weights": tuple(w[None] for w in weights),
        "biases": tuple(b[None] for b in biases),
        "mean": tensors.get(f"{prefix}.mean"),
        "scale": tensors.get(f"{prefix}.scale"),
    }
