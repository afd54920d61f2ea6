"""Fine-tuning by SB3's SAC: what is left of SB3 without it, and each of its parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.logger import Logger

from experts import MLPPolicies, play
from experts.finetune import fine_tune
from experts.finetune_config import FineTuneConfig
from experts.finetune_sac import FineTunedSAC, policy_of, td_term
from experts.sb3 import training_env
from param_envs import family_of
from tests.experts.factories import ENV_ID, untrained

FAMILY = family_of(ENV_ID)
CONTEXT = FAMILY.context(speed=2.0)
TINY = FineTuneConfig(
    hidden=(8,),
    critic_hidden=(8,),
    batch_size=8,
    buffer_size=200,
    collect_steps=10,
    critic_updates=0,
    standardise=False,
    anchor_weight=0.0,
    entropy_share=0.0,
    bold_log_std=-2.42,
    ramp_updates=20,
)
SIZES: dict[str, Any] = {"critic_hidden": (8,), "batch_size": 8}
"""Of the same, which `plain` sets to SB3's own."""
START = untrained(CONTEXT).policy


def environment() -> Any:
    return training_env(FAMILY, CONTEXT, "track", 1, 20)[0]


def made(config: FineTuneConfig = TINY, start: MLPPolicies | None = START) -> FineTunedSAC:
    return FineTunedSAC(environment(), config, start=start, seed=0)


def filled(config: FineTuneConfig = TINY, start: MLPPolicies | None = START) -> FineTunedSAC:
    """A model with random transitions, some of them terminal, ready for `train`."""
    model = made(config, start)
    model.set_logger(Logger(None, []))
    rng = np.random.default_rng(0)
    for i in range(50):
        model.replay_buffer.add(
            rng.normal(size=(1, FAMILY.observation_size)),
            rng.normal(size=(1, FAMILY.observation_size)),
            rng.uniform(-1, 1, (1, FAMILY.action_size)),
            rng.normal(size=1),
            np.array([i % 3 == 0]),
            [{}],
        )
    return model


def state(module: torch.nn.Module) -> list[np.ndarray]:
    return [tensor.detach().numpy().copy() for tensor in module.state_dict().values()]


def test_plain_and_from_random_weights_it_is_sb3s_sac_exactly() -> None:
    config = replace(replace(TINY, critic_updates=5, entropy_share=0.1).plain(), **SIZES)
    ours = made(config, start=None)
    ours.learn(40)
    theirs = SAC(
        "MlpPolicy",
        environment(),
        buffer_size=200,
        learning_starts=10,
        batch_size=8,
        policy_kwargs={"net_arch": [8]},
        seed=0,
        device="cpu",
    )
    theirs.learn(40)
    assert theirs._n_updates == ours.updates_done == 30
    for a, b in zip(state(ours.policy), state(theirs.policy), strict=True):
        np.testing.assert_array_equal(a, b)
    assert ours.log_ent_coef is not None and theirs.log_ent_coef is not None
    assert ours.log_ent_coef.item() == theirs.log_ent_coef.item() != 0.0


@pytest.mark.parametrize("change", [{"td_weight": 10.0}, {"start_rate": 1e-5}])
def test_the_td_term_and_the_ramp_change_the_policy_and_not_the_first_critic(change: dict) -> None:
    critics, actors = [], []
    plain = replace(TINY.plain(), **SIZES)
    for config in (plain, replace(plain, **change)):
        model = filled(config, None)  # seeds SB3's global generators
        model.train(1, 8)
        critics.append(state(model.critic))
        model.train(1, 8)  # Adam's first step knows only signs
        actors.append(state(model.actor))
    for a, b in zip(*critics, strict=True):
        np.testing.assert_array_equal(a, b)
    assert all((a != b).any() for a, b in zip(*actors, strict=True))


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_before_the_first_update_it_acts_as_the_given_policy(activation: Any) -> None:
    assert START.mean is not None and START.scale is not None
    start = replace(START, activation=activation)
    model = made(start=start)
    observations = np.random.default_rng(0).normal(0, 3, (64, FAMILY.observation_size))
    actions = start.act(observations[None])[0]
    predicted, _ = model.predict(observations, deterministic=True)
    np.testing.assert_allclose(predicted, actions, atol=2e-6)
    np.testing.assert_allclose(policy_of(model).act(observations[None])[0], actions, atol=2e-6)
    _, log_std, _ = model.actor.get_action_dist_params(torch.as_tensor(observations).float())
    np.testing.assert_allclose(log_std.detach().numpy(), TINY.log_std, rtol=1e-6)


def test_a_given_policy_collects_itself_and_random_weights_collect_at_random() -> None:
    config = replace(TINY, collect_steps=60, log_std=-20.0, bold_log_std=-20.0)
    given, random = made(config), made(config, start=None)
    for model in (given, random):
        model.learn(50)
    observations = given.replay_buffer.observations[:50, 0]
    acted = START.act(observations[None])[0]
    np.testing.assert_allclose(given.replay_buffer.actions[:50, 0], acted, atol=1e-5)
    assert given.updates_done == 0
    assert abs(random.replay_buffer.actions[:50]).mean() == pytest.approx(0.5, abs=0.1)


