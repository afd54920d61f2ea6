"""The Ray engine on real local clusters; the second node is killed while it works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts import BuildProgress, build, load_experts
from experts.engines import Failed, Finished, Pool, Reported, engine_named
from experts.store import save_expert
from param_envs import family_of
from tests.experts.factories import ENV_ID, TINY

ray = pytest.importorskip("ray")

from experts.engines_ray import RayEngine  # noqa: E402  (needs Ray)

pytestmark = pytest.mark.slow

FAMILY = family_of(ENV_ID)
CONTEXTS = [FAMILY.context(speed=s) for s in (-2.0, -1.0, 1.0, 2.0, 3.0)]
ANCHORS = [{"speed": -1.0}, {"speed": 2.0}]
ROOT = Path(__file__).parents[1]
PATIENCE = 240.0
"""Seconds after which something that should have happened never will."""


class TwoNodes:
    """A cluster of a head and a second node, one CPU each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        small = {"num_cpus": 1, "object_store_memory": 80_000_000}
        self.cluster = Cluster(
            initialize_head=True, head_node_args={**small, "include_dashboard": False}
        )
        self.second = self.cluster.add_node(**small)
        self.address: str = self.cluster.address

    def kill_second(self) -> None:
        self.cluster.remove_node(self.second, allow_graceful=False)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoNodes]:
    monkeypatch.chdir(ROOT)  # Ray's workers import the tests from here
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    nodes = TwoNodes()
    yield nodes
    ray.shutdown()
    nodes.cluster.shutdown()


def work(piece: tuple[int, Path, str], report: Callable[[float], None]) -> tuple[int, str | None]:
    """Writes down when it begins and ends; in a trap, only what the doomed node runs is lost."""
    number, folder, doomed = piece
    node = ray.get_runtime_context().get_node_id()
    report(0.5)
    write(folder / "begun", f"{number} {node}")
    while (folder / "trap").exists() and (node == doomed or not (folder / "dead").exists()):
        write(folder / "trapped", node)
        time.sleep(0.1)
    time.sleep(0.2)
    write(folder / "ended", str(number))
    return number, os.environ.get("OMP_NUM_THREADS")


