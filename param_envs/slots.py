"""Arguments that hold one value a slot of a batched environment, checked and spread out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from param_envs.context import Context
from param_envs.family import Family


def slot_contexts(
    family: Family,
    num_envs: int,
    contexts: Sequence[Mapping[str, float]] | None,
    features: Mapping[str, ArrayLike],
) -> list[Context]:
    """The context of every slot, from a list or from features by name, each number or array.

    Raises:
        ValueError: for a wrong length, an unknown feature or a value out of range.
    """
    if contexts is None:
        changes = slot_changes(features, num_envs) or [{}] * num_envs
        return [family.context(**change) for change in changes]
    if features:
        raise ValueError(f"give either `contexts` or features, got both: {sorted(features)}")
    return [family.context(**context) for context in _mappings("contexts", contexts, num_envs)]


def slot_changes(context: Any, num_envs: int) -> list[Mapping[str, float]] | None:
    """Per slot what changes in its context: from a mapping to numbers or arrays, or a sequence.

    Raises:
        ValueError: for an array or a sequence of another length than `num_envs`, or neither.
    """
    if context is None:
        return None
    if isinstance(context, Mapping):
        columns = {name: _column(name, value) for name, value in context.items()}
        for name, column in columns.items():
            if column.shape not in ((), (num_envs,)):
                raise ValueError(
                    f"`{name}` must be a number or have shape ({num_envs},), got {column.shape}"
                )
        full = {name: np.broadcast_to(column, (num_envs,)) for name, column in columns.items()}
        return [{name: float(column[i]) for name, column in full.items()} for i in range(num_envs)]
    return _mappings("context", context, num_envs)


def slot_seeds(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """Slot i gets seed + i, or the i-th of a sequence, or None.

    Raises:
        ValueError: for a sequence of another length than `num_envs`, or what is no number.
    """
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, (int, np.integer)):
        return [int(seed) + i for i in range(num_envs)]
    if isinstance(seed, (float, str)) or not isinstance(seed, (Sequence, np.ndarray)):
        raise ValueError(f"`seed` must be an integer, or one a slot, got {seed!r}")
    if len(seed) != num_envs:
        raise ValueError(f"`seed` must hold {num_envs} seeds, got {len(seed)}")
    return list(seed)


def reset_mask(mask: Any, num_envs: int) -> NDArray[np.bool_]:
    """Which slots (num_envs,) to reset, all for None.

    Raises:
        ValueError: if it is not a boolean array of that shape with a True in it.
    """
    if mask is None:
        return np.ones(num_envs, dtype=np.bool_)
    array = np.asarray(mask)
    if array.shape != (num_envs,) or array.dtype != np.bool_ or not array.any():
        raise ValueError(
            f"`reset_mask` must be a boolean array ({num_envs},) with a True in it, got {mask!r}"
        )
    return array


def at_least(name: str, number: int, least: int = 1) -> int:
    """Returns the number of that name.

    Raises:
        ValueError: if it is not an integer of at least `least`.
    """
    whole = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
    if not whole or number < least:
        raise ValueError(f"`{name}` must be an integer of at least {least}, got {number!r}")
    return int(number)


def _mappings(name: str, contexts: Any, num_envs: int) -> list[Mapping[str, float]]:
    """A list with one mapping a slot."""
    sequence = isinstance(contexts, Sequence) and not isinstance(contexts, str)
    if not sequence or not all(isinstance(context, Mapping) for context in contexts):
        raise ValueError(
            f"`{name}` must be a sequence of mappings from features to values, got {contexts!r}"
        )
    if len(contexts) != num_envs:
        raise ValueError(f"`{name}` must hold {num_envs} contexts, got {len(contexts)}")
    return list(contexts)


def _column(name: str, value: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"`{name}` must be a number or an array of them, got {value!r}") from None
