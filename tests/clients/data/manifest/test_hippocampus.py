"""The hippocampus example: real volumes, of which one vendor keeps DICOM series."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest

from clients.data.manifest.finding import source_of
from clients.data.manifest.indexing import Keys, index_folder
from clients.imaging.reading import read_volume
from clients.preparation.prepare import prepare
from clients.settings import FileData
from srflm_flower.federation.loading import load_federation
from tests.support.dicom_series import SHARED

EXAMPLE = Path(__file__).parents[4] / "examples" / "hippocampus"
SOURCE = SHARED / "hippocampus"
KEYS = Keys(b"o" * 32, b"d")


@pytest.mark.slow
@pytest.mark.skipif(not SOURCE.is_dir(), reason="the hippocampus volumes are not at hand")
def test_vendors_of_real_volumes_are_found_whole_and_lie_alike(tmp_path: Path) -> None:
    runpy.run_path(str(EXAMPLE / "make_vendors.py"))["main"](SOURCE, tmp_path)
    federation = load_federation(EXAMPLE / "federation.toml")
    assert isinstance(federation.data, FileData)
    sizes = {}
    for vendor in federation.vendors:
        folder = tmp_path / vendor.name
        found = index_folder(folder, federation.task, federation.splits, KEYS)
        assert found.left_out == ()
        sizes[vendor.name] = len(found.rows)
        assert min(Counter(row.split for row in found.rows).values()) >= 4
        row = found.rows[0]
        image = read_volume(source_of(row.image, folder, KEYS.owner))
        mask = read_volume(folder / row.target)
        # A series of files in random order lies where its mask, a NIfTI file, lies.
        assert image.affine is not None and mask.affine is not None
        np.testing.assert_allclose(image.affine, mask.affine, atol=1e-3)
        prepared = prepare(image, mask, "mask", federation.data.prepare)
        assert prepared.image.shape == (1, 40, 56, 40)
        assert prepared.target is not None and set(np.unique(prepared.target)) == {0, 1, 2}
    assert sizes == {"aster": 20, "borealis": 40, "cygnus": 70, "draco": 130}


@pytest.mark.skipif(not SOURCE.is_dir(), reason="the hippocampus volumes are not at hand")
def test_volume_written_as_a_series_in_random_order_is_the_same_volume(tmp_path: Path) -> None:
    write = runpy.run_path(str(EXAMPLE / "make_vendors.py"))["_write_series"]
    for number, path in enumerate(sorted((SOURCE / "images").glob("*.nii.gz"))[:3]):
        image = nibabel.as_closest_canonical(nibabel.load(path))
        stored = np.rint(np.asarray(image.dataobj)).astype(np.int16)
        folder = tmp_path / str(number)
        write(folder, stored, image.affine, np.random.default_rng(number))
        volume = read_volume(folder)
        np.testing.assert_array_equal(volume.stored[0], stored)
        assert volume.affine is not None
        np.testing.assert_allclose(volume.affine, image.affine, atol=1e-3)
