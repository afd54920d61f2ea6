"""Where a result comes from: versions, commit, machine, time."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("param-envs", "mujoco", "gymnasium", "numpy", "torch", "stable-baselines3")


def provenance() -> dict[str, Any]:
    """When, where and with which versions something was computed, for a manifest."""
    return {
        "date": now(),
        "commit": commit(),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": versions(),
    }


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, as far as installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


EVERYTHING_BUT_RESULTS = (":/", ":(top,exclude)docs/results")


@cache
def commit() -> str | None:
    """Commit of the checkout that runs, with `-dirty` if files differ from it; None outside git.

    Files in docs/results do not count: a run that writes one does not change the next.
    """
    head = _git("rev-parse", "HEAD")
    if not head:
        return None
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *EVERYTHING_BUT_RESULTS)
    return head + "-dirty" * bool(changed)


def machine() -> dict[str, str | int | None]:
    """Processor and operating system."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
    }


def now() -> str:
    """The present time in UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def command() -> str:
    """The command line of this process, without the folder that its program lies in."""
    program = Path(sys.argv[0]).name
    return shlex.join(["zeroshot" if program == "cli.py" else program, *sys.argv[1:]])


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
