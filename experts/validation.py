"""The error that a config raises for a value that makes no sense."""

from __future__ import annotations


def require(name: str, value: object, fits: object, allowed: str) -> None:
    """Checks one field of a config.

    Args:
        name: of the field.
        value: of the field.
        fits: whether the value is allowed; its truth counts.
        allowed: what is, in words.

    Raises:
        ValueError: naming the field, the value and what is allowed, if it does not fit.
    """
    if not fits:
        raise ValueError(f"`{name}` must be {allowed}, got {value!r}")
