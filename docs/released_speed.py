"""Seconds of the released training step, measured here: `python docs/released_speed.py`.

The released HyperZero generates a policy and a critic for each of the 512 samples of a step, and
makes 332,500 such steps. docs/results/released-speed.json has what one of them takes on this
machine, one thread, the median of many; docs/hyperzero.md compares that with our fits.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experts.provenance import machine, provenance
from experts.store import write_atomically
from hyper import HyperZeroConfig
from zeroshot.bench import rollouts_of
from zeroshot.frozen import split_of
from zeroshot.run import experts_of
from zeroshot.splits import rule_of
from zeroshot.suites import suite_of

ROOT = Path(__file__).parents[1]
FILE = Path("docs/results/released-speed.json")
SUITE = "cheetah-speed-reach"
STEPS = 60


def measure(suite_name: str, n_steps: int) -> dict[str, Any]:
    """What a step takes on the suite's first split.

    Args:
        suite_name: its name.
        n_steps: timed; as many again go before them.
    """
    sys.path.insert(0, str(ROOT))  # the benchmarks are in the repository alone
    from benchmarks.per_sample import PER_SAMPLE_BATCH, per_sample_step

    suite = suite_of(suite_name)
    train = split_of(suite, rule_of("random", suite), seed=0).train
    data = rollouts_of(suite, experts_of(suite), n_threads=1).select(train)
    config = HyperZeroConfig.paper()
    step = per_sample_step(data, config)
    seconds = []
    for _ in range(2 * n_steps):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return {
        "timed_on": suite_name,
        "samples": PER_SAMPLE_BATCH,
        "steps": config.updates,
        "seconds_a_step": round(float(np.median(seconds[n_steps:])), 5),
    }


def main(root: Path = ROOT) -> Path:
    """Measures, and writes the file; returns its path."""
    torch.set_num_threads(1)
    record = {
        **measure(SUITE, STEPS),
        "command": "python docs/released_speed.py",
        **provenance(),
        "machine": machine(),
    }
    path = root / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())
    return path


if __name__ == "__main__":
    print(main())
