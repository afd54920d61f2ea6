import numpy as np
import pytest

from param_envs import ListSampler, UniformSampler, family_of
from tests.param_envs.cases import ENV_IDS

CHEETAH = family_of("ParamCheetah-v0")


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_uniform_draws_cover_the_ranges(env_id) -> None:
    family = family_of(env_id)
    sampler = UniformSampler(family)
    rng = np.random.default_rng(0)
    drawn = family.raw([family.context(**sampler(rng)) for _ in range(400)])
    for feature, values in zip(family.features, drawn.T, strict=True):
        width = feature.high - feature.low
        assert feature.low <= values.min() < feature.low + 0.05 * width
        assert feature.high - 0.05 * width < values.max() <= feature.high


def test_draws_come_from_the_generator_alone() -> None:
    sampler = UniformSampler(CHEETAH)
    one = [sampler(np.random.default_rng(3)) for _ in range(2)]
    assert one[0] == one[1]
    assert sampler(np.random.default_rng(4)) != one[0]


def test_some_features_can_be_fixed() -> None:
    sampler = UniformSampler(CHEETAH, ["speed"], torso=0.4)
    rng = np.random.default_rng(0)
    drawn = [sampler(rng) for _ in range(5)]
    assert {context["torso"] for context in drawn} == {0.4}
    assert len({context["speed"] for context in drawn}) == 5
    assert set(UniformSampler(CHEETAH, ["speed"])(rng)) == {"speed"}
    only = UniformSampler(CHEETAH, torso=0.4)
    assert only(rng)["torso"] == 0.4


def test_ranges_can_be_narrower() -> None:
    rng = np.random.default_rng(0)
    sampler = UniformSampler(CHEETAH, {"speed": (1, 3)}, torso=0.4)
    drawn = np.array([sampler(rng)["speed"] for _ in range(200)])
    assert 1.0 <= drawn.min() < 1.1 and 2.9 < drawn.max() <= 3.0
    for bad in ((3, 1), (2, 2), (-20, 1), (float("nan"), 1)):
        with pytest.raises(ValueError, match=r"`speed` must have a range in \[-10, 10\]"):
            UniformSampler(CHEETAH, {"speed": bad})


def test_a_zero_is_drawn_again() -> None:
    class Zeros:
        """A generator whose first draw is 0."""

        draws = iter([0.0, 2.0])

        def uniform(self, low: float, high: float) -> float:
            return next(self.draws)

    assert UniformSampler(CHEETAH, ["speed"])(Zeros())["speed"] == 2.0


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"features \['speed'\] cannot be both varied and fixed"):
        UniformSampler(CHEETAH, ["speed"], speed=2.0)
    with pytest.raises(ValueError, match="unknown feature `length`"):
        UniformSampler(CHEETAH, ["length"])
    with pytest.raises(ValueError, match="`torso` must be in"):
        UniformSampler(CHEETAH, ["speed"], torso=2.0)
    with pytest.raises(ValueError, match="`contexts` must hold at least one context, got none"):
        ListSampler([])


def test_a_registered_id_stands_for_its_family() -> None:
    by_id, by_family = (UniformSampler(f, torso=0.4) for f in ("ParamCheetah-v0", CHEETAH))
    assert by_id(np.random.default_rng(3)) == by_family(np.random.default_rng(3))


def test_what_is_no_family_is_named() -> None:
    allowed = r"`family` must be a Family or one of \['ParamAnt-v0', 'ParamCheetah-v0', "
    with pytest.raises(ValueError, match=rf"{allowed}.*\], got 'HalfCheetah-v5'"):
        UniformSampler("HalfCheetah-v5")
    with pytest.raises(TypeError, match=rf"{allowed}.*\], got \['speed'\]"):
        UniformSampler(["speed"])  # type: ignore[arg-type]
    for wrong, got in (("ParamCheetah-v0", "'P'"), ({"speed": 1.0}, "'speed'")):
        with pytest.raises(TypeError, match=f"`contexts` must map features to values, got {got}"):
            ListSampler(wrong)  # type: ignore[arg-type]


def test_lists_are_drawn_from_evenly() -> None:
    contexts = [CHEETAH.context(speed=speed) for speed in (1, 2, 3)]
    sampler = ListSampler(contexts)
    rng = np.random.default_rng(0)
    counts = np.unique([sampler(rng)["speed"] for _ in range(300)], return_counts=True)[1]
    assert counts.min() > 70
