"""Rules of geometry: axes, voxels, and the way back, against plain NumPy."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clients.imaging.volume import Volume
from clients.preparation.geometry import resampled, turns_to
from clients.preparation.prepare import prepare, undo
from clients.preparation.settings import PrepareSettings
from strategies.errors import DataError

ENDS = (("L", "R"), ("P", "A"), ("I", "S"))
ORIENTATIONS = [
    "".join(ENDS[axis][end] for axis, end in zip(order, ends, strict=True))
    for order in permutations(range(3))
    for ends in product((0, 1), repeat=3)
]


def affine_of(orientation: str, spacing: tuple[float, ...] = (1, 1, 1)) -> NDArray[np.float64]:
    """Return the affine of an image whose axes lead to these directions."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, letter in enumerate(orientation):
        row = next(row for row, ends in enumerate(ENDS) if letter in ends)
        affine[row, column] = spacing[column] * (1 if letter == ENDS[row][1] else -1)
    affine[:3, 3] = 10, -20, 30
    return affine


def volume(
    values: NDArray[Any], affine: NDArray[np.float64] | None = None, kind: Any = "numbers"
) -> Volume:
    return Volume(values, values, kind, affine)


def places(orientation: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a volume whose three channels are each voxel's place in mm."""
    index = np.stack([*np.indices(shape), np.ones(shape)]).reshape(4, -1)
    return (affine_of(orientation) @ index)[:3].reshape(3, *shape)


@given(st.sampled_from(ORIENTATIONS), st.sampled_from(ORIENTATIONS))
@settings(max_examples=60, deadline=None)
def test_axes_lead_where_they_shall(one: str, other: str) -> None:
    where = places(one, (3, 4, 5))
    settings = PrepareSettings(orientation=other, window=(-100, 100))
    found = prepare(volume(where, affine_of(one)), None, "class", settings).image * 200 - 100
    for axis, letter in enumerate(other):
        row = next(row for row, ends in enumerate(ENDS) if letter in ends)
        steps = np.diff(found[row], axis=axis)
        np.testing.assert_allclose(steps, 1 if letter == ENDS[row][1] else -1, atol=1e-3)


def test_axes_of_an_oblique_volume_each_have_a_direction_of_their_own() -> None:
    # The first two axes are both nearest to the patient's left and right.
    turn = np.eye(4)
    turn[:3, :2] = [[0.8, 0.75], [0.6, -0.66], [0, 0]]
    order, reverse = turns_to("RAS", turn, 3)
    assert (order, reverse) == ((0, 1, 2), (False, True, False))


@pytest.mark.parametrize(
    ("plane", "order", "reverse"),
    [("LP", (0, 1), (True, True)), ("SA", (1, 0), (False, False)), ("IR", (1, 0), (False, True))],
)
def test_slice_has_the_two_directions_of_its_plane(
    plane: str, order: tuple[int, ...], reverse: tuple[bool, ...]
) -> None:
    missing = next(ends[1] for ends in ENDS if not set(ends) & set(plane))
    assert turns_to("RAS", affine_of(plane + missing), 2) == (order, reverse)


def interpolated(values: NDArray[Any], at: NDArray[Any], axis: int) -> NDArray[Any]:
    return np.apply_along_axis(
        lambda line: np.interp(at, np.arange(len(line)), line), axis, values.astype(float)
    )


@given(
    st.lists(
        st.tuples(st.integers(2, 9), st.sampled_from([0.5, 0.7, 1, 1.6, 3])), min_size=2, max_size=3
    ),
    st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_resampling_is_linear_around_the_centre(axes: list[tuple[int, float]], seed: int) -> None:
    shape, ratios = zip(*axes, strict=True)
    values = np.random.default_rng(seed).random((2, *shape)).astype(np.float32)
    new = [max(1, round(side / ratio)) for side, ratio in axes]
    found = resampled(values, new, ratios, labels=False)
    expected: NDArray[Any] = values
    for axis, (side, ratio) in enumerate(axes):
        at = (np.arange(new[axis]) - (new[axis] - 1) / 2) * ratio + (side - 1) / 2
        expected = interpolated(expected, at, axis + 1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_labels_take_the_nearest_voxel() -> None:
    labels = np.arange(12).reshape(1, 3, 4)
    found = resampled(labels, (6, 4), (0.5, 1.0), labels=True)
    assert found.dtype == labels.dtype
    np.testing.assert_array_equal(found, labels.repeat(2, axis=1))


@pytest.mark.parametrize("spacing", [(2.0,), (0.5, 1.0, 3.0)])
def test_spacing_is_that_of_the_new_voxels(spacing: tuple[float, ...]) -> None:
    values = np.random.default_rng(0).random((1, 8, 9, 6))
    image = volume(values, affine_of("LPS", (1.0, 2.0, 1.5)))
    found = prepare(image, None, "class", PrepareSettings(spacing=spacing))
    wanted = spacing * 3 if len(spacing) == 1 else spacing
    assert found.spacing == wanted
    sides = [
        round(n * old / new) for n, old, new in zip((8, 9, 6), (1, 2, 1.5), wanted, strict=True)
    ]
    assert found.image.shape == (1, *sides)


def test_spacing_counts_after_the_axes_are_turned() -> None:
    image = volume(np.random.default_rng(0).random((1, 4, 5, 6)), affine_of("SRA", (4.0, 1.0, 2.0)))
    found = prepare(image, None, "class", PrepareSettings(orientation="RAS", spacing=(1, 2, 4)))
    assert found.image.shape == (1, 5, 6, 4) and found.spacing == (1, 2, 4)
    turned = prepare(image, None, "class", PrepareSettings(orientation="RAS"))
    np.testing.assert_array_equal(found.image, turned.image)


@pytest.mark.parametrize("size", [(3, 8), (6, 6), (5,), (1, 20)])
def test_size_is_reached_around_the_centre(size: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(1, 255, (2, 6, 7)).astype(np.uint8)
    found = prepare(volume(values), None, "class", PrepareSettings(size=size))
    sides = size * 2 if len(size) == 1 else size
    assert found.image.shape == (2, *sides)
    lowest = values.reshape(2, -1).min(axis=1) / 255
    for channel, inputs in enumerate(values / 255):
        expected = inputs
        for axis, side in enumerate(sides):
            gap = abs(inputs.shape[axis] - side)
            widths = [(0, 0), (0, 0)]
            if side > inputs.shape[axis]:
                widths[axis] = gap // 2, gap - gap // 2
                expected = np.pad(expected, widths, constant_values=lowest[channel])
            else:
                expected = expected.take(range(gap // 2, gap // 2 + side), axis)
        np.testing.assert_allclose(found.image[channel], expected, rtol=1e-6)


@given(
    st.sampled_from(ORIENTATIONS),
    st.sampled_from(ORIENTATIONS),
    st.tuples(*[st.integers(1, 7)] * 3),
    st.tuples(*[st.integers(1, 9)] * 3),
)
@settings(max_examples=60, deadline=None)
def test_way_back_is_exact_without_resampling(
    one: str, other: str, shape: tuple[int, ...], size: tuple[int, ...]
) -> None:
    labels = np.random.default_rng(0).integers(1, 5, (1, *shape))
    affine = affine_of(one)
    settings = PrepareSettings(orientation=other, size=size)
    found = prepare(volume(np.ones((1, *shape)), affine), volume(labels, affine), "mask", settings)
    assert found.target is not None
    back = undo(found.target, found.geometry, labels=True)
    assert back.shape == shape and back.dtype == found.target.dtype
    kept = back != 0  # what was cut off is background
    np.testing.assert_array_equal(back[kept], labels[0][kept])
    assert kept.sum() == (found.target != 0).sum()
    if all(new >= old for new, old in zip(size, found.geometry.turned_shape, strict=True)):
        assert kept.all()


def test_way_back_of_a_finer_mask_is_exact() -> None:
    affine = affine_of("PIR", (2.0, 2.0, 3.0))
    labels = np.random.default_rng(0).integers(0, 4, (1, 5, 6, 4))
    settings = PrepareSettings(orientation="RAS", spacing=1.0, size=16)
    found = prepare(volume(labels * 1.0, affine), volume(labels, affine), "mask", settings)
    assert found.target is not None and found.target.shape == (16, 16, 16)
    np.testing.assert_array_equal(undo(found.target, found.geometry, True), labels[0])


def test_restored_image_comes_back_to_its_source() -> None:
    ramp = np.broadcast_to(np.arange(12.0)[:, None, None], (12, 6, 4))[None]
    image = volume(ramp, affine_of("LPS"))
    settings = PrepareSettings(orientation="RAS", spacing=(0.5, 1, 1), window=(0, 11))
    found = prepare(image, None, "class", settings)
    back = undo(found.image, found.geometry, labels=False)
    assert back.shape == ramp.shape
    np.testing.assert_allclose(back[0, 1:-1], ramp[0, 1:-1] / 11, atol=1e-6)


def test_result_of_another_shape_is_refused() -> None:
    found = prepare(volume(np.ones((1, 4, 4))), None, "class", PrepareSettings())
    with pytest.raises(DataError, match="a result of shape"):
        undo(np.zeros((4, 5)), found.geometry, labels=True)


@pytest.mark.parametrize("table", [{"spacing": 1.0}, {"orientation": "RAS"}])
def test_picture_has_no_place_in_the_patient(table: dict[str, Any]) -> None:
    picture = volume(np.ones((3, 8, 8), np.uint8), kind="picture")
    with pytest.raises(DataError, match=r"x\.png does not say where its pixels lie") as caught:
        prepare(picture, None, "class", PrepareSettings.model_validate(table), "x.png")
    assert caught.value.code == DataError.GEOMETRY


def test_spacing_in_the_wrong_unit_does_not_fill_the_memory() -> None:
    image = volume(np.ones((1, 64, 64, 64)), affine_of("RAS"))
    with pytest.raises(DataError, match="would become"):
        prepare(image, None, "class", PrepareSettings(spacing=0.001))


@pytest.mark.parametrize("size", [0.0, np.nan, np.inf])
def test_voxel_without_a_size_is_refused(size: float) -> None:
    image = volume(np.ones((1, 4, 4, 4)), np.diag([1.0, size, 1.0, 1.0]))
    with pytest.raises(DataError, match="has voxels of 1 ×") as caught:
        prepare(image, None, "class", PrepareSettings(orientation="LPS"))
    assert caught.value.code == DataError.GEOMETRY


def test_numbers_for_other_dimensions_are_refused() -> None:
    with pytest.raises(DataError, match="2 spatial dimensions, for 3 numbers"):
        prepare(volume(np.ones((1, 4, 4))), None, "class", PrepareSettings(size=(4, 4, 4)))
