"""The anchor of a fine-tuning: it keeps the policy by the given one, and lets it go slowly."""

from dataclasses import replace

import numpy as np
import pytest

from tests.experts.test_finetune import TINY, filled, made


def test_the_anchor_pulls_back_to_the_given_policy_and_halves() -> None:
    config = replace(TINY, anchor_weight=0.5, anchor_half_life=2, critic_updates=2)
    model = filled(config)
    model.warm_up(8)
    weights = []
    for _ in range(6):
        weights.append(model.anchor_weight)
        model.train(1, 8)
    assert weights == pytest.approx([0.5 * 0.5 ** (i / 2) for i in range(6)])
    assert made(config, start=None).anchor_weight == 0.0

    distances = []
    for weight in (0.0, 100.0):
        held = {"anchor_weight": weight, "anchor_half_life": 10_000, "ramp_updates": 0}
        model = filled(replace(config, **held))
        seen = model.replay_buffer.observations[:50, 0]
        before, _ = model.predict(seen, deterministic=True)
        model.train(200, 8)
        distances.append(np.square(model.predict(seen, deterministic=True)[0] - before).mean())
    assert distances[1] < 0.1 * distances[0]
