"""A suite of a few short cheetah episodes, experts with made-up weights, and a user's method."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from experts import Expert, MLPPolicies, MLPs, save_expert
from zeroshot.suites import SUITES, Suite
from zeroshot.summary import summarise_methods

QUICK_AUDIT = ("--episodes", "1", "--confirm", "3", "--decide", "5")

USER_METHOD = '''
import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Config:
    seconds: float = 0.0


class Mean:
    """Acts as the mean of the experts' recorded actions, plus a little noise by seed."""

    def __init__(self, config=Config()):
        self.config = config

    def fit(self, data, *, seed, progress=None):
        for i in range(5):
            time.sleep(self.config.seconds / 5)
            if progress is not None:
                progress((i + 1) / 5)
        noise = np.random.default_rng(seed).uniform(-0.1, 0.1, data.labels.shape[-1])
        return Fitted(np.clip(data.labels.mean(axis=(0, 1, 2)) + noise, -1, 1).astype(np.float32))


class Slow(Mean):
    def __init__(self):
        super().__init__(Config(seconds=0.3))


class Raises:
    def fit(self, data, *, seed, progress=None):
        raise RuntimeError("no luck today")


class NeedsArguments:
    def __init__(self, size):
        self.size = size

    def fit(self, data, *, seed, progress=None):
        return Fitted(np.zeros(self.size))


class NoFit:
    pass


class Fitted:
    def __init__(self, action):
        self.action = action

    def policies(self, contexts):
        return self

    def act(self, observations):
        return np.broadcast_to(self.action, (*observations.shape[:2], len(self.action)))


mean = Mean()
'''


def make_zoo(suite: Suite, directory: Path, contexts: Sequence[int] | None = None) -> Path:
    """Experts of a suite whose weights depend smoothly on the context; their returns differ."""
    rng = np.random.default_rng(0)
    family = suite.family
    sizes = [(family.observation_size, 8), (8, family.action_size)]
    base = [rng.normal(0.0, 0.5, (1, *size)).astype(np.float32) for size in sizes]
    slope = [rng.normal(0.0, 0.3, (1, *size)).astype(np.float32) for size in sizes]
    encoded = family.encode(suite.contexts, suite.features).sum(axis=1)
    for i, context in enumerate(suite.contexts):
        if contexts is not None and i not in contexts:
            continue
        weights = tuple(b + np.float32(encoded[i]) * s for b, s in zip(base, slope, strict=True))
        biases = tuple(np.full((1, w.shape[2]), 0.1, np.float32) for w in weights)
        save_expert(
            Expert(
                policy=MLPPolicies(weights, biases),
                critic=MLPs(
                    (np.ones((1, family.observation_size, 1), np.float32),),
                    (np.zeros((1, 1), np.float32),),
                ),
                extras={},
                record={
                    "env_id": suite.env_id,
                    "reward": suite.reward,
                    "context": dict(context),
                    "critic": "v",
                    "discount": 0.99,
                    "recipe": "made-up",
                    "seed": 0,
                    "steps": 1,
                    "evaluation": {"return_mean": float(i + 1), "velocity_mean": 0.0},
                },
            ),
            directory,
        )
    return directory


@pytest.fixture(scope="session")
def suite() -> Suite:
    return Suite(
        name="tiny",
        env_id="ParamCheetah-v0",
        reward="track",
        grid={"speed": (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0, 5.0)},
        train_fraction=0.7,
        n_episodes=3,
        n_steps=12,
    )


@pytest.fixture(scope="session")
def zoo(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_zoo(suite, tmp_path_factory.mktemp("zoo") / "tiny")


@pytest.fixture
def tiny(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(SUITES, "tiny", suite)
    return "tiny"


@pytest.fixture
def user_module(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Import path of a module of the user's own, in a folder of its own."""
    parent = tmp_path_factory.mktemp("user")
    folder = parent / "mypkg"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "mymodule.py").write_text(USER_METHOD)
    monkeypatch.syspath_prepend(str(parent))
    yield "mypkg.mymodule"
    for name in [name for name in sys.modules if name.split(".")[0] == "mypkg"]:
        del sys.modules[name]


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes the folder of a run with made-up returns on every other context of a suite."""

    def write(
        folder: str,
        *,
        suite: str = "cheetah-speed",
        name: str | None = None,
        methods: Sequence[str] = ("mine",),
        shots: Sequence[int] = (),
        learned: float = 0.9,
        command: str = "zeroshot run",
    ) -> Path:
        record = SUITES[suite]
        rng = np.random.default_rng(0)
        shares = {"expert": 1.0, "nearest": 0.7, "best-single": 0.3, "zero": 0.02}
        shares |= {method: learned - 0.1 * i for i, method in enumerate(methods)}
        own = 500.0 + 10.0 * np.arange(len(record.contexts))
        rows = [
            {
                "method": method,
                "kind": "method" if method in methods else "reference",
                "seed": seed,
                "context": dict(record.contexts[i]),
                "split": "test",
                "episode": episode,
                "return": float(own[i] * share + rng.normal(0.0, 1.0) + k),
                "expert_return": float(own[i]),
                "fit_seconds": 1.5 if method in methods else 0.0,
                "config": {"hidden": 256} if method in methods else {},
                "commit": "c0ffee",
                **({"shots": k, "protocol": "demonstrations" if k else "zero-shot"}),
            }
            for seed in range(2)
            for method, share in shares.items()
            for k in (0, *(shots if method in methods else ()))
            for i in range(seed, len(record.contexts), 4)
            for episode in range(2)
        ]
        summary = {
            "suite": name or suite,
            "suite_version": record.version,
            "methods": summarise_methods([row for row in rows if not row["shots"]]),
            "complete": True,
            "seeds": [0, 1],
            "n_test": len(record.contexts) // 4,
            "episodes": 2,
            "command": command,
            "commit": "c0ffee",
            "versions": {"mujoco": "4.0.0"},
            "machine": {"cores": 2},
            "date": "2026-01-01T00:00:00+00:00",
            "wall_seconds": 1.0,
        }
        path = tmp_path / folder
        path.mkdir()
        (path / "summary.json").write_text(json.dumps(summary))
        (path / "run.json").write_text(json.dumps({"suite": suite}))
        (path / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        np.save(path / "transfer.npy", np.minimum(own[:, None], own[None]))
        return path

    return write
