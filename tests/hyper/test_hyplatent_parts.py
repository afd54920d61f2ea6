"""Losses of HypLatent on numbers worked out by hand, and its networks and scalings one by one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hyper.hyplatent_codec import MOST_SPANNED, Codec, PolicyBank, scaling_of, span_codec
from hyper.hyplatent_config import HypLatentConfig
from hyper.hyplatent_networks import Autoencoder, Discriminator, Generator
from hyper.hyplatent_training import (
    auxiliary_loss,
    discriminator_loss,
    generator_loss,
    reconstruction_loss,
    train_generator,
)


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_reconstruction_is_a_mean_over_policies_and_entries() -> None:
    found, wanted = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 4.0]])
    assert float(reconstruction_loss(found, wanted)) == (1 + 4 + 0 + 16) / 4
    assert float(auxiliary_loss(found, wanted)) == (1 + 4 + 0 + 16) / 4


def test_the_discriminator_s_loss_is_equation_3() -> None:
    real, generated = torch.tensor([0.0, math.log(3.0)]), torch.tensor([0.0, -math.log(3.0)])
    # F is 1/2 and 3/4 on real ones, 1/2 and 1/4 on generated ones.
    expected = -(math.log(1 / 2) + math.log(3 / 4)) / 2 - (math.log(1 / 2) + math.log(3 / 4)) / 2
    assert float(discriminator_loss(real, generated)) == pytest.approx(expected)
    labels = (torch.tensor([0.9, 0.9]), torch.tensor([0.1, 0.1]))
    half = -(0.9 * math.log(1 / 2) + 0.1 * math.log(1 / 2))
    other = -(0.9 * math.log(3 / 4) + 0.1 * math.log(1 / 4))
    assert float(discriminator_loss(real, generated, labels)) == pytest.approx(half + other)


def test_the_generator_s_loss_is_equation_2_s_or_does_not_saturate() -> None:
    logits = torch.tensor([math.log(3.0), -math.log(3.0)])
    saturating = generator_loss(logits, saturating=True)
    assert float(saturating) == pytest.approx((math.log(1 / 4) + math.log(3 / 4)) / 2)
    other = generator_loss(logits, saturating=False)
    assert float(other) == pytest.approx(-(math.log(3 / 4) + math.log(1 / 4)) / 2)
    lost = torch.tensor([-20.0], requires_grad=True)
    for is_saturating, size in ((True, 0.0), (False, 1.0)):
        (slope,) = torch.autograd.grad(generator_loss(lost, saturating=is_saturating), lost)
        assert abs(float(slope)) == pytest.approx(size, abs=1e-6), "where F is sure"


def test_each_task_is_drawn_alike_however_many_policies_it_has() -> None:
    vectors = [np.full((n, 1), i, np.float16) for i, n in enumerate((1, 3, 96))]
    bank = PolicyBank(vectors, [np.array([float(i)]) for i in range(3)])
    ids = bank.draw(3000, draws())
    assert set(ids.tolist()) == set(range(100)), "every policy is drawn"
    counts = torch.bincount(bank.rows[ids, 0].long())
    assert all(abs(int(count) - 1000) < 120 for count in counts)
    np.testing.assert_array_equal(bank.conditions[ids], bank.rows[ids])


@pytest.mark.parametrize(
    ("conditions", "text"),
    [
        ([np.zeros(1)], "`conditions` must be one or more, one for each task, got 1 for 2"),
        ([np.zeros(1), np.zeros((2, 1))], "or one for each of its 3 policies, got 2"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(conditions: list[np.ndarray], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        PolicyBank([np.zeros((3, 2), np.float32)] * 2, conditions)


def test_scaling_by_tensors_or_limits() -> None:
    rows = torch.tensor([[0.0, 10.0, 5.0], [2.0, 16.0, 5.0]])
    tensors = scaling_of(rows, [2, 1], "tensors")
    assert tensors.offset.tolist() == [1.0, 13.0, 5.0]
    deviation = math.sqrt((1.0 + 9.0) / 2)
    np.testing.assert_allclose(tensors.unit, [deviation, deviation, 1.0], rtol=1e-6)
    limits = scaling_of(rows, [2, 1], "limits")
    assert limits(rows).tolist() == [[-1.0, -1.0, 0.0], [1.0, 1.0, 0.0]]
    for scaling in (tensors, limits):
        torch.testing.assert_close(scaling.undone(scaling(rows)), rows)


def test_a_codec_undoes_what_it_does() -> None:
    rows = torch.randn(20, 6, generator=draws())
    autoencoder = Autoencoder(torch.randn(2, 3, 3, generator=draws()))
    scaling = scaling_of(rows, [6], "tensors")
    for index in range(2):  # square maps have inverses
        inverse = torch.linalg.inv(autoencoder.encoders[index].detach())
        autoencoder.decoders[index].data.copy_(inverse)
    codec = Codec(scaling, autoencoder)
    codec.code_scaling = scaling_of(autoencoder.encode(scaling(rows)).detach(), [3, 3], "limits")
    codes = codec.encode(rows)
    assert codes.shape == (20, codec.size) == (20, 6)
    torch.testing.assert_close(codes.abs().amax(dim=0), torch.ones(6))
    torch.testing.assert_close(codec.decode(codes), rows, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(codec.scaled_parameters(codes), scaling(rows), atol=1e-4, rtol=1e-4)


def test_a_span_loses_nothing_and_counts_errors_as_parameters_do() -> None:
    rows = torch.randn(6, 40, generator=draws())
    rows[5] = rows[0] + rows[1] - rows[2]  # and centring costs one more direction
    scaling = scaling_of(rows, [10, 30], "tensors")
    codec = span_codec(rows, scaling)
    codes = codec.encode(rows)
    assert codes.shape == (6, codec.size) == (6, 4)
    torch.testing.assert_close(codec.decode(codes), rows, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(codes.square().mean(dim=0), torch.ones(4))
    torch.testing.assert_close(codec.judged(codes).square().mean(), torch.tensor(1.0))
    apart = torch.pdist(scaling(rows)) / torch.pdist(codec.judged(codes))
    torch.testing.assert_close(apart, apart.mean().expand(15), atol=0.0, rtol=1e-4)
    other = codes + torch.randn(codes.shape, generator=draws())
    wanted = (codec.scaled_parameters(other) - codec.scaled_parameters(codes)).square().mean()
    torch.testing.assert_close(codec.error(other, codes), wanted)


@pytest.mark.parametrize(("n_policies", "size"), [(1, 20), (2, 1), (10, 9), (11, 20)])
def test_a_span_is_taken_of_two_to_half_as_many_policies_as_parameters(
    n_policies: int, size: int
) -> None:
    rows = torch.randn(n_policies, 20, generator=draws())
    bank = PolicyBank([rows], [np.zeros((n_policies, 1))])
    codec = train_generator(bank, [20], HypLatentConfig(updates=1), seed=0).codec
    assert codec.size == size and codec.n_parameters == 20


def test_a_span_is_not_taken_of_more_policies_than_are_worked_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = torch.randn(6, 20, generator=draws())
    bank, config = PolicyBank([rows], [np.zeros((6, 1))]), HypLatentConfig(updates=1)
    for most, size in ((6, 5), (5, 20)):
        monkeypatch.setattr("hyper.hyplatent_training.MOST_SPANNED", most)
        assert train_generator(bank, [20], config, seed=0).codec.size == size
    assert MOST_SPANNED == 2048


def test_an_autoencoder_begins_where_training_would_lead() -> None:
    rows = torch.randn(12, 2, generator=draws()) @ torch.randn(2, 60, generator=draws())
    rows += 0.3 * torch.randn(rows.shape, generator=draws())
    rows[:, 30:] = 1.0  # a chunk that is the same in all policies
    bank = PolicyBank([rows], [np.zeros((12, 1))])
    config = HypLatentConfig(space="latents", chunk_size=30, latent_size=2, updates=1)

    def error(config: HypLatentConfig, size: int = 2) -> float:
        codec = train_generator(bank, [60], config, seed=0).codec
        assert codec.size == 2 * size, "a code of each chunk"
        found = codec.scaled_parameters(codec.encode(rows))
        assert (codec.decode(codec.encode(rows))[:, 30:] - 1.0).abs().max() < 1e-5
        return reconstruction_loss(found, codec.scaling(rows)).item()

    least = (torch.linalg.svdvals(scaling_of(rows, [60], "tensors")(rows))[2:] ** 2).sum() / 720
    assert error(config) == pytest.approx(least.item(), rel=1e-4)
    trained = error(replace(config, autoencoder_updates=200))
    assert trained == pytest.approx(least.item(), rel=0.01)
    assert error(replace(config, latent_size=50), size=11) < 1e-6 * least.item(), "all 12, centred"


def test_equal_policies_span_nothing() -> None:
    rows = torch.ones(3, 5)
    with pytest.raises(ValueError, match="policies must differ to span anything, got 3 equal ones"):
        span_codec(rows, scaling_of(rows, [5], "tensors"))


def test_networks_have_the_sizes_asked_for_and_draw_from_their_generator() -> None:
    sizes = {"widths": (16, 8, 4), "dropout": 0.5}
    state = torch.random.get_rng_state()
    first, again = (Generator(2, 3, 10, **sizes, generator=draws()) for _ in range(2))
    judge = Discriminator(10, 2, widths=(8, 4), generator=draws())
    told, noise = torch.randn(5, 2, generator=draws()), torch.randn(5, 3, generator=draws())
    out = first(told, noise)
    assert out.shape == (5, 10)
    torch.testing.assert_close(again(told, noise), out)
    assert (first(told, noise, draws()) != out).any(), "units are left out"
    logits, conditions = judge(out)
    assert logits.shape == (5,) and conditions.shape == (5, 2)
    assert torch.equal(torch.random.get_rng_state(), state), "no global generator is drawn from"


def test_the_way_down_is_added_to_the_way_up() -> None:
    network = Generator(1, 0, 4, widths=(4, 2), dropout=0.0, generator=draws())
    for block in (*network.down, *network.up):
        torch.nn.init.zeros_(block.norm.weight)  # blocks put out nothing
    told = torch.randn(3, 1, generator=draws())
    torch.testing.assert_close(network(told, told[:, :0]), network.last(network.first(told)))
