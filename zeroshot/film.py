"""Films of generated policies, in any context of a family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experts import Experts
from param_envs import Context, Family, ParamEnv
from param_envs.env import render_fps
from param_envs.rendering import check_frame_size
from zeroshot.bench import rollouts_of
from zeroshot.methods import make_method
from zeroshot.protocol import Observing, Policies, Progress
from zeroshot.suites import Suite

SUFFIXES = (".mp4", ".gif")
GIF_FPS = 25
"""Frames a second of a gif: half of real time's, for half the size."""


def generate(
    suite: Suite,
    experts: Experts,
    method: str,
    context: Context,
    *,
    seed: int = 0,
    collection: Path | None = None,
    progress: Progress | None = None,
) -> Policies:
    """Fits a method on the suite and generates the policy of one context.

    The context's own expert, if the suite has it, is left out of the data: what is filmed is
    zero-shot.

    Args:
        suite: whose contexts are learned from.
        experts: of its contexts, in order.
        method: registered name or import path.
        context: any context of the family, on the grid or not.
        seed: of rollouts and fit.
        collection: folder of many policies of every context; None where there are none.
        progress: told how far the fit is.
    """
    ids = [i for i, other in enumerate(suite.contexts) if other != context]
    data = rollouts_of(suite, experts.select(ids), seed=seed, collection=collection)
    return make_method(method).fit(data, seed=seed, progress=progress).policies([context])


def play_frames(
    family: Family,
    policies: Policies,
    context: Context,
    *,
    reward: str,
    seed: int,
    n_steps: int,
    size: tuple[int, int],
    every: int,
    show: Callable[[NDArray[np.uint8]], None],
    n_shown: int | None = None,
) -> float:
    """Plays one episode, shows its frames (height, width, 3), and returns its return.

    Args:
        family: the family.
        policies: one policy; one with memory is reset first and told of every step.
        context: where it acts.
        reward: the reward's meaning.
        seed: of the start.
        n_steps: control steps to play; fewer where the episode ends earlier.
        size: width and height, pixels.
        every: control steps between frames.
        show: called with every frame.
        n_shown: the first control steps, which are shown; all by default.
    """
    memory = policies if isinstance(policies, Observing) else None
    env = ParamEnv(family, reward=reward, render_mode="rgb_array", width=size[0], height=size[1])
    total = 0.0
    try:
        observation, _ = env.reset(seed=seed, options={"context": context})
        if memory is not None:
            memory.reset()
        for step in range(n_steps):
            if step % every == 0 and (n_shown is None or step < n_shown):
                show(np.asarray(env.render()))
            before = observation[None, None]
            actions = np.asarray(policies.act(before), dtype=np.float32)
            observation, gained, terminated, truncated, _ = env.step(actions[0, 0])
            total += gained
            over = terminated or truncated
            if memory is not None:
                memory.observe(
                    before,
                    actions,
                    np.array([[gained]]),
                    observation[None, None],
                    np.array([[over]]),
                )
            if over:
                break
    finally:
        env.close()
    return total


def film(
    family: Family,
    policies: Policies,
    context: Context,
    path: Path,
    *,
    reward: str,
    seed: int = 0,
    n_steps: int = 500,
    size: tuple[int, int] = (480, 480),
) -> dict[str, Any]:
    """Writes one episode in real time to an mp4 or a gif; returns what was filmed.

    Args:
        family: the family.
        policies: one policy.
        context: where it acts.
        path: ends in `.mp4` or `.gif`; its folder is made.
        reward: the reward's meaning.
        seed: of the start.
        n_steps: longest film in control steps.
        size: width and height, pixels; even numbers for mp4.

    Raises:
        ValueError: for another suffix, an odd size of an mp4, or a number below 1.
        RuntimeError: if no off-screen renderer works; says what to install.
    """
    check_film(path, size=size, n_steps=n_steps)
    import imageio.v2 as iio

    fps = render_fps(family)
    every = max(1, round(fps / GIF_FPS)) if path.suffix == ".gif" else 1
    options: dict[str, Any] = {"fps": fps, "codec": "libx264", "macro_block_size": 2}
    if path.suffix == ".gif":
        options = {"duration": 1000.0 * every / fps, "loop": 0}
    n_frames = 0
    writer: Any

    def show(frame: NDArray[np.uint8]) -> None:
        nonlocal n_frames
        writer.append_data(frame)
        n_frames += 1

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with iio.get_writer(temporary, **options) as writer:
            total = play_frames(
                family,
                policies,
                context,
                reward=reward,
                seed=seed,
                n_steps=min(n_steps, family.max_episode_steps),
                size=size,
                every=every,
                show=show,
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return {"frames": n_frames, "seconds": n_frames * every / fps, "return": total}


def check_film(path: Path, *, size: tuple[int, int], n_steps: int) -> None:
    """Checks what a film is asked to be, before anything is fitted for it.

    Raises:
        ValueError: for another suffix, an odd size of an mp4 or one that no frame can have, or no
            steps.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"`out` must end in {' or '.join(SUFFIXES)}, got {str(path)!r}")
    check_frame_size(*size)
    if n_steps < 1:
        raise ValueError(f"`n_steps` must be at least 1, got {n_steps}")
    for name, value in (("width", size[0]), ("height", size[1])):
        if path.suffix == ".mp4" and value % 2:
            raise ValueError(f"`{name}` must be even for an mp4, got {value}")
