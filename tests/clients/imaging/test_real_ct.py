"""Real CT slices of two makers: HU as pydicom reckons them, upright, and comparable."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_rescale

from clients.data.image_file import read_image
from clients.imaging.dicom import read_dicom
from clients.preparation.settings import PrepareSettings
from tests.support.dicom_files import REAL_CT

WINDOW = PrepareSettings(window=(-160.0, 240.0))


@pytest.fixture(scope="module")
def slices() -> list[tuple[Path, Dataset]]:
    paths = sorted(REAL_CT.glob("*.dcm"))
    if not paths:
        pytest.skip(f"the CT slices are not there: {REAL_CT}")
    assert len(paths) == 62
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [(path, dcmread(path)) for path in paths]


def test_hu_are_exact_and_the_image_is_upright(slices: list[tuple[Path, Dataset]]) -> None:
    for path, dataset in slices:
        image = read_dicom(path)
        stored = dataset.pixel_array
        np.testing.assert_array_equal(image.stored, stored[None])
        expected = np.maximum(apply_rescale(stored, dataset), -1024)
        np.testing.assert_array_equal(image.values, expected[None])


def test_the_same_hu_has_the_same_value_at_every_maker(slices: list[tuple[Path, Dataset]]) -> None:
    values: dict[str, dict[int, set[float]]] = {}
    for path, dataset in slices:
        hu = np.rint(apply_rescale(dataset.pixel_array, dataset)).astype(int)
        inputs = read_image(path, None, WINDOW)[0]
        of_maker = values.setdefault(str(dataset.Manufacturer), {})
        for each in (-1000, -100, 0, 40, 300):  # air, fat, water, soft tissue, bone
            of_maker.setdefault(each, set()).update(np.unique(inputs[hu == each]).tolist())
    one, other = values.values()
    assert one == other
    expected = {-1000: 0, -100: 0.15, 0: 0.4, 40: 0.5, 300: 1}
    assert {hu: found.pop() for hu, found in one.items()} == pytest.approx(expected)


def test_images_of_both_makers_use_the_whole_window(slices: list[tuple[Path, Dataset]]) -> None:
    """Scaled by their own range, soft tissue had a tenth of it, elsewhere at each maker."""
    for path, _ in slices:
        inputs = read_image(path, 64, WINDOW)
        assert inputs.min() == 0 and inputs.max() > 0.5
        assert inputs.std() > 0.1
