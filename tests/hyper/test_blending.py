from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from experts import Experts, Rollouts, play
from experts.embedding import context_inputs
from experts.minibatches import Minibatches
from experts.neighbours import ActionMeans
from hyper import HyperDistil, HyperDistilConfig, blending
from hyper.blending import Blends, Mixtures, left_out, trust
from param_envs import family_of


def known_experts(data: Rollouts) -> Experts:
    assert data.experts is not None
    return data.experts


def told(data: Rollouts) -> Callable[[Sequence[Mapping[str, float]]], torch.Tensor]:
    return partial(context_inputs, data.family, features=data.features, encode=True)


def test_a_context_is_not_its_own_neighbour(data: Rollouts) -> None:
    """The neighbours of 1 among 0.5, 1, 2, ... are 0.5 and 2, at distances 1 : 2."""
    ids, shares, beyond = left_out(data)
    assert (ids != np.arange(len(data.contexts))[:, None]).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    of = {context["speed"]: i for i, context in enumerate(data.contexts)}
    assert [data.contexts[i]["speed"] for i in ids[of[1.0]]] == [0.5, 2.0]
    np.testing.assert_allclose(shares[of[1.0]], [2 / 3, 1 / 3])
    speeds = sorted(of)
    ends = {speeds[0], speeds[-1], *[f(v for v in speeds if v * g > 0) for f, g in ENDS_AT_ZERO]}
    assert {speed for speed, i in of.items() if beyond[i]} == ends


ENDS_AT_ZERO: tuple[tuple[Callable[..., float], int], ...] = ((min, 1), (max, -1))
"""The slowest speed forwards is the smallest above 0, that backwards the largest below."""


@pytest.mark.parametrize(
    ("speed", "beside", "shares"),
    [
        (1.5, (2.0, 3.0), (1.25, -0.25)),  # half of the way on, by half a step
        (1.0, (2.0, 3.0), (1.5, -0.5)),
        (0.5, (2.0, 3.0), (1.5, -0.5)),  # no farther than half of a whole step
        (9.0, (8.0, 5.0), (1 + 1 / 6, -1 / 6)),
        (3.4, (3.0, 2.0), None),  # both on one side, but 5 is on the other
        (2.0, (2.0, 3.0), None),
        (-1.0, (-4.0, -4.0), None),  # there is no second one backwards
    ],
)
def test_beyond_the_last_context_blends_go_on(
    speed: float, beside: tuple[float, float], shares: tuple[float, float] | None
) -> None:
    known = [{"speed": v} for v in (8.0, -4.0, 3.0, 2.0, 5.0)]
    ids, found, beyond = Mixtures.around(
        family_of("ParamCheetah-v0"), ("speed",), known, [{"speed": speed}]
    )
    assert tuple(known[i]["speed"] for i in ids[0]) == beside
    assert beyond.tolist() == [shares is not None]
    if shares is None:
        assert (found >= 0).all()
    else:
        np.testing.assert_allclose(found[0], shares)


def test_without_a_direction_or_with_two_features_nothing_goes_on() -> None:
    family, backwards = family_of("ParamCheetah-v0"), [{"speed": v} for v in (-1.0, -2.0)]
    assert not Mixtures.around(family, ("speed",), backwards, [{"speed": 3.0}]).beyond.any()
    grid = [{"speed": v, "torso": t} for v in (2.0, 3.0) for t in (0.4, 0.5)]
    asked = [{"speed": 1.0, "torso": 0.3}]
    ids, shares, beyond = Mixtures.around(family, ("speed", "torso"), grid, asked)
    assert ids.shape == (1, 4) and (shares > 0).all() and not beyond.any()


def test_the_ends_of_a_body_are_ends_and_an_angle_has_none() -> None:
    finger = family_of("ParamFinger-v0")
    known = [{"length": v} for v in (0.2, 0.3)]
    found = Mixtures.around(finger, ("length",), known, [{"length": 0.35}, {"length": 0.15}])
    assert found.beyond.all()
    np.testing.assert_allclose(found.shares, [[1.25, -0.25]] * 2)
    ant = family_of("ParamAnt-v0")
    known = [{"direction": v} for v in (1.0, 2.0)]
    assert not Mixtures.around(ant, ("direction",), known, [{"direction": 0.5}]).beyond.any()


def told_returns(
    monkeypatch: pytest.MonkeyPatch, data: Rollouts, *short: NDArray[np.float64]
) -> list[NDArray[np.float32]]:
    """Sets what plays return, relative to the experts, one play after the other; shares seen."""
    own = (data.rewards * data.mask)[:, data.clean].sum(axis=-1).mean(axis=-1)
    seen: list[NDArray[np.float32]] = []

    def played(policies: ActionMeans, *args: object, **options: object) -> object:
        places = [data.contexts.index(context) for context in args[1]]  # type: ignore[attr-defined]
        below = short[len(seen)][places] * np.abs(own[places])
        result = play(policies, *args, **options)  # type: ignore[arg-type]
        seen.append(policies._shares)
        return replace(result, returns=(own[places] - below)[:, None] + 0.0 * result.returns)

    monkeypatch.setattr(blending, "play", played)
    return seen


def test_what_is_as_good_as_the_experts_is_trusted(
    data: Rollouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Returns of the blends are set by hand: 4 % and 2 % below the experts', and above them."""
    short = np.resize([0.04, 0.02, -0.5], len(data))
    seen = told_returns(monkeypatch, data, short, short * 0.5)
    assert trust(data, known_experts(data), seed=0).tolist() == (short < 0.03).tolist()
    assert (seen[1] == 1.0).all(), "at the ends the nearest expert alone is played, too"


@pytest.mark.parametrize(("loss", "served"), [(0.14, True), (0.16, False)])
def test_at_an_end_a_blend_has_to_do_better_than_the_nearest_expert(
    data: Rollouts, monkeypatch: pytest.MonkeyPatch, loss: float, served: bool
) -> None:
    """All blends lose as much; what the nearest experts lose at the ends is set by hand."""
    beyond = left_out(data).beyond
    losses = np.where(np.arange(len(data)) % 2, loss + 0.1, loss - 0.1)
    told_returns(monkeypatch, data, np.full(len(data), loss), losses)
    found = trust(data, known_experts(data), seed=0)
    better = beyond & (losses > loss)
    assert found.tolist() == (better & served).tolist() and 0 < better.sum() < beyond.sum()


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
