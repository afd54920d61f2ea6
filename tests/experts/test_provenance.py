import platform

import pytest

from experts import provenance as module
from experts.provenance import commit, now, provenance, versions


def test_a_record_says_when_where_and_with_what() -> None:
    record = provenance()
    assert set(record) == {"date", "commit", "machine", "versions"}
    assert record["commit"] == commit() and record["versions"] == versions()
    assert platform.python_version() in record["machine"]
    assert versions()["python"] == platform.python_version()
    assert {"mujoco", "numpy", "torch", "stable-baselines3", "param-envs"} < set(versions())
    assert now().endswith("+00:00") and len(now()) == len("2026-01-02T03:04:05+00:00")


def test_outside_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert module.commit.__wrapped__() is None
