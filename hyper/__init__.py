"""Hypernetworks that generate policies from contexts."""

from hyper.hyperzero import FittedHyperZero, HyperZero, HyperZeroConfig

__all__ = ["FittedHyperZero", "HyperZero", "HyperZeroConfig"]