def write(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def prepare() -> Callable[[Any, Callable[[float], None]], Any]:
    return work


def wait_for(condition: Callable[[], bool], meanwhile: Callable[[], object]) -> None:
    """Does the other thing again and again, until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"nothing came of it in {PATIENCE:.0f} s"
        meanwhile()


def next_ends(pool: Pool, ends: dict[Any, Finished | Failed], reports: list[Reported]) -> None:
    for event in pool.events(0.5):
        if isinstance(event, Reported):
            reports.append(event)
        else:
            assert event.key not in ends, "a piece ends once"
            ends[event.key] = event


def test_a_killed_node_loses_nothing_and_nothing_is_done_twice(
    nodes: TwoNodes, tmp_path: Path
) -> None:
    doomed = nodes.second.node_id
    ends: dict[Any, Finished | Failed] = {}
    reports: list[Reported] = []
    with RayEngine(address=nodes.address).open(prepare) as pool:
        for number in range(10):
            pool.submit(f"piece {number}", (number, tmp_path, doomed))
        look = partial(next_ends, pool, ends, reports)
        wait_for(lambda: len(ends) >= 3, look)
        (tmp_path / "trap").touch()
        wait_for(lambda: len(set(lines(tmp_path / "trapped"))) >= 2, look)
        nodes.kill_second()
        (tmp_path / "dead").touch()
        wait_for(lambda: len(ends) >= 10, look)
    assert {key: end.result for key, end in ends.items() if isinstance(end, Finished)} == {
        f"piece {number}": (number, "1") for number in range(10)
    }
    assert sorted(map(int, lines(tmp_path / "ended"))) == list(range(10)), "each is done once"
    begun = [line.split() for line in lines(tmp_path / "begun")]
    assert {node for _, node in begun} >= {doomed} and len({node for _, node in begun}) == 2
    assert len(begun) == 11, "one began again: the one that the node was doing"
    assert {report.key for report in reports} <= set(ends) and reports


def test_a_build_goes_on_when_a_node_is_killed(
    nodes: TwoNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def save(expert: Any, directory: Path) -> Path:
        written.append(save_expert(expert, directory))
        return written[-1]

    monkeypatch.setattr("experts.jobs.save_expert", save)
    reports: list[BuildProgress] = []
    alive = [True]

    def on_progress(progress: BuildProgress) -> None:
        reports.append(progress)
        if alive[0] and progress.finished == 1:
            alive[0] = False
            nodes.kill_second()

    arguments: dict[str, Any] = {"reward": "track", "recipe": TINY, "anchors": ANCHORS}
    build(
        FAMILY,
        CONTEXTS,
        directory=tmp_path / "ray",
        engine=engine_named("ray", nodes.address),
        on_progress=on_progress,
        **arguments,
    )
    assert not alive[0]
    assert len(written) == len(set(written)) == len(CONTEXTS), "each is written once"
    assert reports[-1].finished == reports[-1].total == len(CONTEXTS)
    assert reports[-1].steps_done == reports[-1].steps_total
    build(FAMILY, CONTEXTS, directory=tmp_path / "local", **arguments)
    there, here = load_experts(tmp_path / "ray"), load_experts(tmp_path / "local")
    for a, b in zip(there.policies.weights, here.policies.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [r["warm_start"] for r in there.records] == [r["warm_start"] for r in here.records]


SCRIPT = """
import sys
from pathlib import Path
from experts import build
from experts.engines import engine_named
from tests.experts.factories import TINY
from tests.test_ray import CONTEXTS, FAMILY
build(FAMILY, CONTEXTS, reward="track", recipe=TINY, directory=Path(sys.argv[1]), workers=1,
      engine=engine_named("ray", sys.argv[2]))
"""


def test_a_driver_killed_and_started_again_does_the_rest(nodes: TwoNodes, tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    command = [sys.executable, "-c", SCRIPT, str(zoo), nodes.address]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    try:
        wait_for(
            lambda: len(list(zoo.glob("*.json"))) >= 2 or process.poll() is not None,
            lambda: time.sleep(0.02),
        )
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    kept = {
        path: path.with_suffix(".safetensors").stat().st_mtime_ns for path in zoo.glob("*.json")
    }
    assert 2 <= len(kept) < len(CONTEXTS)
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == "", "Ray is quiet"
    assert len(load_experts(zoo)) == len(CONTEXTS)
    for path, written in kept.items():
        assert path.with_suffix(".safetensors").stat().st_mtime_ns == written
    ray.init(address=nodes.address, log_to_driver=False)
    assert sum(node["Alive"] for node in ray.nodes()) == 2, "the cluster was joined, and goes on"


def test_pieces_fail_alone_connections_stay_and_progress_may_be_lost(
    nodes: TwoNodes, tmp_path: Path
) -> None:
    ray.init(address=nodes.address, log_to_driver=False)
    engine = RayEngine(address="auto")
    assert engine.capacity() == 2
    with (
        pytest.raises(ValueError, match=r"`address` must be .*, which this process is conn"),
        RayEngine(address="192.0.2.1:6379").open(prepare),
    ):
        pass
    ends: dict[Any, Finished | Failed] = {}
    with engine.open(prepare, workers=1) as pool:
        ray.kill(pool._board)  # type: ignore[attr-defined]
        pool.submit("bad", ("three things", "are", "needed", "here"))
        for number in range(3):
            pool.submit(number, (number, tmp_path, "none"))
        wait_for(lambda: len(ends) >= 4, lambda: next_ends(pool, ends, []))
    bad = ends.pop("bad")
    assert isinstance(bad, Failed) and bad.error.startswith("ValueError: too many values")
    assert "in work" in bad.trace
    assert all(isinstance(end, Finished) for end in ends.values())
    assert lines(tmp_path / "ended") == ["0", "1", "2"], "one worker takes them in order"
    assert ray.is_initialized(), "a connection that was there is left alone"


def test_leaving_ends_what_is_running(nodes: TwoNodes, tmp_path: Path) -> None:
    ray.init(address=nodes.address, log_to_driver=False)
    (tmp_path / "trap").touch()
    with RayEngine().open(prepare) as pool:
        for number in range(4):
            pool.submit(number, (number, tmp_path, ""))
        wait_for(lambda: len(lines(tmp_path / "begun")) >= 2, lambda: pool.events(0.1))
    # Until then the tasks hold their CPUs.
    wait_for(lambda: ray.available_resources().get("CPU") == 2.0, lambda: time.sleep(0.2))
    (tmp_path / "dead").touch()
    assert lines(tmp_path / "ended") == [] and len(lines(tmp_path / "begun")) == 2


def test_an_address_without_a_cluster_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with (
        pytest.raises(ValueError, match="`address` must be a Ray cluster's, got 'nonsense'"),
        RayEngine(address="nonsense").open(prepare),
    ):
        pass
    with pytest.raises(ValueError, match=r"`address` must be host:port or auto, .* 'ray://head'"):
        engine_named("ray", "ray://head")


def test_a_sweep_on_ray_has_the_rows_of_one_on_this_machine(
    nodes: TwoNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.zeroshot.conftest import make_zoo
    from zeroshot.cli import main
    from zeroshot.results import ROWS, SUMMARY, read_rows
    from zeroshot.suites import SUITES, Suite

    suite = Suite(
        name="tiny",
        env_id=ENV_ID,
        reward="track",
        grid={"speed": (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)},
        train_fraction=0.7,
        n_episodes=2,
        n_steps=12,
    )
    monkeypatch.setitem(SUITES, "tiny", suite)
    zoo = make_zoo(suite, tmp_path / "zoo")
    words = ["run", "tiny", "--methods", "tests.test_ray:Middle", "--seeds", "2"]
    words += ["--zoo", str(zoo)]
    ray_words = ["--engine", "ray", "--address", nodes.address, "--out", str(tmp_path / "ray")]
    assert main([*words, *ray_words]) == 0
    assert not ray.is_initialized(), "a connection of its own is ended"
    assert main([*words, "--workers", "1", "--out", str(tmp_path / "local")]) == 0

    def comparable(out: Path) -> list[dict[str, Any]]:
        rows = read_rows(out / ROWS)
        for row in rows:
            row.pop("fit_seconds")
            row.pop("commit")  # somebody may commit between the two
        return sorted(rows, key=json.dumps)

    assert comparable(tmp_path / "ray") == comparable(tmp_path / "local")
    assert json.loads((tmp_path / "ray" / SUMMARY).read_text())["complete"]


class Middle:
    """A method that tells how far it is, and acts as the mean of the labels."""

    def fit(self, data: Any, *, seed: int, progress: Any = None) -> Any:
        for i in range(3):
            progress((i + 1) / 3)
        return Constant(data.labels.mean(axis=(0, 1, 2)).astype(np.float32))


class Constant:
    def __init__(self, action: Any) -> None:
        self.action = action

    def policies(self, contexts: Any) -> Constant:
        return self

    def act(self, observations: Any) -> Any:
        return np.broadcast_to(self.action, (*observations.shape[:2], len(self.action)))
