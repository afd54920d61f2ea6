"""Frames off screen. These tests need EGL (Debian: libegl1) or OSMesa, and run in CI."""

import os
import subprocess
import sys

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.wrappers import RecordVideo

from param_envs import ParamVectorEnv, family_of
from param_envs.rendering import FrameRenderer
from tests.param_envs.cases import ENV_IDS

SIZE = {"width": 96, "height": 64}


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_a_frame_shows_something(env_id) -> None:
    env = gym.make(env_id, render_mode="rgb_array", **SIZE)
    env.reset(seed=0)
    frame = env.render()
    assert frame.shape == (64, 96, 3)
    assert frame.dtype == np.uint8
    assert frame.std() > 10
    for _ in range(15):
        env.step(env.action_space.sample())
    assert not np.array_equal(env.render(), frame)
    env.close()


def test_the_frame_shows_the_context() -> None:
    env = gym.make("ParamCheetah-v0", render_mode="rgb_array", torso=0.3, **SIZE)
    env.reset(seed=0)
    short = env.render()
    env.reset(seed=0, options={"context": {"torso": 0.7}})
    assert not np.array_equal(env.render(), short)
    env.close()


def test_rendering_leaves_the_simulation_alone() -> None:
    seen, unseen = (gym.make("ParamWalker-v0", render_mode="rgb_array", **SIZE) for _ in range(2))
    seen.reset(seed=0)
    unseen.reset(seed=0)
    for step in range(5):
        action = np.full(6, 0.1 * step, np.float32)
        seen.render()
        np.testing.assert_array_equal(seen.step(action)[0], unseen.step(action)[0])
    seen.close()


def test_frames_can_be_larger_than_the_models_own_buffer() -> None:
    env = gym.make("ParamFinger-v0", render_mode="rgb_array", width=1280, height=720)
    env.reset(seed=0)
    frame = env.render()
    assert frame.shape == (720, 1280, 3) and frame[:, 700:].std() > 0
    env.close()


def test_few_bodies_with_textures_are_kept() -> None:
    """Each has 12 MB of them, and a sampler makes a new body every episode."""
    family = family_of("ParamCheetah-v0")
    models = [family.visual_model(family.context(torso=0.3 + 0.001 * i)) for i in range(20)]
    assert family.visual_model(family.context(torso=0.319)) is models[-1]
    assert family.visual_model(family.context(torso=0.3)) is not models[0]


def test_record_video(tmp_path) -> None:
    env = gym.make(
        "ParamCheetah-v0", render_mode="rgb_array", max_episode_steps=8, width=64, height=64
    )
    folder = tmp_path / "films"
    env = RecordVideo(env, str(folder), episode_trigger=lambda episode: True, disable_logger=True)
    env.reset(seed=0)
    for _ in range(8):
        env.step(env.action_space.sample())
    env.close()
    films = list(folder.glob("*.mp4"))
    assert len(films) == 1
    assert films[0].stat().st_size > 500


def test_every_slot_has_a_frame() -> None:
    env = ParamVectorEnv(
        family_of("ParamCheetah-v0"), 2, torso=[0.3, 0.7], render_mode="rgb_array", **SIZE
    )
    env.reset(seed=[0, 0])
    frames = env.render()
    assert [frame.shape for frame in frames] == [(64, 96, 3)] * 2
    assert not np.array_equal(*frames)
    np.testing.assert_array_equal(env.render_slot(1), frames[1])
    env.close()


def test_films_play_in_real_time() -> None:
    fps = {env_id: gym.make(env_id).unwrapped.metadata["render_fps"] for env_id in ENV_IDS}
    assert list(fps.values()) == [100, 40, 50, 20, 20]


def test_without_a_render_mode_there_is_no_frame() -> None:
    env = gym.make("ParamCheetah-v0").unwrapped
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode='rgb_array'"):
        assert env.render() is None
    batched = ParamVectorEnv(family_of("ParamCheetah-v0"), 2)
    batched.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode='rgb_array'"):
        assert batched.render() is None


def test_a_missing_backend_is_explained(monkeypatch) -> None:
    def broken(*args: object) -> None:
        raise OSError("no libEGL")

    monkeypatch.setattr(mujoco, "Renderer", broken)
    family = family_of("ParamCheetah-v0")
    renderer = FrameRenderer(family, 32, 32)
    with pytest.raises(RuntimeError, match=r"no off-screen rendering with MUJOCO_GL=.*libegl1"):
        renderer.frame(family.context(), np.zeros(9))


def test_the_backend_is_chosen_at_import() -> None:
    code = "import os, param_envs; print(os.environ.get('MUJOCO_GL'))"
    environment = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "DISPLAY")}
    for given, expected in (({}, "egl"), ({"MUJOCO_GL": "disabled"}, "disabled")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment | given,
            capture_output=True,
            text=True,
            check=True,
        )
        if sys.platform.startswith("linux"):
            assert done.stdout.strip() == expected
