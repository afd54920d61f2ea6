"""Hyperparameters of fine-tuning, and the paper's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

from experts.policy import Activation
from experts.validation import require

Ramp = Literal["linear", "log"]

SB3_CRITIC = (256, 256)
"""Layers of Stable-Baselines3's own SAC, and of CleanRL's."""
SB3_BATCH = 256
"""Transitions an update of theirs."""
SB3_RATE = 3e-4
"""Adam's rate for all networks of SB3's SAC, and for the entropy's weight."""


@dataclass(frozen=True, kw_only=True)
class FineTuneConfig:
    """Hyperparameters of fine-tuning.

    The paper gives the two learning rates of the ramp and takes the rest from CleanRL; it gives
    neither the weight of the TD term, nor the ramp's length, nor a warm-up. The numbers that stand
    for those are choices of this repository.

    Attributes:
        standardise: have the networks see observations minus their mean, over their deviation, as
            the given policy collected them; its first layer is rewritten to act as before. Adam
            moves every weight alike, and a weight times a position of 20 m ruins the policy.
        td_weight: λ of equation 6; with 0 the policy's loss is SAC's.
        td_overestimated_only: take the TD term only where Q(s, a) is above its target. Where it is
            below, the term's gradient makes the next action worse.
        anchor_weight: λ of a term that keeps the policy by the given one, λ q |a - a₀|², where q is
            the deviation of Q over the minibatch, as TD3+BC does it (Fujimoto and Gu 2021) with
            the mean size of Q. Fresh critics know nothing of actions that the given policy does
            not take.
        anchor_half_life: updates of the policy over which the term's weight halves. How far it lets
            the policy go is as its inverse, so that where a weight falls to 0 in a straight line
            the policy is let go all at once.
        start_rate: Adam's rate for the policy at its first update.
        end_rate: the same from update `ramp_updates` on.
        ramp: in between, `linear` in the rate or in its logarithm (`log`).
        ramp_updates: updates of the policy that the ramp takes, 0 for `end_rate` from the start.
        critic_rate: Adam's rate for the critics and the entropy's weight.
        collect_steps: environment steps before the first update, by the given policy and its
            noise; uniformly random without a given one, as in SB3.
        critic_updates: of the critics alone, all at once on the transitions of `collect_steps`
            before the first update of the policy; the weight of its entropy rests, too.
        warm_up_tau: rate of the target critics meanwhile. What they say of a state converges with
            1 - exp(-updates × rate × (1 - γ)): at SAC's 0.005 to 22 % in 5,000 updates.
        log_std: a given policy is deterministic; its logarithmic standard deviation, before tanh,
            starts as this in every state (SB3's head with weights 0) and is learned from there.
            At -2.42 the entropy before tanh is SAC's target, -1 an action.
        bold_log_std: the same in every third episode of `collect_steps`, so that critics see what
            other actions lead to.
        entropy_weight: α at the start; SAC tunes it.
        entropy_share: α at the start, as a share of the standard deviation of the rewards that
            were collected, whose scale differs between tasks. The entropy that SAC aims at is then
            what the given policy has. 0 for `entropy_weight`, and SAC's own aim.
        hidden: width of each hidden layer of a policy that is not given.
        activation: of its hidden layers.
        critic_hidden: width of each hidden layer of the critics, whose activation is ReLU. Like the
            batch, smaller than SB3's, so that an update costs less.
        critic_norm: layer normalisation before each ReLU of the critics, as in RLPD (Ball et al.
            2023). Without it they put actions that were never tried above all others.
        discount: γ.
        batch_size: transitions an update.
        buffer_size: transitions that the replay holds.
        target_tau: rate of the target critics.
        updates_per_step: updates an environment step.

    Raises:
        ValueError: for a number that makes no sense, named.
    """

    standardise: bool = True
    td_weight: float = 0.1
    td_overestimated_only: bool = True
    anchor_weight: float = 1.0
    anchor_half_life: int = 20_000
    start_rate: float = 3e-6
    end_rate: float = 3e-4
    ramp: Ramp = "linear"
    ramp_updates: int = 30_000
    critic_rate: float = 3e-4
    collect_steps: int = 2_000
    critic_updates: int = 5_000
    warm_up_tau: float = 0.05
    log_std: float = -2.42
    bold_log_std: float = -1.0
    entropy_weight: float = 0.1
    entropy_share: float = 0.05
    hidden: tuple[int, ...] = (256, 256)
    activation: Activation = "relu"
    critic_hidden: tuple[int, ...] = (128, 128)
    critic_norm: bool = True
    discount: float = 0.99
    batch_size: int = 128
    buffer_size: int = 1_000_000
    target_tau: float = 0.005
    updates_per_step: int = 1

    def __post_init__(self) -> None:
        for name in ("batch_size", "buffer_size", "updates_per_step", "anchor_half_life"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in (
            "td_weight", "anchor_weight", "ramp_updates", "collect_steps",
            "critic_updates", "entropy_share",
        ):  # fmt: skip
            fits = 0 <= getattr(self, name) < float("inf")
            require(name, getattr(self, name), fits, "at least 0 and finite")
        for name in ("start_rate", "end_rate", "critic_rate", "target_tau", "warm_up_tau"):
            require(name, getattr(self, name), 0 < getattr(self, name) <= 1, "in (0, 1]")
        require("discount", self.discount, 0 < self.discount < 1, "in (0, 1)")
        fits = 0 < self.entropy_weight < float("inf")
        require("entropy_weight", self.entropy_weight, fits, "above 0 and finite")
        for name in ("log_std", "bold_log_std"):
            require(name, getattr(self, name), -20 <= getattr(self, name) <= 2, "in [-20, 2]")
        for name in ("hidden", "critic_hidden"):
            sizes = getattr(self, name)
            require(name, sizes, all(size >= 1 for size in sizes), "widths of at least 1")
        for name, allowed in (("ramp", ("linear", "log")), ("activation", get_args(Activation))):
            require(name, getattr(self, name), getattr(self, name) in allowed, f"one of {allowed}")

    @classmethod
    def named(cls, preset: str, **changes: Any) -> Self:
        """The preset `default` or `paper`, with what of `changes` is not None.

        Raises:
            ValueError: for another name, or a number that makes no sense.
        """
        require("preset", preset, preset in ("default", "paper"), "'default' or 'paper'")
        given = {name: value for name, value in changes.items() if value is not None}
        return replace(cls.paper() if preset == "paper" else cls(), **given)

    @classmethod
    def paper(cls) -> Self:
        """As the paper has it: equation 6 everywhere, no warm-up, CleanRL's SAC around it.

        What it does not mention is left out; of the numbers that it does not give, the ramp's
        length is a choice, and the others are the defaults'. SB3 updates the policy with every
        update of the critics, CleanRL twice after every second one.
        """
        return cls(
            standardise=False,
            td_overestimated_only=False,
            anchor_weight=0.0,
            ramp_updates=20_000,
            critic_rate=1e-3,
            collect_steps=5_000,
            critic_updates=0,
            bold_log_std=-2.42,
            entropy_weight=1.0,
            entropy_share=0.0,
            critic_hidden=SB3_CRITIC,
            critic_norm=False,
            batch_size=SB3_BATCH,
        )

    def plain(self) -> Self:
        """Without what protects a given policy: SB3's SAC, as it trains from scratch.

        Rates, critics and batch are SB3's, whatever the preset. What the preset says of the rest
        stays: of the uniformly random steps at first, `collect_steps` instead of SB3's 100, so that
        all starts see their first update at the same step.
        """
        return replace(
            self,
            standardise=False,
            td_weight=0.0,
            anchor_weight=0.0,
            start_rate=SB3_RATE,
            end_rate=SB3_RATE,
            critic_rate=SB3_RATE,
            critic_updates=0,
            entropy_weight=1.0,
            entropy_share=0.0,
            critic_hidden=SB3_CRITIC,
            critic_norm=False,
            batch_size=SB3_BATCH,
        )
