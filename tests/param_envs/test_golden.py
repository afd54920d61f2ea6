"""Default contexts repeat what dm_control's and Gymnasium's own environments did.

The recordings (`record_golden.py`) start from a recorded state and follow recorded actions. Physics
with contacts is chaotic: rounding grows by an order of magnitude every ten steps or so, hence a
number of steps with each tolerance. Under the MuJoCo of the recording, walker, finger and ant are
equal to the last bit for all 100 steps, on the machine of the recording; the cheetahs' explicit
masses differ from those of `settotalmass` by rounding (up to 2e-13 and 2e-7 after 100 steps).
"""

from pathlib import Path

import mujoco
import numpy as np
import pytest

from param_envs import family_of
from param_envs.families.speed_reward import REACH, speed_reward
from param_envs.families.walker import standing_reward
from param_envs.simulation import Simulation

GOLDEN = Path(__file__).parent / "golden"
IDS = {
    "cheetah": "ParamCheetah-v0",
    "walker": "ParamWalker-v0",
    "finger": "ParamFinger-v0",
    "ant": "ParamAnt-v0",
    "cheetah_vel": "ParamCheetahVel-v0",
}
MAJOR = int(mujoco.__version__.split(".")[0])
SAME_MUJOCO = (100, 1e-5)
"""Steps and tolerance (of observations and speeds) under the major version of the recording."""
OTHER_MUJOCO = {"cheetah": (100, 1e-5), "walker": (40, 1e-5), "finger": (100, 1e-5)} | {
    "cheetah_vel": (40, 1e-5),
    "ant": (1, 1e-5),  # MuJoCo 4 resolves its contacts differently; each version has a recording
}
RECORDINGS = sorted(path.stem for path in GOLDEN.glob("*.npz"))


def replay(recording: str):
    """The recording, and our observations (T, E, size), outcomes of (T, E) and rewards (T, E)."""
    name, major = recording.split("-mujoco-")
    with np.load(GOLDEN / f"{recording}.npz", allow_pickle=False) as file:
        golden = {key: file[key] for key in file.files}
    family = family_of(IDS[name])
    n_episodes = len(golden["start_qpos"])
    simulation = Simulation(family, [family.context()] * n_episodes, reward=family.reward_modes[0])
    simulation.place(np.arange(n_episodes), golden["start_qpos"], golden["start_qvel"])
    played = [
        simulation.advance(actions.astype(np.float64))
        for actions in golden["actions"].transpose(1, 0, 2)
    ]
    n_steps, tolerance = SAME_MUJOCO if int(major) == MAJOR else OTHER_MUJOCO[name]
    return name, golden, played[:n_steps], tolerance


def test_every_family_has_a_recording() -> None:
    assert {recording.split("-mujoco-")[0] for recording in RECORDINGS} == set(IDS)
    assert set(IDS.values()) == {family_of(i).env_id for i in IDS.values()}
    assert sum(path.stat().st_size for path in GOLDEN.glob("*.npz")) < 500_000


@pytest.mark.parametrize("recording", RECORDINGS)
def test_observations(recording) -> None:
    _, golden, played, tolerance = replay(recording)
    size = golden["observations"].shape[-1]  # Gymnasium's own half-cheetah shows no position
    for step, transition in enumerate(played):
        expected = golden["observations"][:, step]
        ours = transition.observation[:, :size]
        np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance, err_msg=f"step {step}")


@pytest.mark.parametrize("recording", RECORDINGS)
def test_speeds(recording) -> None:
    name, golden, played, tolerance = replay(recording)
    names = ["x_velocity", "y_velocity"] if name == "ant" else ["velocity"]
    if name == "ant":
        # Gymnasium takes the torso's position from before the last stage of the last substep.
        tolerance = 0.1
    for step, transition in enumerate(played):
        ours = np.stack([transition.outcome[n] for n in names], axis=1)
        np.testing.assert_allclose(
            ours, golden["speeds"][:, step], rtol=0, atol=tolerance, err_msg=f"step {step}"
        )


@pytest.mark.parametrize("recording", RECORDINGS)
def test_rewards(recording) -> None:
    """dm_control's own rewards follow from our outcomes, Gymnasium's from ours by their parts."""
    name, golden, played, tolerance = replay(recording)
    for step, transition in enumerate(played):
        outcome, expected = transition.outcome, golden["rewards"][:, step]
        speed = golden["speeds"][:, step, 0]
        if name == "cheetah":  # tolerance(speed, [10, inf), margin 10, linear, 0 at the margin)
            ours = np.clip(outcome["velocity"] / 10.0, 0.0, 1.0)
        elif name == "walker":  # move: the same with speed 1, margin 1/2 and 0.5 at the margin
            move = np.clip(outcome["velocity"], 0.0, 1.0) * (outcome["velocity"] > 0.0)
            stand = standing_reward(outcome["height"], outcome["upright"])
            ours = stand * (5.0 * move + 1.0) / 6.0
        elif name == "finger":  # spinning at 15 rad/s or faster
            ours = (outcome["velocity"] <= -15.0).astype(np.float64)
        elif name == "ant":  # forward + alive - control, at direction 0 our very reward
            # Gymnasium's bonus ends where the ant has failed, that of the meta-RL lineage does not.
            ours = transition.reward - outcome["x_velocity"] + speed - transition.terminated
        else:  # forward - 0.1 |action|², ours costs 0.05 |action|²
            action = golden["actions"][:, step].astype(np.float64)
            miss = np.abs(outcome["velocity"] - 1.5)
            cost = -(transition.reward + miss)
            np.testing.assert_allclose(cost, 0.05 * np.square(action).sum(axis=1), atol=1e-12)
            ours = outcome["velocity"] - 2.0 * cost
        np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance, err_msg=f"step {step}")


def test_reach_and_dm_controls_reward_differ_only_in_the_value_at_the_margin() -> None:
    speeds = np.linspace(-2.0, 12.0, 57)
    reach = speed_reward(speeds, np.full(57, 10.0), REACH)
    run = np.clip(speeds / 10.0, 0.0, 1.0)
    np.testing.assert_allclose(reach[speeds >= 0], (0.1 + 0.9 * run)[speeds >= 0], atol=1e-12)
