"""One folder of images is divided among the vendors of a simulation by what headers say."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid

from clients.data.manifest.by_header import header_value, held_by
from clients.data.manifest.rows import Row, read_manifest
from clients.data.sources import load_vendor_data
from clients.data.vendor_data import SPLITS
from clients.settings import VendorSettings
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from strategies.errors import DataError
from tests.clients.data.manifest.test_loading import _own_state, srflm  # noqa: F401 – a fixture
from tests.support.dicom_files import stored_by_ge, stored_by_toshiba, write_dicom

FEDERATION = """
name = "two-makers"
task = {{classes = ["benign", "malignant"]}}
splits = {{allow-one-class = true}}
training = {{batch-size = 1}}
run = {{rounds = 1, device = "cpu"}}
{vendors}
[data]
source = "files"
path = "images"
partition = "{partition}"
prepare = {{window = [-300, 400]}}
"""
GE = {"Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturerModelName": "LightSpeed VCT"}
TOSHIBA = {"Manufacturer": "TOSHIBA", "ManufacturerModelName": "Aquilion ONE"}
PHILIPS = {"Manufacturer": "Philips", "ManufacturerModelName": "Brilliance 64"}
SCANS = {"ge": (GE, "abcdefgh"), "canon": (TOSHIBA, "abx"), "philips": (PHILIPS, "y")}
"""Maker → header and patients, two of whom were at two makers' scanners."""


def write_scans(folder: Path) -> None:
    """Write two slices of each patient at each scanner."""
    for name, (header, patients) in SCANS.items():
        for patient in patients:
            for label in ("benign", "malignant"):
                seed = [*name.encode(), *patient.encode(), len(label)]
                hu = np.random.default_rng(seed).integers(-300, 400, (16, 16))
                stored, of_maker = (stored_by_toshiba if name == "canon" else stored_by_ge)(hu)
                place = folder / label / f"{name}-{patient}"
                place.mkdir(parents=True, exist_ok=True)
                ids = {"SeriesInstanceUID": generate_uid(), "SOPInstanceUID": generate_uid()}
                elements = {**of_maker, **ids, **header, "PatientID": f"CANARY-{patient}"}
                write_dicom(place / "0.dcm", stored, **elements)


def federation_file(folder: Path, *vendors: str, partition: str = "manufacturer") -> Path:
    tables = "\n".join(f"[[vendors]]\n{each}" for each in vendors)
    path = folder / "federation.toml"
    path.write_text(FEDERATION.format(vendors=tables, partition=partition), encoding="utf-8")
    return path


def indexed(folder: Path, *vendors: str, partition: str = "manufacturer") -> Federation:
    write_scans(folder / "images")
    file = federation_file(folder, *vendors, partition=partition)
    result = srflm("data", "index", folder / "images", file)
    assert result.exit_code == 0, result.output
    return load_federation(file)


def records(federation: Federation, vendor: str) -> set[str]:
    data = load_vendor_data(federation.data_plan(), vendor)
    return {name for split in SPLITS for name in data.split(split).records}


@pytest.mark.parametrize(
    ("header", "text", "value"),
    [
        ("manufacturer", "GE MEDICAL SYSTEMS", "ge"),
        ("manufacturer", "toshiba", "canon"),
        ("manufacturer", "", "unknown"),
        ("model", "LightSpeed VCT", "lightspeed-vct"),
        ("model", "SIGNA Artist", "signa-artist"),
        ("kernel", "FC08", "fc08"),
        ("kernel", "Br40d\\3", "br40d-3"),
        ("kernel", "", "unknown"),
        ("field-strength", "1.494", "1.5"),
        ("field-strength", "3.0", "3"),
        ("field-strength", "2.8936", "3"),
        ("field-strength", "0.35", "0.35"),
        ("field-strength", "", "unknown"),
        ("field-strength", "nan", "unknown"),
        ("field-strength", "inf", "unknown"),
    ],
)
def test_value_of_a_header_has_one_spelling(header: str, text: str, value: str) -> None:
    assert header_value(text, header) == value  # type: ignore[arg-type]
    # So a roster may name it as the header does, or as the index shows it.
    assert header_value(value, header) == value  # type: ignore[arg-type]


