"""Rules of DICOM segmentations as targets: which are masks of an image, and which are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from clients.imaging.index import Series
from clients.imaging.reading import read_volume
from clients.imaging.segmentation import (
    is_segmentation,
    links_of,
    read_segmentation,
    read_target,
)
from clients.imaging.volume import Volume
from strategies.errors import DataError
from tests.clients.imaging.studies import volume_of_ct, write_segmentation, write_study
from tests.support.dicom_files import CANARY
from tests.support.dicom_series import CORONAL, affine_of

CLASSES = ("background", "liver", "spleen")
LABELS = ("Spleen", " LIVER")  # in another order than the classes, with other letters


@pytest.fixture
def series(tmp_path: Path) -> Series:
    return write_study(tmp_path / "images", volume_of_ct(), CORONAL)


@pytest.fixture
def image(series: Series) -> Volume:
    return read_volume(series)


def mask_for(image: Volume) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 3, image.values.shape[1:]).astype(np.uint8)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_segments_are_classes_by_their_labels(
    tmp_path: Path, series: Series, image: Volume, kind: str
) -> None:
    mask = mask_for(image)
    path = write_segmentation(tmp_path / "a.dcm", series, mask, LABELS, kind)
    found = read_target(path, series, image, CLASSES)
    np.testing.assert_array_equal(found.values[0], np.array([0, 2, 1])[mask])
    assert found.values.dtype == np.int32
    np.testing.assert_array_equal(found.affine, image.affine)


def test_links_name_series_and_images(tmp_path: Path, series: Series, image: Volume) -> None:
    path = write_segmentation(tmp_path / "a.dcm", series, mask_for(image), LABELS)
    links = links_of(path)
    assert links.series == {series.uid} and not links.own
    assert links.belongs_to(series.uid, series.headers[0].instance)
    assert not links.belongs_to(series.uid, generate_uid())
    assert links.belongs_to(series.uid, "") and not links.belongs_to(generate_uid(), "")
    assert not is_segmentation(series.headers[0].path)


def test_frames_may_be_reversed_and_cut_to_a_part(
    tmp_path: Path, series: Series, image: Volume
) -> None:
    mask = mask_for(image)
    path = write_segmentation(tmp_path / "a.dcm", series, mask, LABELS)
    header = dcmread(path)
    pixels, rows = header.pixel_array[:, ::-1], header.Rows
    shared = header.SharedFunctionalGroupsSequence[0]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    height = shared.PixelMeasuresSequence[0].PixelSpacing[0]
    down = np.array([float(each) for each in orientation[3:]])
    orientation[3:] = [*(-down)]
    for frame in header.PerFrameFunctionalGroupsSequence:
        place = frame.PlanePositionSequence[0]
        corner = np.array([float(each) for each in place.ImagePositionPatient])
        # From the last row but one backwards; the last one is left out.
        place.ImagePositionPatient = [f"{each:.6f}" for each in corner + (rows - 2) * height * down]
    kept = pixels[:, 1:]
    header.Rows = kept.shape[1]
    header.PixelData = np.packbits(kept.ravel(), bitorder="little").tobytes()
    header.save_as(path)
    found = read_segmentation(path, series, image, CLASSES).values[0]
    expected = np.array([0, 2, 1])[mask]
    expected[:, :, -1] = 0  # the last row is the highest in the patient
    np.testing.assert_array_equal(found, expected)


def test_image_of_one_slice_takes_its_own_frame(
    tmp_path: Path, series: Series, image: Volume
) -> None:
    mask = mask_for(image)
    path = write_segmentation(tmp_path / "a.dcm", series, mask, LABELS)
    found = []
    for header in series.headers:
        single = read_volume(header.path)
        mine = read_segmentation(path, header.path, single, CLASSES)
        assert mine.values.shape == single.values.shape
        found.append(int((mine.values != 0).sum()))
    assert sum(found) == np.count_nonzero(mask) and max(found) < sum(found)


# ---- refused -------------------------------------------------------------------------------------


def refused(path: Path, source: Series | Path, image: Volume) -> DataError:
    with pytest.raises(DataError) as caught:
        read_segmentation(path, source, image, CLASSES)
    assert CANARY not in str(caught.value)
    return caught.value


def test_segmentation_of_another_series_is_refused(
    tmp_path: Path, series: Series, image: Volume
) -> None:
    path = write_segmentation(tmp_path / "a.dcm", series, mask_for(image), LABELS)
    other = write_study(tmp_path / "other", volume_of_ct(), CORONAL)
    error = refused(path, other, read_volume(other))
    assert "of another series" in error.found and error.code == DataError.GEOMETRY


def test_segmentation_in_another_frame_of_reference_is_refused(
    tmp_path: Path, series: Series, image: Volume
) -> None:
    uid = generate_uid()
    path = write_segmentation(
        tmp_path / "a.dcm", series, mask_for(image), LABELS, FrameOfReferenceUID=uid
    )
    assert "another frame of reference" in refused(path, series, image).found


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (affine_of((1.5, 1.0, 2.0), origin=(-30.75, 12.25, 7)), "between the voxels"),
        (affine_of((1.6, 1.0, 2.0)), "another size"),
        (affine_of((1.5, 1.0, 2.0), degrees=10), "another size or direction"),
        (affine_of((1.5, 1.0, 2.0), origin=(-25.5, 12.25, 7)), "beyond its image"),
    ],
)
def test_segmentation_of_another_geometry_is_refused(
    tmp_path: Path, series: Series, image: Volume, changed: np.ndarray, words: str
) -> None:
    path = write_segmentation(tmp_path / "a.dcm", series, mask_for(image), LABELS)
    moved = Volume(image.stored, image.values, image.kind, changed)
    error = refused(path, series, moved)
    assert error.code == DataError.GEOMETRY
    assert words in error.found or "between the voxels" in error.found


def test_overlapping_segments_are_refused(tmp_path: Path, series: Series, image: Volume) -> None:
    both = np.stack([mask_for(image) == 1, mask_for(image) >= 1], axis=-1).astype(np.uint8)
    path = write_segmentation(tmp_path / "a.dcm", series, both, LABELS)
    assert "in two classes" in refused(path, series, image).found
    # Two parts of one class may overlap.
    same = write_segmentation(tmp_path / "b.dcm", series, both, ("liver", "Liver"))
    found = read_segmentation(same, series, image, CLASSES)
    np.testing.assert_array_equal(found.values[0], mask_for(image) >= 1)


def test_segment_of_an_unknown_label_is_refused(
    tmp_path: Path, series: Series, image: Volume
) -> None:
    labels = ("liver", f"{CANARY} lesion")
    path = write_segmentation(tmp_path / "a.dcm", series, mask_for(image), labels)
    error = refused(path, series, image)
    assert error.code == DataError.LABELS_OUTSIDE_CLASSES and "segment 2" in error.found


def test_segmentation_without_frames_or_of_probabilities_is_refused(
    tmp_path: Path, series: Series, image: Volume
) -> None:
    path = write_segmentation(
        tmp_path / "a.dcm", series, mask_for(image), LABELS, SegmentationType="FRACTIONAL"
    )
    assert "probabilities" in refused(path, series, image).found
    header = dcmread(path)
    del header.PixelData
    header.save_as(path)
    assert "no frame" in refused(path, series, image).found


def test_empty_segmentation_is_an_empty_mask(tmp_path: Path, series: Series, image: Volume) -> None:
    nothing = np.zeros_like(mask_for(image))
    path = write_segmentation(tmp_path / "a.dcm", series, nothing, LABELS)
    assert not read_segmentation(path, series, image, CLASSES).values.any()


def test_image_without_a_place_takes_no_segmentation(
    tmp_path: Path, series: Series, image: Volume
) -> None:
    path = write_segmentation(tmp_path / "a.dcm", series, mask_for(image), LABELS)
    picture = tmp_path / "x.npy"
    np.save(picture, image.values[0])
    assert "without a place" in refused(path, picture, read_volume(picture)).found
