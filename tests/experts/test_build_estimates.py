"""Arithmetic on fixed numbers; what is timed is only checked to be there."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from experts import save_expert
from experts.build import plan
from experts.estimates import (
    Speed,
    estimate_jobs,
    measured_speed,
    recorded_speed,
    wall_seconds,
)
from experts.jobs import Job, manifest_path
from param_envs import family_of
from tests.experts.factories import ENV_ID, TINY, untrained

FAMILY = family_of(ENV_ID)
CONTEXTS = [FAMILY.context(speed=s) for s in (1.0, 2.0, 3.0, 4.0)]
SPEED = Speed(seconds_per_step=0.5, source="made up")


@pytest.mark.parametrize(
    ("seconds", "parents", "workers", "expected"),
    [
        ([], [], 1, 0.0),
        ([3, 3, 3], [None, None, None], 1, 9.0),
        ([3, 3, 3], [None, None, None], 2, 6.0),
        ([3, 3, 3], [None, None, None], 9, 3.0),
        ([1, 4, 1, 1], [None, None, None, None], 2, 4.0),
        # A chain is as long as it is, on any number of workers.
        ([5, 2, 2], [None, 0, 1], 1, 9.0),
        ([5, 2, 2], [None, 0, 1], 8, 9.0),
        # Two children start when the first piece ends; one of them has a child of its own.
        ([5, 2, 2, 1], [None, 0, 0, 1], 2, 8.0),
        # The long chain begins late, because pieces start in order.
        ([2, 2, 4, 4], [None, None, None, 2], 2, 10.0),
        # A parent may come after its child.
        ([2, 5], [1, None], 2, 7.0),
    ],
)
def test_wall_time(
    seconds: list[float], parents: list[int | None], workers: int, expected: float
) -> None:
    assert wall_seconds(seconds, parents, workers) == expected


def test_wall_time_needs_a_worker() -> None:
    with pytest.raises(ValueError, match="`workers` must be at least 1, got 0"):
        wall_seconds([1.0], [None], 0)


def test_independent_experts(tmp_path: Path) -> None:
    jobs = plan(FAMILY, CONTEXTS, directory=tmp_path)
    estimate = estimate_jobs(jobs, recipe=TINY, directory=tmp_path, speed=SPEED, workers=3)
    assert (estimate.pieces, estimate.steps) == (4, 4 * 64)
    assert estimate.core_seconds == 128.0
    assert estimate.wall_seconds == 64.0
    assert estimate.chain_seconds == 32.0


def test_a_chain_limits_what_workers_can_do(tmp_path: Path) -> None:
    """Speed 1 from scratch (64 steps), then 2, 3 and 4, each from the one before (32 steps)."""
    jobs = plan(FAMILY, CONTEXTS, directory=tmp_path, anchors=[{"speed": 1.0}])
    for workers in (1, 2, 100):
        estimate = estimate_jobs(
            jobs, recipe=TINY, directory=tmp_path, speed=SPEED, workers=workers
        )
        assert estimate.steps == 64 + 3 * 32
        assert estimate.core_seconds == estimate.wall_seconds == estimate.chain_seconds == 80.0


def test_what_the_folder_has_is_not_counted_nor_waited_for(tmp_path: Path) -> None:
    for speed in (1.0, 2.0):
        save_expert(untrained({"speed": speed}), tmp_path)
    jobs = plan(FAMILY, CONTEXTS, directory=tmp_path, anchors=[{"speed": 1.0}])
    estimate = estimate_jobs(jobs, recipe=TINY, directory=tmp_path, speed=SPEED, workers=2)
    assert (estimate.pieces, estimate.steps, estimate.wall_seconds) == (2, 64, 32.0)


def test_warm_starts_from_another_folder_do_not_wait(tmp_path: Path) -> None:
    jobs = [
        Job(context=context, seed=0, warm_from=manifest_path(tmp_path / "donors", context))
        for context in CONTEXTS
    ]
    estimate = estimate_jobs(jobs, recipe=TINY, directory=tmp_path, speed=SPEED, workers=4)
    assert (estimate.steps, estimate.wall_seconds) == (4 * 32, 16.0)


def hyperparameters(**changes: object) -> dict[str, object]:
    values = {name: getattr(TINY, name) for name in TINY.__dataclass_fields__}
    return json.loads(json.dumps({**values, **changes}))


def test_recorded_speed_is_the_median_of_comparable_experts(tmp_path: Path) -> None:
    assert recorded_speed(tmp_path / "absent", ENV_ID, TINY) is None
    for speed, seconds in ((1.0, 2.0), (2.0, 4.0), (3.0, 60.0)):
        record = {"steps": 100, "seconds": seconds, "hyperparameters": hyperparameters(seed=1)}
        save_expert(untrained({"speed": speed}, **record), tmp_path)
    other = {"steps": 100, "seconds": 1e6, "hyperparameters": hyperparameters(n_envs=1)}
    save_expert(untrained({"speed": 4.0}, **other), tmp_path)
    save_expert(untrained({"speed": 5.0}), tmp_path)  # has no time
    of_a_batch = {"steps": 100, "seconds": 1e6, "hyperparameters": hyperparameters(seed=1)}
    save_expert(untrained({"speed": 6.0}, **of_a_batch, trained_together=8), tmp_path)
    found = recorded_speed(tmp_path, ENV_ID, TINY)
    assert found == Speed(seconds_per_step=0.04, source=f"recorded with 3 experts in {tmp_path}")
    assert recorded_speed(tmp_path, "ParamWalker-v0", TINY) is None
    assert recorded_speed(tmp_path, ENV_ID, replace(TINY, hidden=(9,))) is None


@pytest.mark.parametrize("algorithm", ["ppo", "td3"])
def test_measured_speed_says_for_how_long(algorithm: str) -> None:
    recipe = replace(TINY, algorithm=algorithm, n_envs=2, batch_size=8, buffer_size=1000)
    found = measured_speed(FAMILY, CONTEXTS[0], reward="track", recipe=recipe, seconds=0.05)
    assert 0.0 < found.seconds_per_step < 1.0
    assert re.match(r"measured for \d+ s on one core of this machine", found.source)
