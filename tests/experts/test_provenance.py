import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest

from experts import provenance as module
from experts.provenance import command, commit, now, provenance, versions


def test_a_record_says_when_where_and_with_what() -> None:
    record = provenance()
    assert set(record) == {"date", "commit", "machine", "versions"}
    assert record["commit"] == commit() and record["versions"] == versions()
    assert platform.python_version() in record["machine"]
    assert versions()["python"] == platform.python_version()
    assert {"mujoco", "numpy", "torch", "stable-baselines3", "param-envs"} < set(versions())
    assert now().endswith("+00:00") and len(now()) == len("2026-01-02T03:04:05+00:00")


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert module.commit.__wrapped__() is None


def test_a_git_that_hangs_gives_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], *, timeout: float, **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr("subprocess.run", hang)
    assert module.commit.__wrapped__() is None


def test_outside_a_checkout_and_before_its_first_commit_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An installed package is outside; in a new repository, Git prints `HEAD` and fails."""
    code = tmp_path / "experts" / "provenance.py"
    code.parent.mkdir()
    code.write_text("code")
    monkeypatch.setattr(module, "__file__", str(code))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert module.commit.__wrapped__() is None
    for words in (["init"], ["add", "."]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)
        assert module.commit.__wrapped__() is None, words


def test_results_do_not_make_a_checkout_dirty(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True
        ).stdout.decode()

    files = {"experts/provenance.py": "code", "docs/results/audit.json": "{}"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    head = git("rev-parse", "HEAD").strip()
    monkeypatch.setattr(module, "__file__", str(tmp_path / "experts" / "provenance.py"))
    assert module.commit.__wrapped__() == head
    (tmp_path / "docs/results/audit.json").write_text("{1}")
    assert module.commit.__wrapped__() == head
    (tmp_path / "experts/provenance.py").write_text("other code")
    assert module.commit.__wrapped__() == f"{head}-dirty"


@pytest.mark.parametrize("program", ["/somewhere/bin/zeroshot", "/somewhere/zeroshot/cli.py"])
def test_a_command_does_not_tell_where_its_program_lies(
    monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr("sys.argv", [program, "run", "cheetah-speed", "--out", "a b"])
    assert command() == "zeroshot run cheetah-speed --out 'a b'"
