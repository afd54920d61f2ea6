"""Batched builds of tiny agents: what is written, planned, refused, estimated and taken up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experts import BuildError, BuildProgress, load_expert, load_experts, recipe_for, save_expert
from experts.batched_build import (
    CHECKPOINTS,
    REPLAY_LIMIT,
    STATE,
    Batch,
    Batching,
    build_batched,
    plan_batches,
    replay_bytes,
)
from experts.batched_estimates import BatchSpeed, estimate_batches, measured_batch_speed
from experts.build import plan
from experts.jobs import manifest_path
from experts.offpolicy import load_checkpoints
from experts.offpolicy.checkpoints import checkpoint_path
from experts.offpolicy.replay import Replay
from param_envs import family_of
from tests.experts.factories import ENV_ID, untrained
from tests.experts.test_offpolicy_training import RECIPES, TD3

FAMILY = family_of(ENV_ID)
CONTEXTS = tuple(FAMILY.context(speed=speed) for speed in (-2.0, 1.0, 3.0))


class Killed(Exception):
    pass


def build(directory: Path, contexts=CONTEXTS, *, recipe=TD3, on_progress=None, **batching) -> None:
    build_batched(
        FAMILY,
        contexts,
        reward="track",
        recipe=recipe,
        directory=directory,
        batching=Batching(device="cpu", **batching),
        on_progress=on_progress,
    )


def killed_after(steps: int):
    def on_progress(progress: BuildProgress) -> None:
        if progress.steps_done >= steps:
            raise Killed

    return on_progress


def stamps(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in directory.glob("speed=*")}


@pytest.mark.parametrize("algorithm", RECIPES)
def test_build_in_batches_goes_on_where_it_stopped(tmp_path: Path, algorithm: str) -> None:
    reports: list[BuildProgress] = []
    recipe = replace(RECIPES[algorithm], n_candidates=1)
    build(tmp_path, recipe=recipe, batch_size=2, on_progress=reports.append)
    experts = load_experts(tmp_path)
    assert experts.contexts == CONTEXTS
    assert [record["seed"] for record in experts.records] == [0, 1, 2]
    assert [record["trained_together"] for record in experts.records] == [2, 2, 1]
    assert {record["recipe"] for record in experts.records} == {"tiny-batched"}
    assert all("shortfall" in record for record in experts.records)
    assert [reports[0].finished, reports[-1].finished, reports[-1].failed] == [0, 3, 0]
    assert {report.total for report in reports} == {3}
    assert reports[-1].steps_done == reports[-1].steps_total == 3 * 48
    assert reports[1].running == ("speed=-2_torso=0.5", "speed=1_torso=0.5")
    done = [report.steps_done for report in reports]
    assert done == sorted(done)
    before = stamps(tmp_path)
    build(tmp_path, recipe=recipe)
    assert stamps(tmp_path) == before
    assert not (tmp_path / STATE).exists()


def test_only_what_is_missing_is_trained(tmp_path: Path) -> None:
    save_expert(untrained(CONTEXTS[1]), tmp_path)
    kept = (tmp_path / "speed=1_torso=0.5.safetensors").read_bytes()
    build(tmp_path)
    records = {
        context["speed"]: load_expert(manifest_path(tmp_path, context)).record
        for context in CONTEXTS
    }
    assert (tmp_path / "speed=1_torso=0.5.safetensors").read_bytes() == kept
    assert (records[-2.0]["seed"], records[3.0]["seed"]) == (0, 2)
    assert records[-2.0]["trained_together"] == records[3.0]["trained_together"] == 2


def test_checkpoints_are_kept_apart_and_readable(tmp_path: Path) -> None:
    build(tmp_path, checkpoint_every=10, checkpoint_from=20)
    assert load_experts(tmp_path).contexts == CONTEXTS
    for context in CONTEXTS:
        path = checkpoint_path(tmp_path / CHECKPOINTS, context)
        assert (
            path
            == tmp_path / "checkpoints" / f"{manifest_path(tmp_path, context).stem}.safetensors"
        )
        kept = load_checkpoints(path)
        assert kept.steps.tolist() == [20, 30, 40]
        assert kept.record["context"] == dict(context)
        assert kept.record["recipe"] == "tiny-batched"


@pytest.mark.parametrize("same_start", [True, False])
def test_all_agents_may_begin_with_the_same_weights(tmp_path: Path, same_start: bool) -> None:
    build(tmp_path, CONTEXTS[:2], checkpoint_every=4, same_start=same_start)
    first, second = (
        load_checkpoints(checkpoint_path(tmp_path / CHECKPOINTS, context)).policies
        for context in CONTEXTS[:2]
    )
    assert np.array_equal(first.weights[0][0], second.weights[0][0]) == same_start
    assert not np.array_equal(first.weights[0][-1], second.weights[0][-1])


@pytest.mark.parametrize("limit", [0, REPLAY_LIMIT], ids=["without replay", "with replay"])
def test_killed_build_takes_up_its_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """The interrupted batch goes on as it was, whatever size is asked for now."""
    monkeypatch.setattr("experts.batched_build.REPLAY_LIMIT", limit)
    with pytest.raises(Killed):
        # The first batch (2 × 48 steps) is done, the second (1 agent) after 30 steps.
        build(tmp_path, batch_size=2, save_minutes=0.0, on_progress=killed_after(2 * 48 + 30))
    assert len(load_experts(tmp_path)) == 2 and (tmp_path / STATE).exists()
    before = stamps(tmp_path)
    (tmp_path / f".{STATE}.1.part").touch()
    reports: list[BuildProgress] = []
    build(tmp_path, batch_size=1, on_progress=reports.append)
    assert reports[0].steps_total == 48 - 28
    last = load_experts(tmp_path).records[2]
    assert last["steps"] == 48
    # Without a replay, updates rest for 12 transitions (6 steps of 2) after the 28th.
    assert last["updates"] == (48 - 12 if limit else (28 - 12) + (20 - 12))
    weights = {name: stamp for name, stamp in before.items() if name.endswith(".safetensors")}
    assert weights and weights.items() <= stamps(tmp_path).items()
    assert not list(tmp_path.glob(".*"))


def test_interrupted_batch_comes_first_and_whole(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        build(tmp_path, CONTEXTS[1:], save_minutes=0.0, on_progress=killed_after(60))
    jobs = plan(FAMILY, CONTEXTS[1:], directory=tmp_path)
    [batch] = plan_batches(jobs, tmp_path, 1)
    assert batch == Batch(jobs=tuple(jobs), steps_done=28)
    with pytest.raises(ValueError, match=r"trains speed=3_torso=0\.5, which is not among the"):
        build(tmp_path, CONTEXTS[1:2])
    with pytest.raises(ValueError, match="another training, with `batch_size` 4 instead of 8"):
        build(tmp_path, CONTEXTS[1:], recipe=replace(TD3, batch_size=8))
    # Another build has trained them since: the state is of no use.
    for context in CONTEXTS[1:]:
        save_expert(untrained(context), tmp_path)
    assert plan_batches(jobs, tmp_path, None) == []
    build(tmp_path, CONTEXTS[1:])
    assert not (tmp_path / STATE).exists()


def test_a_batch_that_fails_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experts.offpolicy import train_many

    def fails_once(family, contexts, **options):
        if CONTEXTS[0] in contexts:
            options["saving"].path.touch()
            raise FloatingPointError("the policy is not finite")
        return train_many(family, contexts, **options)

    monkeypatch.setattr("experts.batched_build.train_many", fails_once)
    with pytest.raises(BuildError, match=r"^2 of 3 experts failed: speed=-2_torso=0\.5, speed=1"):
        build(tmp_path, batch_size=2)
    assert load_experts(tmp_path).contexts == CONTEXTS[2:]
    assert not (tmp_path / STATE).exists()


def test_diverging_agents_are_named(tmp_path: Path) -> None:
    diverging = replace(TD3, learning_rate=1e38, final_learning_rate=1e38)
    with pytest.raises(BuildError, match=r"3 of 3 experts failed: .* is not finite after"):
        build(tmp_path, recipe=diverging)


def test_what_cannot_be_batched_is_refused(tmp_path: Path) -> None:
    fitting = r"one of \['sac-fast', 'sac-laptop', .*, 'td3-paper'\], got 'ppo-fast'"
    with pytest.raises(ValueError, match=f"`recipe` must be of TD3 or SAC .*{fitting}"):
        build(tmp_path, recipe=recipe_for("ppo-fast", ENV_ID))
    for options, text in (
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"device": "tpu"}, "`device` must be one of auto, cpu, cuda, got 'tpu'"),
        ({"checkpoint_every": 0}, "`checkpoint_every` must be at least 1, got 0"),
        ({"checkpoint_from": 5}, "`checkpoint_from` must come with `checkpoint_every`"),
        ({"checkpoint_last": 5}, "`checkpoint_last` must come with `checkpoint_every`"),
        ({"checkpoint_every": 5, "checkpoint_last": 0}, "`checkpoint_last` must be at least 1"),
        ({"save_minutes": -1.0}, r"`save_minutes` must be at least 0, got -1\.0"),
    ):
        with pytest.raises(ValueError, match=text):
            Batching(**options)
    assert list(tmp_path.iterdir()) == []


def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Batching().chosen_device().type == "cpu"
    with pytest.raises(ValueError, match="no CUDA device was found, got 'cuda'"):
        Batching(device="cuda").chosen_device()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Batching().chosen_device().type == "cuda"
    assert Batching(device="cpu").chosen_device().type == "cpu"


def test_replay_bytes_are_the_tables() -> None:
    replay = Replay(3, 2, 48 + 2, FAMILY.observation_size, FAMILY.action_size)
    assert replay_bytes(FAMILY, TD3, 3) == replay._table.numel() * 4
    # Two agents of a fast recipe keep their replay in the state, forty of the paper's do not.
    assert replay_bytes(FAMILY, recipe_for("sac-fast", ENV_ID), 2) <= REPLAY_LIMIT
    assert replay_bytes(FAMILY, recipe_for("td3-paper", ENV_ID), 40) > REPLAY_LIMIT


def test_estimate_counts_what_is_left(tmp_path: Path) -> None:
    jobs = plan(FAMILY, CONTEXTS, directory=tmp_path)
    batches = [Batch(jobs=tuple(jobs[:2]), steps_done=28), Batch(jobs=tuple(jobs[2:]))]
    speeds = [
        BatchSpeed(n_agents=n, seconds_per_step=s, agent_updates_per_second=1, measured_seconds=1)
        for n, s in ((2, 3.0), (1, 2.0))
    ]
    found = estimate_batches(batches, recipe=TD3, speeds=speeds)
    assert found.pieces == 3
    assert found.steps == 2 * 20 + 48
    # Steps of both environments of an agent at once: 10 of the first batch, 24 of the second.
    assert found.wall_seconds == 10 * 3.0 + 24 * 2.0


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_measured_speed_is_consistent(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experts.batched_estimates.MEASURED_CYCLES", 5)
    found = measured_batch_speed(
        FAMILY,
        CONTEXTS[:2],
        reward="track",
        recipe=RECIPES["sac"],
        device=torch.device("cpu"),
        seconds=seconds,
    )
    assert found.n_agents == 2 and found.measured_seconds > 0
    updates = found.agent_updates_per_second * found.seconds_per_step
    assert updates == pytest.approx(2 * RECIPES["sac"].updates_per_step)


SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path

from experts.batched_build import Batching
from tests.experts.test_batched_build import CONTEXTS, TD3, build

if __name__ == "__main__":
    recipe = replace(TD3, total_steps=300)
    build(
        Path(sys.argv[1]), recipe=recipe, batch_size=2, save_minutes=0.0, checkpoint_every=100
    )
"""


@pytest.mark.slow
def test_kill_and_resume_in_a_process_of_its_own(tmp_path: Path) -> None:
    script, zoo = tmp_path / "script.py", tmp_path / "zoo"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    command = [sys.executable, str(script), str(zoo)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    for kill_when in (zoo / STATE, manifest_path(zoo, CONTEXTS[1])):
        process = subprocess.Popen(command, cwd=root, env=environment)
        deadline = time.monotonic() + 300
        while not kill_when.exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    before = stamps(zoo)
    subprocess.run(command, cwd=root, env=environment, check=True)
    experts = load_experts(zoo)
    assert experts.contexts == CONTEXTS
    assert [record["steps"] for record in experts.records] == [300] * 3
    weights = [name for name in before if name.endswith(".safetensors")]
    assert {name: stamps(zoo)[name] for name in weights} == {name: before[name] for name in weights}
    kept = load_checkpoints(checkpoint_path(zoo / CHECKPOINTS, CONTEXTS[0]))
    assert kept.steps.tolist() == list(range(2, 300, 100))
    assert not list(zoo.glob(".*"))
    assert json.loads(manifest_path(zoo, CONTEXTS[0]).read_text())["trained_together"] == 2
