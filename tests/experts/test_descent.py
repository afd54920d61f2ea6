import pytest
import torch
from torch import nn

from experts.descent import descend
from experts.embedding import linear


def quadratic(start: float) -> tuple[nn.Linear, list[float]]:
    layer = linear(1, 1)
    nn.init.constant_(layer.weight, start)
    nn.init.zeros_(layer.bias)
    return layer, []


@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
def test_it_minimises(schedule):
    layer, losses = quadratic(0.5)

    def draw_loss() -> torch.Tensor:
        loss = (layer.weight - 1.0).square().sum()
        losses.append(float(loss.detach()))
        return loss

    descend(layer, draw_loss, updates=200, learning_rate=0.05, schedule=schedule)
    assert len(losses) == 200
    assert losses[-1] < 1e-3 < losses[0]


def test_the_first_step_of_adam_is_the_learning_rate():
    layer, _ = quadratic(0.0)
    descend(layer, lambda: -layer.weight.sum(), updates=1, learning_rate=0.01, schedule="constant")
    assert layer.weight.item() == pytest.approx(0.01, rel=1e-4)


def test_one_cycle_rises_and_falls():
    layer, _ = quadratic(0.0)
    weights: list[float] = []

    def draw_loss() -> torch.Tensor:
        weights.append(layer.weight.item())
        return -layer.weight.sum()

    descend(layer, draw_loss, updates=101, learning_rate=0.01, schedule="one-cycle")
    steps = torch.tensor(weights).diff()
    assert steps.argmax() == pytest.approx(30, abs=4)
    assert steps[0] < 0.1 * steps.max()
    assert steps[-1] < 0.01 * steps.max()


@pytest.mark.parametrize(("max_norm", "distance"), [(1.0, 2.0), (float("inf"), 1.6775)])
def test_large_gradients_are_scaled_down(max_norm: float, distance: float) -> None:
    """Of norms 100 and 1: to Adam both are alike at a norm of 1, else the first drowns the second.

    Then its second step is (0.09 * 100 + 0.1) / 0.19 / sqrt((0.999 * 10 + 0.001) / 0.001999).
    """
    layer, _ = quadratic(0.0)
    sizes = iter([100.0, 1.0])
    descend(
        layer,
        lambda: -next(sizes) * (0.6 * layer.weight + 0.8 * layer.bias).sum(),
        updates=2,
        learning_rate=0.01,
        schedule="constant",
        max_norm=max_norm,
    )
    moved = [layer.weight.item(), layer.bias.item()]
    assert moved == pytest.approx([0.01 * distance] * 2, rel=1e-4)


def test_progress_is_told_about_a_hundred_times():
    layer, _ = quadratic(0.0)
    seen: list[float] = []
    descend(
        layer,
        lambda: layer.weight.square().sum(),
        updates=1000,
        learning_rate=0.1,
        schedule="constant",
        progress=seen.append,
    )
    assert seen == [k / 100 for k in range(1, 101)]


def test_a_loss_that_is_not_finite_is_told():
    layer, _ = quadratic(0.0)
    with pytest.raises(FloatingPointError, match=r"the loss is nan after update 1 of 5; try a"):
        descend(
            layer,
            lambda: layer.weight.sum() * float("nan"),
            updates=5,
            learning_rate=0.1,
            schedule="constant",
        )
