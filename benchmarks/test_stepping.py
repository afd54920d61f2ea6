"""Stepping 64 environments with 64 different bodies, against MuJoCo itself and against EnvPool."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np
import pytest

from param_envs import FAMILIES, Context, Family, ParamVectorEnv

N_ENVS = 64
HOLD = 10
"""Control steps an action is held, so that raw MuJoCo takes them in one call."""
PHYSICS_STEPS = {False: 400, True: 200}
"""Simulation steps an environment and round; the second if quick."""


def bodies(family: Family) -> list[Context]:
    """Contexts with 64 different bodies, evenly over the range of every dynamics feature."""
    features = [f for f in family.features if f.kind == "dynamics"]
    return [
        family.context(**{f.name: f.low + share * (f.high - f.low) for f in features})
        for share in np.linspace(0.0, 1.0, N_ENVS)
    ]


def held_actions(family: Family, n_holds: int) -> np.ndarray:
    """Actions (n_holds, N_ENVS, action_size), each for HOLD control steps."""
    return np.random.default_rng(0).uniform(-1.0, 1.0, (n_holds, N_ENVS, family.action_size))


class RawMuJoCo:
    """`mj_step` on all cores: a thread a core, each looping over the MjData that are its own."""

    def __init__(self, models: list[mujoco.MjModel], n_substeps: int, n_threads: int) -> None:
        self.models = models
        self.data = [mujoco.MjData(model) for model in models]
        self.n_substeps = n_substeps
        self.chunks = np.array_split(np.arange(len(models)), n_threads)
        self.pool = ThreadPoolExecutor(n_threads)

    def place(self, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Restarts all simulations at qpos (n, nq), qvel (n, nv)."""
        for i, (model, data) in enumerate(zip(self.models, self.data, strict=True)):
            mujoco.mj_resetData(model, data)
            data.qpos[:], data.qvel[:] = qpos[i], qvel[i]
            mujoco.mj_forward(model, data)

    def run(self, actions: np.ndarray) -> None:
        """Holds each of actions (n_holds, n, nu) for HOLD control steps."""
        list(self.pool.map(lambda ids: self._run_chunk(ids, actions), self.chunks))

    def _run_chunk(self, ids: np.ndarray, actions: np.ndarray) -> None:
        for action in actions:
            for i in ids:
                self.data[i].ctrl[:] = action[i]
                mujoco.mj_step(self.models[i], self.data[i], self.n_substeps * HOLD)

    def qpos(self) -> np.ndarray:
        """Present positions (n, nq)."""
        return np.stack([data.qpos for data in self.data])


def run_batched(env: ParamVectorEnv, actions: np.ndarray) -> np.ndarray:
    """Steps under actions as `RawMuJoCo.run` does; returns which slots (N_ENVS,) never ended."""
    kept = np.ones(N_ENVS, dtype=bool)
    for action in actions:
        for _ in range(HOLD):
            _, _, terminated, truncated, _ = env.step(action)
            kept &= ~(terminated | truncated)
    return kept


@pytest.mark.parametrize("env_id", sorted(FAMILIES), ids=lambda env_id: f"{env_id}-{N_ENVS}bodies")
def test_batched_step_reaches_raw_mujoco(env_id, comparison, quick, n_cores):
    """At least 0.8 of raw `mj_step` × cores, with observation, reward and info on top."""
    family = FAMILIES[env_id]
    contexts = bodies(family)
    env = ParamVectorEnv(family, N_ENVS, contexts=contexts, max_episode_steps=10**9)
    n_holds = max(1, PHYSICS_STEPS[quick] // (family.n_substeps * HOLD))
    actions = held_actions(family, n_holds)
    env.reset(seed=0)
    raw = RawMuJoCo([family.model(c) for c in contexts], family.n_substeps, n_cores)
    start = env.simulation.state
    everyone = np.arange(N_ENVS)

    def restart() -> None:
        env.reset(seed=0)  # also forgets that an episode has ended
        env.simulation.place(everyone, start.qpos, start.qvel)

    raw.place(start.qpos, start.qvel)
    restart()
    raw.run(actions[:1])
    kept = run_batched(env, actions[:1])
    assert kept.sum() > 0.9 * N_ENVS
    np.testing.assert_allclose(
        env.simulation.state.qpos[kept], raw.qpos()[kept], rtol=1e-6, atol=1e-6
    )

    comparison.measure(
        lambda: run_batched(env, actions),
        lambda: raw.run(actions),
        rounds=25,
        prepare=restart,
        prepare_reference=lambda: raw.place(start.qpos, start.qvel),
    )
    n_steps = N_ENVS * HOLD * n_holds
    comparison.record(
        ratio_to_raw=comparison.speedup,
        steps_per_second=n_steps / comparison.seconds,
        raw_steps_per_second=n_steps / comparison.reference_seconds,
    )
    comparison.require(comparison.speedup >= 0.8, "batched stepping reaches 0.8 of raw mj_step")


def test_batched_step_beats_envpool(comparison, quick, n_cores):
    """64 cheetahs of 64 bodies step faster than EnvPool's 64 of one body, on the same threads."""
    envpool = pytest.importorskip(
        "envpool", reason="EnvPool is not installed: pip install 'param-envs[benchmarks]'"
    )
    family = FAMILIES["ParamCheetah-v0"]
    env = ParamVectorEnv(family, N_ENVS, contexts=bodies(family), n_threads=n_cores)
    pool = envpool.make(
        "CheetahRun-v1", env_type="gymnasium", num_envs=N_ENVS, num_threads=n_cores, seed=0
    )
    n_steps = 50 if quick else 200
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (n_steps, N_ENVS, family.action_size))

    def step_all(vector_env):
        for action in actions:
            vector_env.step(action)

    env.reset(seed=0)
    observation, _ = pool.reset()
    assert sum(np.prod(part.shape[1:]) for part in _leaves(observation)) == family.observation_size
    comparison.measure(
        lambda: step_all(env),
        lambda: step_all(pool),
        rounds=25,
        prepare=lambda: env.reset(seed=0),
        prepare_reference=pool.reset,
    )
    comparison.record(
        ratio_to_envpool=comparison.speedup,
        steps_per_second=N_ENVS * n_steps / comparison.seconds,
        envpool_steps_per_second=N_ENVS * n_steps / comparison.reference_seconds,
    )
    comparison.require(comparison.speedup > 1.0, "batched stepping is ahead of EnvPool")


def _leaves(observation):
    """The arrays of EnvPool's nested observation."""
    if isinstance(observation, np.ndarray):
        return [observation]
    values = observation.values() if isinstance(observation, dict) else observation
    return [leaf for value in values for leaf in _leaves(value)]
