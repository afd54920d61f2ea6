"""Papers that can be reproduced by one command: a literal plan of runs each, done by `run`."""

from collections.abc import Mapping

from zeroshot.reproduce.genhyper import GENHYPER
from zeroshot.reproduce.hyperzero import HYPERZERO
from zeroshot.reproduce.plan import Plan

PLANS: dict[str, Plan] = {
    "hyperzero": HYPERZERO,
    "genhyper": GENHYPER,
}
"""Every plan, by name."""


def plan_of(name: str, plans: Mapping[str, Plan] = PLANS) -> Plan:
    """The plan of that name.

    Raises:
        ValueError: if there is none; says which there are.
    """
    if name not in plans:
        raise ValueError(f"unknown paper {name!r}, allowed are {sorted(plans)}")
    return plans[name]


__all__ = ["PLANS", "Plan", "plan_of"]
