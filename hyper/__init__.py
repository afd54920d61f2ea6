"""Hypernetworks that generate policies from contexts."""

from hyper.distilled import FittedHyperDistil, HyperDistil, HyperDistilConfig
from hyper.hyperzero import FittedHyperZero, HyperZero, HyperZeroConfig

__all__ = [
    "FittedHyperDistil",
    "FittedHyperZero",
    "HyperDistil",
    "HyperDistilConfig",
    "HyperZero",
    "HyperZeroConfig",
]
