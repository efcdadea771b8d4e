"""Files of many frames are the same volume as the series from which they were made."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from highdicom.image import Image
from highdicom.legacy import LegacyConvertedEnhancedCTImage, LegacyConvertedEnhancedMRImage
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, RLELossless, generate_uid

from clients.imaging.frames import read_file
from clients.imaging.orientation import LPS_TO_RAS, turned_to_ras
from clients.imaging.reading import read_volume
from strategies.errors import DataError
from tests.support.dicom_files import CANARY, RAMP, write_dicom
from tests.support.dicom_series import (
    AXIAL,
    SAGITTAL,
    affine_of,
    series_in,
    slices_of,
    texts,
    write_series,
)

ARRAY = np.random.default_rng(8).integers(0, 4000, (5, 6, 7)).astype(np.uint16)
CT = {"Modality": "CT", "SOPClassUID": CTImageStorage}
HU = {"RescaleSlope": "2", "RescaleIntercept": "-1024", "RescaleType": "HU"}


def enhanced(folder: Path) -> Dataset:
    """Return the series in a folder as highdicom converts it to one file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        datasets = [dcmread(path) for path in sorted(folder.iterdir())]
        study, frame = generate_uid(), generate_uid()
        for dataset in datasets:
            for element in [each for each in dataset if CANARY in str(each.value)]:
                del dataset[element.tag]
            dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = study, frame
            dataset.ImageType, dataset.SeriesNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], "1"
            dataset.PatientID, dataset.AccessionNumber, dataset.StudyID = "1", "", ""
            dataset.PatientName, dataset.PatientSex, dataset.PatientBirthDate = "A", "", ""
            dataset.StudyDate, dataset.StudyTime, dataset.ReferringPhysicianName = "", "", ""
            dataset.Manufacturer, dataset.InstanceNumber = "Maker", str(dataset.InstanceNumber)
        is_ct = datasets[0].Modality == "CT"
        form = LegacyConvertedEnhancedCTImage if is_ct else LegacyConvertedEnhancedMRImage
        return form(datasets, generate_uid(), 2, generate_uid(), 1)


@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL])
@pytest.mark.parametrize("degrees", [0, 17])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_enhanced_file_is_the_volume_of_its_series(
    tmp_path: Path, axes: tuple[int, int, int], degrees: float, modality: str
) -> None:
    changes = {**CT, **HU} if modality == "CT" else {}
    slices = slices_of(ARRAY, affine_of(degrees=degrees), axes)
    write_series(tmp_path / "series", slices, **changes)
    enhanced(tmp_path / "series").save_as(tmp_path / "x.dcm")
    series, frames = read_volume(tmp_path / "series"), read_volume(tmp_path / "x.dcm")
    np.testing.assert_array_equal(frames.values, series.values)
    np.testing.assert_array_equal(frames.stored, series.stored)
    assert frames.kind == series.kind
    assert frames.affine is not None and series.affine is not None
    np.testing.assert_allclose(frames.affine, series.affine, atol=1e-6)
    if degrees == 0:
        oracle = Image.from_dataset(dcmread(tmp_path / "x.dcm")).get_volume(dtype=np.float32)
        (expected,), affine = turned_to_ras((oracle.array,), LPS_TO_RAS @ oracle.affine)
        np.testing.assert_array_equal(frames.values[0], expected)
        np.testing.assert_allclose(frames.affine, affine, atol=1e-6)


@pytest.mark.parametrize("form", [ExplicitVRBigEndian, RLELossless])
def test_every_form_of_storage_gives_the_same(tmp_path: Path, form: str) -> None:
    write_series(tmp_path / "series", slices_of(ARRAY, affine_of()), **CT, **HU)
    dataset = enhanced(tmp_path / "series")
    plain = Dataset()
    plain.update(dataset)
    plain.file_meta = dataset.file_meta
    if form == RLELossless:
        plain.compress(RLELossless, generate_instance_uid=False)
        plain.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    else:
        plain.PixelData = dataset.pixel_array.astype(">u2").tobytes()
        plain.file_meta.TransferSyntaxUID = form
        plain.save_as(
            tmp_path / "x.dcm", implicit_vr=False, little_endian=False, enforce_file_format=True
        )
    expected = 2 * ARRAY.astype(np.float32) - 1024
    np.testing.assert_array_equal(read_file(tmp_path / "x.dcm").values[0], expected)


