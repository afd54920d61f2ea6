"""Made-up experts whose weights depend smoothly on the context: a toy for trying out methods.

They do nothing sensible in the environment, but what they do is a known, learnable function of the
context. So `collect(smooth_experts(...), ...)` gives data in a second, on which a method should
reach a small action error in contexts that it never saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from experts.policy import MLPPolicies, MLPs
from experts.store import Experts
from param_envs import Family

HIDDEN_SIZE = 8
DISCOUNT = 0.9


def smooth_experts(
    family: Family,
    contexts: Sequence[Mapping[str, float]],
    *,
    features: Sequence[str],
    seed: int,
    reward: str | None = None,
) -> Experts:
    """Experts of n contexts with one hidden layer, affine in the encoded context.

    Args:
        family: the family of the contexts.
        contexts: n contexts.
        features: names of the features that the weights depend on.
        seed: decides the function; the same one gives context c the same expert in any company.
        reward: the meaning of the reward they are said to maximise, the family's first by default.

    Raises:
        ValueError: for an unknown feature or reward, or a value out of range.
    """
    rng = np.random.default_rng(seed)
    validated = tuple(family.context(**context) for context in contexts)
    encoded = family.encode(validated, features)
    # Without the sqrt, states of a moving body (velocities around 10) would saturate the tanh.
    inputs, hidden = 0.2 / np.sqrt(family.observation_size), 1.0 / np.sqrt(HIDDEN_SIZE)
    shapes = [(family.observation_size, HIDDEN_SIZE), (HIDDEN_SIZE, family.action_size)]
    weights, biases = [], []
    for (fan_in, fan_out), scale in zip(shapes, (inputs, hidden), strict=True):
        base = rng.normal(0.0, 1.0, (fan_in, fan_out))
        slope = rng.normal(0.0, 0.7, (encoded.shape[1], fan_in, fan_out))
        weights.append((scale * (base + np.tensordot(encoded, slope, 1))).astype(np.float32))
        biases.append((encoded @ rng.normal(0.0, 0.3, (encoded.shape[1], fan_out))).astype("f4"))
    critic = rng.normal(0.0, inputs, (1, family.observation_size, 1)).repeat(len(validated), 0)
    records = [
        {
            "env_id": family.env_id,
            "context": dict(context),
            "recipe": "synthetic",
            "seed": seed,
            "critic": "v",
            "discount": DISCOUNT,
            "evaluation": {"return_mean": 0.0},
        }
        for context in validated
    ]
    return Experts(
        family=family,
        reward=family.check_reward_mode(reward or family.reward_modes[0]),
        contexts=validated,
        policies=MLPPolicies(tuple(weights), tuple(biases)),
        critics=MLPs((critic.astype(np.float32),), (np.zeros((len(validated), 1), np.float32),)),
        records=tuple(records),
    )
