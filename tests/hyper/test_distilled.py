from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from experts import MLPPolicies, Rollouts
from experts.minibatches import Minibatches, States
from experts.policy import Activation
from hyper import ConditionedDistil, FittedHyperDistil, HyperDistil, HyperDistilConfig
from hyper.calibration import Calibration
from hyper.distilled import _hard_steps, action_loss
from hyper.trials import Trials
from param_envs import Context
from param_envs.families.walker import Walker

SMALL: dict[str, Any] = {"embedding_sizes": (16, 32), "n_blocks": 1, "policy_sizes": (32, 32)}
QUICK = HyperDistilConfig(**SMALL, updates=6, batch_states=8, rounds=2, noise=(0.1,))


def actions(fitted: FittedHyperDistil, data: Rollouts) -> np.ndarray:
    observations = data.observations.reshape(len(data), -1, 17)
    return fitted.policies(data.contexts).act(observations)


@pytest.fixture(scope="module", params=[0.0, 0.5], ids=["plain", "blended"])
def trained(data: Rollouts, request: pytest.FixtureRequest) -> FittedHyperDistil:
    config = HyperDistilConfig(
        **SMALL,
        updates=600,
        batch_states=32,
        learning_rate=3e-3,
        rounds=2,
        noise=(0.05, 0.2),
        blend_weight=request.param,
    )
    return HyperDistil(config).fit(data, seed=0)


@pytest.mark.parametrize("which", ["data", "held_out"])
def test_generated_policies_act_like_the_experts(
    trained: FittedHyperDistil, which: str, request: pytest.FixtureRequest
) -> None:
    """In training contexts and in contexts between them, to 4 % of the actions' variance."""
    rollouts: Rollouts = request.getfixturevalue(which)
    labels = rollouts.labels.reshape(len(rollouts), -1, 6)
    assert np.mean((actions(trained, rollouts) - labels) ** 2) < 0.04 * labels.var()


