"""TD3 and SAC of many contexts at once: K agents as one batched network, in one process.

Every update equals Stable-Baselines3's `train()` for each agent; what differs is that weights are
stacked, so that K small matrix products become one, and that the K agents' environments step in
one `ParamVectorEnv`.
"""

from experts.offpolicy.checkpoints import CheckpointSchedule, PolicyCheckpoints, load_checkpoints
from experts.offpolicy.state import Saving
from experts.offpolicy.training import train_many
from experts.offpolicy.turned import train_turned

__all__ = [
    "CheckpointSchedule",
    "PolicyCheckpoints",
    "Saving",
    "load_checkpoints",
    "train_many",
    "train_turned",
]
