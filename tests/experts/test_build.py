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

from experts import BuildError, BuildProgress, build, load_experts
from experts.build import plan
from experts.jobs import Job, manifest_path, run_jobs
from experts.offpolicy import CheckpointSchedule, load_checkpoints
from experts.offpolicy.checkpoints import checkpoint_path
from param_envs import family_of
from tests.experts.factories import ENV_ID, TINY
from tests.experts.test_offpolicy_training import TD3

FAMILY = family_of(ENV_ID)
CONTEXTS = [FAMILY.context(speed=s) for s in (-2.0, -1.0, 1.0, 2.0, 3.0)]


HERE = Path("zoo")


def parent(job: Job) -> str | None:
    return None if job.warm_from is None else job.warm_from.stem


def test_plan_without_anchors_is_independent() -> None:
    jobs = plan(FAMILY, CONTEXTS, directory=HERE)
    assert [job.context for job in jobs] == CONTEXTS
    assert all(job.warm_from is None for job in jobs)


def test_plan_chains_to_the_nearest_and_never_across_a_sign() -> None:
    jobs = plan(FAMILY, CONTEXTS, directory=HERE, anchors=[{"speed": 2.0}, {"speed": -1.0}])
    two, minus_one = "speed=2_torso=0.5", "speed=-1_torso=0.5"
    parents = {job.context["speed"]: parent(job) for job in jobs}
    assert parents == {2.0: None, -1.0: None, 1.0: two, 3.0: two, -2.0: minus_one}


def test_plan_orders_parents_first() -> None:
    contexts = [FAMILY.context(speed=0.5 * k) for k in range(1, 21)]
    jobs = plan(FAMILY, contexts, directory=HERE, anchors=[{"speed": 4.0}])
    seen = set()
    for job in jobs:
        assert job.warm_from is None or job.warm_from in seen
        seen.add(manifest_path(HERE, job.context))
    assert len(seen) == 20
    assert {job.context["speed"]: parent(job) for job in jobs}[10.0] == "speed=9.5_torso=0.5"


def test_plan_along_a_feature_changes_no_other() -> None:
    grid = [FAMILY.context(speed=v, torso=t) for v in (1.0, 1.1) for t in (0.4, 0.5, 0.6)]
    anchors = [{"speed": 1.0}, {"speed": 1.1}]
    jobs = plan(FAMILY, grid, directory=HERE, anchors=anchors, along=["torso"])
    parents = {tuple(job.context.values()): parent(job) for job in jobs}
    assert parents[1.0, 0.4] == parents[1.0, 0.6] == "speed=1_torso=0.5"
    assert parents[1.1, 0.4] == parents[1.1, 0.6] == "speed=1.1_torso=0.5"
    with pytest.raises(ValueError, match=r"must lead to every context along \['torso'\]"):
        plan(FAMILY, grid, directory=HERE, anchors=anchors[:1], along=["torso"])
    with pytest.raises(ValueError, match="`along` must come with `anchors`"):
        plan(FAMILY, grid, directory=HERE, along=["torso"])
    with pytest.raises(ValueError, match="unknown feature `mass`"):
        plan(FAMILY, grid, directory=HERE, anchors=anchors, along=["mass"])


def test_plan_chains_nothing_to_leaves() -> None:
    contexts = [FAMILY.context(speed=float(k)) for k in range(1, 8)]
    leaves = [contexts[2], contexts[3]]
    jobs = plan(FAMILY, contexts, directory=HERE, anchors=[{"speed": 2.0}], leaves=leaves)
    parents = {job.context["speed"]: parent(job) for job in jobs}
    two, five = "speed=2_torso=0.5", "speed=5_torso=0.5"
    assert parents[3.0] == two and parents[5.0] == two and parents[6.0] == five
    assert parents[4.0] in (two, five)
    with pytest.raises(ValueError, match="`anchors` must not be contexts that are always held out"):
        plan(FAMILY, contexts, directory=HERE, anchors=[{"speed": 3.0}], leaves=leaves)


