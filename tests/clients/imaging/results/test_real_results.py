"""Results beside real series: MR of three makers as masks, CT of two as restored images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from clients.imaging.index import find_series
from clients.imaging.reading import read_volume
from clients.imaging.results.image import image_as_dicom
from clients.imaging.results.mask import mask_as_dicom
from clients.imaging.results.origin import origin_of
from clients.imaging.results.software import new_uid
from clients.imaging.segmentation import read_segmentation
from strategies.errors import DataError
from tests.clients.imaging.test_real_volumes import there

CLASSES = ("background", "bottle", "insert")


@pytest.mark.slow
def test_masks_of_real_series_come_back_exactly(tmp_path: Path) -> None:
    path, makers = tmp_path / "mask.dcm", set()
    for series in find_series(there("mr_phantom")).series:
        image = read_volume(series)
        mask = np.zeros(image.values.shape[1:], np.uint8)
        mask[image.values[0] > np.percentile(image.values, 60)] = 1
        mask[image.values[0] > np.percentile(image.values, 95)] = 2
        content = mask_as_dicom(mask, image.affine, origin_of(series), CLASSES, new_uid())
        path.write_bytes(content)
        found = read_segmentation(path, series, image, CLASSES)
        np.testing.assert_array_equal(found.values[0], mask)
        makers.add(series.manufacturer.split()[0] if series.manufacturer else "")
    assert len(makers) >= 3


@pytest.mark.slow
def test_real_hounsfield_units_come_back(tmp_path: Path) -> None:
    count = 0
    for path in sorted(there("ct_sbu").glob("*.dcm")):
        try:
            image = read_volume(path)
        except DataError:
            continue
        (content,) = image_as_dicom(image.values, image.affine, origin_of(path), new_uid())
        found = dcmread(io.BytesIO(content))
        hu = found.pixel_array * found.RescaleSlope + found.RescaleIntercept
        np.testing.assert_array_equal(hu, image.values[0])
        assert list(found.ImageType)[:2] == ["DERIVED", "SECONDARY"]
        count += 1
    assert count >= 60
