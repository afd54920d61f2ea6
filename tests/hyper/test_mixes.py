import numpy as np
import pytest

from experts import MLPPolicies
from hyper.mixes import SpeedLines


@pytest.mark.parametrize(
    ("asked", "pair", "way"),
    [
        (1.5, (1.0, 2.0), 0.5),
        (2.5, (2.0, 4.0), 0.25),  # 1 is nearer to it than 4, but on the same side as 2
        (3.5, (4.0, 2.0), 0.25),
        (2.0, (2.0, 4.0), 0.0),
        (0.5, (1.0, 2.0), -0.5),
        (5.0, (4.0, 2.0), -0.5),
        (8.0, (4.0, 2.0), -1.0),  # no farther
        (-2.0, (-1.0, -1.0), 0.0),  # the only one of its sign
    ],
)
def test_lines_lead_across_a_speed_or_on_from_the_last_two(
    asked: float, pair: tuple[float, float], way: float
) -> None:
    known = np.array([4.0, -1.0, 1.0, 2.0])
    lines = SpeedLines.through(known, np.array([asked]))
    assert tuple(known[lines.ids[0]]) == pair
    assert lines.ways[0] == pytest.approx(way)


def test_without_one_of_the_same_sign_the_line_is_through_others() -> None:
    lines = SpeedLines.through(np.array([1.0, 3.0]), np.array([-1.0]))
    assert lines.ids.tolist() == [[0, 1]]
    assert lines.ways.tolist() == [-1.0]


def test_a_mix_has_the_weights_on_the_line() -> None:
    experts = MLPPolicies((np.zeros((3, 2, 1)),), (np.array([[1.0], [2.0], [4.0]]),))
    lines = SpeedLines(np.array([[1, 2], [2, 1]]), np.array([0.5, -1.0]))
    assert lines.mixed(experts, 1.0).biases[0].ravel().tolist() == [3.0, 6.0]
    assert lines.mixed(experts, 0.5).biases[0].ravel().tolist() == [2.5, 5.0]