def test_anchor_must_be_a_context() -> None:
    with pytest.raises(ValueError, match="`anchors` must be contexts of the build"):
        plan(FAMILY, CONTEXTS, directory=HERE, anchors=[{"speed": 7.0}])


def test_workers_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`workers` must be at least 1, got 0"):
        build(FAMILY, CONTEXTS, reward="track", recipe=TINY, directory=tmp_path, workers=0)


def test_checkpoints_need_a_recipe_of_td3_or_sac(tmp_path: Path) -> None:
    schedule = CheckpointSchedule(directory=tmp_path / "checkpoints", every=8)
    arguments = {"reward": "track", "directory": tmp_path, "checkpoints": schedule}
    with pytest.raises(ValueError, match="`checkpoints` need a recipe of TD3 or SAC, got 'tiny'"):
        build(FAMILY, CONTEXTS, recipe=TINY, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_td3_chains_and_keeps_policies_along_the_way(tmp_path: Path) -> None:
    recipe = replace(TD3, warm_steps=32)
    build(
        FAMILY,
        CONTEXTS[3:],
        reward="track",
        recipe=recipe,
        directory=tmp_path,
        anchors=[{"speed": 2.0}],
        checkpoints=CheckpointSchedule(directory=tmp_path / "checkpoints", every=4, last=3),
    )
    experts = load_experts(tmp_path)
    assert [record["warm_start"] for record in experts.records] == [
        None,
        {"expert": "speed=2_torso=0.5", "reward": "track"},
    ]
    assert [record["steps"] for record in experts.records] == [recipe.total_steps, 32]
    for context, record in zip(CONTEXTS[3:], experts.records, strict=True):
        kept = load_checkpoints(checkpoint_path(tmp_path / "checkpoints", context))
        assert np.diff(kept.steps).tolist() == [4, 4]
        assert 0 <= record["steps"] - kept.steps[-1] < 4
        assert kept.record["context"] == dict(context)


def test_what_is_in_a_folder_already_must_fit(tmp_path: Path) -> None:
    arguments = {"reward": "track", "recipe": TINY, "directory": tmp_path}
    build(FAMILY, CONTEXTS[:1], **arguments)
    reports: list[BuildProgress] = []
    for change, has, needs in (
        ({"recipe": replace(TINY, discount=0.5)}, "discount 0.99", "0.5"),
        ({"reward": "reach"}, "reward track", "reach"),
    ):
        complaint = rf"speed=-2_torso=0.5.json has the {has}, this build {needs}: build into an"
        with pytest.raises(ValueError, match=complaint):
            build(FAMILY, CONTEXTS[:2], **{**arguments, **change}, on_progress=reports.append)
    nearly = FAMILY.context(speed=-2.0000001, torso=0.5)
    with pytest.raises(ValueError, match=r"has the context .*-2\.0, .*-2\.0000001"):
        build(FAMILY, [nearly], **arguments, on_progress=reports.append)
    assert not reports and len(list(tmp_path.glob("*.json"))) == 1


def test_build_chains_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    contexts = CONTEXTS[3:]
    reports: list[BuildProgress] = []
    arguments = {"reward": "track", "recipe": TINY, "directory": tmp_path}
    build(FAMILY, contexts, anchors=[{"speed": 2.0}], on_progress=reports.append, **arguments)
    experts = load_experts(tmp_path)
    assert experts.contexts == tuple(contexts)
    parents = [record["warm_start"] for record in experts.records]
    assert parents == [None, {"expert": "speed=2_torso=0.5", "reward": "track"}]
    assert reports[-1].finished == reports[-1].total == 2
    assert reports[-1].remaining_seconds == 0.0

    dates = [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())]
    build(FAMILY, contexts, **arguments)
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())] == dates


