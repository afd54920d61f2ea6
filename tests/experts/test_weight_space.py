"""Policies as vectors and back, and chunks of vectors."""

from __future__ import annotations

import numpy as np
import pytest

from experts import MLPPolicies
from experts.weight_space import Schema, chunk_lengths, policies_of, schema_of, vectors_of


def policies(n: int = 3, *, statistics: bool = False) -> MLPPolicies:
    rng = np.random.default_rng(0)
    shapes = [(4, 5), (5, 5), (5, 2)]
    return MLPPolicies(
        tuple(rng.normal(size=(n, *shape)).astype(np.float32) for shape in shapes),
        tuple(rng.normal(size=(n, shape[1])).astype(np.float32) for shape in shapes),
        "relu",
        mean=rng.normal(size=(1, 4)).astype(np.float32) if statistics else None,
        scale=rng.uniform(0.5, 2.0, (n, 4)).astype(np.float32) if statistics else None,
    )


def test_a_policy_survives_the_way_there_and_back_exactly() -> None:
    before = policies()
    vectors, schema = vectors_of(before), schema_of(before)
    assert vectors.shape == (3, schema.size) == (3, 4 * 5 + 5 + 5 * 5 + 5 + 5 * 2 + 2)
    assert schema.names[:3] == ("0.weight", "0.bias", "1.weight")
    after = policies_of(vectors, schema)
    for name in ("weights", "biases"):
        for own, other in zip(getattr(after, name), getattr(before, name), strict=True):
            np.testing.assert_array_equal(own, other)
    assert after.activation == "relu"
    np.testing.assert_array_equal(vectors[1, :5], before.weights[0][1, 0])


def test_observation_statistics_are_folded_in() -> None:
    before = policies(statistics=True)
    after = policies_of(vectors_of(before), schema_of(before))
    assert after.mean is None and after.scale is None
    observations = np.random.default_rng(1).normal(size=(3, 7, 4))
    np.testing.assert_allclose(after.act(observations), before.act(observations), atol=1e-5)


def test_any_architecture_has_a_schema() -> None:
    schema = Schema(names=("filters", "offset"), shapes=((2, 3, 3), ()), activation="elu")
    tensors = {"filters": np.arange(36.0).reshape(2, 2, 3, 3), "offset": np.array([7.0, 8.0])}
    vectors = schema.flatten(tensors)
    assert vectors.shape == (2, 19) and vectors[:, -1].tolist() == [7.0, 8.0]
    back = schema.unflatten(vectors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(back[name], tensor)
    with pytest.raises(ValueError, match=r"`schema\.names` must be \['0\.weight', '0\.bias'\]"):
        policies_of(vectors, schema)


def test_what_does_not_fit_a_schema_is_refused() -> None:
    schema = Schema(names=("a", "b"), shapes=((2,), (3,)), activation="relu")
    with pytest.raises(ValueError, match=r"\['c'\] differ"):
        schema.flatten({"a": np.ones((1, 2)), "b": np.ones((1, 3)), "c": np.ones((1, 1))})
    with pytest.raises(ValueError, match=r"tensor 'b' must have the shape \(1, 3\), got \(1, 4\)"):
        schema.flatten({"a": np.ones((1, 2)), "b": np.ones((1, 4))})
    with pytest.raises(ValueError, match=r"`vectors` must be \(n, 5\), got \(2, 6\)"):
        schema.unflatten(np.ones((2, 6)))
    with pytest.raises(ValueError, match="`names` must be at least one, all different"):
        Schema(names=("a", "a"), shapes=((1,), (1,)), activation="relu")
    with pytest.raises(ValueError, match="`shapes` must be one of positive sizes for each of 1"):
        Schema(names=("a",), shapes=((0,),), activation="relu")


@pytest.mark.parametrize(
    ("size", "longest", "lengths"),
    [(10, 4, (4, 3, 3)), (10, 10, (10,)), (10, 99, (10,)), (3, 1, (1, 1, 1))],
)
def test_chunks_are_few_and_equal(size: int, longest: int, lengths: tuple[int, ...]) -> None:
    assert chunk_lengths(size, longest) == lengths
    with pytest.raises(ValueError, match="`longest` must be at least 1, got 0"):
        chunk_lengths(size, 0)
