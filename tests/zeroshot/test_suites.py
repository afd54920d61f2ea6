from typing import Any

import numpy as np
import pytest

from experts import play
from zeroshot.references import ConstantPolicies
from zeroshot.suites import SUITES, Suite, registry, signed_steps, suite_of

ANGLES = [0.7694, 2.1799, 2.9493, 3.8468, 5.2574]


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_is_a_sound_record(name: str) -> None:
    suite = SUITES[name]
    assert suite.name == name
    assert len(set(suite.contexts)) == len(suite.contexts)
    assert suite.features and set(suite.features) <= {f.name for f in suite.family.features}
    assert 0 < suite.n_test < len(suite.contexts)
    assert suite.n_episodes == 10


@pytest.mark.parametrize(
    ("name", "reward"), [("cheetah-speed", "track"), ("cheetah-speed-reach", "reach")]
)
def test_cheetah_suites_have_the_40_speeds_of_the_paper(name: str, reward: str) -> None:
    suite = suite_of(name)
    speeds = [context["speed"] for context in suite.contexts]
    assert speeds == [i / 2 for i in range(-20, 21) if i != 0]
    assert {context["torso"] for context in suite.contexts} == {0.5}
    assert (suite.features, suite.reward, suite.zoo) == (("speed",), reward, name)
    assert suite.n_test == 6


@pytest.mark.parametrize(
    ("name", "n", "features"),
    [
        ("cheetah-torso", 41, ("torso",)),
        ("cheetah-speed-torso", 90, ("speed", "torso")),
        ("walker-speed", 40, ("speed",)),
        ("walker-torso", 41, ("torso",)),
        ("walker-speed-torso", 72, ("speed", "torso")),
        ("finger-speed", 30, ("speed",)),
        ("finger-length", 31, ("length",)),
        ("finger-speed-length", 64, ("speed", "length")),
    ],
)
def test_the_other_published_grids(name: str, n: int, features: tuple[str, ...]) -> None:
    for suite, reward in ((suite_of(name), "track"), (suite_of(f"{name}-reach"), "reach")):
        assert (len(suite.contexts), suite.features, suite.reward) == (n, features, reward)
        default = {feature.name: feature.default for feature in suite.family.features}
        bodies = {tuple(v for k, v in c.items() if k != "speed") for c in suite.contexts}
        assert tuple(v for k, v in default.items() if k != "speed") in bodies


@pytest.mark.parametrize(
    ("name", "feature", "values", "held_out"),
    [
        ("cheetah-vel", "velocity", np.linspace(0, 3, 40), [0.1538, 0.5385, 1.1538, 1.7692, 2.0]),
        ("cheetah-vel-macaw", "velocity", np.linspace(0.075, 3, 40), [0.225, 0.6, 1.2, 1.8, 2.025]),
        ("ant-dir", "direction", np.linspace(0, 2 * np.pi, 50), ANGLES),
        (
            "ant-dir-macaw",
            "direction",
            2 * np.pi * np.random.RandomState(17).random_sample(52)[2:],
            [0.2454, 1.7781, 0.9042, 3.5688, 4.1419],
        ),
    ],
)
def test_the_tasks_of_cheetah_vel_and_ant_dir(
    name: str, feature: str, values: np.ndarray, held_out: list[float]
) -> None:
    suite = suite_of(name)
    found = [context[feature] for context in suite.contexts]
    assert found == pytest.approx(values.tolist(), abs=1e-6)
    assert (suite.features, suite.n_steps) == ((feature,), 200)
    assert [found[i] for i in suite.test_ids] == pytest.approx(held_out, abs=5e-5)
    assert all(
        context["torso" if "cheetah" in name else "leg"] == 1.0 for context in suite.contexts
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cheetah-vel", -224.8), ("cheetah-vel-macaw", -234.2), ("ant-dir", 200.1)],
)
def test_doing_nothing_returns_what_it_does_in_the_environments_of_the_literature(
    name: str, expected: float
) -> None:
    """On the five tasks held out; measured there with MuJoCo 3.3.0, 20 episodes a task."""
    suite = suite_of(name)
    contexts = [suite.contexts[i] for i in suite.test_ids]
    idle = ConstantPolicies([0.0] * suite.family.action_size)
    played = play(
        idle,
        suite.family,
        contexts,
        reward=suite.reward,
        n_episodes=4,
        seed=0,
        n_steps=suite.n_steps,
    )
    assert (played.lengths == 200).all()
    assert played.returns.mean() == pytest.approx(expected, abs=1.5)


def test_a_grid_of_two_features_is_their_product() -> None:
    suite = _suite(grid={"speed": (-1.0, 1.0, 2.0), "torso": (0.4, 0.5)})
    assert suite.features == ("speed", "torso")
    assert [tuple(c.values()) for c in suite.contexts[:3]] == [(-1, 0.4), (-1, 0.5), (1, 0.4)]
    assert len(suite.contexts) == 6


@pytest.mark.parametrize(
    ("fraction", "n", "n_test"), [(0.85, 40, 6), (0.85, 41, 6), (0.8, 40, 8), (0.9, 40, 4)]
)
def test_the_number_held_out_is_rounded_down_without_float_noise(
    fraction: float, n: int, n_test: int
) -> None:
    grid = {"speed": tuple(0.1 * i for i in range(1, n + 1))}
    assert _suite(grid=grid, train_fraction=fraction).n_test == n_test


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"reward": "fast"}, "`reward` must be one of"),
        ({"grid": {"mass": (1.0, 2.0)}}, "unknown feature `mass`"),
        ({"grid": {"speed": (1.0, 30.0)}}, r"`speed` must be in \[-10, 10\] without 0"),
        ({"grid": {"speed": (1.0, 1.0)}}, "must hold distinct values"),
        ({"grid": {"speed": (1.0,)}}, "must vary at least one feature"),
        ({"train_fraction": 1.0}, r"`train_fraction` must be in \(0, 1\), got 1"),
        ({"n_episodes": 0}, "`n_episodes` must be at least 1, got 0"),
        ({"n_steps": 0}, "`n_steps` must be at least 1, got 0"),
        ({"test_ids": (3,)}, r"`test_ids` must be ascending positions below 3, got \(3,\)"),
        ({"test_ids": (1, 0)}, "`test_ids` must be ascending positions"),
        ({"test_ids": (1,)}, r"`train_sizes` must ascend from at least 2 to 2, .* got \(\)"),
        ({"test_ids": (1,), "train_sizes": (3,)}, "`train_sizes` must ascend from at least 2 to 2"),
        ({"train_sizes": (1, 3)}, "`train_sizes` must ascend from at least 2 to 3"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        _suite(**changes)


def test_names_are_unique_and_an_unknown_one_lists_those_allowed() -> None:
    with pytest.raises(ValueError, match="suite 'x' is registered twice"):
        registry((_suite(), _suite()))
    with pytest.raises(ValueError, match=r"unknown suite 'nope', allowed are \['ant-dir', "):
        suite_of("nope")


def test_signed_steps_skip_zero() -> None:
    assert signed_steps(0.5, 1.0) == (-1.0, -0.5, 0.5, 1.0)
    with pytest.raises(ValueError, match=r"must be a multiple of 0\.3"):
        signed_steps(0.3, 1.0)


def _suite(**changes: Any) -> Suite:
    record = {
        "name": "x",
        "env_id": "ParamCheetah-v0",
        "reward": "track",
        "grid": {"speed": (1.0, 2.0, 3.0)},
    }
    return Suite(**{**record, **changes})
