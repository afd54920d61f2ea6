from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines import PEARL, FittedPEARL, PEARLConfig
from baselines.beliefs import Encoder, Evidence, kl_loss
from baselines.pearl import posterior_of
from baselines.transcripts import Drawer, Transcripts
from experts import Rollouts, play
from experts.minibatches import Minibatches
from tests.baselines.blind import blind_error, error

SMALL = {"embedding_sizes": (16, 32), "n_blocks": 1, "hidden_size": 64, "latent_size": 4}
QUICK = PEARLConfig(**SMALL, updates=5, batch_states=8, batch_encoded=6, encoder_sizes=(16,))


@pytest.fixture(scope="module")
def trained(data: Rollouts) -> FittedPEARL:
    config = PEARLConfig(
        **SMALL, encoder_sizes=(32, 32), updates=800, batch_states=32, batch_encoded=16
    )
    return PEARL(config).fit(data, seed=0)


@pytest.fixture(scope="module")
def quick(data: Rollouts) -> FittedPEARL:
    return PEARL(QUICK).fit(data, seed=0)


def drawer_of(data: Rollouts) -> Drawer:
    batches = Minibatches(data, normalise_observations=False, normalise_values=False)
    return Drawer(data, batches, Transcripts(data, batches, outcomes=True))


class Fixed:
    """In the network's place: the encoder gives means 4 and -2 and precisions 1 and 3."""

    @staticmethod
    def encoder(transitions: torch.Tensor) -> Evidence:
        precision = torch.tensor([[[1.0], [3.0]]]).expand(len(transitions), 2, 1)
        return Evidence(precision, precision * torch.tensor([[[4.0], [-2.0]]]))


@pytest.mark.parametrize(
    ("counts", "precision", "mean"),
    [([0.0, 0.0], 1.0, 0.0), ([1.0, 0.0], 2.0, 2.0), ([1.0, 1.0], 5.0, -0.4)],
)
def test_posterior_by_hand(counts, precision, mean):
    """With the unit prior: none is the prior; 4 / 2; (4 - 6) / (1 + 1 + 3)."""
    found = posterior_of(Fixed(), torch.zeros(1, 2, 1), torch.tensor([counts]))
    assert found.precision.item() == pytest.approx(precision)
    assert found.mean.item() == pytest.approx(mean)


def test_kl_by_hand():
    """N(2, 1/2) against N(0, 1): (1/2 + 4 - 1 + ln 2) / 2; and the prior's own is 0."""
    posterior = Evidence(torch.tensor([[2.0], [1.0]]), torch.tensor([[4.0], [0.0]]))
    assert kl_loss(posterior).item() == pytest.approx((3.5 + np.log(2.0)) / 2 / 2)


def test_encoder_gives_precision_and_precision_times_mean():
    encoder = Encoder(1, (), 1, "orthogonal", torch.Generator().manual_seed(0))
    with torch.no_grad():
        encoder.linears[0].weight.copy_(torch.tensor([[3.0], [0.0]]))
        encoder.linears[0].bias.copy_(torch.tensor([0.0, np.log(2.0)]))
    found = encoder(torch.ones(1, 1))
    assert found.precision.item() == pytest.approx(2.0)
    assert found.mean.item() == pytest.approx(3.0)


def test_transitions_are_on_unit_scale_and_complete(data):
    batches = Minibatches(data, normalise_observations=True, normalise_values=False)
    arrays = (data.observations, data.actions, data.rewards, data.next_observations)
    full = Transcripts(data, batches, outcomes=True)
    encoded = full.of(*arrays)
    assert full.n_inputs == encoded.shape[-1] == 17 + 6 + 1 + 17
    np.testing.assert_allclose(encoded[..., :17].mean((0, 1, 2)), 0.0, atol=1e-3)
    np.testing.assert_allclose(encoded[..., 17:23], data.actions)
    rewards = encoded[..., 23]
    assert (rewards.mean().item(), rewards.std().item()) == pytest.approx((0.0, 1.0), abs=1e-3)
    np.testing.assert_allclose(encoded[..., 24:].std((0, 1, 2)), 1.0, atol=1e-2)
    pairs = Transcripts(data, batches, outcomes=False)
    assert pairs.n_inputs == 23
    np.testing.assert_array_equal(pairs.of(*arrays), encoded[..., :23])


