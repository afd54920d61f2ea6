"""Policies along a training: when they are kept, and what a kill leaves of them."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from experts import Expert, MLPPolicies
from experts.offpolicy import CheckpointSchedule, Saving, load_checkpoints
from experts.offpolicy.checkpoints import CheckpointRecorder, checkpoint_path
from experts.offpolicy.state import discard_torn_states, load_state, save_state
from tests.experts.factories import untrained


@pytest.fixture(scope="module")
def experts() -> list[Expert]:
    return [untrained({"speed": speed}, seed=seed) for seed, speed in enumerate((1.0, 2.0))]


def records_of(experts: Sequence[Expert], **changes: object) -> list[dict]:
    return [{**expert.record, **changes} for expert in experts]


def policies_of(experts: Sequence[Expert]) -> MLPPolicies:
    return MLPPolicies.stack([expert.policy for expert in experts])


def test_policies_are_restored_by_their_steps(experts: list[Expert], tmp_path: Path) -> None:
    """A kill between two files left the second one with earlier policies than the first."""
    schedule = CheckpointSchedule(directory=tmp_path, every=1, last=3, flush_every=1)
    records = [expert.record for expert in experts]
    recorder = CheckpointRecorder(schedule, records)
    for step in range(1, 6):
        if step == 5:
            older = checkpoint_path(tmp_path, records[1]["context"]).read_bytes()
        marked = [
            replace(
                e.policy, biases=(*e.policy.biases[:-1], np.full_like(e.policy.biases[-1], step))
            )
            for e in experts
        ]
        recorder.keep(step, MLPPolicies.stack(marked))
    checkpoint_path(tmp_path, records[1]["context"]).write_bytes(older)
    again = CheckpointRecorder(schedule, records)
    again.restore(5, 5)
    again.keep(6, policies_of(experts))
    for record in records:
        kept = load_checkpoints(checkpoint_path(tmp_path, record["context"]))
        assert kept.steps.tolist() == [3, 4, 6]
        assert kept.policies.biases[-1][:2, 0].tolist() == [3.0, 4.0]


def test_a_first_write_that_was_cut_short_counts_for_nothing(
    experts: list[Expert], tmp_path: Path
) -> None:
    schedule = CheckpointSchedule(directory=tmp_path, every=1, flush_every=1)
    records = records_of(experts)
    CheckpointRecorder(schedule, records).keep(1, policies_of(experts))
    checkpoint_path(tmp_path, records[1]["context"]).unlink()
    again = CheckpointRecorder(schedule, records)
    again.restore(1, None)
    again.keep(2, policies_of(experts))
    for record in records:
        assert load_checkpoints(checkpoint_path(tmp_path, record["context"])).steps.tolist() == [2]


def test_policies_of_another_training_are_not_taken_up(
    experts: list[Expert], tmp_path: Path
) -> None:
    schedule = CheckpointSchedule(directory=tmp_path, every=1, flush_every=1)
    CheckpointRecorder(schedule, records_of(experts, seed=9)).keep(1, policies_of(experts))
    again = CheckpointRecorder(schedule, records_of(experts, seed=0))
    again.restore(1, 1)
    again.keep(2, policies_of(experts))
    kept = load_checkpoints(checkpoint_path(tmp_path, experts[0].context))
    assert kept.steps.tolist() == [2] and kept.record["seed"] == 0


def test_a_resumed_training_keeps_the_distance(experts: list[Expert], tmp_path: Path) -> None:
    """The file has later policies only, since the last two alone are kept."""
    schedule = CheckpointSchedule(directory=tmp_path, every=10, last=2)

    def kept_between(recorder: CheckpointRecorder, first: int, last: int) -> list[int]:
        due = []
        for step in range(first, last + 1, 2):
            if recorder.due(step):
                recorder.keep(step, policies_of(experts))
                due.append(step)
        return due

    recorder = CheckpointRecorder(schedule, records_of(experts))
    assert kept_between(recorder, 2, 26) == [2, 12, 22]
    last = recorder.last
    assert kept_between(recorder, 28, 60) == [32, 42, 52]
    recorder.flush()
    again = CheckpointRecorder(schedule, records_of(experts))
    again.restore(26, last)
    assert kept_between(again, 28, 60) == [32, 42, 52]


def test_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.policies.safetensors"
    with pytest.raises(ValueError, match=r"x\.policies\.safetensors: cannot be read"):
        load_checkpoints(path)
    save_file({"x": np.zeros(1)}, path, metadata={"record": "{torn", "facts": "{torn"})
    for load, kind in (
        (load_checkpoints, "policy checkpoints"),
        (load_state, "a training's state"),
    ):
        with pytest.raises(
            ValueError, match=rf"x\.policies\.safetensors: cannot be read as {kind}"
        ):
            load(path)
    with pytest.raises(ValueError, match="`every` must be at least 1, got 0"):
        CheckpointSchedule(directory=tmp_path, every=0)
    with pytest.raises(ValueError, match="`minutes` must be at least 0, got -1"):
        Saving(path=path, minutes=-1)


def test_a_full_disk_leaves_the_former_state(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    path = tmp_path / "state.safetensors"
    save_state(path, {"x": torch.ones(2)}, {"steps": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match=r"state\.safetensors: cannot be written"):
            save_state(path, {"x": torch.ones(10_000)}, {"steps": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_state(path)[1] == {"steps": 1}
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_what_a_kill_left_of_a_save_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    for name in (".state.safetensors.77.part", ".other.safetensors.77.part"):
        (tmp_path / name).touch()
    discard_torn_states(path)
    assert [found.name for found in tmp_path.iterdir()] == [".other.safetensors.77.part"]
