import threading
import time
from pathlib import Path

import mujoco
import numpy as np
import pytest

from param_envs import family_of
from param_envs.engine import DataEngine, make_engine
from tests.param_envs.cases import ENV_IDS, actions, spread

HAS_BATCH = int(mujoco.__version__.split(".")[0]) >= 4


def engines(family, models):
    """Every engine that the installed MuJoCo has, with one and with two threads."""
    kinds = [DataEngine]
    if HAS_BATCH:
        from param_envs.engine import BatchEngine

        kinds.append(BatchEngine)
    return [
        kind(models, n_threads=n, fresh_sensors=family.fresh_sensors)
        for kind in kinds
        for n in (1, 2)
    ]


def assert_same_state(one, other) -> None:
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_engines_and_thread_counts_agree_to_the_last_bit(env_id) -> None:
    family = family_of(env_id)
    n = 5
    contexts = spread(family, n)
    models = [family.model(context) for context in contexts]
    starts = [
        family.initial_state(np.random.default_rng(i), model) for i, model in enumerate(models)
    ]
    qpos, qvel = (np.stack(part) for part in zip(*starts, strict=True))
    everyone, some = np.arange(n), np.array([1, 3])
    first, *others = engines(family, models)
    for engine in (first, *others):
        engine.write(everyone, qpos, qvel)
        assert_same_state(engine.state(), first.state())
    for step, action in enumerate(actions(family, 60, n)):
        for engine in (first, *others):
            if step == 20:  # some restart, in the bodies of others
                for i in some:
                    engine.set_model(int(i), models[0])
                engine.write(some, qpos[[0, 0]], qvel[[0, 0]])
            ids = some if step % 7 == 0 else None
            failed = engine.step(ids, action if ids is None else action[ids], family.n_substeps)
            assert len(failed) == 0
            assert_same_state(engine.state(), first.state())
    assert not np.array_equal(first.state().qpos, qpos)


def test_sensors_are_those_of_the_state_after_the_step() -> None:
    family = family_of("ParamWalker-v0")
    model = family.model(family.context())
    engine = make_engine([model] * 2, n_threads=1, fresh_sensors=True)
    qpos, qvel = family.initial_state(np.random.default_rng(0), model)
    engine.write(np.arange(2), np.stack([qpos] * 2), np.stack([qvel] * 2))
    for action in actions(family, 20, 2):
        engine.step(None, action, family.n_substeps)
    state = engine.state()
    data = mujoco.MjData(model)
    for i in range(2):
        data.qpos[:], data.qvel[:] = state.qpos[i], state.qvel[i]
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(state.sensors[i], data.sensordata, atol=1e-12)


def test_the_fast_engine_is_the_default_where_there_is_one() -> None:
    family = family_of("ParamCheetah-v0")
    models = [family.model(family.context())] * 2
    engine = make_engine(models, n_threads=1, fresh_sensors=True)
    assert type(engine).__name__ == ("BatchEngine" if HAS_BATCH else "DataEngine")


def n_threads() -> int:
    """Of this process, MuJoCo's own too where the system tells."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


def test_a_closed_engine_has_no_threads() -> None:
    family = family_of("ParamCheetah-v0")
    models = [family.model(family.context())] * 4
    fastest = type(make_engine(models, n_threads=1, fresh_sensors=True))
    for kind in {DataEngine, fastest}:
        before = n_threads()
        engine = kind(models, n_threads=3, fresh_sensors=family.fresh_sensors)
        first = engine.state()
        engine.write(np.arange(4), first.qpos, first.qvel)  # a step goes on from a forward pass
        engine.step(None, np.zeros((4, family.action_size)), 1)
        state = engine.state()
        assert n_threads() > before
        engine.close()
        engine.close()
        for _ in range(100):  # a joined thread may still be leaving
            if n_threads() > before:
                time.sleep(0.01)
        assert n_threads() <= before
        assert np.isfinite(state.qpos).all()