def marked(data: Rollouts) -> Rollouts:
    """The first entry of an observation says which (context, episode, step) it is."""
    marks = np.arange(data.mask.size, dtype=np.float32).reshape(data.mask.shape)
    observations = data.observations.copy()
    observations[..., 0] = marks
    return replace(data, observations=observations)


def test_what_is_encoded_is_never_of_an_episode_that_is_predicted(data):
    drawer = drawer_of(marked(data))
    tasks, n_steps = torch.tensor([3, 0, 5]), data.mask.shape[2]
    seen, latest = set(), []
    for seed in range(30):
        pairs = drawer.pairs(tasks, 20, 8, torch.Generator().manual_seed(seed))
        counted = pairs.counts.bool()
        for row, task in enumerate(tasks.tolist()):
            encoded = pairs.encoded[row, counted[row], 0].long() // n_steps
            predicted = pairs.states.observations[row, :, 0].long() // n_steps
            assert not set(encoded.tolist()) & set(predicted.tolist())
            assert set((predicted // 3).tolist()) == {task}
            assert len(set(encoded.tolist())) <= 1
            seen |= {int(counted[row].sum())}
            latest += (pairs.encoded[row, counted[row], 0].long() % n_steps).tolist()
    assert {0, 1, 8} <= seen, "from nothing known to as much as is encoded"
    assert max(latest) > 30 and min(latest) == 0


def test_states_come_with_their_own_labels(data):
    tasks = torch.tensor([3, 0])
    source = marked(data)
    pairs = drawer_of(source).pairs(tasks, 20, 8, torch.Generator().manual_seed(0))
    rows = pairs.states.observations[..., 0].long().numpy()
    np.testing.assert_array_equal(pairs.states.labels, data.labels.reshape(-1, 6)[rows])


def test_the_leak_encodes_each_state_with_its_own_answer(data):
    source = marked(data)
    pairs = drawer_of(source).leaking_pairs(
        torch.tensor([3, 0]), 20, torch.Generator().manual_seed(0)
    )
    assert pairs.encoded.shape[:2] == pairs.counts.shape == (40, 1)
    rows = pairs.states.observations[..., 0]
    torch.testing.assert_close(pairs.encoded[..., 0], rows)
    torch.testing.assert_close(pairs.encoded[..., 17:23], pairs.states.labels)
    np.testing.assert_array_equal(
        pairs.states.labels[:, 0], data.labels.reshape(-1, 6)[rows[:, 0].long().numpy()]
    )


def test_with_the_leak_a_test_knows_the_last_step_alone(data, held_out):
    """Training is told the answer; a test sees the step before, also that of the last episode."""
    config = replace(QUICK, encode_outcomes=False, leaks_labels=True)
    fitted = PEARL(config).fit(data, seed=0)
    policies = fitted.policies(held_out.contexts[:1])
    assert policies.posterior(1).precision.eq(1.0).all()
    for step in (0, 1):
        seen = [
            getattr(held_out, name)[:1, :1, step]
            for name in ("observations", "actions", "rewards", "next_observations")
        ]
        policies.observe(*seen, np.array([[step == 0]]))
        encoded = fitted._transcripts.of(*seen)
        with torch.no_grad():
            alone = posterior_of(fitted.network, encoded, torch.ones(1, 1))
        torch.testing.assert_close(policies.posterior(1).mean[0], alone.mean)


def test_posterior_does_not_depend_on_order_or_company(quick, held_out):
    backwards = {
        name: getattr(held_out, name)[:, ::-1, ::-1]
        for name in ("observations", "actions", "rewards", "next_observations", "mask")
    }
    found = quick.posterior(held_out)
    reverse = quick.posterior(replace(held_out, **backwards))
    torch.testing.assert_close(found.mean, reverse.mean, rtol=1e-4, atol=1e-5)
    alone = quick.posterior(held_out.select([1]))
    torch.testing.assert_close(alone.mean[0], found.mean[1], rtol=1e-4, atol=1e-5)
    assert (found.mean[0] - found.mean[1]).abs().max() > 1e-3


def test_the_context_is_not_looked_at(quick, data):
    observations = data.observations[:1, 0].repeat(2, axis=0)
    actions = quick.policies([{"speed": -4.0}, {"speed": 3.0}]).act(observations)
    np.testing.assert_array_equal(actions[0], actions[1])


def test_it_acts_better_than_without_the_context_once_it_has_seen_some(trained, data, held_out):
    """Demonstrations are one clean episode; errors are of the other episodes."""
    for rollouts in (data, held_out):
        shown, asked = episodes(rollouts, [0]), episodes(rollouts, [1, 2])
        adapted = trained.adapt(shown, seed=0)
        assert error(adapted, asked) < 0.3 * blind_error(data, asked)
        assert error(trained.policies(asked.contexts), asked) > 2.0 * error(adapted, asked)


def episodes(rollouts: Rollouts, ids: list[int]) -> Rollouts:
    names = ("observations", "actions", "labels", "rewards", "next_observations", "values", "mask")
    arrays = {name: getattr(rollouts, name)[:, ids] for name in (*names, "terminated")}
    return replace(rollouts, **arrays, noise=rollouts.noise[ids], seeds=None)


def step_of(rollouts: Rollouts, t: int) -> tuple[np.ndarray, ...]:
    names = ("observations", "actions", "rewards", "next_observations")
    return tuple(getattr(rollouts, name)[:, :, t] for name in names)


def test_observing_accumulates_the_posterior_slot_by_slot(quick, held_out):
    policies = quick.policies(held_out.contexts)
    prior = policies.posterior(3)
    assert (prior.precision == 1.0).all() and not prior.mean.any()
    running = np.zeros((2, 3), dtype=np.bool_)
    for t in range(4):
        policies.observe(*step_of(held_out, t), running)
    found = policies.posterior(3)
    for episode in range(3):
        expected = quick.posterior(first_steps(episodes(held_out, [episode]), 4))
        torch.testing.assert_close(found.mean[:, episode], expected.mean, rtol=1e-4, atol=1e-5)
    assert (policies.act(held_out.observations[:, :, 4])[:, 0] != 0.0).all()


def first_steps(rollouts: Rollouts, n: int) -> Rollouts:
    mask = rollouts.mask.copy()
    mask[:, :, n:] = False
    return replace(rollouts, mask=mask)


@pytest.mark.parametrize("keep", [False, True])
def test_episodes_end_slot_by_slot(quick, held_out, keep):
    """Slot (0, 1) ends after its second step: forgotten, or kept for all slots of its context."""
    policies = quick.policies(held_out.contexts, keep_episodes=keep)
    done = np.zeros((2, 3), dtype=np.bool_)
    policies.observe(*step_of(held_out, 0), done)
    done[0, 1] = True
    policies.observe(*step_of(held_out, 1), done)
    ended = quick.posterior(first_steps(episodes(held_out, [1]), 2))
    for _ in range(2):  # a slot that is over shows nothing
        found = policies.posterior(3)
        expected = ended.precision[0] if keep else torch.ones(4)
        torch.testing.assert_close(found.precision[0, 1], expected, rtol=1e-4, atol=1e-5)
        policies.observe(*step_of(held_out, 2), done)
    policies.reset()
    after = policies.posterior(5)
    expected = torch.stack([ended.precision[0] if keep else torch.ones(4), torch.ones(4)])
    torch.testing.assert_close(after.precision, expected[:, None].expand(-1, 5, -1))


def test_a_slot_that_was_reset_learns_again(quick, held_out):
    policies, running = quick.policies(held_out.contexts), np.zeros((2, 3), dtype=np.bool_)
    policies.observe(*step_of(held_out, 0), ~running)
    policies.observe(*step_of(held_out, 1), running)
    assert (policies.posterior(3).precision == 1.0).all()
    policies.observe(*step_of(held_out, 2), running)
    assert (policies.posterior(3).precision > 1.0).all()


def test_playing_tells_it_every_step(quick, data):
    settings = {"reward": "track", "n_episodes": 2, "n_steps": 5, "seed": 0, "n_threads": 1}
    policies = quick.policies(data.contexts[:3], keep_episodes=True)
    play(policies, data.family, data.contexts[:3], **settings)
    once = policies.posterior(2).precision
    assert (once > 1.0).all(), "both episodes' transitions are in the base"
    play(policies, data.family, data.contexts[:3], **settings)
    assert (policies.posterior(2).precision > once).all()
    forgetful = quick.policies(data.contexts[:3])
    first = play(forgetful, data.family, data.contexts[:3], **settings)
    again = play(forgetful, data.family, data.contexts[:3], **settings)
    np.testing.assert_array_equal(first.returns, again.returns)


def test_the_number_of_slots_stays_until_reset(quick, held_out):
    policies = quick.policies(held_out.contexts)
    policies.observe(*step_of(held_out, 0), np.zeros((2, 3), dtype=np.bool_))
    with pytest.raises(ValueError, match=r"of 3 environments a context until `reset\(\)`, got 2"):
        policies.act(held_out.observations[:, :2, 0])


def test_same_seed_same_weights(data):
    state = torch.get_rng_state()
    first, second, other = (
        PEARL(QUICK).fit(data, seed=seed).network.state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["policy.output.weight"], other["policy.output.weight"])
    assert torch.equal(torch.get_rng_state(), state)


def test_paper_preset(data):
    config = PEARLConfig.paper()
    assert (config.updates, config.latent_size, config.kl_weight) == (500, 256, 0.01)
    assert not config.encode_outcomes
    small = replace(config, updates=1, batch_states=4, batch_encoded=4)
    assert PEARL(small).fit(data, seed=0).losses.keys() == {"action", "kl"}


def test_bad_data_contexts_and_demonstrations_are_refused(quick, data, held_out):
    with pytest.raises(ValueError, match="must have at least 2 episodes of every context"):
        PEARL(QUICK).fit(episodes(data, [0]), seed=0)
    for name in ("rewards", "next_observations"):
        array = getattr(data, name).copy()
        array[0, -1, 0] = np.inf  # in an episode with noise
        with pytest.raises(ValueError, match=rf"`data\.{name}` must be finite, got"):
            PEARL(QUICK).fit(replace(data, **{name: array}), seed=0)
    with pytest.raises(ValueError, match="`contexts` must hold at least one context, got none"):
        quick.policies([])
    with pytest.raises(ValueError, match=r"`speed` must be in \[-10, 10\]"):
        quick.policies([{"speed": 0.0}])
    rewards = held_out.rewards.copy()
    rewards[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="`demonstrations` must be finite"):
        quick.adapt(replace(held_out, rewards=rewards), seed=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent_size": 0}, "`latent_size` must be at least 1, got 0"),
        ({"batch_encoded": 0}, "`batch_encoded` must be at least 1, got 0"),
        ({"encoder_sizes": ()}, r"`encoder_sizes` must be widths of at least 1, got \(\)"),
        ({"kl_weight": -1.0}, r"`kl_weight` must be at least 0 and finite, got -1\.0"),
        (
            {"leaks_labels": True},
            "`encode_outcomes` must be False with `leaks_labels`, got True",
        ),
        ({"match_capacity": True}, "`match_capacity` must be False for PEARL, got True"),
    ],
)
def test_bad_configs_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        PEARLConfig(**changes)
