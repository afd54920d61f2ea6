"""One task seen in turned frames, and one body whose parts are labelled in many ways."""

import numpy as np
import pytest

from param_envs import family_of
from param_envs.simulation import Simulation

ANT = family_of("ParamAnt-v0")
HOME = ANT.context(direction=1.4, leg=0.9)


@pytest.mark.parametrize("direction", [0.0, 1.4, 3.0, 6.2])
def test_a_direction_through_its_frame_is_home(direction) -> None:
    context = ANT.context(direction=direction, leg=0.9)
    (frame,) = ANT.frames([context], HOME)
    here, there = (Simulation(ANT, [c], reward="direction") for c in (context, HOME))
    rng = np.random.default_rng(3)
    qpos, qvel = ANT.initial_state(rng, ANT.model(context))
    qvel += rng.normal(size=qvel.shape)  # it moves and tumbles
    turned = frame @ np.concatenate([qpos[2:], qvel])
    here.place(np.array([0]), qpos[None], qvel[None])
    there.place(np.array([0]), np.concatenate([[0.0, 0.0], turned[:13]])[None], turned[None, 13:])
    for _ in range(10):
        action = rng.uniform(-1.0, 1.0, (1, ANT.action_size))
        first, second = here.advance(action), there.advance(action)
        np.testing.assert_allclose(frame @ first.observation[0], second.observation[0], atol=1e-6)
        np.testing.assert_allclose(first.reward, second.reward, atol=1e-6)


def test_a_turn_and_its_way_back_are_nothing() -> None:
    contexts = [ANT.context(direction=d, leg=0.9) for d in (0.3, 5.0)]
    there, back = ANT.frames(contexts, HOME), [ANT.frames([HOME], c)[0] for c in contexts]
    np.testing.assert_allclose(there @ np.stack(back), [np.eye(27)] * 2, atol=1e-12)
    np.testing.assert_array_equal(ANT.frames([HOME], HOME)[0], np.eye(27))


def test_what_cannot_be_turned_is_said() -> None:
    with pytest.raises(ValueError, match=r"`contexts` must have the legs of `home`.*leg=1\.1"):
        ANT.frames([ANT.context(leg=1.1)], HOME)
    cheetah = family_of("ParamCheetah-v0")
    with pytest.raises(ValueError, match=r"`frames` needs a family whose tasks are one.*Cheetah"):
        cheetah.frames([cheetah.context()], cheetah.context())


@pytest.mark.parametrize("label", range(8))
def test_an_ant_in_other_labels_does_the_same(label) -> None:
    seen, done = (matrices[label] for matrices in ANT.relabellings())
    here, there = (Simulation(ANT, [HOME], reward="direction") for _ in range(2))
    rng = np.random.default_rng(label)
    qpos, qvel = ANT.initial_state(rng, ANT.model(HOME))
    qvel += rng.normal(size=qvel.shape)  # it moves and tumbles
    other = seen @ np.concatenate([qpos[2:], qvel])
    here.place(np.array([0]), qpos[None], qvel[None])
    there.place(np.array([0]), np.concatenate([qpos[:2], other[:13]])[None], other[None, 13:])
    for _ in range(10):
        action = rng.uniform(-1.0, 1.0, (1, ANT.action_size))
        first, second = here.advance(action), there.advance(action @ done.T)
        np.testing.assert_allclose(seen @ first.observation[0], second.observation[0], atol=1e-6)
        np.testing.assert_allclose(first.reward, second.reward, atol=1e-6)


def test_labels_are_all_different_and_the_first_are_the_familys_own() -> None:
    seen, done = ANT.relabellings()
    np.testing.assert_array_equal(seen[0], np.eye(27))
    np.testing.assert_array_equal(done[0], np.eye(8))
    np.testing.assert_allclose(seen[1] @ seen[7], np.eye(27), atol=1e-12)
    np.testing.assert_allclose(seen[4] @ np.eye(27), np.diag([1] + 4 * [-1] + 22 * [1]), atol=1e-12)
    pairs = [(i, j) for i in range(8) for j in range(i)]
    assert all(not np.allclose(seen[i], seen[j]) for i, j in pairs)
    cheetah = family_of("ParamCheetah-v0")
    seen, done = cheetah.relabellings()
    np.testing.assert_array_equal(seen, [np.eye(cheetah.observation_size)])
    np.testing.assert_array_equal(done, [np.eye(cheetah.action_size)])


def test_beyond_a_seam_contexts_are_turned_the_other_way_round() -> None:
    contexts = [ANT.context(direction=d, leg=0.9) for d in (0.5, 4.9, 5.1, 2.0 * np.pi)]
    plain, sewn = ANT.frames(contexts, HOME), ANT.frames(contexts, HOME, seam=5.0)
    np.testing.assert_array_equal(sewn[:2], plain[:2])
    attitude = slice(1, 5)
    np.testing.assert_allclose(
        sewn[2:, attitude, attitude], -plain[2:, attitude, attitude], atol=1e-12
    )
    rest = np.r_[0, 5:27]
    np.testing.assert_allclose(sewn[2:, rest][:, :, rest], plain[2:, rest][:, :, rest], atol=1e-12)
    (start,) = ANT.frames([ANT.context(direction=0.0, leg=0.9)], HOME)
    np.testing.assert_allclose(sewn[3], start, atol=1e-12, err_msg="the same task")
