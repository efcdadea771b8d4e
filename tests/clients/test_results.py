"""Results as DICOM lie where their source lies, whatever the preparation did to the image."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from clients.imaging.reading import read_volume
from clients.imaging.segmentation import read_segmentation
from clients.prediction import Prediction, predict_file
from clients.preparation.settings import AS_READ, PrepareSettings
from clients.results import DicomResults, nifti_or_npy
from clients.tasks.settings import TaskSettings
from strategies.errors import DataError
from tests.clients.imaging.studies import volume_of_ct, write_study
from tests.clients.test_prediction_prepared import Noting
from tests.support.dicom_series import CORONAL, affine_of
from tests.support.learning.tasks import restoration, segmentation

WINDOW = (-1000, 1500)
SETTINGS = [
    PrepareSettings(window=WINDOW),
    PrepareSettings(window=WINDOW, orientation="LPI", size=(16,)),
    PrepareSettings(window=WINDOW, orientation="SAL", spacing=(1.0,)),
]
MASKS, IMAGES = segmentation(3, classes=2), restoration(spatial_dims=3)


def predicted(source: Path, task: TaskSettings, settings: PrepareSettings) -> Prediction:
    network = Noting(2 if task.target == "mask" else 0)
    return predict_file(network, source, task, None, None, settings)


@pytest.mark.parametrize("settings", SETTINGS, ids=["window", "turned", "resampled"])
def test_mask_lies_on_its_source(tmp_path: Path, settings: PrepareSettings) -> None:
    affine = affine_of((1.5, 1.0, 2.0), degrees=12)
    series = write_study(tmp_path / "images", volume_of_ct(), CORONAL, affine)
    found = predicted(tmp_path / "images", MASKS, settings)
    suffix, (content,) = DicomResults(MASKS, settings)(tmp_path / "images", found)
    path = tmp_path / f"mask{suffix}"
    path.write_bytes(content)
    image = read_volume(series)
    mask = read_segmentation(path, series, image, MASKS.classes).values[0]
    np.testing.assert_array_equal(mask, found.values)
    if settings.spacing is None:
        np.testing.assert_array_equal(mask, image.values[0] > np.mean(WINDOW))
    else:
        assert 0 < mask.mean() < 1


@pytest.mark.parametrize("settings", SETTINGS[:2], ids=["window", "turned"])
def test_restored_image_has_the_hounsfield_units_of_its_source(
    tmp_path: Path, settings: PrepareSettings
) -> None:
    series = write_study(tmp_path / "images", volume_of_ct(), CORONAL)
    found = predicted(tmp_path / "images", IMAGES, settings)
    suffix, files = DicomResults(IMAGES, settings)(series, found)
    assert suffix == "" and len(files) == len(series.headers)
    for content, header in zip(files, series.headers, strict=True):
        restored = dcmread(io.BytesIO(content))
        hu = restored.pixel_array * restored.RescaleSlope + restored.RescaleIntercept
        source = read_volume(header.path).values[0]
        np.testing.assert_allclose(hu, source.clip(*WINDOW), atol=0.51)


def test_results_of_one_series_are_one_new_series(tmp_path: Path) -> None:
    task, settings = restoration(), PrepareSettings(window=WINDOW)
    series = write_study(tmp_path / "a", volume_of_ct(), CORONAL)
    other = write_study(tmp_path / "b", volume_of_ct(seed=1), CORONAL)
    write = DicomResults(task, settings)
    uids = []
    for header in (*series.headers, *other.headers):
        suffix, (content,) = write(header.path, predicted(header.path, task, settings))
        assert suffix == ".dcm"
        uids.append(dcmread(io.BytesIO(content)).SeriesInstanceUID)
    assert len(set(uids[: len(series.headers)])) == 1 and len(set(uids)) == 2


def test_image_in_no_unit_is_no_dicom(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="in no unit") as caught:
        DicomResults(IMAGES, AS_READ)
    assert caught.value.code == DataError.WINDOW


def test_result_is_nifti_where_its_place_is_known(tmp_path: Path) -> None:
    values = np.zeros((1, 2, 3, 4), np.float32)
    assert nifti_or_npy(Prediction(values, np.eye(4))).suffix == ".nii.gz"
    assert nifti_or_npy(Prediction(values, None)).suffix == ".npy"
