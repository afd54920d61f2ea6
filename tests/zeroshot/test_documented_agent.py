"""The agent of docs/adding_a_method.md that learns by RL, as it is on the page."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experts import Rollouts
from tests.zeroshot.test_documented_commands import blocks
from zeroshot.bench import rollouts_of
from zeroshot.methods import config_of
from zeroshot.results import ROWS, read_rows
from zeroshot.run import experts_of, run
from zeroshot.suites import Suite

BUDGET = {"steps": 64, "n_envs": 2, "rollout": 32}


@pytest.fixture(scope="module")
def page() -> SimpleNamespace:
    (block,) = (b for b in blocks("docs/adding_a_method.md", "python") if "class RL:" in b)
    names: dict[str, Any] = {"__name__": "agents"}
    exec(compile(block, "docs/adding_a_method.md", "exec"), names)
    return SimpleNamespace(**names)


@pytest.fixture(scope="module")
def data(suite: Suite, zoo: Path) -> Rollouts:
    return rollouts_of(suite, experts_of(suite, zoo)).select([0, 2, 5])


def test_it_runs_in_the_harness(
    page: SimpleNamespace, suite: Suite, zoo: Path, tmp_path: Path
) -> None:
    method = page.RL(page.RLConfig(**BUDGET))
    assert config_of(page.RL()) == {"steps": 2_000_000, "n_envs": 8, "rollout": 512}
    summary = run(suite, {"agents:RL": method}, seeds=[0], out=tmp_path, zoo=zoo)
    mine = [row for row in read_rows(tmp_path / ROWS) if row["method"] == "agents:RL"]
    assert len(mine) == 2 * 3 and mine[0]["config"] == BUDGET
    assert np.isfinite(summary["methods"]["agents:RL"]["return"])


def test_it_learns_in_the_training_contexts_by_the_suites_reward(
    page: SimpleNamespace, data: Rollouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    make: Callable[..., Any] = page.RL.fit.__globals__["gym"].make

    def remembered(*words: Any, **settings: Any) -> Any:
        made.append(make(*words, **settings))
        return made[-1]

    monkeypatch.setattr("gymnasium.make", remembered)
    told: list[float] = []
    method = page.RL(page.RLConfig(**BUDGET))
    fitted = method.fit(replace(data, reward="reach"), seed=3, progress=told.append)
    assert [env.unwrapped.reward_mode for env in made] == ["reach", "reach"]
    assert {env.unwrapped.context["speed"] for env in made} <= {c["speed"] for c in data.contexts}
    assert told == sorted(told) and told[-1] == 1.0
    size = data.family.observation_size + data.family.encode(data.contexts, ("speed",)).shape[1]
    assert fitted.model.observation_space.shape == (size,)


def test_its_policies_are_told_their_contexts(page: SimpleNamespace, data: Rollouts) -> None:
    method = page.RL(page.RLConfig(**BUDGET))
    one, again = (method.fit(data, seed=1) for _ in range(2))
    seen = np.repeat(data.observations[:1, :4, 0], 3, axis=0)

    def acts(fitted: Any, contexts: Sequence[Any]) -> Any:
        return fitted.policies(contexts).act(seen)

    actions = acts(one, data.contexts)
    assert actions.shape == (3, 4, data.family.action_size)
    assert (actions == acts(again, data.contexts)).all(), "the seed decides everything"
    assert (actions[0] != actions[2]).any(), "the same state in another context"
    assert (actions[::-1] == acts(one, data.contexts[::-1])).all()
