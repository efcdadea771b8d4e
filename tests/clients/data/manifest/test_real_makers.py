"""The examples of real DICOM whose vendors come from the headers: CT of two makers, MR of three."""

from __future__ import annotations

import runpy
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from clients.data.manifest.indexing import Keys, index_folder
from clients.data.manifest.rows import Row
from clients.data.vendor_data import SPLITS
from clients.imaging.index import find_series
from clients.imaging.reading import read_volume
from srflm_flower.federation.left_over import division_of
from srflm_flower.federation.loading import load_federation
from tests.support.dicom_series import SHARED

EXAMPLES = Path(__file__).parents[4] / "examples"
CT, MR = SHARED / "ct_sbu", SHARED / "mr_phantom"
KEYS = Keys(b"o" * 32, b"d")
needs_ct = pytest.mark.skipif(not CT.is_dir(), reason="the CT slices are not at hand")
needs_mr = pytest.mark.skipif(not MR.is_dir(), reason="the MR series are not at hand")


def rows_in(folder: Path, file: str) -> dict[str, tuple[Row, ...]]:
    """Index a folder; return vendor → its rows."""
    federation = load_federation(EXAMPLES / file)
    division = division_of(federation)
    assert division is not None
    task, splits = federation.task, federation.splits
    found = index_folder(folder, task, splits, KEYS, division=division)
    assert found.left_out == () and division.of_no_vendor(found.rows) == {}
    return {each.name: division.rows_of(found.rows, each) for each in federation.vendors}


def in_no_two_splits(vendors: dict[str, tuple[Row, ...]]) -> bool:
    rows = {(row.patient, row.split) for each in vendors.values() for row in each}
    return len(rows) == len({patient for patient, _ in rows})


@needs_ct
def test_low_dose_is_the_slice_with_noise_and_names_nobody(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for path in sorted(CT.glob("*A046441*")):  # a patient at both makers, in three planes
        shutil.copy(path, source)
    runpy.run_path(str(EXAMPLES / "ct-dicom" / "make_pairs.py"))["main"](source, tmp_path)
    for low, full, path in zip(
        sorted((tmp_path / "images").iterdir()),
        sorted((tmp_path / "targets").iterdir()),
        sorted(source.iterdir()),
        strict=True,
    ):
        original, pair = read_volume(path), [read_volume(each) for each in (low, full)]
        np.testing.assert_array_equal(pair[1].values, original.values)
        body = original.values > -500
        noise = (pair[0].values - pair[1].values)[body]
        assert 15 < noise.std() < 60 and abs(noise.mean()) < 1
        assert all(each.spacing == original.spacing for each in pair)
        header, made = dcmread(path), dcmread(low)
        assert made.Manufacturer == header.Manufacturer
        assert not {"PatientName", "StudyDate", "InstitutionName"} & {
            element.keyword for element in made
        }


@needs_ct
@pytest.mark.slow
def test_two_makers_share_patients_of_one_split_and_keep_their_records(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    runpy.run_path(str(EXAMPLES / "ct-dicom" / "make_pairs.py"))["main"](CT, pairs)
    vendors = rows_in(pairs, "ct-dicom/federation.toml")
    assert {name: len(rows) for name, rows in vendors.items()} == {"ge": 48, "toshiba": 12}
    patients = {name: {row.patient for row in rows} for name, rows in vendors.items()}
    assert len(patients["ge"]) == 9 and len(patients["toshiba"]) == 3
    assert len(patients["ge"] & patients["toshiba"]) == 2
    assert in_no_two_splits(vendors)
    for rows in vendors.values():
        assert all(Counter(row.split for row in rows)[split] for split in SPLITS)
    # A site with the files of one maker alone has the same records.
    alone = tmp_path / "alone"
    for row in vendors["toshiba"]:
        for name in (row.image, row.target):
            (alone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(pairs / name, alone / name)
    federation = load_federation(EXAMPLES / "ct-dicom" / "federation.toml")
    found = index_folder(alone, federation.task, federation.splits, KEYS)
    assert {row.record for row in found.rows} == {row.record for row in vendors["toshiba"]}


@needs_mr
@pytest.mark.slow
def test_three_makers_of_mr_are_split_by_scanner_and_read_as_volumes(tmp_path: Path) -> None:
    main = runpy.run_path(str(EXAMPLES / "mr-phantom" / "make_folders.py"))["main"]
    main(MR, tmp_path)
    slices = rows_in(tmp_path / "slices", "mr-phantom/slices.toml")
    assert {name: len(rows) for name, rows in slices.items()} == {
        "ge": 44,
        "philips": 55,
        "siemens": 66,
    }
    volumes = rows_in(tmp_path / "volumes", "mr-phantom/denoising.toml")
    assert {name: len(rows) for name, rows in volumes.items()} == {
        "ge": 4,
        "philips": 5,
        "siemens": 6,
    }
    scanners = {"ge": 4, "philips": 3, "siemens": 5}
    for vendors in (slices, volumes):
        assert in_no_two_splits(vendors)
        for name, rows in vendors.items():
            assert len({row.patient for row in rows}) == scanners[name]
            assert all(Counter(row.split for row in rows)[split] for split in SPLITS)
    counts = Counter(row.target for rows in slices.values() for row in rows)
    assert counts == {"uniform": 30, "discs": 60} | dict.fromkeys(
        ("resolution", "ladder", "wedge", "contrast-bars", "grid"), 15
    )


@needs_mr
def test_slices_are_numbered_by_place_and_noise_has_its_declared_strength(
    tmp_path: Path,
) -> None:
    made = runpy.run_path(str(EXAMPLES / "mr-phantom" / "make_folders.py"))
    source = tmp_path / "source"
    shutil.copytree(MR / "PhilipsAchieva2", source)
    volume = read_volume(source)
    (series,) = find_series(source).series
    for place, path in enumerate(made["paths_in_order"](series)):
        # RAS: the last axis leads from the feet to the head.
        slice_ = read_volume(path).values[0]
        assert np.isclose(np.sort(volume.values[0, :, :, place], None), np.sort(slice_, None)).all()
    made["main"](source, tmp_path / "out")
    (noisy,) = (tmp_path / "out" / "volumes" / "images").glob("*/*")
    (clean,) = (tmp_path / "out" / "volumes" / "targets").glob("*/*")
    np.testing.assert_allclose(read_volume(clean).values, volume.values)
    bright = volume.values > np.percentile(volume.values, 80)
    sigma = made["SIGMA"] * np.percentile(volume.values, 99)
    found = (read_volume(noisy).values - volume.values)[bright].std()
    assert found == pytest.approx(sigma, rel=0.05)
