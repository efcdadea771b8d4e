"""Real images: MR of three makers, CT of two, a hundred odd files, and NIfTI; read, or refused."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from highdicom import get_volume_from_series
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_rescale

from clients.imaging.index import Series, find_series
from clients.imaging.nifti import read_mask, read_nifti
from clients.imaging.orientation import LPS_TO_RAS, turned_to_ras
from clients.imaging.reading import read_volume
from clients.imaging.volume import Volume
from strategies.errors import DataError
from tests.support.dicom_series import SHARED

PIXEL = 0.9766
MR_SERIES = {
    # maker, voxels, mm: how many series
    ("GE", (512, 512, 11), (0.5078, 0.5078, 10.0)): 1,
    ("GE", (256, 256, 11), (PIXEL, PIXEL, 10.0)): 3,
    ("PHILIPS", (256, 256, 11), (PIXEL, PIXEL, 10.0)): 4,
    ("", (256, 256, 11), (PIXEL, PIXEL, 10.0)): 1,  # Philips, whose name was taken out
    ("SIEMENS", (256, 256, 11), (PIXEL, PIXEL, 10.0)): 6,
}


def there(*parts: str) -> Path:
    folder = SHARED.joinpath(*parts)
    if not folder.is_dir():
        pytest.skip(f"the images are not there: {folder}")
    return folder


def test_every_series_of_three_makers_is_a_volume() -> None:
    found = find_series(there("mr_phantom"))
    assert [reason for _, reason in found.left_out] == ["localizer"]
    seen: Counter[tuple[str, tuple[int, ...], tuple[float, ...]]] = Counter()
    for series in found.series:
        volume = read_volume(series)
        maker = (series.manufacturer.upper().split() or [""])[0]
        spacing = tuple(round(size, 4) for size in volume.spacing)
        seen[maker, volume.values.shape[1:], spacing] += 1
        if sum(seen.values()) % 4 == 1:  # it is slow
            _compare_with_highdicom(volume, series)
    assert seen == MR_SERIES


def _compare_with_highdicom(volume: Volume, series: Series) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        datasets = [dcmread(header.path) for header in series.headers]
        oracle = get_volume_from_series(datasets, apply_real_world_transform=False)
    (expected,), affine = turned_to_ras((oracle.array,), LPS_TO_RAS @ oracle.affine)
    np.testing.assert_array_equal(volume.values[0], expected.astype(np.float32))
    assert volume.affine is not None
    np.testing.assert_allclose(volume.affine, affine, atol=1e-3)


def test_ct_is_in_the_hu_that_pydicom_reckons() -> None:
    paths = sorted(there("ct_sbu").glob("*.dcm"))
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(path)
        expected = np.maximum(apply_rescale(dataset.pixel_array, dataset), -1024)
        volume = read_volume(path)
        np.testing.assert_array_equal(volume.values, expected[None])
        assert volume.spacing == pytest.approx([float(each) for each in dataset.PixelSpacing])
    assert len(paths) == 62


def test_reformats_of_ct_are_left_out() -> None:
    found = find_series(there("ct_sbu"))
    reasons = Counter(reason for _, reason in found.left_out)
    assert reasons == {"derived": 43, "no DICOM": 1}  # the last is the list of files
    assert [len(series.headers) for series in found.series] == [1] * 19
    assert {series.manufacturer for series in found.series} == {"GE MEDICAL SYSTEMS", "TOSHIBA"}


def test_hippocampi_and_their_masks_lie_on_each_other() -> None:
    paths = sorted(there("hippocampus", "images").glob("*.nii.gz"))[:20]
    assert len(paths) == 20
    for path in paths:
        volume, mask = read_nifti(path), read_mask(path.parents[1] / "labels" / path.name)
        image = nib.as_closest_canonical(nib.load(path))
        np.testing.assert_array_equal(volume.values[0], np.asanyarray(image.dataobj))
        assert volume.affine is not None and mask.affine is not None
        np.testing.assert_allclose(volume.affine, image.affine)
        np.testing.assert_allclose(mask.affine, volume.affine)
        assert mask.values.shape == volume.values.shape
        assert set(np.unique(mask.values)) == {0, 1, 2}


@pytest.mark.parametrize(
    ("example", "read", "refused"),
    # The first folder comes with pydicom, the second with pydicom-data.
    [
        ("CT_small.dcm", 78, 94),
        pytest.param("eCT_Supplemental.dcm", 46, 22, marks=pytest.mark.slow),
    ],
)
def test_odd_files_are_read_or_refused_with_a_reason(example: str, read: int, refused: int) -> None:
    name = get_testdata_file(example, download=False)
    if name is None:
        pytest.skip(f"{example} is not installed")
    counts: Counter[str] = Counter()
    for path in sorted(Path(name).parents[0].rglob("*")):
        if not path.is_file() or path.suffix in (".py", ".pyc", ".md", ".json", ".txt", ".zip"):
            continue
        try:
            counts["read"] += read_volume(path).values.size > 0
        except DataError as error:
            assert error.code == DataError.UNREADABLE and str(path) in error.found
            counts["refused"] += 1
    # A decoder that reads one more makes no test fail.
    assert counts.total() == read + refused and counts["read"] >= read
    found = find_series(Path(name).parents[0])
    files = sum(len(series.headers) for series in found.series) + len(found.left_out)
    assert files >= counts.total()
