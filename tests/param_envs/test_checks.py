"""`check_context_env` over every family, and over families with a fault planted in them."""

import mujoco
import numpy as np
import pytest

from param_envs import ContextCheckError, check_context_env, family_of
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


class SameStart(Cheetah):
    """Its starts are all the same."""

    def initial_state(self, rng, model):
        return super().initial_state(np.random.default_rng(0), model)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (DeadTorso(), "ParamCheetah-v0: `torso` is inert: .* compile to one body"),
        (InvisibleTorso(), "`torso` is inert: .* observations by at most .*, must be more than"),
        (DeadSpeed(), "`speed` is inert: .* changes the reward by at most 0, must be more than 0"),
        (PushingSpeed(), "`speed` is a reward feature but changes the physics"),
        (StaleBank(), r"`torso` does not reach \[.*'body_mass'.*\] of the compiled model"),
        (SetConst(), r"`torso` does not reach \[.*'body_mass'.*\] of the compiled model"),
        (Unseeded(), "`torso` steps another|`speed` is a reward|not fully changed|with one seed"),
        (SameStart(), "starts do not differ between seeds"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Cheetah) else "",
)
def test_planted_faults_are_found(family, message) -> None:
    with pytest.raises(ContextCheckError, match=message):
        check_context_env(family)


def test_unknown_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="`env_id` must be one of"):
        check_context_env("Hopper-v5")
