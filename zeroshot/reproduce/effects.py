"""What choices do to HyperZero's numbers: which method of the plan shows the effect of which."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a choice does to the numbers: one method against another in the same runs.

    Attributes:
        section: of the page, by its number.
        choice: what differs.
        ours: a method.
        other: what it is compared with.
        reward: of the suites that count, `track` or `reach`, both by default.
    """

    section: int
    choice: str
    ours: str
    other: str
    reward: str | None = None


EFFECTS = (
    Effect(
        section=1,
        choice="γ instead of 1 in the TD loss",
        ours="hyperzero",
        other="hyperzero-undiscounted-td",
    ),
    Effect(
        section=2,
        choice="unit scale and tuned, against raw inputs, Adam at 1e-4, 332,500 updates",
        ours="hyperzero",
        other="hyperzero-paper",
    ),
    Effect(
        section=2,
        choice="the same for the conditioned policy",
        ours="conditioned",
        other="conditioned-paper",
    ),
    Effect(
        section=2,
        choice="with the TD loss, against without (figure 7)",
        ours="hyperzero",
        other="hyperzero-without-td",
    ),
    Effect(
        section=2,
        choice="with a value function, against policy alone (figure 7)",
        ours="hyperzero",
        other="hyperzero-without-value",
    ),
    Effect(
        section=3,
        choice="HyperZero, against a conditioned policy with as many parameters",
        ours="hyperzero",
        other="conditioned-wide",
    ),
    Effect(
        section=3,
        choice="conditioned policy with as many parameters as HyperZero, against its own size",
        ours="conditioned-wide",
        other="conditioned",
    ),
    Effect(
        section=4,
        choice="MAML with this package's updates, against 500 updates",
        ours="maml",
        other="maml-paper-500-updates",
    ),
    Effect(
        section=4,
        choice="PEARL with this package's updates, against 500 updates",
        ours="pearl",
        other="pearl-paper-500-updates",
    ),
    Effect(
        section=5,
        choice="PEARL without the label leak, against with it, 500 updates",
        ours="pearl-paper-500-updates",
        other="pearl-paper-500-updates-leaking",
    ),
    Effect(
        section=7,
        choice="desired speed as a minimum: HyperZero, against the best expert of the direction",
        ours="hyperzero",
        other="best-of-direction",
        reward="reach",
    ),
    Effect(
        section=7,
        choice="desired speed as a target: the same",
        ours="hyperzero",
        other="best-of-direction",
        reward="track",
    ),
    Effect(
        section=7,
        choice="desired speed as a minimum: HyperZero, against the nearest expert",
        ours="hyperzero",
        other="nearest",
        reward="reach",
    ),
    Effect(
        section=7,
        choice="desired speed as a target: the same",
        ours="hyperzero",
        other="nearest",
        reward="track",
    ),
)
"""In the order of the page's sections."""
