"""Datasets that Minari's own collector made."""

import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from experts.minari import from_minari

COLLECT = """
import sys, warnings
import gymnasium as gym, minari, numpy as np
import param_envs

changes = [{"context": {}}, {"context": {"speed": -2.0}}, {"context": {}}]
warnings.simplefilter("ignore")  # about authors and links that a dataset should have
for name, infos, options in (
    ("infos", True, changes), ("changes", False, changes), ("constant", False, [None] * 3)
):
    made = gym.make("ParamCheetah-v0", reward="reach", max_episode_steps=5, torso=0.4)
    env = minari.DataCollector(made, record_infos=infos)
    rng = np.random.default_rng(0)
    for k in range(3):
        env.reset(seed=k, options=options[k])
        for t in range(5 if k < 2 else 3):
            env.step(rng.uniform(-1, 1, 6).astype(np.float32))
    env.create_dataset(f"made/{name}-v0")
"""


pytestmark = pytest.mark.slow
pytest.importorskip("jax", reason="minari's collector needs jax: make test-all installs it")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three datasets that Minari's own collector made, in a process of its own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    environment = {**os.environ, "MINARI_DATASETS_PATH": str(folder), "JAX_PLATFORMS": "cpu"}
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", COLLECT], check=True, cwd=root, env=environment)
    return folder


def test_a_collected_dataset_is_read(elsewhere: Path) -> None:
    with pytest.raises(ValueError, match="`discount` must be given"):
        from_minari("made/infos-v0", folder=elsewhere)
    data = from_minari("made/infos-v0", folder=elsewhere, discount=0.5)
    assert data.contexts == ({"speed": 10.0, "torso": 0.4}, {"speed": -2.0, "torso": 0.4})
    assert (data.reward, data.features, data.experts) == ("reach", ("speed",), None)
    # The second context stays for the third episode, which was cut after three steps.
    assert data.mask.sum(axis=2).tolist() == [[5, 0], [5, 3]]
    assert not data.terminated.any()
    assert data.seeds.tolist() == [[0, 0], [1, 2]]
    np.testing.assert_array_equal(data.labels, data.actions)
    np.testing.assert_array_equal(data.clean, [True, True])
    rewards = data.rewards[1, 1, :3]
    expected = [rewards @ [1, 0.5, 0.25], rewards[1:] @ [1, 0.5], rewards[2]]
    np.testing.assert_allclose(data.values[1, 1, :3], expected, rtol=1e-6)
    env = gym.make("ParamCheetah-v0", reward="reach", **data.contexts[1])
    env.reset(seed=1)
    after, reward, *_ = env.step(data.actions[1, 0, 0])
    np.testing.assert_array_equal(after.astype(np.float32), data.next_observations[1, 0, 0])
    assert np.float32(reward) == data.rewards[1, 0, 0]


def test_one_context_is_read_from_the_environment(elsewhere: Path) -> None:
    data = from_minari("made/constant-v0", folder=elsewhere, discount=0.9)
    assert data.contexts == ({"speed": 10.0, "torso": 0.4},) and data.features == ()
    assert data.mask.sum(axis=2).tolist() == [[5, 5, 3]]
    chosen = from_minari("made/constant-v0", folder=elsewhere, discount=0.9, features=["torso"])
    assert chosen.features == ("torso",)


def test_contexts_that_nobody_recorded_are_missed(elsewhere: Path) -> None:
    with pytest.raises(ValueError, match="episode 0 does not say its context: collect with record"):
        from_minari("made/changes-v0", folder=elsewhere, discount=0.9)
