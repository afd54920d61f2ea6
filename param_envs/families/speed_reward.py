"""The reward of the speed families: how near a speed is to the one that the context asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

VALUE_LOST_AT_MARGIN = 0.9
"""Reward lost where the speed is one whole desired speed away from it."""

TRACK = "track"
REACH = "reach"


def speed_reward(
    speed: NDArray[np.float64], desired: NDArray[np.float64], mode: str
) -> NDArray[np.float64]:
    """Reward in [0, 1] of signed speeds (n,) against desired speeds (n,), in the same unit.

    `track`: clip(1 - 0.9 |v - v*| / |v*|, 0, 1), the desired speed is a target.
    `reach`: clip(0.1 + 0.9 sign(v*) v / |v*|, 0, 1), it is a minimum. This is dm_control's linear
    `tolerance` with bounds (|v*|, inf), margin |v*| and value 0.1 at the margin, applied to the
    speed in the desired direction: the reward of HyperZero's released code.
    """
    shortfall = 1.0 - speed / desired  # as a part of the desired speed, negative if faster
    shortfall = np.abs(shortfall) if mode == TRACK else np.maximum(shortfall, 0.0)
    return np.maximum(1.0 - VALUE_LOST_AT_MARGIN * shortfall, 0.0)