def test_anchors_can_come_from_another_zoo(tmp_path: Path) -> None:
    track, reach = tmp_path / "track", tmp_path / "reach"
    build(FAMILY, CONTEXTS[3:4], reward="track", recipe=TINY, directory=track, workers=1)
    arguments = {"reward": "reach", "recipe": TINY, "directory": reach, "anchor_zoo": track}
    with pytest.raises(ValueError, match="`anchor_zoo` must come with `anchors`"):
        build(FAMILY, CONTEXTS, **arguments)
    with pytest.raises(ValueError, match=r"`anchor_zoo` must have .*speed=3_torso=0\.5\.json"):
        build(FAMILY, CONTEXTS, anchors=[{"speed": 3.0}], **arguments)
    build(FAMILY, CONTEXTS[3:], anchors=[{"speed": 2.0}], workers=1, **arguments)
    records = {record["context"]["speed"]: record for record in load_experts(reach).records}
    assert records[2.0]["warm_start"] == {"expert": "speed=2_torso=0.5", "reward": "track"}
    assert records[2.0]["steps"] == TINY.warm_steps
    assert records[3.0]["warm_start"] == {"expert": "speed=2_torso=0.5", "reward": "reach"}


def test_a_parent_that_is_absent_or_damaged_fails_its_child_alone(tmp_path: Path) -> None:
    absent, damaged = tmp_path / "absent.json", tmp_path / "damaged.json"
    damaged.write_text("{}")
    jobs = [
        Job(context=context, seed=0, warm_from=parent)
        for context, parent in zip(CONTEXTS[2:], (absent, damaged, None), strict=True)
    ]
    arguments = {"reward": "track", "recipe": TINY, "directory": tmp_path / "zoo"}
    with pytest.raises(BuildError, match=r"2 of 3 experts failed: ") as caught:
        run_jobs(jobs, FAMILY, workers=1, **arguments)
    assert f"speed=1_torso=0.5: {absent} is absent" in str(caught.value)
    assert f"speed=2_torso=0.5: ValueError: {damaged}: the manifest lacks" in str(caught.value)
    assert load_experts(tmp_path / "zoo").contexts == (CONTEXTS[4],)


def test_a_context_is_trained_once(tmp_path: Path) -> None:
    jobs = [Job(context=context, seed=0, warm_from=None) for context in CONTEXTS[2:3] * 2]
    with pytest.raises(ValueError, match=r"distinct contexts, twice there are \['speed=1_torso"):
        run_jobs(jobs, FAMILY, reward="track", recipe=TINY, directory=tmp_path)


def test_one_failure_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "speed=2_torso=0.5.safetensors").mkdir()  # cannot be replaced by a file
    with pytest.raises(BuildError, match=r"1 of 2 experts failed: speed=2_torso=0\.5: "):
        build(FAMILY, CONTEXTS[2:4], reward="track", recipe=TINY, directory=tmp_path, workers=1)
    assert (tmp_path / "speed=1_torso=0.5.json").exists()


SCRIPT = """
import sys
from pathlib import Path
from experts import build
from tests.experts.factories import TINY
from tests.experts.test_build import CONTEXTS, FAMILY
if __name__ == "__main__":
    build(FAMILY, CONTEXTS, reward="track", recipe=TINY, directory=Path(sys.argv[1]))
"""


def trained(manifest: Path) -> tuple[dict, bytes]:
    """What training wrote: the manifest but for the build's closing assessment, and the weights."""
    record = json.loads(manifest.read_text())
    record.pop("shortfall", None)
    return record, manifest.with_suffix(".safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("finished", [0, 1, 3])
def test_kill_loses_only_what_was_in_training(tmp_path: Path, finished: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    zoo = tmp_path / "zoo"
    root = Path(__file__).parents[2]
    command = [sys.executable, str(script), str(zoo)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen(command, cwd=root, env=environment, start_new_session=True)
    deadline = time.monotonic() + 120
    while len(list(zoo.glob("*.json"))) < finished or not zoo.parent.exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: trained(path) for path in zoo.glob("*.json")}
    assert len(kept) >= finished
    time.sleep(3)  # orphaned workers notice within a report and leave
    subprocess.run(command, cwd=root, env=environment, check=True)
    assert len(load_experts(zoo)) == len(CONTEXTS)
    assert all(trained(path) == content for path, content in kept.items())
    assert not list(zoo.glob(".*.part"))
