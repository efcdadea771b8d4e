"""Results go to the PACS only if the site allows it, and nothing but DICOM SEG does."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from deploy.pacs.connection import Connection
from deploy.pacs.storing import store
from deploy.site.pacs_settings import PacsSettings
from strategies.errors import ConfigurationError, DataError, PacsError, SrflmError
from tests.deploy.pacs.made_up_pacs import MadeUpPacs
from tests.support.dicom_files import CANARY, RAMP, write_dicom

SEGMENTATION, LABELS = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"


def result(path: Path, kind: str = SEGMENTATION) -> Path:
    return write_dicom(path, RAMP.astype(np.uint8), SOPClassUID=kind, Modality="SEG")


def sent(pacs: MadeUpPacs, *paths: Path, allowed: bool = True) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    settings = PacsSettings(address=pacs.address, store_results=allowed)
    with Connection(settings) as connection:
        store(connection, paths, lambda at, of: told.append((at, of)))
    return told


def refused(kind: type[SrflmError], pacs: MadeUpPacs, *paths: Path, allowed: bool = True) -> str:
    with pytest.raises(kind) as caught:
        sent(pacs, *paths, allowed=allowed)
    assert caught.value.__cause__ is None and CANARY not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def answered(pacs: MadeUpPacs) -> MadeUpPacs:
    """Return a PACS whose answers name a patient."""
    body = f'[{{"00081190": {{"vr": "UR", "Value": ["{CANARY}"]}}}}]'.encode()
    pacs.answer = lambda handler: _take(handler, body, 200)
    return pacs


def _take(handler, body: bytes, status: int) -> bool:
    return handler.send(body, "application/dicom+json", status) is None


@pytest.mark.parametrize("kind", [SEGMENTATION, LABELS])
def test_segmentation_is_sent_as_it_is(pacs: MadeUpPacs, tmp_path: Path, kind: str) -> None:
    paths = [result(tmp_path / name, kind) for name in ("one", "two")]
    assert sent(pacs, *paths) == [(0, 2), (1, 2), (2, 2)]
    assert pacs.asked == [("POST", "/dicom-web/studies")] * 2
    for path, body in zip(paths, pacs.stored, strict=True):
        head, _, rest = body.partition(b"\r\n\r\n")
        boundary = head.split(b"\r\n")[0]
        assert rest == path.read_bytes() + b"\r\n" + boundary + b"--\r\n"


def test_nothing_is_sent_unless_the_site_allows_it(pacs: MadeUpPacs, tmp_path: Path) -> None:
    assert not PacsSettings(address=pacs.address).store_results
    text = refused(ConfigurationError, pacs, result(tmp_path / "one"), allowed=False)
    assert "store-results = true" in text and pacs.asked == []


@pytest.mark.parametrize("other", ["an image", "no DICOM", "cut off", "missing", "a folder"])
def test_file_that_is_no_segmentation_stops_all(
    pacs: MadeUpPacs, tmp_path: Path, other: str
) -> None:
    path = tmp_path / "other"
    match other:
        case "an image":
            write_dicom(path, RAMP.astype(np.uint8))
        case "no DICOM":
            path.write_bytes(CANARY.encode() * 50)
        case "cut off":
            path.write_bytes(result(path).read_bytes()[:140])
        case "a folder":
            path.mkdir()
    text = refused(DataError, pacs, result(tmp_path / "one"), path)
    assert str(path) in text and "nothing was sent" in text and pacs.asked == []


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (409, b"", "status 409, no reason given"),
        (409, b"<xml>CANARY</xml>", "status 409, no reason given"),
        (202, b'{"00081198": {"Value": [{"00081197": {"Value": [42752]}}]}}', "202, 0xA700"),
        (200, b'[{"00081198": {"Value": [{"00081197": {"Value": [272]}}]}}]', "200, 0x0110"),
    ],
)
def test_file_that_the_pacs_does_not_take_ends_it(
    pacs: MadeUpPacs, tmp_path: Path, status: int, body: bytes, words: str
) -> None:
    pacs.answer = lambda handler: _take(handler, body, status)
    paths = [result(tmp_path / name) for name in ("one", "two")]
    text = refused(PacsError, pacs, *paths)
    assert words in text and str(paths[0]) in text and len(pacs.asked) == 1


@pytest.mark.parametrize(
    ("status", "code"), [(401, "CREDENTIALS"), (403, "REFUSED"), (500, "ANSWER")]
)
def test_refusal_is_one_error_and_nothing_is_sent_twice(
    pacs: MadeUpPacs, tmp_path: Path, status: int, code: str
) -> None:
    pacs.answer = lambda handler: _take(handler, CANARY.encode(), status)
    text = refused(PacsError, pacs, result(tmp_path / "one"))
    assert getattr(PacsError, code) in text and len(pacs.asked) == 1


def test_connection_that_is_lost_is_no_reason_to_send_twice(
    pacs: MadeUpPacs, tmp_path: Path
) -> None:
    def answer(handler) -> bool:
        handler.close_connection = True
        handler.connection.shutdown(2)
        return True

    pacs.answer = answer
    assert PacsError.UNREACHABLE in refused(PacsError, pacs, result(tmp_path / "one"))
    assert len(pacs.asked) == 1


def test_answer_that_names_a_patient_is_taken_as_success(
    answered: MadeUpPacs, tmp_path: Path
) -> None:
    assert sent(answered, result(tmp_path / "one"))[-1] == (1, 1)


def test_made_up_result_is_what_it_says(tmp_path: Path) -> None:
    header = dcmread(result(tmp_path / "one"))
    assert header.SOPClassUID == SEGMENTATION
    assert header.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


# ---- success that is none ----------------------------------------------------------------------

SENT = '[{"00081199": {"Value": [{"00081155": {"Value": ["%s"]}}]}}]'


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>Log in please</html>", "text/html"),
        (b"<html/>", "application/xhtml+xml"),
        (b"<html/>", "application/dicom+json"),
        (b"", ""),
    ],
)
def test_page_that_answers_is_no_success(
    pacs: MadeUpPacs, tmp_path: Path, body: bytes, kind: str
) -> None:
    pacs.answer = lambda handler: handler.send(body, kind, 200) is None
    text = refused(PacsError, pacs, result(tmp_path / "one"))
    assert PacsError.ANSWER in text and "neither DICOM's JSON nor XML" in text


def test_answer_in_xml_is_taken_as_success(pacs: MadeUpPacs, tmp_path: Path) -> None:
    pacs.answer = lambda handler: handler.send(b"<a/>", "application/dicom+xml", 200) is None
    assert sent(pacs, result(tmp_path / "one"))[-1] == (1, 1)


def test_answer_about_another_file_is_no_success(pacs: MadeUpPacs, tmp_path: Path) -> None:
    path = result(tmp_path / "one")
    own, other = str(dcmread(path).SOPInstanceUID), "1.2.3"
    pacs.answer = lambda handler: _take(handler, (SENT % own).encode(), 200)
    assert sent(pacs, path)[-1] == (1, 1)
    pacs.answer = lambda handler: _take(handler, (SENT % other).encode(), 200)
    assert "has not stored" in refused(PacsError, pacs, path)


def test_compressed_answer_is_never_unpacked(pacs: MadeUpPacs, tmp_path: Path) -> None:
    body = gzip.compress(b"\0" * 2**20)
    pacs.answer = lambda handler: (
        handler.send(body, "application/dicom+json", 409, Content_Encoding="gzip") is None
    )
    assert "compressed form" in refused(PacsError, pacs, result(tmp_path / "one"))


def test_file_that_says_it_is_another_object_is_not_sent(pacs: MadeUpPacs, tmp_path: Path) -> None:
    path = result(tmp_path / "one")
    header = dcmread(path)
    header.file_meta.MediaStorageSOPClassUID = MRImageStorage
    header.save_as(path)
    assert "another kind" in refused(DataError, pacs, path) and pacs.asked == []
