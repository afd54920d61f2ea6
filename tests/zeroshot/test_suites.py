from typing import Any

import pytest

from zeroshot.suites import SUITES, Suite, registry, signed_steps, suite_of


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
    ],
)
def test_a_record_that_makes_no_sense_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        _suite(**changes)


def test_names_are_unique_and_an_unknown_one_lists_those_allowed() -> None:
    with pytest.raises(ValueError, match="suite 'x' is registered twice"):
        registry((_suite(), _suite()))
    with pytest.raises(ValueError, match=r"unknown suite 'nope', allowed are \['cheetah-speed'"):
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
