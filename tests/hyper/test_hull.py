from collections.abc import Mapping

import numpy as np
import pytest

from hyper.hull import Hull
from param_envs import Family, family_of

JOINT = ("speed", "torso")


@pytest.fixture(scope="module")
def cheetah() -> Family:
    return family_of("ParamCheetah-v0")


def grid(*, speeds: tuple[float, ...], torsos: tuple[float, ...]) -> list[dict[str, float]]:
    return [{"speed": speed, "torso": torso} for speed in speeds for torso in torsos]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(2.5, 2.5), (1.0, 1.0), (9.0, 4.0), (0.3, 1.0), (-0.2, -1.0), (-7.0, -2.0), (-1.7, -1.7)],
)
def test_of_one_feature_a_direction_has_two_ends(
    cheetah: Family, asked: float, expected: float
) -> None:
    known = [{"speed": speed} for speed in (-2.0, -1.0, 1.0, 4.0)]
    (found,) = Hull(cheetah, known, ("speed",)).nearest([{"speed": asked, "torso": 0.41}])
    assert found["speed"] == pytest.approx(expected, abs=1e-6)
    assert found["torso"] == 0.41, "what does not vary stays"


def test_what_is_inside_stays_exactly(cheetah: Family) -> None:
    known = grid(speeds=(1.0, 3.0), torsos=(0.3, 0.6))
    inside = [*known, {"speed": 1.0, "torso": 0.45}, {"speed": 2.123456789, "torso": 0.599999999}]
    found = Hull(cheetah, known, JOINT).nearest(inside)
    assert [dict(context) for context in found] == inside


def test_a_corner_moves_to_the_nearest_point_of_the_edge(cheetah: Family) -> None:
    """Compared with the nearest of many points of the hull, in encoded contexts."""
    known = grid(speeds=(-3.0, -1.0, 1.0, 3.0, 5.0), torsos=(0.3, 0.5, 0.7))
    corner = {"speed": 5.0, "torso": 0.3}
    known.remove(corner)
    (found,) = Hull(cheetah, known, JOINT).nearest([corner])
    forwards = [context for context in known if context["speed"] > 0]
    shares = np.random.default_rng(0).dirichlet(np.full(len(forwards), 0.1), size=50_000)
    points = shares @ cheetah.encode(forwards, JOINT)
    asked = cheetah.encode([corner], JOINT)[0]
    nearest = np.linalg.norm(points - asked, axis=1).min()
    distance = np.linalg.norm(cheetah.encode([found], JOINT)[0] - asked)
    assert 0 < distance <= nearest < distance + 0.01


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
