"""Rules of model weights."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from strategies.errors import UpdateRejected
from strategies.weights import (
    Model,
    Weights,
    check_like,
    decode_weights,
    encode_weights,
    from_arrays,
    hash_encoded,
    hash_weights,
    to_arrays,
)

weights_of_any_kind = st.dictionaries(
    st.text("abc.", min_size=1, max_size=6),
    hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        hnp.array_shapes(min_dims=0, max_dims=3, max_side=4),
        elements=st.floats(-1e6, 1e6, width=32),
    ),
    min_size=1,
    max_size=4,
)


def some_weights() -> Weights:
    return {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(2, np.float32)}


def assert_same(one: Weights, other: Weights) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert (array.shape, array.dtype) == (other[name].shape, other[name].dtype)
        np.testing.assert_array_equal(array, other[name])


@settings(deadline=None, max_examples=60)
@given(weights=weights_of_any_kind)
def test_encoding_keeps_names_shapes_types_and_values(weights: Weights) -> None:
    assert_same(decode_weights(encode_weights(weights)), weights)


@settings(deadline=None, max_examples=60)
@given(weights=weights_of_any_kind)
def test_flower_records_keep_names_shapes_types_and_values(weights: Weights) -> None:
    again = from_arrays(to_arrays(weights))
    assert_same(again, weights)
    assert list(again) == list(weights)
    assert hash_weights(again) == hash_weights(weights)


def test_hash_is_that_of_the_safetensors_file() -> None:
    weights = some_weights()
    assert hash_weights(weights) == hashlib.sha256(encode_weights(weights)).hexdigest()


def test_hash_depends_on_nothing_but_names_and_values() -> None:
    weights = some_weights()
    reordered = dict(reversed(weights.items()))
    strided = {k: np.asfortranarray(v) for k, v in weights.items()}
    assert hash_weights(weights) == hash_weights(reordered) == hash_weights(strided)


@pytest.mark.parametrize("change", ["value", "name", "shape", "dtype"])
def test_any_difference_gives_another_hash(change: str) -> None:
    weights, other = some_weights(), some_weights()
    match change:
        case "value":
            other["a"][0, 0] = np.nextafter(np.float32(0), np.float32(1))
        case "name":
            other["c"] = other.pop("b")
        case "shape":
            other["a"] = other["a"].T.copy()
        case "dtype":
            other["b"] = other["b"].astype(np.float64)
    assert hash_weights(other) != hash_weights(weights)


def test_weights_of_the_agreed_model_are_accepted() -> None:
    check_like(some_weights(), some_weights())


@pytest.mark.parametrize(
    ("update", "problem"),
    [
        ({"c": np.zeros(1, np.float32)}, "1 array names differ, among them 'c'"),
        ({"b": np.zeros(3, np.float32)}, r"'b' has shape \(3,\)"),
        ({"b": np.zeros((2, 1), np.float32)}, r"expected: shape \(2,\)"),
        ({"b": np.zeros(2, np.float64)}, "float64"),
        ({"b": np.array([0, np.nan], np.float32)}, "'b' has values that are not finite"),
        ({"b": np.array([np.inf, 0], np.float32)}, "lower the learning rate"),
    ],
)
def test_weights_that_do_not_fit_are_rejected(update: Weights, problem: str) -> None:
    with pytest.raises(UpdateRejected, match=problem):
        check_like(some_weights() | update, some_weights())


def test_missing_weights_are_rejected() -> None:
    with pytest.raises(UpdateRejected, match="among them 'b'"):
        check_like({"a": some_weights()["a"]}, some_weights())


@settings(deadline=None, max_examples=60)
@given(weights=weights_of_any_kind)
def test_model_arrives_as_it_was_sent(weights: Weights) -> None:
    sent = Model.of(weights)
    arrived = Model.received(sent.data, sent.hash)
    assert arrived == sent and arrived.hash == hash_weights(weights)
    assert_same(arrived.weights, weights)


@settings(deadline=None)
@given(position=st.integers(0, len(encode_weights(some_weights())) - 1), bit=st.integers(0, 7))
def test_model_with_any_bit_flipped_is_not_received(position: int, bit: int) -> None:
    model = Model.of(some_weights())
    data = bytearray(model.data)
    data[position] ^= 1 << bit
    with pytest.raises(ValueError, match="another hash"):
        Model.received(bytes(data), model.hash)


@pytest.mark.parametrize("data", [b"", bytes(9), Model.of(some_weights()).data[:-1]])
def test_bytes_that_are_no_model_are_not_received_under_their_own_hash(data: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be decoded"):
        Model.received(data, hash_encoded(data))


def test_second_encoding_of_a_model_is_not_received() -> None:
    """A header has room for other data, and equal weights must have one name."""
    data = safetensors.numpy.save(some_weights(), {"patient": "17"})
    with pytest.raises(ValueError, match="another encoding"):
        Model.received(data, hash_encoded(data))
