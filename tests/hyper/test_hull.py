from collections.abc import Mapping

import pytest

from hyper.hull import Hull
from param_envs import Family, family_of

JOINT = ("speed", "torso")


@pytest.fixture(scope="module")
def cheetah() -> Family:
    return family_of("ParamCheetah-v0")


def grid(*, speeds: tuple[float, ...], torsos: tuple[float, ...]) -> list[dict[str, float]]:
    return [{"speed": speed, "torso": torso} for speed in speeds for torso in torsos]


@pytest.mark.parametrize(("asked", "expected"), [(0.45, 0.45), (0.4, 0.4), (0.3, 0.4), (0.7, 0.5)])
def test_bodies_have_two_ends(cheetah: Family, asked: float, expected: float) -> None:
    known = [{"torso": torso} for torso in (0.4, 0.45, 0.5)]
    (found,) = Hull(cheetah, known, ("torso",)).nearest([{"speed": 3.3, "torso": asked}])
    assert found["torso"] == pytest.approx(expected, abs=1e-6)
    assert found["speed"] == 3.3, "what does not vary stays"


@pytest.mark.parametrize("asked", [9.0, 0.3, 2.0, -0.2, -7.0])
def test_speeds_stay(cheetah: Family, asked: float) -> None:
    hull = Hull(cheetah, [{"speed": speed} for speed in (-2.0, -1.0, 1.0, 4.0)], ("speed",))
    assert hull.nearest([{"speed": asked}])[0]["speed"] == asked


def test_what_is_inside_stays_exactly(cheetah: Family) -> None:
    known = grid(speeds=(1.0, 3.0), torsos=(0.3, 0.6))
    inside = [*known, {"speed": 1.0, "torso": 0.45}, {"speed": 2.123456789, "torso": 0.599999999}]
    found = Hull(cheetah, known, JOINT).nearest(inside)
    assert [dict(context) for context in found] == inside


@pytest.mark.parametrize(
    ("asked", "torso"),
    [
        ((5.0, 0.3), 0.5),
        ((4.0, 0.3), 0.4),  # the middle of the edge from (3, 0.3) to (5, 0.5)
        ((4.0, 0.45), 0.45),
        ((6.0, 0.3), 0.3),  # nothing in the hull is as fast
    ],
)
def test_past_a_corner_the_body_changes(
    cheetah: Family, asked: tuple[float, float], torso: float
) -> None:
    known = grid(speeds=(-3.0, -1.0, 1.0, 3.0, 5.0), torsos=(0.3, 0.5, 0.7))
    known.remove({"speed": 5.0, "torso": 0.3})
    (found,) = Hull(cheetah, known, JOINT).nearest([{"speed": asked[0], "torso": asked[1]}])
    assert found["speed"] == asked[0]
    assert found["torso"] == pytest.approx(torso, abs=1e-5)


def test_another_direction_and_angles_stay(cheetah: Family) -> None:
    asked: list[Mapping[str, float]] = [{"speed": -4.0, "torso": 0.5}]
    assert Hull(cheetah, [{"speed": 1.0, "torso": 0.5}], JOINT).nearest(asked) == asked
    ant = family_of("ParamAnt-v0")
    hull = Hull(ant, [{"direction": 0.1}, {"direction": 0.2}], ("direction",))
    assert hull.nearest([{"direction": 3.0}])[0]["direction"] == 3.0


def test_contexts_are_checked(cheetah: Family) -> None:
    hull = Hull(cheetah, [{"speed": 1.0}], ("speed",))
    with pytest.raises(ValueError, match="`speed` must be in"):
        hull.nearest([{"speed": 99.0}])
