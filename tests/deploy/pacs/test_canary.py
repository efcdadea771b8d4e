"""Nothing that the PACS says, and no UID, is in an error, a warning, a log, or on the screen."""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.pacs.query import Query
from strategies.errors import SrflmError
from tests.deploy.pacs.made_up_pacs import MadeUpPacs, in_parts
from tests.deploy.pacs.pulls import pulled
from tests.support.dicom_files import CANARY

SAYING = f"<html>{CANARY}</html>".encode()
QUERY = Query(modality=("MR",), patients=(f"{CANARY}-1",), series_description=f"{CANARY}*")


def to_images(answer: Callable[[Any], object]) -> Callable[[Any], bool]:
    """Return an answer to requests for images only."""
    return lambda handler: "/instances/" in handler.path and answer(handler) is None


def torn(handler) -> None:
    handler.send_response(200, CANARY)
    handler.send_header("Content-Type", f"multipart/related; boundary={CANARY}")
    handler.send_header("Content-Length", "999")
    handler.send_header("Warning", f"299 {CANARY}")
    handler.end_headers()
    handler.wfile.write(SAYING)
    handler.close_connection = True


def no_http(handler) -> None:
    handler.wfile.write(CANARY.encode() + b"\r\n\r\n")
    handler.close_connection = True


ANSWERS: dict[str, Callable[[Any], bool]] = {
    "good": lambda handler: False,
    "status": lambda h: h.send(SAYING, CANARY, 500, Warning=CANARY, Location=CANARY) is None,
    "401": lambda h: h.send(SAYING, CANARY, 401, WWW_Authenticate=f"Basic realm={CANARY}") is None,
    "302": lambda h: h.send(SAYING, CANARY, 302, Location=f"https://{CANARY}/") is None,
    "no JSON": lambda h: h.send(SAYING, "application/json") is None,
    "no HTTP": lambda h: no_http(h) is None,
    "torn": lambda h: torn(h) is None,
    "encoded": lambda h: h.send(SAYING, "application/json", Content_Encoding=CANARY) is None,
    "image: status": to_images(lambda h: h.send(SAYING, CANARY, 404, Warning=CANARY)),
    "image: no DICOM": to_images(lambda h: h.send(*in_parts(SAYING))),
    "image: cut off": to_images(lambda h: h.send(*in_parts(b"\0" * 128 + b"DICM" + SAYING))),
    "image: no HTTP": to_images(no_http),
    "image: torn": to_images(torn),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_no_patient_and_no_uid_appears(
    pacs: MadeUpPacs,
    folder: Path,
    answer: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    pacs.answer = ANSWERS[answer]
    said, uids = "", {uid for key in pacs.files for uid in key}
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        try:
            said = repr(pulled(pacs, folder, QUERY))
        except SrflmError as error:
            said = "".join(traceback.format_exception(error))
    assert len(pacs.asked) > 0 and said
    paths = "".join(str(path) for path in folder.rglob("*"))
    assert warned == [] and caplog.text == ""
    for text in (said, paths, *capfd.readouterr()):
        assert CANARY not in text
        assert [uid for uid in uids if uid in text] == []