def test_the_warm_up_changes_critics_alone() -> None:
    model = filled(replace(TINY, critic_updates=3, entropy_weight=0.25))
    actor, critic = state(model.actor), state(model.critic)
    model.warm_up(8)
    assert model.updates_done == model._n_updates == 3
    assert model.log_ent_coef is not None
    for a, b in zip(actor, state(model.actor), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.log_ent_coef.exp().item() == pytest.approx(0.25)
    assert all((a != b).any() for a, b in zip(critic, state(model.critic), strict=True))
    model.train(1, 8)
    assert all((a != b).any() for a, b in zip(actor, state(model.actor), strict=True))
    assert model.log_ent_coef.exp().item() != pytest.approx(0.25, rel=1e-5)
    assert model.updates_done == 4, "it is done once"


def test_every_third_episode_collected_is_bold_and_none_later() -> None:
    model = made(replace(TINY, collect_steps=100, log_std=-20.0, bold_log_std=0.0))
    model.learn(130)  # episodes of 20 steps
    observations = model.replay_buffer.observations[:130, 0]
    errors = model.replay_buffer.actions[:130, 0] - START.act(observations[None])[0]
    off = np.abs(errors[:120]).reshape(6, 20, -1).mean(axis=(1, 2))
    assert (off[[0, 2, 3]] < 1e-5).all() and (off[[1, 4]] > 0.1).all() and off[5] < 0.05


def test_critics_follow_faster_while_they_warm_up_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = filled(replace(TINY, critic_updates=3, warm_up_tau=0.4))
    rates: list[float] = []
    train = SAC.train
    monkeypatch.setattr(
        SAC, "train", lambda self, *args: (rates.append(self.tau), train(self, *args))
    )
    model.train(2, 8)
    assert rates == [0.4, TINY.target_tau]


def test_the_first_update_has_the_whole_warm_up_before_it() -> None:
    model = made(replace(TINY, critic_updates=7))
    model.learn(TINY.collect_steps)
    assert model.updates_done == 0
    model.learn(2, reset_num_timesteps=False)
    assert model.updates_done == 7 + 2 and model.num_timesteps == TINY.collect_steps + 2


def test_the_entropy_weighs_a_share_of_what_rewards_differ_by() -> None:
    model = filled(replace(TINY, entropy_share=0.02, entropy_weight=0.25))
    model.warm_up(8)
    assert model.log_ent_coef is not None
    deviation = model.replay_buffer.rewards[:50].std()
    assert model.log_ent_coef.exp().item() == pytest.approx(0.02 * deviation)
    seen = torch.as_tensor(model.replay_buffer.observations[:50, 0])
    entropy = -np.mean([model.actor.action_log_prob(seen)[1].mean().item() for _ in range(200)])
    assert model.target_entropy == pytest.approx(entropy, abs=0.5)
    model = filled(replace(TINY, entropy_share=0.02))
    model.replay_buffer.rewards[:] = 3.0
    model.warm_up(8)
    assert model.log_ent_coef is not None
    assert model.log_ent_coef.exp().item() == pytest.approx(2e-8)


def test_standardised_it_acts_as_before_on_what_it_collected() -> None:
    model = filled(replace(TINY, standardise=True))
    seen = model.replay_buffer.observations[:50, 0]
    seen *= 10.0 ** np.arange(-2, 3)[np.arange(FAMILY.observation_size) % 5]  # the first: nearly 0
    seen += 7.0
    before, _ = model.predict(seen, deterministic=True)
    model.warm_up(8)
    after, _ = model.predict(seen, deterministic=True)
    np.testing.assert_allclose(after, before, atol=1e-4)
    np.testing.assert_allclose(policy_of(model).act(seen[None])[0], before, atol=1e-4)
    for network in (model.actor, model.critic, model.critic_target):
        inputs = network.features_extractor(torch.as_tensor(seen)).numpy()
        np.testing.assert_allclose(inputs.mean(axis=0), 0.0, atol=1e-3)
        np.testing.assert_allclose(inputs[:, 1:].std(axis=0), 1.0, rtol=0.5)


@pytest.mark.parametrize(("ramp", "middle"), [("linear", 1.515e-4), ("log", 3e-5)])
def test_the_ramp_begins_after_the_warm_up_and_reaches_both_ends(ramp: Any, middle: float) -> None:
    model = filled(replace(TINY, ramp=ramp, ramp_updates=4, critic_updates=2))
    rates = []
    for _ in range(7):
        model.train(1, 8)
        rates.append(model.actor.optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(3e-6, rel=1e-12)
    assert rates[2] == pytest.approx(middle)
    assert rates[4:] == [3e-4] * 3
    assert rates == sorted(rates)
    assert model.critic.optimizer.param_groups[0]["lr"] == TINY.critic_rate


def test_without_a_ramp_the_rate_is_its_end_from_the_start() -> None:
    assert made(replace(TINY, ramp_updates=0)).policy_rate == TINY.end_rate


def test_td_term_on_numbers_worked_out_by_hand() -> None:
    # δ: 1 + 0.5 * 4 - 2 = 1; 1 - 4 = -3 (ended); 0 + 0.5 * (-2) - 1 = -2
    terms = {
        only: td_term(
            torch.tensor([2.0, 4.0, 1.0]),
            torch.tensor([1.0, 1.0, 0.0]),
            torch.tensor([0.0, 1.0, 0.0]),
            torch.tensor([4.0, 100.0, -2.0]),
            discount=0.5,
            overestimated_only=only,
        ).item()
        for only in (False, True)
    }
    assert terms == {False: pytest.approx(0.5 * 14 / 3), True: pytest.approx(0.5 * 13 / 3)}


def test_only_where_a_value_is_overestimated_does_the_td_term_raise_the_next_one() -> None:
    for value, next_one_rises in ((5.0, True), (-5.0, False)):
        ahead = torch.tensor([1.0], requires_grad=True)
        zero = torch.zeros(1)
        numbers = {"discount": 0.9, "overestimated_only": False}
        td_term(torch.tensor([value]), zero, zero, ahead, **numbers).backward()
        assert ahead.grad is not None and (ahead.grad.item() < 0.0) == next_one_rises


def test_a_curve_has_the_start_and_the_end_and_evaluations_do_not_disturb_training() -> None:
    options: dict[str, Any] = {
        "reward": "track",
        "n_steps": 25,
        "seed": 3,
        "config": TINY,
        "n_episodes": 2,
        "evaluation_seed": 7,
        "episode_steps": 15,
    }
    told: list[int] = []
    curve = fine_tune(START, FAMILY, CONTEXT, every=10, on_steps=told.append, **options)
    assert curve.steps.tolist() == [0, 10, 20, 25] and curve.returns.shape == (4, 2)
    assert told == list(range(1, 26))

    def played(policy: MLPPolicies) -> np.ndarray:
        return play(
            policy, FAMILY, [CONTEXT], reward="track", n_episodes=2, seed=7, n_steps=15
        ).returns[0]

    np.testing.assert_allclose(curve.returns[0], played(START), rtol=1e-4)
    np.testing.assert_array_equal(curve.returns[-1], played(curve.policy))
    rarely = fine_tune(START, FAMILY, CONTEXT, every=100, **options)
    assert rarely.steps.tolist() == [0, 25]
    np.testing.assert_array_equal(rarely.returns, curve.returns[[0, -1]])
    other = fine_tune(START, FAMILY, CONTEXT, every=100, **{**options, "seed": 4})
    assert (other.returns[0] == curve.returns[0]).all() and (
        other.returns[-1] != curve.returns[-1]
    ).any()


def test_the_default_noise_has_the_entropy_that_sac_aims_at() -> None:
    entropy = 0.5 * np.log(2 * np.pi * np.e) + FineTuneConfig().log_std
    assert entropy == pytest.approx(made().target_entropy / FAMILY.action_size, abs=0.01)


def test_the_papers_preset_has_the_papers_rates_and_no_condition() -> None:
    paper = FineTuneConfig.paper()
    assert (paper.start_rate, paper.end_rate) == (3e-6, 3e-4)
    assert not paper.td_overestimated_only and paper.critic_updates == 0 and paper.td_weight > 0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"td_weight": -1.0}, "`td_weight` must be at least 0 and finite, got -1.0"),
        ({"td_weight": float("inf")}, "`td_weight` must be at least 0 and finite, got inf"),
        ({"start_rate": 0.0}, "`start_rate` must be in (0, 1], got 0.0"),
        ({"ramp": "cubic"}, "`ramp` must be one of ('linear', 'log'), got 'cubic'"),
        ({"ramp_updates": -1}, "`ramp_updates` must be at least 0 and finite, got -1"),
        ({"critic_updates": -1}, "`critic_updates` must be at least 0 and finite, got -1"),
        ({"log_std": 3.0}, "`log_std` must be in [-20, 2], got 3.0"),
        ({"entropy_weight": 0.0}, "`entropy_weight` must be above 0 and finite, got 0.0"),
        ({"discount": 1.0}, "`discount` must be in (0, 1), got 1.0"),
        ({"hidden": (8, 0)}, "`hidden` must be widths of at least 1, got (8, 0)"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"activation": "elu"}, "`activation` must be one of ('tanh', 'relu'), got 'elu'"),
    ],
)
def test_a_config_names_what_makes_no_sense(change: dict, text: str) -> None:
    with pytest.raises(ValueError) as error:
        replace(TINY, **change)
    assert str(error.value) == text


def test_errors_of_starts_and_numbers() -> None:
    two = MLPPolicies.stack([START, START])
    with pytest.raises(ValueError, match="`start` must be one policy, got 2"):
        made(start=two)
    other = MLPPolicies((np.zeros((1, 3, 2), np.float32),), (np.zeros((1, 2), np.float32),))
    with pytest.raises(ValueError, match="`start` must map 17 numbers to 6, it maps 3 to 2"):
        made(start=other)
    for name in ("n_steps", "every", "n_episodes"):
        numbers = {"n_steps": 1, name: 0}
        with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0"):
            fine_tune(START, FAMILY, CONTEXT, reward="track", seed=0, **numbers)
