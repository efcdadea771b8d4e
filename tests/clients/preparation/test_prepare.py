"""Rules of preparation: values against plain NumPy, and targets that stay with their image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.preparation.prepare import prepare
from clients.preparation.settings import PrepareSettings
from strategies.errors import DataError
from tests.clients.preparation.test_geometry import ORIENTATIONS, affine_of, volume

RNG = np.random.default_rng(0)
MR = np.where(RNG.random((2, 12, 10)) < 0.4, 0, RNG.normal(300, 60, (2, 12, 10))).astype(np.float32)


def inputs(values: Any, table: PrepareSettings, kind: Any = "numbers") -> Any:
    return prepare(volume(np.asarray(values), affine_of("RAS"), kind), None, "class", table).image


def test_nothing_set_is_the_images_own_range_or_that_of_bytes() -> None:
    low, high = float(MR.min()), float(MR.max())
    expected = ((MR.astype(np.float64) - low) / (high - low)).astype(np.float32)
    np.testing.assert_array_equal(inputs(MR, PrepareSettings()), expected)
    bytes_ = np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
    exact = (bytes_.astype(np.float64) / 255).astype(np.float32)
    np.testing.assert_array_equal(inputs(bytes_, PrepareSettings()), exact)
    assert (inputs(np.full((1, 4, 4), 7.0), PrepareSettings()) == 0).all()


@pytest.mark.parametrize("normalise", [None, "window"])
def test_window_is_linear_and_cuts_off(normalise: Any) -> None:
    hu = np.array([[[-1000.0, -160, 40, 240, 900]]])
    table = PrepareSettings(window=(-160, 240), normalise=normalise)
    np.testing.assert_allclose(inputs(hu, table, "hounsfield"), [[[0, 0, 0.5, 1, 1]]], atol=1e-7)


def test_z_score_is_that_of_each_channel_without_its_background() -> None:
    found = inputs(MR, PrepareSettings(normalise="z-score"))
    for channel, values in zip(found, MR.astype(np.float64), strict=True):
        body = values[values > values.min()]
        expected = ((values - body.mean()) / body.std()).clip(-4, 4) / 8 + 0.5
        np.testing.assert_allclose(channel, expected, atol=1e-6)
    flat = inputs(np.full((1, 4, 4), 7.0), PrepareSettings(normalise="z-score"))
    assert (flat == 0).all()


def test_percentiles_are_those_of_each_channel() -> None:
    table = PrepareSettings(normalise="percentile", percentiles=(5, 90))
    for channel, values in zip(inputs(MR, table), MR.astype(np.float64), strict=True):
        low, high = np.percentile(values, [5, 90])
        expected = (values.clip(low, high) - low) / (high - low)
        np.testing.assert_allclose(channel, expected, atol=1e-6)


def test_colours_of_a_picture_have_one_scale() -> None:
    picture = np.stack([np.full((4, 4), 10), np.full((4, 4), 200), np.full((4, 4), 90)])
    table = PrepareSettings(normalise="percentile", percentiles=(0, 100))
    found = inputs(picture.astype(np.uint8), table, "picture")
    np.testing.assert_allclose(found[:, 0, 0], [0, 1, 80 / 190], atol=1e-6)


@given(st.sampled_from([None, "z-score", "percentile"]), st.integers(0, 99), st.booleans())
@settings(max_examples=30, deadline=None)
def test_inputs_are_from_0_to_1(normalise: Any, seed: int, resample: bool) -> None:
    values = np.random.default_rng(seed).standard_cauchy((1, 5, 6, 4))
    spacing = (0.7,) if resample else None
    found = inputs(values, PrepareSettings(normalise=normalise, spacing=spacing, size=(7,)))
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1


def test_ct_needs_a_rule_and_a_picture_has_no_window() -> None:
    ct = np.array([[[-1000.0, 0], [40, 900]]])
    with pytest.raises(DataError, match="no window"):
        inputs(ct, PrepareSettings(size=(4,)), "hounsfield")
    assert inputs(ct, PrepareSettings(normalise="percentile"), "hounsfield").max() == 1
    with pytest.raises(DataError, match="is a picture"):
        inputs(ct, PrepareSettings(window=(0, 1)), "picture")


def test_padding_of_ct_is_air() -> None:
    ct = np.full((1, 4, 4), 200.0)
    found = inputs(ct, PrepareSettings(window=(-2024, 976), size=(6,)), "hounsfield")
    assert found[0, 0, 0] == pytest.approx((-1024 + 2024) / 3000)
    assert found[0, 3, 3] == pytest.approx(2224 / 3000)


def test_padding_that_is_no_air_is_never_resampled() -> None:
    ct = np.full((1, 4, 4), -3024.0)
    with pytest.raises(AssertionError):
        inputs(ct, PrepareSettings(window=(-160, 240), spacing=(2.0,)), "hounsfield")


boxes = st.tuples(st.tuples(*[st.integers(0, 6)] * 3), st.tuples(*[st.integers(2, 6)] * 3))


@given(
    st.lists(boxes, min_size=1, max_size=3),
    st.sampled_from(ORIENTATIONS),
    st.sampled_from(ORIENTATIONS),
    st.tuples(*[st.sampled_from([0.5, 0.8, 1.0, 1.5])] * 3),
    st.sampled_from([None, (14,), (9, 20, 12)]),
)
@settings(max_examples=60, deadline=None)
def test_masks_stay_on_their_image(
    found_boxes: Any, one: str, other: str, spacing: Any, size: Any
) -> None:
    mask = np.zeros((1, 12, 11, 10), np.int64)
    for label, (corner, sides) in enumerate(found_boxes, 1):
        mask[(0, *(slice(a, a + b) for a, b in zip(corner, sides, strict=True)))] = label
    image = volume((mask > 0) * 1.0, affine_of(one))
    table = PrepareSettings(orientation=other, spacing=spacing, size=size, window=(0, 1))
    done = prepare(image, volume(mask, affine_of(one)), "mask", table)
    assert done.target is not None and done.target.dtype == np.uint8
    assert done.image.shape[1:] == done.target.shape
    assert set(np.unique(done.target)) <= set(np.unique(mask))
    # Where interpolation leaves no doubt, the mask says the same as the image.
    assert (done.target[done.image[0] > 0.999] > 0).all()
    assert (done.target[done.image[0] < 0.001] == 0).all()


def test_target_image_has_the_scale_of_its_image() -> None:
    image = volume(np.linspace(0, 100, 36).reshape(1, 6, 6), affine_of("LPS"))
    target = volume(image.values / 2, affine_of("LPS"))
    table = PrepareSettings(orientation="RAS", size=(8,))
    found = prepare(image, target, "image", table)
    assert found.target is not None and found.target.dtype == np.float32
    np.testing.assert_allclose(found.target, found.image / 2, atol=1e-6)


def slightly(affine: Any, **changes: float) -> Any:
    changed = affine.copy()
    changed[:3, :3] *= changes.get("size", 1)
    changed[0, 3] += changes.get("shift", 0)
    return changed


def test_mask_may_be_off_by_rounding_only() -> None:
    image = volume(np.ones((1, 4, 4, 4)), affine_of("RAS"))
    labels = np.zeros((1, 4, 4, 4), np.int16)

    def masked(affine: Any, values: Any = labels) -> Any:
        return prepare(image, volume(values, affine), "mask", PrepareSettings(), "case 1")

    assert masked(slightly(affine_of("RAS"), size=1.0005, shift=0.05)).target.dtype == np.uint8
    for bad in (
        (slightly(affine_of("RAS"), size=1.002),),
        (slightly(affine_of("RAS"), shift=0.5),),
        (affine_of("LAS"),),
        (None,),
        (affine_of("RAS"), labels[:, 1:]),
        (affine_of("RAS"), labels + 0.5),
        (affine_of("RAS"), labels + np.nan),
    ):
        with pytest.raises(DataError, match="case 1 has a mask") as caught:
            masked(*bad)
        assert caught.value.code == DataError.GEOMETRY
    with pytest.raises(DataError, match="case 1 without its mask"):
        prepare(image, None, "mask", PrepareSettings(), "case 1")


def test_preparation_is_the_same_every_time() -> None:
    image = volume(np.random.default_rng(3).random((1, 9, 8, 7)), affine_of("SPL", (1, 2, 3)))
    table = PrepareSettings(orientation="RAS", spacing=1.3, normalise="z-score", size=12)
    one, other = (prepare(image, None, "class", table) for _ in range(2))
    assert one.image.tobytes() == other.image.tobytes()
