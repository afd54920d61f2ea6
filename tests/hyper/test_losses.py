"""HyperZero's losses on numbers worked out by hand."""

import math

import pytest
import torch

from experts.minibatches import States, Transitions
from hyper.hyperzero import action_loss, actions_of, td_loss, undiscounted, value_loss, values_of


def layers(*pairs: tuple[list[list[list[float]]], list[list[list[float]]]]):
    return [(torch.tensor(w, requires_grad=True), torch.tensor(b)) for w, b in pairs]


def artanh(value: float) -> float:
    return math.atanh(value)


# Two tasks; observations, actions and the hidden layer have one entry.
# π_0(s) = tanh(relu(s) * artanh(0.5)), π_1(s) = tanh(relu(-s) * artanh(0.2)).
def policy():
    return layers(
        ([[[1.0]], [[-1.0]]], [[[0.0]], [[0.0]]]),
        ([[[artanh(0.5)]], [[artanh(0.2)]]], [[[0.0]], [[0.0]]]),
    )


# Q_0(s, a) = relu(s + 2a) + 1, Q_1(s, a) = 3 relu(-s - a).
def value():
    return layers(
        ([[[1.0], [2.0]], [[-1.0], [-1.0]]], [[[0.0]], [[0.0]]]),
        ([[[1.0]], [[3.0]]], [[[1.0]], [[0.0]]]),
    )


STATES = torch.tensor([[[1.0], [-1.0]], [[-1.0], [2.0]]])
"""π gives 0.5 and 0 in task 0, 0.2 and 0 in task 1."""


def transitions(**changes: list) -> Transitions:
    # Q(s, a*): task 0: relu(1 + 1) + 1 = 3 and relu(-1 + 2) + 1 = 2; task 1: 3 relu(1 - 0.5) = 1.5
    # and 0. Q(s', π(s')), with s' = s of the other sample: task 0: relu(-1 + 0) + 1 = 1 and
    # relu(1 + 1) + 1 = 3; task 1: s' = 2: 0, and s' = -1, a = 0.2: 3 * 0.8 = 2.4.
    fields = {
        "observations": STATES,
        "actions": [[[0.5], [1.0]], [[0.5], [0.0]]],
        "rewards": [[1.0, 0.0], [0.5, 1.0]],
        "discounts": [[0.5, 0.5], [0.5, 0.5]],
        "next_observations": STATES.flip(1),
        "values": [[2.0, 2.0], [1.0, -2.0]],
    } | changes
    return Transitions(**{name: torch.as_tensor(field) for name, field in fields.items()})


def test_generated_policies_and_critics():
    expected = [[[0.5], [0.0]], [[0.2], [0.0]]]
    torch.testing.assert_close(actions_of(policy(), STATES), torch.tensor(expected))
    batch = transitions()
    torch.testing.assert_close(
        values_of(value(), batch.observations, batch.actions),
        torch.tensor([[3.0, 2.0], [1.5, 0.0]]),
    )


def test_action_loss():
    """Errors 0.5 - 0, 0 - 1, 0.2 - 0.2, 0 - 0.5: (0.25 + 1 + 0 + 0.25) / 4."""
    labels = torch.tensor([[[0.0], [1.0]], [[0.2], [0.5]]])
    assert action_loss(policy(), States(STATES, labels)).item() == pytest.approx(0.375)


def test_value_loss():
    """Errors 3 - 2, 2 - 2, 1.5 - 1, 0 + 2: (1 + 0 + 0.25 + 4) / 4."""
    assert value_loss(value(), transitions()).item() == pytest.approx(1.3125)


def test_td_loss():
    """Targets 1 + 0.5 = 1.5, 0 + 1.5, 0.5 + 0, 1 + 1.2 = 2.2, less q*: -0.5, -0.5, -0.5, 4.2."""
    expected = (3 * 0.25 + 4.2**2) / 4
    assert td_loss(policy(), value(), transitions()).item() == pytest.approx(expected)


def test_td_loss_expects_nothing_after_a_termination():
    """With the last discount 0 its target is the reward: error 1 + 2 = 3."""
    batch = transitions(discounts=[[0.5, 0.5], [0.5, 0.0]])
    assert td_loss(policy(), value(), batch).item() == pytest.approx((3 * 0.25 + 9.0) / 4)


def test_td_loss_with_a_discount_of_one():
    """Of q* with mean 6 and deviation 2, and γ = 0.5: a reward r is (r - 6 / 2) / 2 on that scale,
    and r / 2 where nothing is discounted; after a termination (r - 6) / 2 either way."""
    raw = torch.tensor([[1.0, 0.0], [0.5, 1.0]])
    ends = torch.tensor([[False, False], [False, True]])
    discounts = torch.where(ends, 0.0, 0.5)
    batch = transitions(rewards=(raw - 6.0 * (1.0 - discounts)) / 2.0, discounts=discounts)
    found = undiscounted(batch, offset=6.0 / 2.0)
    torch.testing.assert_close(found.rewards, torch.tensor([[0.5, 0.0], [0.25, -2.5]]))
    torch.testing.assert_close(found.discounts, torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    torch.testing.assert_close(found.values, batch.values)


def test_td_loss_moves_the_critic_but_not_the_policy():
    """d loss / d (second weight of Q_1) = 2/4 * 4.2 * 0.5 * 0.8, of its one active sample."""
    generated_policy, generated_value = policy(), value()
    td_loss(generated_policy, generated_value, transitions()).backward()
    assert all(weight.grad is None for weight, _ in generated_policy)
    gradient = generated_value[1][0].grad
    assert gradient[1, 0, 0].item() == pytest.approx(0.5 * 4.2 * 0.5 * 0.8)


def test_value_losses_do_not_touch_the_policy_nor_the_action_loss_the_critic():
    generated_policy, generated_value = policy(), value()
    value_loss(generated_value, transitions()).backward()
    action_loss(generated_policy, States(STATES, torch.zeros(2, 2, 1))).backward()
    assert all(weight.grad is not None for weight, _ in (*generated_policy, *generated_value))
