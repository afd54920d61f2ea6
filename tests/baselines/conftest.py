"""The fixtures of `tests.learning`."""

from tests.learning import data, held_out

__all__ = ["data", "held_out"]
