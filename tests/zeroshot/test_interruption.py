"""Runs that are killed or interrupted, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from zeroshot.results import ROWS, SUMMARY, read_rows, unit_of
from zeroshot.run import run
from zeroshot.suites import Suite

SCRIPT = """
import signal
import sys
from pathlib import Path

from zeroshot.cli import main
from zeroshot.suites import SUITES, Suite

if __name__ == "__main__":
    # Tests that run in the background of a shell inherit that Ctrl-C is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    SUITES["tiny"] = Suite(**{suite!r})
    sys.exit(main(sys.argv[1:]))
"""
N_ROWS = 7 * 2 * 6
"""Seven rows of the table, two splits, two contexts of three episodes."""


@pytest.fixture
def command(suite: Suite, zoo: Path, user_module: str, tmp_path: Path) -> list[str]:
    """`zeroshot run` of the tiny suite, without --out."""
    record = {
        name: getattr(suite, name)
        for name in ("name", "env_id", "reward", "grid", "train_fraction", "n_episodes", "n_steps")
    }
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(suite=record))
    words = ["run", "tiny", "--methods", f"{user_module}:Slow", "--seeds", "2", "--workers", "2"]
    return [sys.executable, str(script), *words, "--zoo", str(zoo)]


@pytest.mark.parametrize(
    "moments",
    [(N_ROWS // 2,), pytest.param((0, 1, N_ROWS // 3, N_ROWS - 12), marks=pytest.mark.slow)],
)
def test_killed_at_any_moment_and_resumed_a_run_ends_as_if_it_had_not_been(
    command: list[str],
    suite: Suite,
    zoo: Path,
    user_module: str,
    tmp_path: Path,
    moments: tuple[int, ...],
) -> None:
    run(suite, [f"{user_module}:Slow"], seeds=2, out=tmp_path / "whole", zoo=zoo)
    out = tmp_path / "killed"
    for n_rows in moments:
        process = _start(command, out, "--resume")
        _wait(lambda n_rows=n_rows: _n_lines(out / ROWS) >= n_rows and out.exists())
        children = _children(process.pid)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        _wait(lambda children=children: not any(_alive(child) for child in children))
        kept = (out / ROWS).read_bytes() if (out / ROWS).exists() else b""
        assert kept.count(b"\n") >= n_rows
    said = _finish(command, out, "--resume")
    assert "were done before" in said
    rows, per_unit = read_rows(out / ROWS), N_ROWS // 14
    before = [json.loads(line) for line in kept[: kept.rfind(b"\n") + 1].splitlines()]
    n_before = Counter(map(unit_of, before))
    assert max(n_before.values()) == per_unit
    for unit, n in n_before.items():
        if n == per_unit:  # also with the seconds that it took then
            was, now = ([row for row in of if unit_of(row) == unit] for of in (before, rows))
            assert was == now
    assert _comparable(out) == _comparable(tmp_path / "whole")
    assert json.loads((out / SUMMARY).read_text())["complete"]


def test_ctrl_c_keeps_rows_prints_what_there_is_and_exits_with_130(
    command: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = _start(command, out)
    _wait(lambda: _n_lines(out / ROWS) >= N_ROWS // 2)
    children = _children(process.pid)
    process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "best-single" in said and "unfinished" in said
    assert f"interrupted; finished rows are in {out}, --resume goes on" in complained
    assert "Traceback" not in complained
    _wait(lambda: not any(_alive(child) for child in children))
    summary = json.loads((out / SUMMARY).read_text())
    assert not summary["complete"] and len(read_rows(out / ROWS)) >= N_ROWS // 2
    _finish(command, out, "--resume")
    assert len(read_rows(out / ROWS)) == N_ROWS


def _start(command: list[str], out: Path, *also: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": sys.path[0]}
    return subprocess.Popen(
        [*command, "--out", str(out), *also],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def _finish(command: list[str], out: Path, *also: str) -> str:
    process = _start(command, out, *also)
    said, complained = process.communicate(timeout=120)
    assert process.returncode == 0, complained
    return said


def _wait(condition: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def _n_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task")
    return [
        int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()
    ]


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _comparable(out: Path) -> list[dict[str, Any]]:
    rows = read_rows(out / ROWS)
    for row in rows:
        for name in ("fit_seconds", "commit"):
            row.pop(name)
    return sorted(rows, key=json.dumps)
