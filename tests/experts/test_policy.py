from dataclasses import replace

import numpy as np
import pytest

from experts import MLPPolicies, MLPs


def two_policies() -> MLPPolicies:
    """Policy 0 doubles its input, policy 1 negates it; one hidden tanh unit lies between."""
    weights = (np.array([[[1.0]], [[1.0]]]), np.array([[[2.0]], [[-1.0]]]))
    return MLPPolicies(weights, (np.zeros((2, 1)), np.array([[0.0], [0.5]])))


def test_forward_pass_worked_by_hand() -> None:
    actions = two_policies().act(np.array([[[0.5]], [[0.5]]]))
    expected = [np.tanh(2 * np.tanh(0.5)), np.tanh(-np.tanh(0.5) + 0.5)]
    np.testing.assert_allclose(actions[:, 0, 0], expected, rtol=1e-5)


def test_relu_and_statistics() -> None:
    network = MLPs(
        (np.ones((1, 2, 1)), np.full((1, 1, 1), 3.0)),
        (np.zeros((1, 1)), np.ones((1, 1))),
        "relu",
        mean=np.array([1.0, 2.0]),
        scale=np.array([2.0, 4.0]),
    )
    inputs = np.array([[[3.0, 6.0], [-9.0, -9.0]]])  # normalised: (1, 1) and (-5, -2.75)
    np.testing.assert_allclose(network.apply(inputs)[0, :, 0], [7.0, 1.0])


def test_select_and_stack_are_inverse() -> None:
    policies = two_policies()
    again = MLPPolicies.stack([policies.select([1]), policies.select([0])]).select([1, 0])
    observations = np.linspace(-1, 1, 8).reshape(2, 4, 1)
    np.testing.assert_array_equal(again.act(observations), policies.act(observations))
    assert len(policies.select([0, 0, 1])) == 3


def test_mixed_weights_are_sums_and_take_raw_inputs() -> None:
    """Linear networks, whose mix acts as the same sum of what they put out."""
    networks = MLPs(
        (np.array([[[1.0]], [[3.0]]]),),
        (np.array([[0.0], [1.0]]),),
        mean=np.array([[1.0], [2.0]]),
        scale=np.array([[2.0], [0.5]]),
    )
    mixed = networks.mixed(
        np.array([[0, 1], [1, 0], [1, 1]]), np.array([[0.25, 0.75], [2, -1], [0.5, 0.5]])
    )
    first, second = networks.apply(np.full((2, 1, 1), 5.0)).ravel()
    expected = [0.25 * first + 0.75 * second, 2 * second - first, second]
    assert mixed.apply(np.full((3, 1, 1), 5.0)).ravel().tolist() == pytest.approx(expected)


def test_some_are_replaced_by_others_in_order() -> None:
    policies = two_policies().select([0, 1, 0])
    found = policies.replaced([2, 0], two_policies())
    assert found.among(two_policies()).tolist() == [1, 1, 0]
    assert policies.among(two_policies()).tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="one for each of 1, got 2"):
        policies.replaced([0], two_policies())


def test_stack_fills_in_absent_statistics() -> None:
    plain = two_policies().select([0])
    shifted = MLPPolicies(plain.weights, plain.biases, mean=np.array([1.0]), scale=np.array([2.0]))
    both = MLPPolicies.stack([plain, shifted])
    actions = both.act(np.array([[[0.5]], [[2.0]]]))
    np.testing.assert_allclose(actions[0], actions[1], rtol=1e-6)


ONE = ((np.ones((1, 3, 2)),), (np.ones((1, 2)),))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((), ()), "one array a layer"),
        (((np.ones((1, 2, 3)),), (np.ones((1, 2)),)), r"layer 0 must take \(1, 2\)"),
        (((np.full((1, 1, 1), np.nan),), (np.ones((1, 1)),)), "not finite"),
        (((np.ones((1, 1, 1)),), (np.ones((1, 1)),), "gelu"), "`activation` must be"),
        ((*ONE, "tanh", np.zeros(5)), r"`mean` must have shape \(1, 3\) or \(1, 3\), got \(1, 5\)"),
        ((*ONE, "tanh", np.zeros((7, 3))), "`mean` must have shape"),
        ((*ONE, "tanh", np.full(3, np.nan)), "`mean` must be finite in every entry"),
        ((*ONE, "tanh", None, np.zeros(3)), "`scale` must be finite and above 0 in every entry"),
    ],
)
def test_bad_networks_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MLPs(*arguments)


def test_stacking_different_layers_is_refused() -> None:
    wide = MLPPolicies((np.ones((1, 1, 2)),), (np.ones((1, 2)),))
    with pytest.raises(ValueError, match="same layers"):
        MLPPolicies.stack([two_policies(), wide])


def test_networks_are_found_among_others() -> None:
    one = two_policies()
    first, second = one.select([0]), one.select([1])
    assert one.among(MLPPolicies.stack([second, second, first])).tolist() == [2, 0]
    assert first.among(second).tolist() == [-1]
    plain = replace(one, mean=None, scale=None)
    zeros, ones = (np.full((2, one.input_size), v, dtype=np.float32) for v in (0.0, 1.0))
    assert replace(plain, mean=zeros, scale=ones).among(plain).tolist() == [0, 1]
    assert replace(plain, mean=ones, scale=ones).among(plain).tolist() == [-1, -1]
    assert replace(one, activation="relu").among(one).tolist() == [-1, -1]
