"""Changing contexts, and holding many bodies at once."""

from __future__ import annotations

import json
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

from param_envs import FAMILIES, Context, Family

N_BODIES = 64
N_WALKERS = 1024
RESETS = {False: 256, True: 16}
"""Resets a round; the second if quick."""

MEMORY_SCRIPT = """
import json, pathlib, resource, sys
import gymnasium as gym
import numpy as np
import param_envs

def peak():
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # Linux counts a parent's memory in ru_maxrss
        (line,) = [x for x in status.read_text().splitlines() if x.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = peak()
n = int(sys.argv[1])
family = param_envs.FAMILIES["ParamWalker-v0"]
torso = {f.name: f for f in family.features}["torso"]
env = gym.make_vec("ParamWalker-v0", num_envs=n, torso=np.linspace(torso.low, torso.high, n))
env.reset(seed=0)
for _ in range(3):
    env.step(env.action_space.sample())
bodies = {id(family.model(context)) for context in env.unwrapped.contexts}
print(json.dumps({"bodies": len(bodies), "before": before, "peak": peak()}))
"""


def other_bodies(family: Family) -> list[Context]:
    """Contexts with different bodies, none of them the default."""
    features = [f for f in family.features if f.kind == "dynamics"]
    return [
        family.context(**{f.name: f.low + share * (f.high - f.low) for f in features})
        for share in np.random.default_rng(0).uniform(size=N_BODIES)
    ]


@pytest.mark.parametrize("env_id", sorted(FAMILIES))
def test_context_change_at_reset(env_id, comparison, quick):
    """A reset into another compiled body costs under 0.3 ms more than one into the same."""
    family = FAMILIES[env_id]
    env = gym.make(env_id).unwrapped
    contexts = other_bodies(family)
    for context in contexts:
        family.model(context)  # fills the bank
    n_resets = RESETS[quick]
    env.reset(seed=0)
    env.reset(options={"context": contexts[0]})
    assert env.context == contexts[0]

    def reset_same():
        for _ in range(n_resets):
            env.reset()

    def reset_into_others():
        for i in range(n_resets):
            env.reset(options={"context": contexts[i % N_BODIES]})

    comparison.measure(reset_into_others, reset_same, rounds=30)
    assert env.context == contexts[(n_resets - 1) % N_BODIES]
    extra = (comparison.seconds - comparison.reference_seconds) / n_resets
    comparison.record(
        change_ms=1e3 * extra,
        reset_ms=1e3 * comparison.reference_seconds / n_resets,
        ratio_to_plain_reset=1.0 / comparison.speedup,
    )
    comparison.require(extra < 0.3e-3, "changing a context at reset costs under 0.3 ms")


def test_body_from_the_bank_against_a_rebuild(comparison, quick):
    """Fetching a known body is a hundred times faster than building the published model anew."""
    family = FAMILIES["ParamCheetah-v0"]
    contexts = other_bodies(family)[: 4 if quick else 16]
    models = [family.model(context) for context in contexts]

    def fetch():
        return [family.model(context) for context in contexts]

    assert all(a is b for a, b in zip(fetch(), models, strict=True))
    comparison.measure(
        fetch, lambda: [family.spec(context).compile() for context in contexts], rounds=10
    )
    comparison.record(
        ratio_to_rebuild=comparison.speedup,
        fetch_us=1e6 * comparison.seconds / len(contexts),
        rebuild_ms=1e3 * comparison.reference_seconds / len(contexts),
    )
    comparison.require(comparison.speedup >= 100, "the bank is 100 times faster than a rebuild")


def test_memory_of_1024_bodies(benchmark, quick):
    """1,024 walkers of 1,024 bodies stay under 1.5 GB, Python and MuJoCo included."""
    n = 64 if quick else N_WALKERS

    def measure():
        done = subprocess.run(
            [sys.executable, "-c", MEMORY_SCRIPT, str(n)],
            check=True,
            capture_output=True,
            text=True,
        )
        return json.loads(done.stdout)

    found = benchmark.pedantic(measure, rounds=1, warmup_rounds=0)
    assert found["bodies"] == n
    numbers = {
        "peak_GB": found["peak"] / 1e9,
        "kB_per_body": (found["peak"] - found["before"]) / n / 1e3,
        "ratio_to_budget": found["peak"] / 1.5e9,
    }
    benchmark.extra_info.update(numbers)
    assert found["peak"] < 1.5e9
