"""Rules of restored images as DICOM: HU and place as found, derived, in the source's study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import MRImageStorage

from clients.imaging.index import find_series
from clients.imaging.reading import read_volume
from clients.imaging.results.image import image_as_dicom
from clients.imaging.results.origin import origin_of
from clients.imaging.results.software import new_uid
from strategies.errors import DataError
from tests.clients.imaging.studies import volume_of_ct, write_study
from tests.clients.imaging.test_frames import enhanced
from tests.support.dicom_files import CANARY
from tests.support.dicom_series import AXIAL, SAGITTAL, affine_of

TILTED = affine_of((1.5, 1.0, 2.0), degrees=23, flips=(-1, 1, 1))


def written(folder: Path, files: list[bytes]) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number}.dcm" for number in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.write_bytes(content)
    return paths


def as_original(paths: list[Path]) -> None:
    """Let images pass for measured ones, so that the reader takes them."""
    for path in paths:
        header = dcmread(path)
        header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        header.save_as(path)


@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL])
@pytest.mark.parametrize("affine", [None, TILTED], ids=["straight", "tilted"])
def test_hounsfield_units_come_back_where_they_were(
    tmp_path: Path, axes: tuple[int, int, int], affine: np.ndarray | None
) -> None:
    padding = {"PixelPaddingValue": -2000, "WindowCenter": "40", "WindowWidth": "400"}
    series = write_study(tmp_path / "source", volume_of_ct(), axes, affine, **padding)
    image = read_volume(series)
    restored = image.values + np.random.default_rng(4).integers(-20, 20, image.values.shape)
    files = image_as_dicom(restored, image.affine, origin_of(series), new_uid())
    paths = written(tmp_path / "result", files)
    as_original(paths)
    found = read_volume(tmp_path / "result")
    assert found.kind == "hounsfield"
    np.testing.assert_array_equal(found.values, restored)
    np.testing.assert_allclose(found.affine, image.affine)


def test_series_is_derived_in_the_same_study_with_numbers_of_its_own(tmp_path: Path) -> None:
    private = {"InstanceNumber": "7"}
    series = write_study(tmp_path / "source", volume_of_ct(), **private)
    image, uid = read_volume(series), new_uid()
    files = image_as_dicom(image.values, image.affine, origin_of(series), uid)
    paths = written(tmp_path / "result", files)
    for path, header in zip(paths, series.headers, strict=True):
        source, found = dcmread(header.path), dcmread(path)
        assert list(found.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
        for name in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "SOPClassUID"):
            assert found[name].value == source[name].value
        assert found.SeriesInstanceUID == uid
        assert found.SOPInstanceUID == found.file_meta.MediaStorageSOPInstanceUID
        (referenced,) = found.SourceImageSequence
        assert referenced.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert (found.RescaleSlope, found.RescaleIntercept, found.RescaleType) == (1, 0, "HU")
        assert "PixelPaddingValue" not in found
    assert len({dcmread(path).SOPInstanceUID for path in paths}) == len(paths)
    # A site never trains on its own results by accident.
    assert {each.reason for each in find_series(tmp_path / "result").left_out} == {"derived"}


def test_private_elements_and_overlays_stay_behind(tmp_path: Path) -> None:
    series = write_study(tmp_path / "source", volume_of_ct())
    for header in series.headers:
        source = dcmread(header.path)
        source.private_block(0x0029, CANARY, create=True).add_new(1, "LO", "scale of old pixels")
        source.add_new(0x60003000, "OW", b"\0" * 8)
        source.save_as(header.path)
    image = read_volume(series)
    files = image_as_dicom(image.values, image.affine, origin_of(series), new_uid())
    found = dcmread(written(tmp_path / "result", files)[0])
    assert not any(each.tag.is_private or each.tag.group == 0x6000 for each in found)


@pytest.mark.parametrize("span", [(0.0, 1.0), (-1e-3, 2e-3), (0.0, 90000.0), (5.0, 5.0)])
def test_other_units_keep_sixteen_bits(tmp_path: Path, span: tuple[float, float]) -> None:
    mr = {"Modality": "MR", "SOPClassUID": MRImageStorage}
    series = write_study(tmp_path / "source", volume_of_ct(), **mr)
    image = read_volume(series)
    low, high = span
    restored = np.random.default_rng(2).uniform(low, high, image.values.shape).astype(np.float32)
    files = image_as_dicom(restored, image.affine, origin_of(series), new_uid())
    as_original(written(tmp_path / "result", files))
    step = max(high - low, 1e-6) / 65000
    tolerance = step + 1e-6 * max(abs(low), abs(high))
    found = read_volume(tmp_path / "result").values
    np.testing.assert_allclose(found, restored, rtol=0, atol=tolerance)


def test_many_frames_and_colours_are_refused(tmp_path: Path) -> None:
    series = write_study(tmp_path / "source", volume_of_ct())
    path = tmp_path / "enhanced.dcm"
    enhanced(tmp_path / "source").save_as(path)
    image = read_volume(path)
    for source, values in ((path, image.values), (series, np.repeat(image.values, 3, axis=0))):
        with pytest.raises(DataError, match="--format nifti"):
            image_as_dicom(values, image.affine, origin_of(source), new_uid())


def test_image_with_values_that_are_no_numbers_is_refused(tmp_path: Path) -> None:
    series = write_study(tmp_path / "source", volume_of_ct())
    image = read_volume(series)
    restored = image.values.astype(np.float32)
    restored[0, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="no finite numbers"):
        image_as_dicom(restored, image.affine, origin_of(series), new_uid())
