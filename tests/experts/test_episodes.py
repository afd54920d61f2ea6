import numpy as np
import pytest

from experts.episodes import Episode, assemble
from param_envs import family_of

CHEETAH = family_of("ParamCheetah-v0")
SETTINGS = {"family": CHEETAH, "features": None, "reward": "track", "discount": 0.9}


def episode(speed: float, *, n: int = 2, noise: float = 0.0, first: float = 0.0, **changes):
    states = np.full((n + 1, 17), 0.5, np.float32) * np.arange(n + 1)[:, None] + first
    values = {
        "context": CHEETAH.context(speed=speed),
        "observations": states.astype(np.float32),
        "actions": np.full((n, 6), 0.1, np.float32),
        "labels": np.full((n, 6), 0.2, np.float32),
        "rewards": np.arange(n, dtype=np.float32),
        "values": np.full(n, 7.0, np.float32),
        "terminated": False,
        "noise": noise,
        "seed": 3,
    }
    return Episode(**{**values, **changes})


def test_an_episode_is_laid_out_step_by_step():
    data = assemble([episode(2.0, first=1.0)], **SETTINGS, n_steps=4)
    assert data.observations.shape == (1, 1, 4, 17)
    np.testing.assert_array_equal(data.observations[0, 0, :, 0], [1.0, 1.5, 0.0, 0.0])
    np.testing.assert_array_equal(data.next_observations[0, 0, :, 0], [1.5, 2.0, 0.0, 0.0])
    np.testing.assert_array_equal(data.rewards[0, 0], [0.0, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(data.mask[0, 0], [True, True, False, False])
    assert (data.features, data.discount, data.seeds.tolist()) == ((), 0.9, [[3]])


def test_columns_have_one_noise_each_and_free_cells_are_masked():
    episodes = [
        episode(2.0, noise=0.0, first=1.0),
        episode(3.0, noise=0.5, first=2.0, terminated=True),
        episode(2.0, noise=0.5, first=3.0),
        episode(3.0, noise=0.5, first=4.0),
        episode(3.0, noise=0.0, first=5.0),
    ]
    data = assemble(episodes, **SETTINGS)
    np.testing.assert_array_equal(data.noise, np.array([0.0, 0.5, 0.5], np.float32))
    np.testing.assert_array_equal(data.observations[:, :, 0, 0], [[1.0, 3.0, 0.0], [5.0, 2.0, 4.0]])
    np.testing.assert_array_equal(data.mask[:, :, 0], [[True, True, False], [True] * 3])
    np.testing.assert_array_equal(data.terminated, [[False] * 3, [False, True, False]])
    assert [context["speed"] for context in data.contexts] == [2.0, 3.0]
    assert data.features == ("speed",)


def test_seeds_are_all_known_or_none():
    assert assemble([episode(2.0), episode(2.0, seed=None)], **SETTINGS).seeds is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observations": np.zeros((2, 17))}, "`observations` must have 3 entries for 2 steps"),
        ({"labels": np.zeros((1, 6))}, "`labels` must have 2 entries for 2 steps, got 1"),
        ({"rewards": np.zeros(0)}, "`observations` must have 1 entries for 0 steps, got 3"),
    ],
)
def test_lengths_must_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        episode(2.0, **changes)


def test_other_sizes_and_no_episodes_are_refused():
    with pytest.raises(ValueError, match="`episodes` must hold at least one episode, got none"):
        assemble([], **SETTINGS)
    wide = episode(2.0, observations=np.zeros((3, 19), np.float32))
    with pytest.raises(ValueError, match=r"`observations` of ParamCheetah-v0 must have \(17,\)"):
        assemble([wide], **SETTINGS)
    with pytest.raises(ValueError, match="unknown feature `wings`"):
        assemble([episode(2.0)], **{**SETTINGS, "features": ["wings"]})
    with pytest.raises(ValueError, match="`reward` must be one of"):
        assemble([episode(2.0)], **{**SETTINGS, "reward": "fun"})