def test_a_seed_gives_the_same_policies_and_another_gives_others(data: Rollouts) -> None:
    fits = [HyperDistil(QUICK).fit(data, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (actions(fitted, data) for fitted in fits)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("log_speeds", "n_inputs"), [(True, 3), (False, 2)])
def test_the_logarithm_of_the_speed_is_an_input(
    data: Rollouts, log_speeds: bool, n_inputs: int
) -> None:
    fitted = HyperDistil(replace(QUICK, log_speeds=log_speeds, blend_weight=0.3)).fit(data, seed=0)
    first = next(fitted.network.embedding.parameters())
    assert first.shape[1] == n_inputs
    assert len(fitted.policies(data.contexts[:2])) == 2


def test_rounds_are_spread_over_the_rest_of_the_updates() -> None:
    config = HyperDistilConfig(updates=1000, rounds=3, aggregate_from=0.4)
    assert sorted(config.rounds_at) == [400, 600, 800]
    assert replace(config, rounds=0).rounds_at == frozenset()


def test_episodes_of_its_own_are_counted() -> None:
    """Four rounds of four and two for the blends; and six in both neighbours of what is asked for.

    Where there are speeds, seven to learn what they are worth, two of nine policies, of each
    neighbour's expert and, if nothing else varies, of three mixes, four of five of them and twelve
    of three.
    """
    config, family = HyperDistilConfig(), Walker()
    in_training = 4 * 4 + 2
    assert config.own_episodes(family, ("torso",), 34, 6) == 34 * in_training + 2 * 6 * 6
    one = config.own_episodes(family, ("speed",), 34, 6)
    assert one == 34 * (in_training + 7) + ((9 + 2 + 3) * 2 + 5 * 4 + 3 * 12) * 6
    two = config.own_episodes(family, ("speed", "torso"), 34, 6)
    assert two - one == (4 - 2 - 3) * 2 * 6
    none = replace(config, rounds=0, blend_weight=0.0, trials=0)
    assert none.own_episodes(family, ("speed",), 34, 6) == 0


def test_what_the_policies_visit_is_added_and_matters(data: Rollouts) -> None:
    seen, chosen = [], []
    plain = HyperDistil(replace(QUICK, rounds=0)).fit(data, seed=0)
    added = Minibatches.add_states

    def spying(self: Minibatches, more: Rollouts, steps: np.ndarray | None) -> None:
        seen.append(more)
        chosen.append(steps)
        added(self, more, steps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Minibatches, "add_states", spying)
        fitted = HyperDistil(QUICK).fit(data, seed=0)
        assert chosen == [None, None], "without focus all of it, once"
        HyperDistil(replace(QUICK, focus=0.5)).fit(data, seed=0)
        assert [steps.shape for steps in chosen[2:]] == [
            data.mask[:, :1].reshape(len(data), -1).shape
        ] * 2
        del seen[2:]
    assert [more.contexts for more in seen] == [data.contexts] * 2
    for more in seen:
        assert data.experts is not None
        asked = data.experts.policies.act(more.observations[:, 0])
        np.testing.assert_allclose(more.labels[:, 0], asked, atol=1e-6)
        assert np.abs(more.actions - more.labels).mean() > 0.05, "the expert did not act"
    assert not np.array_equal(actions(plain, data), actions(fitted, data))


@pytest.mark.parametrize("focus", [0.0, 0.5, 1.0])
def test_states_are_drawn_by_the_error_there(data: Rollouts, focus: float) -> None:
    fitted = HyperDistil(replace(QUICK, rounds=0, focus=focus)).fit(data, seed=0)
    errors = np.square(actions(fitted, data) - data.labels.reshape(len(data), -1, 6)).mean(axis=-1)
    drawn = _hard_steps(fitted, data, seed=1)
    assert drawn.shape == errors.shape
    found = np.take_along_axis(errors, drawn, axis=1).mean(axis=1)
    mean, hard = errors.mean(axis=1), (errors**2).mean(axis=1) / errors.mean(axis=1)
    expected = (1 - focus) * mean + focus * hard
    np.testing.assert_allclose(found, expected, rtol=0.15)


def test_a_policy_without_errors_is_asked_everywhere(data: Rollouts) -> None:
    """And steps after the end of an episode are drawn by neither share."""
    fitted = HyperDistil(replace(QUICK, rounds=0, focus=1.0)).fit(data, seed=0)
    mask = data.mask.copy()
    mask[:, :, 5:] = False
    perfect = actions(fitted, data).reshape(data.labels.shape)
    drawn = _hard_steps(fitted, replace(data, labels=perfect, mask=mask), seed=1)
    assert set(np.unique(drawn % data.mask.shape[2])) == set(range(5))


@pytest.mark.parametrize("alike", [True, False])
def test_a_policy_that_fails_is_the_nearest_training_contexts(
    data: Rollouts, alike: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That one's expert, or of experts with other layers what is generated for it.

    The torso is another one than those of the training contexts, so that nothing is calibrated.
    """
    experts = data.experts
    assert experts is not None
    if alike:
        n, shapes = len(data), [(17, 32), (32, 32), (32, 6)]
        networks = MLPPolicies(
            tuple(np.random.default_rng(0).random((n, *shape)) for shape in shapes),
            tuple(np.zeros((n, shape[1])) for shape in shapes),
            activation="relu",
        )
        experts = replace(experts, policies=networks)
    asked = [{"speed": speed, "torso": 0.6} for speed in (1.3, 1.7, 2.3)]
    fitted = HyperDistil(QUICK).fit(replace(data, experts=experts), seed=0)
    place = [context["speed"] for context in data.contexts].index(2.0)
    monkeypatch.setattr(Trials, "better", lambda *_: np.array([-1, place, -1]))
    found, own = fitted.policies(asked).weights[0], fitted.generated(asked).weights[0]
    instead = experts.policies.select([place]) if alike else fitted.generated([{"speed": 2.0}])
    np.testing.assert_allclose(found[[0, 2]], own[[0, 2]], rtol=1e-5)
    np.testing.assert_allclose(found[1], instead.weights[0][0], rtol=1e-4, atol=1e-5)
    assert not np.allclose(own[1], found[1], atol=1e-5)


def test_where_the_body_was_trained_the_best_of_several_is_handed_out(
    data: Rollouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = HyperDistil(QUICK).fit(data, seed=0)
    asked = [{"speed": 1.3}, {"speed": 1.3, "torso": 0.6}, {"speed": 1.7}]
    own = fitted.generated(asked).weights[0]
    seen: list[float] = []

    def best(_: Calibration, contexts: list[Context]) -> MLPPolicies:
        seen.extend(context["speed"] for context in contexts)
        return fitted.generated([{"speed": -2.0}, {"speed": -3.0}])

    monkeypatch.setattr(Calibration, "best", best)
    monkeypatch.setattr(Trials, "better", lambda *_: np.array([-1]))
    found = fitted.policies(asked).weights[0]
    assert seen == [1.3, 1.7]
    np.testing.assert_allclose(found[1], own[1], rtol=1e-5, atol=1e-6)
    others = fitted.generated([{"speed": -2.0}, {"speed": -3.0}]).weights[0]
    np.testing.assert_allclose(found[[0, 2]], others, rtol=1e-5, atol=1e-6)


def test_without_trials_nothing_is_played(data: Rollouts, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = HyperDistil(replace(QUICK, trials=0)).fit(data, seed=0)
    monkeypatch.setattr(Trials, "better", None)
    monkeypatch.setattr(Calibration, "best", None)
    found = fitted.policies([{"speed": 1.3}])
    assert np.array_equal(found.weights[0], fitted.generated([{"speed": 1.3}]).weights[0])


def test_gradients_are_scaled_down_to_max_norm(data: Rollouts) -> None:
    """Far below the ε of Adam, nothing moves."""
    fits = {
        (max_norm, updates): HyperDistil(
            replace(QUICK, rounds=0, blend_weight=0.0, max_norm=max_norm, updates=updates)
        ).fit(data, seed=0)
        for max_norm in (1e-14, 0.5)
        for updates in (1, 6)
    }
    found = {key: actions(fitted, data) for key, fitted in fits.items()}
    np.testing.assert_allclose(found[1e-14, 1], found[1e-14, 6], atol=1e-6)
    assert np.abs(found[0.5, 1] - found[0.5, 6]).max() > 1e-3


def test_the_control_shares_all_weights_and_moves_the_first_biases(data: Rollouts) -> None:
    """It is taught alike: by the same rounds and blends, and as well where contexts are trained."""
    config = HyperDistilConfig(**SMALL, updates=600, batch_states=32, rounds=2, noise=(0.1,))
    fitted = ConditionedDistil(config).fit(data, seed=0)
    found = fitted.generated([{"speed": 1.3}, {"speed": -2.0}])
    for weight in found.weights:
        assert np.array_equal(weight[0], weight[1])
    assert [np.array_equal(*bias) for bias in found.biases] == [False, True, True]
    assert set(fitted.losses) == {"action", "blend"}
    labels = data.labels.reshape(len(data), -1, 6)
    assert np.mean((actions(fitted, data) - labels) ** 2) < 0.04 * labels.var()


def test_experts_without_critics_will_do(data: Rollouts) -> None:
    assert data.experts is not None
    bare = replace(data, experts=replace(data.experts, critics=None))
    np.testing.assert_array_equal(
        actions(HyperDistil(QUICK).fit(bare, seed=0), data),
        actions(HyperDistil(QUICK).fit(data, seed=0), data),
    )


def test_the_loss_is_the_mean_squared_error_behind_tanh() -> None:
    layers = [(torch.zeros(1, 2, 1), torch.full((1, 1, 1), float(np.arctanh(0.5))))]
    states = States(torch.zeros(1, 4, 2), torch.full((1, 4, 1), -0.5))
    assert float(action_loss(layers, states, "relu")) == pytest.approx(1.0)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_generated_policies_have_the_experts_activation(
    data: Rollouts, activation: Activation
) -> None:
    """In the fit as well: the loss that it ends with is that of the policies handed out."""
    assert data.experts is not None
    policies = replace(data.experts.policies, activation=activation)
    asked = replace(data, experts=replace(data.experts, policies=policies))
    config = replace(QUICK, updates=300, rounds=0, blend_weight=0.0, batch_states=400)
    fitted = HyperDistil(config).fit(asked, seed=0)
    generated = fitted.generated(data.contexts)
    assert generated.activation == activation
    labels = data.labels.reshape(len(data), -1, 6)
    acted = generated.act(data.observations.reshape(len(data), -1, 17))
    assert np.square(acted - labels).mean() == pytest.approx(fitted.losses["action"], rel=0.25)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"noise": (0.0,)}, "`noise` must be finite numbers above 0"),
        ({"noise": (0.1, float("nan"))}, "`noise` must be finite numbers above 0"),
        ({"aggregate_from": 1.0}, r"`aggregate_from` must be in \(0, 1\)"),
        ({"focus": 1.1}, r"`focus` must be in \[0, 1\], got 1.1"),
        ({"rounds": -1}, "`rounds` must be at least 0, got -1"),
        ({"blend_weight": -0.1}, "`blend_weight` must be at least 0"),
        ({"trials": -1}, "`trials` must be at least 0"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        HyperDistilConfig(**changes)


def test_data_without_experts_is_refused(data: Rollouts) -> None:
    with pytest.raises(ValueError, match=r"`data\.experts` must be there to be asked"):
        HyperDistil(QUICK).fit(replace(data, experts=None), seed=0)
