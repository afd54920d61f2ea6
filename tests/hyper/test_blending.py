from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from experts import Experts, Rollouts, play
from experts.embedding import context_inputs
from experts.minibatches import Minibatches
from hyper import HyperDistil, HyperDistilConfig, blending
from hyper.blending import Blends, left_out, trust


def known_experts(data: Rollouts) -> Experts:
    assert data.experts is not None
    return data.experts


def told(data: Rollouts) -> Callable[[Sequence[Mapping[str, float]]], torch.Tensor]:
    return partial(context_inputs, data.family, features=data.features, encode=True)


def test_a_context_is_not_its_own_neighbour(data: Rollouts) -> None:
    """The neighbours of 1 among 0.5, 1, 2, ... are 0.5 and 2, at distances 1 : 2."""
    ids, shares = left_out(data)
    assert (ids != np.arange(len(data.contexts))[:, None]).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    of = {context["speed"]: i for i, context in enumerate(data.contexts)}
    assert [data.contexts[i]["speed"] for i in ids[of[1.0]]] == [0.5, 2.0]
    np.testing.assert_allclose(shares[of[1.0]], [2 / 3, 1 / 3])


def test_what_is_as_good_as_the_experts_is_trusted(
    data: Rollouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Returns of the blends are set by hand: 4 % and 2 % below the experts', and above them."""
    own = (data.rewards * data.mask)[:, data.clean].sum(axis=-1).mean(axis=-1)
    short = np.resize([0.04, 0.02, -0.5], len(own))

    def played(*args: object, **options: object) -> object:
        result = play(*args, **options)  # type: ignore[arg-type]
        returns = (own - short * np.abs(own))[:, None].repeat(result.returns.shape[1], axis=1)
        return replace(result, returns=returns)

    monkeypatch.setattr(blending, "play", played)
    assert trust(data, known_experts(data), seed=0).tolist() == (short < 0.03).tolist()


def test_trust_does_not_depend_on_how_many_episodes_a_context_has(data: Rollouts) -> None:
    """Without one of its noise-free episodes, a context's own return is that of the others."""
    clean = np.flatnonzero(data.clean)
    twice = replace(
        data,
        mask=np.concatenate([data.mask, data.mask[:, clean]], axis=1),
        rewards=np.concatenate([data.rewards, data.rewards[:, clean]], axis=1),
        noise=np.concatenate([data.noise, data.noise[clean]]),
    )
    fewer = twice.mask.copy()
    fewer[::2, data.mask.shape[1] :] = False
    expected = trust(data, known_experts(data), seed=0)
    found = trust(replace(twice, mask=fewer), known_experts(data), seed=0)
    assert expected.any() and (found == expected).all()


def test_blends_are_between_neighbours_of_one_direction(
    data: Rollouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere = np.ones(len(data.contexts), dtype=np.bool_)
    monkeypatch.setattr(blending, "trust", lambda *_: everywhere)
    blends = Blends(data, known_experts(data), seed=0, told=told(data))
    drawn = blends.draw(200, torch.Generator().manual_seed(0))
    known = told(data)(data.contexts)
    assert drawn.inputs.shape == (200, known.shape[1]) and len(drawn.inputs.unique(dim=0)) > 100
    torch.testing.assert_close(drawn.shares.sum(dim=1), torch.ones(200))
    assert (known[drawn.ids][..., 0] == drawn.inputs[:, None, 0]).all(), "the direction"
    gaps = (known[drawn.ids] - drawn.inputs[:, None]).norm(dim=-1)
    nearest = (known[None] - drawn.inputs[:, None]).norm(dim=-1).min(dim=1).values
    torch.testing.assert_close(gaps.min(dim=1).values, nearest)
    assert nearest.square().mean() > 1.5 * blends.weight, "far ones are drawn more often"


def test_only_what_is_trusted_is_blended(data: Rollouts, monkeypatch: pytest.MonkeyPatch) -> None:
    forwards = np.array([context["speed"] > 0 for context in data.contexts])
    monkeypatch.setattr(blending, "trust", lambda *_: forwards)
    drawn = Blends(data, known_experts(data), seed=0, told=told(data)).draw(
        50, torch.Generator().manual_seed(0)
    )
    assert forwards[drawn.ids].all()
    monkeypatch.setattr(blending, "trust", lambda *_: forwards & False)
    assert Blends(data, known_experts(data), seed=0, told=told(data)).weight == 0.0
    config = HyperDistilConfig(embedding_sizes=(8,), policy_sizes=(8,), updates=2, rounds=0)
    assert set(HyperDistil(config).fit(data, seed=0).losses) == {"action"}


def test_labels_are_weighted_means_of_what_the_experts_do(data: Rollouts) -> None:
    assert data.experts is not None
    batches = Minibatches(data, normalise_observations=True, normalise_values=False)
    drawn = blending.Drawn(
        torch.zeros(2, 2),
        torch.tensor([[0, 1], [2, 3]]),
        torch.tensor([[0.25, 0.75], [1.0, 0.0]]),
        data.experts,
    )
    seen, labels = drawn.states(batches, 8, torch.Generator().manual_seed(0))
    assert seen.shape == (2, 8, data.family.observation_size)
    raw = seen.numpy() * batches.observation_scale + batches.observation_mean
    first, second = (data.experts.policies.select(drawn.ids[:, k]).act(raw) for k in (0, 1))
    np.testing.assert_allclose(labels[0], 0.25 * first[0] + 0.75 * second[0], atol=1e-6)
    np.testing.assert_allclose(labels[1], first[1], atol=1e-6)


def test_data_without_clean_episodes_is_refused(data: Rollouts) -> None:
    noisy = replace(data, noise=np.full_like(data.noise, 0.1))
    with pytest.raises(ValueError, match="must have a noise-free episode of every context"):
        Blends(noisy, known_experts(data), seed=0, told=told(data))
    mask = data.mask.copy()
    mask[1, data.clean] = False
    with pytest.raises(ValueError, match="must have a noise-free episode of every context"):
        Blends(replace(data, mask=mask), known_experts(data), seed=0, told=told(data))
