import pickle

import numpy as np
import pytest

from param_envs import Feature, family_of, stack_contexts

CHEETAH = family_of("ParamCheetah-v0")
ANT = family_of("ParamAnt-v0")


def test_absent_features_take_their_defaults() -> None:
    context = CHEETAH.context(torso=0.4)
    assert context == {"speed": 10.0, "torso": 0.4}
    assert list(context) == ["speed", "torso"]
    assert len(context) == 2
    assert repr(context) == "Context(speed=10, torso=0.4)"


def test_a_context_is_a_frozen_hashable_value() -> None:
    context = CHEETAH.context(torso=0.4)
    assert context == CHEETAH.context(torso=0.4)
    assert context != CHEETAH.context(torso=0.5)
    assert len({context, CHEETAH.context(torso=0.4), CHEETAH.context(torso=0.5)}) == 2
    assert pickle.loads(pickle.dumps(context)) == context
    with pytest.raises(AttributeError, match="frozen"):
        context.torso = 0.5
    with pytest.raises(TypeError):
        context["torso"] = 0.5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"torso": 0.9}, r"`torso` must be in \[0.3, 0.7\] \(m\), got 0.9"),
        ({"speed": 0}, r"`speed` must be in \[-10, 10\] without 0 \(m/s\), got 0"),
        ({"speed": -0.0}, "without 0"),
        ({"speed": 11}, "got 11"),
        ({"speed": float("nan")}, "got nan"),
        ({"speed": float("inf")}, "got inf"),
        ({"speed": "fast"}, "`speed` must be a number in .*, got 'fast'"),
        ({"speed": None}, "`speed` must be a number"),
        ({"gravity": 1.0}, r"unknown feature `gravity`, allowed are \['speed', 'torso'\]"),
    ],
)
def test_bad_values_say_what_is_allowed(values, message) -> None:
    with pytest.raises(ValueError, match=message):
        CHEETAH.context(**values)


def test_linear_features_encode_their_range() -> None:
    contexts = [CHEETAH.context(torso=torso) for torso in (0.3, 0.5, 0.7)]
    np.testing.assert_allclose(CHEETAH.encode(contexts, ["torso"]), [[-1], [0], [1]], atol=1e-12)


def test_signed_features_encode_direction_and_magnitude() -> None:
    contexts = [CHEETAH.context(speed=speed) for speed in (-10, -5, 0.5, 10)]
    expected = [[-1, 1], [-1, 0], [1, -0.9], [1, 1]]
    np.testing.assert_allclose(CHEETAH.encode(contexts, ["speed"]), expected)
    assert CHEETAH.encode(contexts).shape == (4, 3)


def test_angles_encode_without_a_seam() -> None:
    contexts = [ANT.context(direction=angle) for angle in (0.0, np.pi / 2, 2 * np.pi)]
    encoded = ANT.encode(contexts, ["direction"])
    np.testing.assert_allclose(encoded, [[1, 0], [0, 1], [1, 0]], atol=1e-12)


def test_raw_values_keep_their_unit() -> None:
    contexts = [CHEETAH.context(speed=-4, torso=0.6), CHEETAH.context()]
    np.testing.assert_array_equal(CHEETAH.raw(contexts), [[-4, 0.6], [10, 0.5]])
    np.testing.assert_array_equal(CHEETAH.raw(contexts, ["torso"]), [[0.6], [0.5]])


def test_unknown_features_cannot_be_selected() -> None:
    with pytest.raises(ValueError, match="unknown feature `length`"):
        CHEETAH.encode([CHEETAH.context()], ["length"])


def test_stacked_contexts_are_columns() -> None:
    columns = stack_contexts([CHEETAH.context(speed=1), CHEETAH.context(speed=2)])
    np.testing.assert_array_equal(columns["speed"], [1, 2])
    np.testing.assert_array_equal(columns["torso"], [0.5, 0.5])


def test_a_feature_needs_a_range_around_its_default() -> None:
    record = dict(name="mass", kind="dynamics", unit="kg", doc="of the load")
    with pytest.raises(ValueError, match=r"`mass` needs low < high, got \[2, 1\]"):
        Feature(default=1.5, low=2, high=1, **record)
    with pytest.raises(ValueError, match="`mass` must be in"):
        Feature(default=3, low=1, high=2, **record)
