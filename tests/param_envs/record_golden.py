"""Records trajectories of dm_control's and Gymnasium's own environments, for `test_golden.py`.

`python tests/param_envs/record_golden.py`, once with MuJoCo 3.3.0 and once with MuJoCo 4.0.0, where
dm_control's own environments do not work and only Gymnasium's are recorded (these need imageio).
Each file holds, for E episodes of T control steps: start_qpos (E, nq), start_qvel (E, nv),
actions (E, T, nu), observations (E, T, size), speeds (E, T, 1 or 2) and rewards (E, T).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np

GOLDEN = Path(__file__).parent / "golden"
N_EPISODES = 3
N_STEPS = 100
HOLD = 4
"""Control steps for which a random action is held, so that bodies move about."""


def episodes(action_size: int) -> Iterator[tuple[int, np.ndarray]]:
    """Seeds and actions (T, action_size) of the episodes."""
    for seed in range(N_EPISODES):
        rng = np.random.default_rng(seed)
        held = rng.uniform(-1.0, 1.0, (N_STEPS // HOLD, action_size))
        # Gymnasium's environments compute in float32 what they are given in float32.
        yield seed, np.repeat(held, HOLD, axis=0).astype(np.float32)


def record_dm_control(domain: str, task: str, speed: str) -> dict[str, np.ndarray]:
    """Episodes of a dm_control task; `speed` is the name of a method of its physics."""
    from dm_control import suite

    rows = []
    env = suite.load(domain, task)
    for seed, actions in episodes(env.action_spec().shape[0]):
        env = suite.load(domain, task, task_kwargs={"random": seed})
        env.reset()
        data = env.physics.data
        row: dict[str, Any] = start_row(data, actions)
        for action in actions:
            step = env.step(action)
            observation = np.concatenate([np.ravel(part) for part in step.observation.values()])
            add_step(row, observation, [getattr(env.physics, speed)()], step.reward)
        rows.append(row)
    return stacked(rows)


def record_gymnasium(env_id: str, *speeds: str, **kwargs: Any) -> dict[str, np.ndarray]:
    """Episodes of a Gymnasium environment; `speeds` are keys of its info."""
    rows = []
    env = gym.make(env_id, **kwargs)
    for seed, actions in episodes(env.action_space.shape[0]):
        env.reset(seed=seed)
        data = env.unwrapped.data
        row = start_row(data, actions)
        for action in actions:
            observation, reward, _, _, info = env.unwrapped.step(action)
            add_step(row, observation, [info[name] for name in speeds], reward)
        rows.append(row)
    return stacked(rows)


def start_row(data: Any, actions: np.ndarray) -> dict[str, Any]:
    """An episode's record before its first step."""
    start = {"start_qpos": data.qpos.copy(), "start_qvel": data.qvel.copy(), "actions": actions}
    return start | {name: [] for name in ("observations", "speeds", "rewards")}


def add_step(
    row: dict[str, Any], observation: np.ndarray, speeds: list[float], reward: float
) -> None:
    """Adds what a step led to."""
    row["observations"].append(observation)
    row["speeds"].append(speeds)
    row["rewards"].append(reward)


def stacked(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The episodes' records as arrays with a leading axis of episodes."""
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def main() -> None:
    """Writes all files."""
    no_forces = {"include_cfrc_ext_in_observation": False, "contact_cost_weight": 0.0}
    records = {
        "ant": record_gymnasium("Ant-v5", "x_velocity", "y_velocity", **no_forces),
        "cheetah_vel": record_gymnasium("HalfCheetah-v5", "x_velocity"),
    }
    major = int(mujoco.__version__.split(".")[0])
    if major < 4:
        records["cheetah"] = record_dm_control("cheetah", "run", "speed")
        records["walker"] = record_dm_control("walker", "walk", "horizontal_velocity")
        records["finger"] = record_dm_control("finger", "spin", "hinge_velocity")
    GOLDEN.mkdir(exist_ok=True)
    for name, record in records.items():
        np.savez_compressed(GOLDEN / f"{name}-mujoco-{major}.npz", **record)


if __name__ == "__main__":
    main()
