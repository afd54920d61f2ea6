"""Chooses MuJoCo's graphics backend. Imports no MuJoCo, which reads the choice when imported."""

from __future__ import annotations

import os
import sys


def use_offscreen_backend() -> None:
    """Asks MuJoCo for EGL on a Linux machine without a screen, unless `MUJOCO_GL` is set."""
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")
