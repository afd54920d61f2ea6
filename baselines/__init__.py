"""What hypernetworks are compared with: the same data and embedding, without generated weights."""

from baselines.conditioned import Conditioned, ConditionedConfig, FittedConditioned

__all__ = ["Conditioned", "ConditionedConfig", "FittedConditioned"]
