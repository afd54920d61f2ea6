"""Frames of a simulation, off screen."""

from __future__ import annotations

import os
from collections.abc import Mapping

import mujoco
import numpy as np
from numpy.typing import NDArray

from param_envs.family import Array, Family

LARGEST_FRAME = 4096
"""Width and height that off-screen buffers can have everywhere."""


def check_render_mode(mode: str | None) -> str | None:
    """Returns `mode`.

    Raises:
        ValueError: if it is neither None nor `rgb_array`.
    """
    if mode not in (None, "rgb_array"):
        raise ValueError(f"`render_mode` must be None or 'rgb_array', got {mode!r}")
    return mode


def check_frame_size(width: int, height: int) -> None:
    """Checks the size of frames, in pixels.

    Raises:
        ValueError: if one is not an integer from 1 to `LARGEST_FRAME`.
    """
    for name, size in (("width", width), ("height", height)):
        if not isinstance(size, (int, np.integer)) or not 1 <= size <= LARGEST_FRAME:
            raise ValueError(
                f"`{name}` must be an integer from 1 to {LARGEST_FRAME} pixels, got {size!r}"
            )


class FrameRenderer:
    """Draws one family's bodies; makes its graphics context when the first frame is asked for."""

    def __init__(self, family: Family, width: int, height: int) -> None:
        """Stores the frame's size.

        Raises:
            ValueError: as `check_frame_size`.
        """
        check_frame_size(width, height)
        self._family = family
        self._width, self._height = width, height
        self._model: mujoco.MjModel | None = None
        self._renderer: mujoco.Renderer | None = None

    def frame(self, context: Mapping[str, float], qpos: Array) -> NDArray[np.uint8]:
        """One frame (height, width, 3) of the body of `context` at `qpos` (nq,).

        Raises:
            RuntimeError: if no off-screen backend works; says which packages bring one.
        """
        model = self._family.visual_model(context)
        if self._renderer is None or model is not self._model:
            self.close()
            self._renderer, self._model = self._make(model), model
        data = mujoco.MjData(model)
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        self._renderer.update_scene(data, camera=self._family.camera)
        return self._renderer.render()

    def _make(self, model: mujoco.MjModel) -> mujoco.Renderer:
        buffer = model.vis.global_  # of visual models, which only renderers have
        buffer.offwidth = max(buffer.offwidth, self._width)
        buffer.offheight = max(buffer.offheight, self._height)
        try:
            return mujoco.Renderer(model, self._height, self._width)
        except Exception as error:
            backend = os.environ.get("MUJOCO_GL", "unset")
            raise RuntimeError(
                f"no off-screen rendering with MUJOCO_GL={backend}: install EGL (Debian: libegl1) "
                "and set MUJOCO_GL=egl, or OSMesa (libosmesa6) and MUJOCO_GL=osmesa, before "
                "mujoco is imported"
            ) from error

    def close(self) -> None:
        """Frees the graphics context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
