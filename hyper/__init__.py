"""Hypernetworks that generate policies from contexts."""

from hyper.distilled import ConditionedDistil, FittedHyperDistil, HyperDistil, HyperDistilConfig
from hyper.hyperzero import FittedHyperZero, HyperZero, HyperZeroConfig
from hyper.hyplatent import FittedHypLatent, HypLatent
from hyper.hyplatent_config import HypLatentConfig

__all__ = [
    "ConditionedDistil",
    "FittedHypLatent",
    "FittedHyperDistil",
    "FittedHyperZero",
    "HypLatent",
    "HypLatentConfig",
    "HyperDistil",
    "HyperDistilConfig",
    "HyperZero",
    "HyperZeroConfig",
]
