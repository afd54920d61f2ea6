import numpy as np
import pytest

from zeroshot.finetune_statistics import expert_target, largest_dip, steps_to_reach

STEPS = [0, 10, 20, 30]


def test_steps_to_reach_is_the_first_evaluation_at_or_above_the_target() -> None:
    curves = [[1.0, 5.0, 3.0, 6.0], [5.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]]
    np.testing.assert_array_equal(steps_to_reach(STEPS, curves, [5.0, 5.0, 5.0]), [10, 0, np.inf])
    np.testing.assert_array_equal(steps_to_reach(STEPS, curves, [5.5, 6.0, 4.0]), [30, np.inf, 30])
    assert steps_to_reach(STEPS, curves[0], 3.5) == 10


def test_largest_dip_is_measured_from_the_start_and_never_negative() -> None:
    curves = [[5.0, 2.0, 9.0, 4.0], [5.0, 6.0, 7.0, 5.0], [-3.0, -1.0, -10.0, 0.0]]
    np.testing.assert_array_equal(largest_dip(curves), [3.0, 0.0, 7.0])
    assert largest_dip([4.0]) == 0.0


def test_the_target_lies_below_the_expert_for_negative_returns_too() -> None:
    np.testing.assert_allclose(expert_target([900.0, -20.0, 0.0]), [855.0, -21.0, 0.0])
    assert expert_target(100.0, 1.0) == 100.0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: steps_to_reach([0, 0], [1.0, 2.0], 1.0), "`steps` must ascend"),
        (lambda: steps_to_reach([], [], 1.0), "`steps` must ascend"),
        (lambda: steps_to_reach(STEPS, [1.0], 1.0), "with 4 points, got (1,)"),
        (lambda: largest_dip([]), "`returns` must be (..., n_points), got (0,)"),
        (lambda: expert_target(1.0, 0.0), "`share` must be in (0, 1], got 0"),
    ],
)
def test_errors(call, text: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert text in str(error.value)
