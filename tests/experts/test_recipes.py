from dataclasses import replace

import pytest

from experts import RECIPES, recipe_for


def test_registry_names_match() -> None:
    assert all(name == family.base.name for name, family in RECIPES.items())
    assert set(RECIPES) == {
        "ppo-fast",
        "sac-fast",
        "sac-laptop",
        "td3-fast",
        "td3-paper",
        "sac-paper",
    }


def test_paper_settings() -> None:
    cheetah = recipe_for("td3-paper", "ParamCheetah-v0")
    assert (cheetah.hidden, cheetah.learning_rate, cheetah.target_tau) == ((256, 256), 1e-4, 0.01)
    assert (cheetah.exploration, cheetah.exploration_steps) == (1.0, 100_000)
    assert recipe_for("td3-paper", "ParamWalker-v0").batch_size == 512


def test_families_have_their_own_settings() -> None:
    assert recipe_for("ppo-fast", "ParamWalker-v0").activation == "relu"
    assert recipe_for("ppo-fast", "ParamCheetah-v0").hidden == (64, 64)


def test_levels_of_exploration_are_one_an_environment() -> None:
    recipe = replace(recipe_for("td3-fast", "ParamCheetah-v0"), exploration_levels=(1.0, 0.5, 0.0))
    assert replace(recipe, n_envs=8).levels == (1.0, 0.5, 0.0, 1.0, 0.5, 0.0, 1.0, 0.5)
    assert replace(recipe, n_envs=2).levels == (1.0, 0.5)


def test_unknown_recipe() -> None:
    with pytest.raises(ValueError, match=r"`recipe` must be one of \['ppo-fast', .*got 'dqn'"):
        recipe_for("dqn", "ParamCheetah-v0")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"total_steps": 0}, "`total_steps` must be a whole number of at least 1, got 0"),
        ({"discount": 1.0}, r"`discount` must be in \(0, 1\), got 1.0"),
        ({"algorithm": "dqn"}, "`algorithm` must be ppo, td3 or sac, got 'dqn'"),
        ({"warm_exploration": -1.0}, "`warm_exploration` must be above 0"),
        ({"policy_hold": -1}, "`policy_hold` must be a whole number of at least 0, got -1"),
        ({"policy_delay": 0}, "`policy_delay` must be a whole number of at least 1, got 0"),
        ({"n_envs": 2.5}, r"`n_envs` must be a whole number of at least 1, got 2\.5"),
        ({"exploration_steps": 0}, "`exploration_steps` must be a whole number of at least 1"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be above 0 and finite, got nan"),
        ({"target_tau": 7.0}, r"`target_tau` must be in \(0, 1\], got 7\.0"),
        ({"gae_lambda": float("nan")}, r"`gae_lambda` must be in \[0, 1\], got nan"),
        ({"hidden": (64, 0)}, r"`hidden` must be widths of at least 1, got \(64, 0\)"),
        ({"exploration_levels": ()}, r"`exploration_levels` must be numbers .* got \(\)"),
        ({"exploration_levels": (1.0, -0.5)}, "`exploration_levels` must be numbers of at least 0"),
        ({"target_noise": -0.1}, r"`target_noise` must be at least 0 and finite, got -0\.1"),
    ],
)
def test_bad_numbers_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(recipe_for("ppo-fast", "ParamCheetah-v0"), **change)