def test_vendor_holds_what_its_name_says_unless_it_says_otherwise() -> None:
    assert held_by(VendorSettings(name="toshiba"), "manufacturer") == {"canon"}
    several = VendorSettings(name="north", holds=("Philips", "", "unknown"))
    assert held_by(several, "manufacturer") == {"philips", "unknown"}


def test_vendor_has_the_records_of_a_folder_with_its_makers_files_only(tmp_path: Path) -> None:
    federation = indexed(tmp_path, 'name = "ge"', 'name = "toshiba"')
    for name, maker in (("ge", "ge"), ("toshiba", "canon")):
        alone = tmp_path / f"only-{name}"
        for label in ("benign", "malignant"):
            for patient in (tmp_path / "images" / label).glob(f"{maker}-*"):
                shutil.copytree(patient, alone / label / patient.name)
        file = federation_file(tmp_path, f'name = "{name}"\npath = "only-{name}"', 'name = "other"')
        assert srflm("data", "index", alone, file).exit_code == 0
        assert records(load_federation(file), name) == records(federation, name)


def split_of(rows: tuple[Row, ...]) -> dict[str, set[str]]:
    found = defaultdict(set)
    for row in rows:
        found[row.patient].add(row.split)
    return found


def test_patient_at_two_vendors_is_in_one_split_and_no_split_is_empty(tmp_path: Path) -> None:
    federation = indexed(tmp_path, 'name = "ge"', 'name = "toshiba"')
    rows = read_manifest(tmp_path / "images" / "manifest.csv")
    assert all(len(splits) == 1 for splits in split_of(rows).values())
    of_maker = {maker: {row.patient for row in rows if row.vendor == maker} for maker in SCANS}
    assert len(of_maker["ge"] & of_maker["canon"]) == 2
    # The three patients of one maker, two of whom the other one has too, fill its three splits.
    small = load_vendor_data(federation.data_plan(), "toshiba")
    assert [len(small.split(name)) for name in SPLITS] == [2, 2, 2]
    large = load_vendor_data(federation.data_plan(), "ge")
    assert [len(large.split(name)) for name in SPLITS] == [8, 4, 4]
    for name in SPLITS:
        others = {
            patient for each in SPLITS if each != name for patient in large.split(each).patients
        }
        assert not others & set(small.split(name).patients)


def test_new_files_never_move_an_old_patient_of_a_divided_folder(tmp_path: Path) -> None:
    indexed(tmp_path, 'name = "ge"', 'name = "toshiba"')
    manifest = tmp_path / "images" / "manifest.csv"
    before = split_of(read_manifest(manifest))
    for patient in "klmn":
        stored, of_maker = stored_by_toshiba(
            np.random.default_rng(ord(patient)).integers(-300, 400, (16, 16))
        )
        ids = {"SeriesInstanceUID": generate_uid(), "SOPInstanceUID": generate_uid()}
        place = tmp_path / "images" / "benign" / f"new-{patient}.dcm"
        write_dicom(place, stored, **{**of_maker, **ids, **TOSHIBA, "PatientID": patient})
    srflm("data", "index", tmp_path / "images", tmp_path / "federation.toml")
    after = split_of(read_manifest(manifest))
    assert len(after) == len(before) + 4
    assert {name: after[name] for name in before} == before


def test_other_headers_divide_too_and_a_vendor_may_hold_several(tmp_path: Path) -> None:
    federation = indexed(
        tmp_path,
        'name = "old"\nholds = ["LightSpeed VCT", "Brilliance 64"]',
        'name = "aquilion-one"',
        partition="model",
    )
    assert len(records(federation, "old")) == 18
    assert len(records(federation, "aquilion-one")) == 6


def test_images_of_no_vendor_are_shown_wherever_the_folder_is_used(tmp_path: Path) -> None:
    federation = indexed(tmp_path, 'name = "ge"', 'name = "toshiba"')
    file, images = tmp_path / "federation.toml", tmp_path / "images"
    line = "Images of no vendor of the roster, which are not used: 2, by header philips (2)."
    assert line in srflm("data", "index", images, file).output
    assert line in srflm("config", "check", file).output
    found = json.loads(srflm("data", "index", images, file, "--json").output)
    assert found["no-vendor"] == {"philips": 2}
    checked = json.loads(srflm("data", "check", images, file, "--json").output)
    texts = [each["text"] for each in checked["findings"]]
    assert texts == ["2 cases of philips, which no vendor of the roster has"]
    assert not records(federation, "ge") & records(federation, "toshiba")
    all_of_them = federation_file(tmp_path, *(f'name = "{maker}"' for maker in SCANS))
    assert "no vendor" not in srflm("data", "index", images, all_of_them).output


