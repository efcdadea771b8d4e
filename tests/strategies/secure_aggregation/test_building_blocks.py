"""Rules of quantising, masking, and sharing."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.errors import UpdateRejected
from strategies.secure_aggregation.masking import _CHUNK, add_mask
from strategies.secure_aggregation.quantising import Quantiser, agreed_quantiser, mean_from
from strategies.secure_aggregation.sharing import NotRecovered, recover, seal, split, unseal

# ---- quantising ------------------------------------------------------------------------------


@given(summands=st.integers(1, 1000), limit=st.floats(1e-3, 1e6))
def test_sums_at_the_limit_do_not_wrap(summands: int, limit: float) -> None:
    quantiser = Quantiser(limit, summands)
    start = {"w": np.zeros(2)}
    one = quantiser.encode({"w": np.array([limit, -limit])}, start)
    total = np.multiply(one, np.uint32(summands), dtype=np.uint32)
    decoded = quantiser.decode(total, start)["w"]
    np.testing.assert_allclose(decoded, [summands * limit, -summands * limit], rtol=1e-12)
    assert summands * quantiser.most < 2**31


def test_more_summands_than_agreed_would_wrap() -> None:
    quantiser = Quantiser(1.0, 4)
    one = quantiser.encode({"w": np.array([1.0])}, {"w": np.zeros(1)})
    wrapped = quantiser.decode(np.multiply(one, np.uint32(5), dtype=np.uint32), {"w": np.zeros(1)})
    assert wrapped["w"][0] < 0


@pytest.mark.parametrize("value", [1.001, -1.001, np.nan, np.inf, -np.inf, 1e300])
def test_value_beyond_the_limit_is_refused_not_cut_off(value: float) -> None:
    with pytest.raises(UpdateRejected, match="secure-range") as rejected:
        Quantiser(1.0, 3).encode({"w": np.array([0.0, value])}, {"w": np.zeros(2)})
    assert rejected.value.code == UpdateRejected.OUT_OF_RANGE


@given(values=st.lists(st.floats(-1, 1), min_size=1, max_size=20))
def test_rounding_is_half_a_step_at_most(values: list[float]) -> None:
    quantiser, start = agreed_quantiser(1.0, 4), {"w": np.zeros(len(values))}
    decoded = quantiser.decode(quantiser.encode({"w": np.array(values)}, start), start)["w"]
    assert np.abs(decoded - values).max() <= quantiser.step / 2


def test_arrays_keep_their_order_shape_and_type() -> None:
    start = {"b": np.zeros((2, 3), np.float32), "a": np.zeros((), np.float16)}
    update = {"a": np.array(0.5, np.float16), "b": np.arange(6, dtype=np.float32).reshape(2, 3)}
    quantiser = agreed_quantiser(8.0, 4)
    mean = mean_from(quantiser.decode(quantiser.encode(update, start), start), 1, start, None)
    assert list(mean) == ["b", "a"]
    for name, array in update.items():
        assert mean[name].dtype == array.dtype
        np.testing.assert_allclose(mean[name], array, atol=quantiser.step)


def test_servers_own_update_counts_as_one_of_them() -> None:
    start = {"w": np.array([10.0])}
    mean = mean_from({"w": np.array([3.0])}, 2, start, {"w": np.array([5.0])})
    assert mean["w"][0] == pytest.approx((2 * 10 + 3 + 5) / 3)


# ---- masking ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 5, _CHUNK - 1, _CHUNK, _CHUNK + 1, 2 * _CHUNK + 3])
def test_mask_is_the_key_stream_and_goes_away_again(size: int) -> None:
    key, before = os.urandom(32), np.arange(size, dtype=np.uint32)
    values = before.copy()
    add_mask(values, key)
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(4 * size))
    np.testing.assert_array_equal(values - before, np.frombuffer(stream, "<u4"))
    add_mask(values, key, -1)
    np.testing.assert_array_equal(values, before)


# ---- sharing ---------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(secret=st.binary(min_size=32, max_size=32), count=st.integers(3, 7), data=st.data())
def test_any_threshold_of_shares_recovers_the_secret(
    secret: bytes, count: int, data: st.DataObject
) -> None:
    threshold = data.draw(st.integers(2, count))
    shares = dict(enumerate(split(secret, threshold, count), start=1))
    for chosen in itertools.combinations(shares, threshold):
        part = {index: shares[index] for index in chosen}
        assert recover(part, threshold, lambda found: True) == secret
        fewer = {index: shares[index] for index in chosen[:-1]}
        with pytest.raises(NotRecovered):
            recover(fewer, threshold, lambda found: True)
        if threshold > 2:  # a polynomial of lower degree through fewer points is another
            assert recover(fewer, threshold - 1, lambda found: True) != secret


def test_right_shares_are_found_among_wrong_ones() -> None:
    secret = os.urandom(32)
    shares = dict(enumerate(split(secret, 3, 6), start=1))
    shares |= {1: os.urandom(32), 4: b"short", 5: os.urandom(32)}
    assert recover(shares, 3, lambda found: found == secret) == secret
    with pytest.raises(NotRecovered, match="4 shares"):
        del shares[6]
        recover(shares, 3, lambda found: found == secret)


def test_seal_opens_with_its_key_and_purpose_only() -> None:
    key, other = os.urandom(32), os.urandom(32)
    sealed = seal(b"share", key, b"from a to b")
    assert unseal(sealed, key, b"from a to b") == b"share"
    for wrong in ((sealed, other, b"from a to b"), (sealed, key, b"from b to a"), ("", key, b"")):
        with pytest.raises(ValueError):
            unseal(*wrong)
