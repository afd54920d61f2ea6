"""What others print for the suites' grids, experts and zero-shot, to compare ours with."""

PUBLISHED_EXPERT_MEANS = {
    "cheetah-speed-reach": 869.6,
    "cheetah-torso-reach": 963.1,
    "cheetah-speed-torso-reach": 927.1,
    "finger-speed-reach": 975.7,
    "finger-length-reach": 959.4,
    "finger-speed-length-reach": 913.4,
    "walker-speed-reach": 722.7,
    "walker-torso-reach": 897.1,
    "walker-speed-torso-reach": 814.4,
}
"""Mean return of HyperZero's experts, a million steps of TD3 each, as rerun for HyPoGen (ICLR
2025). Their joint grids and the fixed speed of the grids of bodies are not printed; ours may
differ, so only the means on the speed grids compare the same contexts."""


_HYPOGEN_TABLE_1 = {
    "conditioned": (433.2, 574.7, 356.7, 379.7, 409.3, 289.6, 152.0, 336.7, 186.2),
    "conditioned-uvfa": (396.9, 588.6, 340.8, 383.7, 422.6, 287.4, 115.6, 294.9, 177.8),
    "maml": (337.4, 579.4, 199.6, 125.9, 217.6, 114.8, 44.5, 46.2, 44.4),
    "pearl": (177.2, 705.1, 214.7, 121.5, 160.4, 152.9, 52.1, 54.1, 53.0),
    "hyperzero": (695.7, 895.5, 602.4, 596.8, 536.6, 353.7, 328.5, 642.2, 393.9),
    "hypogen": (819.2, 926.9, 623.8, 835.2, 657.1, 365.9, 436.3, 706.2, 409.9),
}

PUBLISHED_ZERO_SHOT = {
    suite: {method: returns[i] for method, returns in _HYPOGEN_TABLE_1.items()}
    for i, suite in enumerate(PUBLISHED_EXPERT_MEANS)
}
"""Suite to method to mean test return, as rerun for HyPoGen (ICLR 2025, Table 1): 20 % of the
contexts for training, 80 % for testing, 5 splits. Its released code keeps the checkpoint of the
best test return, so they may be optimistic. The original paper prints no numbers."""

GENHYPER_TABLE_1 = {
    "cheetah-vel": {15: -40.33, 25: -37.05, 35: -34.84},
    "ant-dir": {15: 452.32, 25: 478.45, 35: 496.65, 45: 505.64},
}
"""Suite to number of training tasks to HypLatent's mean return over the five held-out tasks
(GenHyper, Table I, without intervals). The labels of its figures are those of the uniform grids."""

GENHYPER_OTHERS = (
    "PEARL (-135.3; 123.9 on Ant-Dir), MACAW (-60.5; 376.5) and Prompt-DT (-34.43; 409.81), which "
    "were not told the goal and are likely on the older grids"
)
"""The other rows of that table."""