def test_folder_of_a_sites_own_is_not_divided(tmp_path: Path) -> None:
    indexed(tmp_path, 'name = "ge"', 'name = "toshiba"')
    own = tmp_path / "own"
    shutil.copytree(tmp_path / "images", own, ignore=shutil.ignore_patterns("manifest.csv"))
    vendors = ('name = "ge"\npath = "own"', 'name = "toshiba"')
    file = federation_file(tmp_path, *vendors)
    assert "no vendor" not in srflm("data", "index", own, file).output
    assert json.loads(srflm("data", "check", own, file, "--json").output)["findings"] == []
    assert len(records(load_federation(file), "ge")) == 24
    # The shared folder has GE's images still, and now they are nobody's.
    shared = srflm("data", "index", tmp_path / "images", file).output
    assert "which are not used: 18, by header ge (16), philips (2)" in shared


@pytest.mark.parametrize(
    ("command", "started"),
    [
        ("simulate", "deploy.simulation.simulation.simulate"),
        ("compare", "srflm_flower.comparison.compare.compare"),
    ],
)
def test_run_says_which_images_are_of_no_vendor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, started: str
) -> None:
    indexed(tmp_path, 'name = "ge"', 'name = "toshiba"')

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(started, interrupted)
    file = tmp_path / "federation.toml"
    result = srflm(command, file, "--out", tmp_path / "run")
    assert result.exit_code == 130, result.output
    assert "which are not used: 2, by header philips (2)" in result.output


def test_vendor_without_images_is_one_error_that_says_what_there_is(tmp_path: Path) -> None:
    federation = indexed(tmp_path, 'name = "ge"', 'name = "siemens"')
    with pytest.raises(DataError) as caught:
        load_vendor_data(federation.data_plan(), "siemens")
    assert caught.value.code == DataError.NO_EXAMPLES
    assert "ge (16), canon (6), philips (2)" in caught.value.found
    assert "images of siemens" in caught.value.expected and "holds" in caught.value.mend
    assert "CANARY" not in str(caught.value)
    result = srflm("data", "check", tmp_path / "images", tmp_path / "federation.toml", "--json")
    texts = [each["text"] for each in json.loads(result.output)["findings"]]
    assert result.exit_code == 1 and "vendor siemens: no case in train" in texts


def test_folder_that_was_not_indexed_says_what_to_do(tmp_path: Path) -> None:
    write_scans(tmp_path / "images")
    federation = load_federation(federation_file(tmp_path, 'name = "ge"', 'name = "toshiba"'))
    with pytest.raises(DataError, match="srflm data index"):
        load_vendor_data(federation.data_plan(), "ge")


def test_vendor_of_several_scanners_with_a_patient_each_has_no_empty_split(tmp_path: Path) -> None:
    for number in range(6):
        hu = np.random.default_rng(number).integers(-300, 400, (16, 16))
        stored, of_maker = stored_by_ge(hu)
        ids = {"SeriesInstanceUID": generate_uid(), "SOPInstanceUID": generate_uid()}
        place = tmp_path / "images" / "benign" / f"{number}.dcm"
        place.parent.mkdir(parents=True, exist_ok=True)
        model = {"ManufacturerModelName": f"Scanner {number}", "PatientID": f"p{number}"}
        write_dicom(place, stored, **{**of_maker, **ids, **GE, **model})
    vendors = [
        f'name = "{name}"\nholds = {[f"Scanner {number}" for number in numbers]}'
        for name, numbers in (("north", (0, 1, 2)), ("south", (3, 4, 5)))
    ]
    file = federation_file(tmp_path, *vendors, partition="model")
    assert srflm("data", "index", tmp_path / "images", file).exit_code == 0
    federation = load_federation(file)
    for name in federation.roster:
        data = load_vendor_data(federation.data_plan(), name)
        assert [len(data.split(each)) for each in SPLITS] == [1, 1, 1]