def test_one_frame_is_an_upright_image(tmp_path: Path) -> None:
    write_series(tmp_path / "series", slices_of(ARRAY[..., :1], affine_of()), **CT, **HU)
    enhanced(tmp_path / "series").save_as(tmp_path / "x.dcm")
    one, other = read_file(tmp_path / "x.dcm"), read_volume(tmp_path / "series")
    np.testing.assert_array_equal(one.values, other.values)
    assert one.values.shape == (1, 6, 5) and one.spacing == other.spacing


def test_series_is_found_in_its_one_file(tmp_path: Path) -> None:
    write_series(tmp_path / "series", slices_of(ARRAY, affine_of()))
    (tmp_path / "files").mkdir()
    dataset = enhanced(tmp_path / "series")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.save_as(tmp_path / "files" / "x")
    assert series_in(tmp_path / "files").headers[0].frames == 7
    np.testing.assert_array_equal(read_volume(tmp_path / "files").values[0], ARRAY)


# ---- what is refused -----------------------------------------------------------------------------


def refused(path: Path, dataset: Dataset) -> DataError:
    dataset.save_as(path)
    with pytest.raises(DataError) as caught:
        read_volume(path)
    assert caught.value.code == DataError.UNREADABLE and str(path) in caught.value.found
    return caught.value


def test_frames_that_are_no_volume(tmp_path: Path) -> None:
    write_series(tmp_path / "series", slices_of(ARRAY, affine_of()), **CT, **HU)
    dataset = enhanced(tmp_path / "series")
    path, own = tmp_path / "x.dcm", dataset.PerFrameFunctionalGroupsSequence
    kept = dataset.FrameOfReferenceUID
    dataset.FrameOfReferenceUID = ""
    assert "no frame of reference" in refused(path, dataset).found
    dataset.FrameOfReferenceUID = kept
    place = own[3].PlanePositionSequence[0].ImagePositionPatient
    own[3].PlanePositionSequence[0].ImagePositionPatient = texts([0, 0, 500])
    assert "sideways" in refused(path, dataset).found
    own[3].PlanePositionSequence[0].ImagePositionPatient = (
        own[2].PlanePositionSequence[0].ImagePositionPatient
    )
    assert "at one position" in refused(path, dataset).found
    own[3].PlanePositionSequence[0].ImagePositionPatient = place
    del own[3].PlanePositionSequence
    assert "1 slice(s) without a place" in refused(path, dataset).found
    del own[3]
    assert "has 7 frames, and describes 6" in refused(path, dataset).found


def test_ct_frames_without_hu(tmp_path: Path) -> None:
    write_series(tmp_path / "series", slices_of(ARRAY, affine_of()), **CT, **HU)
    dataset = enhanced(tmp_path / "series")
    groups = [
        *dataset.PerFrameFunctionalGroupsSequence,
        *dataset.SharedFunctionalGroupsSequence,
    ]
    for group in groups:
        if "PixelValueTransformationSequence" in group:
            del group.PixelValueTransformationSequence
    assert "how its numbers become Hounsfield units" in refused(tmp_path / "x.dcm", dataset).found


def test_film_has_no_place(tmp_path: Path) -> None:
    pixels = RAMP.astype(np.uint8)
    path = write_dicom(
        tmp_path / "x.dcm",
        np.concatenate([pixels, pixels]),
        Rows=6,
        NumberOfFrames="2",
        Modality="US",
    )
    with pytest.raises(DataError, match=r"2 slice\(s\) without a place"):
        read_volume(path)


def test_enhanced_ct_of_a_scanner(tmp_path: Path) -> None:
    name = get_testdata_file("eCT_Supplemental.dcm", download=False)
    if name is None:
        pytest.skip("pydicom-data is not installed")
    volume = read_volume(Path(name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = Image.from_dataset(dcmread(name)).get_volume(dtype=np.float32)
    (expected,), affine = turned_to_ras((oracle.array,), LPS_TO_RAS @ oracle.affine)
    assert volume.affine is not None and volume.kind == "hounsfield"
    np.testing.assert_allclose(volume.affine, affine, atol=1e-6)
    np.testing.assert_array_equal(volume.values[0], np.maximum(expected, -1024))
