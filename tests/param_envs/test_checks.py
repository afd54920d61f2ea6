"""`check_context_env` over every family, and over families with a fault planted in them."""

import re

import mujoco
import numpy as np
import pytest

from param_envs import (
    ContextCheckError,
    ParamEnv,
    UniformSampler,
    check_context_env,
    family_of,
)
from param_envs.checks import MIN_REWARD_EFFECT, MIN_TRAJECTORY_EFFECT
from param_envs.families.cheetah import Cheetah
from tests.param_envs.cases import ENV_IDS


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_every_feature_of_every_family_acts(env_id) -> None:
    report = check_context_env(env_id)
    assert [e.feature for e in report.effects] == [f.name for f in family_of(env_id).features]
    for effect in report.effects:
        if effect.kind == "reward":
            assert effect.reward > MIN_REWARD_EFFECT
            assert effect.trajectory == 0.0
            assert effect.fields == ()
        else:
            assert effect.trajectory > MIN_TRAJECTORY_EFFECT
            assert {"body_mass", "geom_size"} <= set(effect.fields)
        assert effect.feature in str(report)


class DeadTorso(Cheetah):
    """Its body does not depend on the torso."""

    def spec(self, context):
        return super().spec({**context, "torso": 0.5})


class InvisibleTorso(Cheetah):
    """Its torso changes the body by far less than anybody would notice."""

    def spec(self, context):
        return super().spec({**context, "torso": 0.5 + 1e-9 * context["torso"]})


class DeadSpeed(Cheetah):
    """Its reward does not depend on the speed."""

    def reward(self, outcome, action, context, mode):
        return super().reward(outcome, action, {"speed": np.array(5.0)}, mode)


class PushingSpeed(Cheetah):
    """Its speed, a reward feature, changes what is seen."""

    def observation(self, state):
        return super().observation(state) + self._shift

    _shift = 0.0

    def reward(self, outcome, action, context, mode):
        self._shift += 1e-3 * float(np.mean(context["speed"]))
        return super().reward(outcome, action, context, mode)


class StaleBank(Cheetah):
    """Its bank holds other bodies than its specification."""

    def model(self, context):
        return super().model({**context, "torso": 0.45})


class SetConst(Cheetah):
    """Edits the compiled model, which leaves masses and inertias as they were."""

    def model(self, context):
        base = super().model(self.context())
        spec_model = base.__copy__()
        spec_model.geom("torso").size[1] = context["torso"]
        mujoco.mj_setConst(spec_model, mujoco.MjData(spec_model))
        return spec_model


class Unseeded(Cheetah):
    """Its starts do not come from the generator."""

    def initial_state(self, rng, model):
        return super().initial_state(np.random.default_rng(), model)


class UnseededLater(Cheetah):
    """Only the first start after a seed comes from the generator."""

    def initial_state(self, rng, model):
        bits = rng.bit_generator
        fresh = bits.state == type(bits)(bits.seed_seq).state
        return super().initial_state(rng if fresh else np.random.default_rng(), model)


class FickleBank(Cheetah):
    """Its bank holds the body of its specification when it is asked for the first time."""

    def __init__(self):
        super().__init__()
        self._asked = set()

    def model(self, context):
        again = context["torso"] in self._asked - {0.5}  # the default, for moves of the speed
        self._asked.add(context["torso"])
        return super().model({**context, "torso": 0.45} if again else context)


class SameStart(Cheetah):
    """Its starts are all the same."""

    def initial_state(self, rng, model):
        return super().initial_state(np.random.default_rng(0), model)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (DeadTorso(), r"`torso` is inert: 0\.35 and 0\.45 compile to one body"),
        (
            InvisibleTorso(),
            r"`torso` is inert: between neighbouring values of \[0\.35, \S+, \S+, 0\.6\d+\] it "
            r"changes the observations by at most \S+, must be more than 0\.01",
        ),
        (
            DeadSpeed(),
            r"`speed` is inert: between neighbouring values of \[-7\.5, -2\.5, 2\.5, 7\.5\] it "
            r"changes the reward by at most 0, must be more than 0\.01",
        ),
        (PushingSpeed(), "`speed` is a reward feature but changes the physics"),
        (StaleBank(), r"`torso` does not reach \[.*'body_mass'.*\] of the compiled model"),
        (SetConst(), r"`torso` does not reach \[.*'body_mass'.*\] of the compiled model"),
        (FickleBank(), "`torso` steps another body than the one compiled from scratch"),
        (Unseeded(), "`speed` is a reward feature but changes the physics"),
        (UnseededLater(), "starts differ between resets with one seed"),
        (SameStart(), "starts do not differ between seeds"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Cheetah) else "",
)
def test_planted_faults_are_found(family, message) -> None:
    with pytest.raises(ContextCheckError, match=f"^ParamCheetah-v0: {message}$"):
        check_context_env(family)


class FromOptions(ParamEnv):
    """Knows whether its context was changed by a reset."""

    changed = False

    def reset(self, *, seed=None, options=None):
        self.changed = self.changed or bool(options)
        return super().reset(seed=seed, options=options)


class OldObservation(FromOptions):
    """A reset into another context shows the start before."""

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        return observation + self.changed, info


class OldInfo(FromOptions):
    """A reset into another context does not say so."""

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        return observation, {**info, "context": dict(self.family.context())}


class OldBody(FromOptions):
    """A reset into another context keeps the body's motion."""

    def step(self, action):
        observation, *rest = super().step(action)
        return observation + self.changed, *rest


class OldReward(FromOptions):
    """A reset into another context keeps the reward."""

    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, reward + self.changed, *rest


@pytest.mark.parametrize("env", [OldObservation, OldInfo, OldBody, OldReward])
def test_a_reset_that_leaves_something_as_it_was_is_found(env, monkeypatch) -> None:
    monkeypatch.setattr("param_envs.checks.ParamEnv", env)
    message = "`speed` is not fully changed by reset(options={'context': ...})"
    with pytest.raises(ContextCheckError, match=f"^ParamCheetah-v0: {re.escape(message)}$"):
        check_context_env("ParamCheetah-v0")


class FreshSampler(UniformSampler):
    """Draws from a generator of its own."""

    def __call__(self, rng):
        return super().__call__(np.random.default_rng())


class SameSampler(UniformSampler):
    """Draws what it has always drawn."""

    def __call__(self, rng):
        return super().__call__(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (FreshSampler, "sampled contexts differ between resets with one seed"),
        (SameSampler, "sampled contexts do not differ between seeds"),
    ],
)
def test_samplers_that_do_not_obey_the_seed_are_found(sampler, message, monkeypatch) -> None:
    monkeypatch.setattr("param_envs.checks._N_STEPS", 60)
    monkeypatch.setattr("param_envs.checks.UniformSampler", sampler)
    with pytest.raises(ContextCheckError, match=f"^ParamCheetah-v0: {message}$"):
        check_context_env("ParamCheetah-v0")


def test_unknown_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="`env_id` must be one of"):
        check_context_env("Hopper-v5")
