"""With a real PACS: what a hospital's CT files are in a folder, they are by way of Orthanc."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from highdicom.seg import Segmentation as SegmentationObject
from highdicom.sr import CodedConcept
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from clients.data.manifest.rows import MANIFEST, Row, read_manifest
from strategies.errors import PacsError
from tests.deploy.pacs.made_up_pacs import made_up_files
from tests.deploy.pacs.orthanc import PASSWORD, USER, Orthanc, running, unpacked
from tests.support.commands import SRFLM, run
from tests.support.dicom_files import REAL_CT
from tests.support.dicom_series import affine_of, slices_of, write_series

pytestmark = pytest.mark.slow

FEDERATION = """
name = "ct"
vendors = [{ name = "a", path = "pulled" }, { name = "b", path = "plain" }]
[task]
classes = ["images", "others"]
channels = 1
[data]
source = "files"
image-size = 64
prepare = { window = [-160, 240] }
"""


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    root = unpacked(tmp_path_factory.mktemp("orthanc-packages"))
    with running(root, tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def site(orthanc: Orthanc, tmp_path: Path) -> Path:
    table = f'address = "{orthanc.address}"\ncredentials = "account.toml"\nstore-results = true\n'
    (tmp_path / "site.toml").write_text(f'vendor = "a"\n[pacs]\n{table}')
    (tmp_path / "account.toml").touch(mode=0o600)
    (tmp_path / "account.toml").write_text(f"user = '{USER}'\npassword = '{PASSWORD}'\n")
    return tmp_path


def pull(site: Path, query: str, folder: str, *words: str) -> dict[str, object]:
    (site / "query.toml").write_text(query)
    command = [SRFLM, "data", "pull", "query.toml", folder, "--site", site, "--json", *words]
    ended = run(command, site)
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


RAMPS = np.arange(8 * 8 * 3, dtype=np.int16).reshape(8, 8, 3)
VALID = {
    "StudyInstanceUID": generate_uid(),
    "FrameOfReferenceUID": generate_uid(),
    "StudyDate": "20240101",
    "StudyTime": "1200",
    "PatientBirthDate": "19700101",
    "PatientAge": "054Y",
    "PatientWeight": "70",
    "PatientSex": "O",
    "SeriesNumber": "1",
    "WindowCenter": None,
    "PixelAspectRatio": None,
    "AccessionNumber": "7",
}
"""What highdicom wants of a header, in place of the canary."""


def test_pulled_ct_gives_the_manifest_that_the_folder_gives(orthanc: Orthanc, site: Path) -> None:
    paths = sorted(REAL_CT.glob("*.dcm"))
    if not paths:
        pytest.skip(f"the CT slices are not there: {REAL_CT}")
    (site / "plain/images").mkdir(parents=True)
    for path in paths:
        orthanc.store(path.read_bytes())
        (site / "plain/images" / path.name).symlink_to(path)
    found = pull(site, 'modality = ["CT"]\n', "pulled/images")
    assert (found["series"], found["whole"], found["images"]) == (60, 60, 60)
    again = pull(site, 'modality = ["CT"]\n', "pulled/images")
    assert (again["before"], again["images"], again["bytes"]) == (60, 0, 0)
    assert orthanc.stored() >= 60
    (site / "federation.toml").write_text(FEDERATION)
    for folder in ("plain", "pulled"):
        command = [SRFLM, "data", "index", folder, "federation.toml"]
        ended = run(command, site, env={"XDG_STATE_HOME": str(site / "home"), "PATH": "/usr/bin"})
        assert ended.returncode == 0, ended.stderr
    plain, pulled = (rows_of(site / folder) for folder in ("plain", "pulled"))
    assert plain == pulled and len(plain) > 15
    digests = [
        {hashlib.sha256(path.read_bytes()).digest() for path in (site / folder).rglob("*.dcm")}
        for folder in ("plain", "pulled")
    ]
    assert digests[1] <= digests[0] and len(digests[1]) == 60


def rows_of(folder: Path) -> list[Row]:
    """Return the rows of a manifest without the names of files, in the order of cases."""
    rows = [replace(row, image="") for row in read_manifest(folder / MANIFEST)]
    return sorted(rows, key=lambda row: row.case)


def test_query_narrows_what_comes(orthanc: Orthanc, site: Path, tmp_path: Path) -> None:
    files = made_up_files(tmp_path / "made-up")
    for content in files.values():
        orthanc.store(content)
    patients = 'patients = ["CANARY-0"]\n'
    found = pull(site, f'modality = ["MR"]\n{patients}', "images")
    assert (found["series"], found["images"]) == (2, 6)
    found = pull(site, f'modality = ["MR", "CT"]\n{patients}series-description = "canary*"', "b")
    assert found["series"] == 2
    (site / "query.toml").write_text(f'modality = ["PT"]\n{patients}')
    ended = run([SRFLM, "data", "pull", "query.toml", "c", "--site", site], site)
    assert ended.returncode == 1 and PacsError.NOTHING in ended.stderr
    stored = {hashlib.sha256(content).digest() for content in files.values()}
    came = {hashlib.sha256(p.read_bytes()).digest() for p in (site / "images").rglob("*.dcm")}
    assert came < stored and len(came) == 6


def test_wrong_password_is_one_error(site: Path) -> None:
    (site / "account.toml").write_text(f"user = '{USER}'\npassword = 'wrong'\n")
    (site / "query.toml").write_text('modality = ["CT"]\n')
    ended = run([SRFLM, "data", "pull", "query.toml", "images", "--site", site], site)
    assert ended.returncode == 1
    assert PacsError.CREDENTIALS in ended.stderr and "Traceback" not in ended.stderr
    assert "wrong" not in ended.stderr and ended.stdout == ""


def test_result_comes_back_into_the_study_of_its_images(
    orthanc: Orthanc, site: Path, tmp_path: Path
) -> None:
    folder = write_series(tmp_path / "series", slices_of(RAMPS, affine_of()), **VALID)
    images = [dcmread(path) for path in sorted(folder.iterdir())]
    for path in folder.iterdir():
        orthanc.store(path.read_bytes())
    path = segmentation_of(images, tmp_path / "result.dcm")
    before = orthanc.stored()
    ended = run([SRFLM, "data", "store", path, "--site", site], site)
    assert ended.returncode == 0, ended.stderr
    assert orthanc.stored() == before + 1
    answer = orthanc.http.get(
        f"{orthanc.address}/studies/{images[0].StudyInstanceUID}/series?Modality=SEG"
    )
    assert len(answer.json()) == 1


def segmentation_of(images: list[Dataset], target: Path) -> Path:
    """Write a DICOM SEG of a series, as highdicom makes it."""
    organ = SegmentDescription(
        segment_number=1,
        segment_label="organ",
        segmented_property_category=CodedConcept("123037004", "SCT", "Anatomical Structure"),
        segmented_property_type=CodedConcept("10200004", "SCT", "Liver"),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name="srflm",
            version="1",
            family=CodedConcept("123109", "DCM", "Artificial Intelligence"),
        ),
    )
    SegmentationObject(
        source_images=images,
        pixel_array=np.ones((len(images), 8, 8), np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[organ],
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="srflm",
        manufacturer_model_name="srflm",
        software_versions="1",
        device_serial_number="1",
    ).save_as(target)
    return target
