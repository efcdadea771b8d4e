"""Rules of masks as DICOM: back exactly, on the source's own voxels, in its study."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from highdicom.seg import Segmentation, segread
from pydicom import dcmread
from pydicom.config import disable_value_validation

import clients.imaging.results.mask
from clients.imaging.orientation import LPS_TO_RAS
from clients.imaging.quiet import quiet
from clients.imaging.reading import read_volume
from clients.imaging.results import origin
from clients.imaging.results.mask import SCHEME, mask_as_dicom
from clients.imaging.results.origin import origin_of
from clients.imaging.results.software import new_uid
from clients.imaging.segmentation import is_segmentation, read_segmentation
from strategies.errors import DataError
from tests.clients.imaging.studies import volume_of_ct, write_study
from tests.clients.imaging.test_frames import enhanced
from tests.support.dicom_files import CANARY
from tests.support.dicom_series import AXIAL, CORONAL, SAGITTAL, affine_of

CLASSES = ("background", "liver", "never there", "spleen")
TILTED = affine_of((1.5, 1.0, 2.0), degrees=23, flips=(-1, 1, 1))


def mask_of(shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    """Return a mask with all classes but one, and a slice along each axis without any."""
    mask = np.random.default_rng(seed).choice([0, 1, 3], shape).astype(np.uint8)
    for axis in range(len(shape)):
        np.moveaxis(mask, axis, 0)[1] = 0
    return mask


@pytest.mark.parametrize("axes", [AXIAL, CORONAL, SAGITTAL])
@pytest.mark.parametrize("affine", [None, TILTED], ids=["straight", "tilted"])
def test_mask_comes_back_exactly(
    tmp_path: Path, axes: tuple[int, int, int], affine: np.ndarray | None
) -> None:
    series = write_study(tmp_path / "images", volume_of_ct(), axes, affine)
    image = read_volume(series)
    mask = mask_of(image.values.shape[1:])
    content = mask_as_dicom(mask, image.affine, origin_of(series), CLASSES, new_uid())
    path = tmp_path / "mask.dcm"
    path.write_bytes(content)
    assert is_segmentation(path)
    found = read_segmentation(path, series, image, CLASSES)
    np.testing.assert_array_equal(found.values[0], mask)
    # Another program reads the same, at the same place.
    other = segread(path).get_volume(combine_segments=True)
    place = np.linalg.inv(image.affine) @ LPS_TO_RAS @ other.affine
    for index in np.argwhere(other.array):
        at = place @ [*index, 1]
        np.testing.assert_allclose(at, np.rint(at), atol=1e-4)
        assert mask[tuple(np.rint(at[:3]).astype(int))] == other.array[tuple(index)]
    assert np.count_nonzero(other.array) == np.count_nonzero(mask)


def test_file_belongs_to_the_study_and_names_its_classes(tmp_path: Path) -> None:
    series = write_study(tmp_path / "images", volume_of_ct())
    image, uid = read_volume(series), new_uid()
    mask = mask_of(image.values.shape[1:])
    content = mask_as_dicom(mask, image.affine, origin_of(series), CLASSES, uid)
    found = Segmentation.from_dataset(dcmread(io.BytesIO(content)))
    source = dcmread(series.headers[0].path)
    for name in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert found[name].value == source[name].value
    assert found.SeriesInstanceUID == uid != source.SeriesInstanceUID
    (referenced,) = found.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == series.uid
    instances = {each.ReferencedSOPInstanceUID for each in referenced.ReferencedInstanceSequence}
    assert instances == {header.instance for header in series.headers}
    assert found.SOPInstanceUID not in instances
    described = [found.get_segment_description(number) for number in (1, 2, 3)]
    assert [each.segment_label for each in described] == list(CLASSES[1:])
    types = [each.segmented_property_type for each in described]
    assert {each.scheme_designator for each in types} == {SCHEME}
    assert [each.meaning for each in types] == list(CLASSES[1:])
    assert len({each.value for each in types}) == 3


def test_mask_of_nothing_and_of_one_slice(tmp_path: Path) -> None:
    series = write_study(tmp_path / "images", volume_of_ct((5, 4, 3)))
    image = read_volume(series)
    single = series.headers[1].path
    for name, source, volume in (("all", series, image), ("one", single, read_volume(single))):
        for mask in (np.zeros(volume.values.shape[1:], np.uint8), mask_of(volume.values.shape[1:])):
            path = tmp_path / f"{name}.dcm"
            content = mask_as_dicom(mask, volume.affine, origin_of(source), CLASSES, new_uid())
            path.write_bytes(content)
            found = read_segmentation(path, source, volume, CLASSES)
            np.testing.assert_array_equal(found.values[0], mask)


def test_mask_of_a_file_of_many_frames(tmp_path: Path) -> None:
    write_study(tmp_path / "images", volume_of_ct())
    path = tmp_path / "enhanced.dcm"
    enhanced(tmp_path / "images").save_as(path)
    image = read_volume(path)
    mask = mask_of(image.values.shape[1:])
    target = tmp_path / "mask.dcm"
    content = mask_as_dicom(mask, image.affine, origin_of(path), CLASSES, new_uid())
    target.write_bytes(content)
    np.testing.assert_array_equal(read_segmentation(target, path, image, CLASSES).values[0], mask)


def test_values_that_dicom_forbids_are_left_empty(tmp_path: Path) -> None:
    series = write_study(tmp_path / "images", volume_of_ct(), PatientSex=CANARY)
    with disable_value_validation(), quiet():
        for header in series.headers:
            source = dcmread(header.path)
            source.PatientBirthDate = source.StudyDate = source.StudyTime = f"1{CANARY}"
            source.save_as(header.path)
    image = read_volume(series)
    mask = mask_of(image.values.shape[1:])
    content = mask_as_dicom(mask, image.affine, origin_of(series), CLASSES, new_uid())
    found = dcmread(io.BytesIO(content))
    for name in ("PatientSex", "PatientBirthDate", "StudyDate", "StudyTime"):
        assert not found[name].value
    assert found.PatientID == f"{CANARY}-1"


# ---- refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["StudyInstanceUID", "SOPClassUID", "SOPInstanceUID"])
def test_source_that_does_not_say_to_what_it_belongs_is_refused(tmp_path: Path, name: str) -> None:
    series = write_study(tmp_path / "images", volume_of_ct())
    path = series.headers[0].path
    header = dcmread(path)
    delattr(header, name)
    header.save_as(path)
    with pytest.raises(DataError, match=f"has no {name}"):
        origin_of(series)


def test_refusal_quotes_nothing_of_the_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> bytes:
        raise ValueError(CANARY)

    series = write_study(tmp_path / "images", volume_of_ct())
    image = read_volume(series)
    mask = mask_of(image.values.shape[1:])
    monkeypatch.setattr(clients.imaging.results.mask, "_encoded", refuse)
    with pytest.raises(DataError, match="no source for a DICOM segmentation") as caught:
        mask_as_dicom(mask, image.affine, origin_of(series), CLASSES, new_uid())
    assert CANARY not in str(caught.value) and caught.value.__context__ is None


def test_mask_of_another_geometry_is_refused(tmp_path: Path) -> None:
    series = write_study(tmp_path / "images", volume_of_ct())
    image, found = read_volume(series), origin_of(series)
    shape = image.values.shape[1:]
    assert image.affine is not None
    finer = image.affine @ np.diag([0.5, 0.5, 0.5, 1])
    for mask, affine in (
        (np.zeros(shape, np.uint8), finer),
        (np.zeros(tuple(n - 1 for n in shape), np.uint8), image.affine),
        (np.zeros(shape, np.uint8), None),
    ):
        with pytest.raises(DataError) as caught:
            mask_as_dicom(mask, affine, found, CLASSES, new_uid())
        assert caught.value.code == DataError.GEOMETRY


@pytest.mark.parametrize("name", ["x" * 65, "left\\right", " "])
def test_class_that_is_no_label_is_refused(tmp_path: Path, name: str) -> None:
    series = write_study(tmp_path / "images", volume_of_ct())
    image = read_volume(series)
    mask = np.zeros(image.values.shape[1:], np.uint8)
    with pytest.raises(DataError, match="no label of a DICOM segment"):
        mask_as_dicom(mask, image.affine, origin_of(series), ("background", name), new_uid())


def test_source_that_is_no_dicom_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((4, 4)))
    with pytest.raises(DataError, match="--format nifti"):
        origin_of(path)


def test_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = write_study(tmp_path / "images", volume_of_ct())
    monkeypatch.setattr(origin, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="highdicom is not installed") as caught:
        origin_of(series)
    assert "[imaging]" in caught.value.mend


@pytest.mark.parametrize("letters", [None, "ISO_IR 100"])
def test_names_of_classes_need_not_be_in_the_sources_letters(
    tmp_path: Path, letters: str | None
) -> None:
    about = {} if letters is None else {"SpecificCharacterSet": letters, "PatientName": "Mü^ß"}
    series = write_study(tmp_path / "images", volume_of_ct(), **about)
    image, classes = read_volume(series), ("背景", "肝臓", "脾臓")
    mask = np.random.default_rng(1).integers(0, 3, image.values.shape[1:]).astype(np.uint8)
    path = tmp_path / "mask.dcm"
    path.write_bytes(mask_as_dicom(mask, image.affine, origin_of(series), classes, new_uid()))
    found = read_segmentation(path, series, image, classes)
    np.testing.assert_array_equal(found.values[0], mask)
    if letters is not None:
        assert str(dcmread(path).PatientName) == "Mü^ß"
