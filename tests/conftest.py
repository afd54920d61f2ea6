"""Settings of all tests: off-screen drawing, and property tests that are the same every time."""

from __future__ import annotations

import os
import sys

import hypothesis

# Before anything imports mujoco or matplotlib, which read these once.
if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
    os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("MPLBACKEND", "Agg")

# Without a deadline, since other work on the machine would make tests fail; derandomised, so that a
# failure is seen by everybody. `--hypothesis-seed` or a profile of one's own explores further.
hypothesis.settings.register_profile(
    "repository", deadline=None, derandomize=True, database=None, print_blob=True
)
hypothesis.settings.load_profile("repository")
