"""The finger as released and as it is here: `python docs/released_finger.py [EPISODES]`.

The released code resizes the finger and the spinner, and leaves the touch sensors and the
spinner's tip where they are at the usual length. The shipped experts play in both bodies of every
context, 10 episodes by default; docs/results/released-finger.json has what comes of it, for
docs/hyperzero.md.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from experts import load_experts, store
from experts.evaluation import play
from experts.provenance import machine, provenance
from param_envs.families.finger import Finger
from param_envs.family import Array, State

ROOT = Path(__file__).parents[1]
FILE = Path("docs/results/released-finger.json")
SUITES = ("finger-length", "finger-length-reach")
SEED = 4_000_037
LONG = 0.25
"""m, from which random actions never touch the released sensors."""


class Touching(Finger):
    """The finger, with the share of steps in which it touches the spinner as an outcome."""

    outcome_names = ("velocity", "touched")

    def outcome(self, before: State, after: State) -> dict[str, Array]:
        """`velocity` (n,), and 1 in `touched` (n,) where a touch sensor reads more than 0."""
        touched = (self.observation(after)[:, 7:9] > 0.0).any(axis=1)
        return {**super().outcome(before, after), "touched": touched.astype(np.float64)}


class Released(Touching):
    """The same with sensors and tip where the released code leaves them."""

    def spec(self, context: Mapping[str, float]) -> mujoco.MjSpec:
        """The finger of that length, with the sites of the usual one."""
        spec, usual = super().spec(context), super().spec(self.context())
        for name in ("touchtop", "touchbottom", "tip"):
            spec.site(name).pos = usual.site(name).pos
        return spec


def measure(suite: str, episodes: int) -> dict[str, Any]:
    """What the experts of a suite gain and touch in either body, as means over its contexts."""
    experts = load_experts(store.zoo_path(suite))
    long = np.array([context["length"] >= LONG for context in experts.contexts])
    found: dict[str, Any] = {"suite": suite, "contexts": len(experts)}
    for name, family in (("ours", Touching()), ("released", Released())):
        played = play(
            experts.policies,
            family,
            experts.contexts,
            reward=experts.reward,
            n_episodes=episodes,
            seed=SEED,
        )
        found[name] = {
            "return": round(float(played.returns.mean()), 2),
            "return_long": round(float(played.returns[long].mean()), 2),
            "touched_long": round(float(played.outcomes["touched"][long].mean()), 4),
        }
    return found


def main(arguments: list[str], root: Path = ROOT) -> Path:
    """Plays, and writes the file; returns its path.

    Raises:
        ValueError: if the number of episodes is not a whole number of at least 1.
    """
    text = arguments[0] if arguments else "10"
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"EPISODES must be a whole number of at least 1, got {text!r}")
    record = {
        "episodes": int(text),
        "seed": SEED,
        "long_from": LONG,
        "bodies": [measure(suite, int(text)) for suite in SUITES],
        "command": shlex.join(["python", "docs/released_finger.py", *arguments]),
        **provenance(),
        "machine": machine(),
    }
    path = root / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    store.write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())
    return path


if __name__ == "__main__":
    print(main(sys.argv[1:]))
