"""What a job's recipe says reaches the environments that its expert is trained in."""

from dataclasses import replace
from typing import Any

import pytest

from experts import recipe_for
from experts.sb3 import training_env
from experts.vec_env import ParamVecEnv, RetryingVecEnv
from experts.workers import Training, prepare_training
from param_envs import family_of
from tests.experts.factories import ENV_ID, TINY

FAMILY = family_of(ENV_ID)
CONTEXT = FAMILY.context(speed=2.0)


class Enough(Exception):
    """The environments are made, and nothing is trained."""


@pytest.mark.parametrize(("episode_steps", "retry_share"), [(None, 0.0), (7, 0.0), (7, 0.25)])
@pytest.mark.parametrize("algorithm", ["ppo", "td3"])
def test_a_recipes_episodes_are_those_of_its_training(
    monkeypatch: pytest.MonkeyPatch, algorithm: str, episode_steps: int | None, retry_share: float
) -> None:
    made: list[Any] = []

    def no_model(recipe: Any, environment: Any, seed: int, *, warm: bool) -> None:
        made.append(environment)
        raise Enough

    monkeypatch.setattr("experts.training._model", no_model)
    recipe = replace(
        TINY, algorithm=algorithm, episode_steps=episode_steps, retry_share=retry_share
    )
    perform = prepare_training(ENV_ID, "track", recipe)
    with pytest.raises(Enough):
        perform(Training(context=CONTEXT, seed=3), lambda _: None)
    environment = made[0].venv if algorithm == "ppo" else made[0]  # VecNormalize is PPO's
    assert type(environment) is (RetryingVecEnv if retry_share else ParamVecEnv)
    assert environment.num_envs == recipe.n_envs
    assert environment.env.max_episode_steps == (episode_steps or FAMILY.max_episode_steps)
    assert environment.env.contexts == [CONTEXT] * recipe.n_envs


def test_the_share_of_retries_and_their_seed_arrive() -> None:
    """A draw below the share is a retry; the generator is the seed's own."""
    environments = [training_env(FAMILY, CONTEXT, "track", 2, 7, 0.25, seed)[0] for seed in (3, 4)]
    one, other = environments
    assert isinstance(one, RetryingVecEnv) and isinstance(other, RetryingVecEnv)
    assert one._share == 0.25
    assert [one._rng.random() for _ in range(3)] != [other._rng.random() for _ in range(3)]
    again = training_env(FAMILY, CONTEXT, "track", 2, 7, 0.25, 3)[0]
    assert isinstance(again, RetryingVecEnv)
    assert [again._rng.random() for _ in range(4)][3] == one._rng.random()


def test_short_episodes_and_retries_are_the_walkers_and_the_fingers() -> None:
    found = {
        env_id: (recipe.episode_steps, recipe.retry_share)
        for env_id in ("ParamCheetah-v0", "ParamWalker-v0", "ParamFinger-v0")
        for recipe in [recipe_for("ppo-fast", env_id)]
    }
    assert found == {
        "ParamCheetah-v0": (None, 0.0),
        "ParamWalker-v0": (250, 0.0),
        "ParamFinger-v0": (150, 0.5),
    }
