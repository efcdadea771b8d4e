"""No patient's data gets out of a DICOM file: not by an error, a warning, or a log."""

from __future__ import annotations

import logging
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.imaging.dicom import read_dicom
from strategies.errors import DataError
from tests.support.dicom_files import CANARY, RAMP, write_dicom


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.dcm"


CUTS = [None, -1, -30, 700, 500]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"RescaleSlope": CANARY},
        {"NumberOfFrames": CANARY},
        {"Modality": CANARY},
        {"RescaleType": CANARY},
        {"PhotometricInterpretation": CANARY},
        {"PixelData": None},
    ],
    ids=str,
)
def test_no_patient_appears_in_errors_warnings_or_logs(
    path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    cut: int | None,
) -> None:
    content = write_dicom(path, RAMP.astype(np.int16), **changes).read_bytes()
    assert content.count(CANARY.encode()) > 20
    path.write_bytes(content[:cut])
    said = ""
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        try:
            read_dicom(path)
        except DataError as error:
            said = "".join(traceback.format_exception(error))
            assert error.__cause__ is None and error.__context__ is None
    printed = capfd.readouterr()
    assert warned == [] and "pydicom" not in caplog.text
    assert CANARY not in said + caplog.text + printed.out + printed.err


def test_pydicom_would_have_told(path: Path) -> None:
    """The canary is where pydicom warns of it, so that the test above tests something."""
    from pydicom import dcmread

    write_dicom(path, RAMP.astype(np.int16))
    with pytest.warns(UserWarning, match=CANARY):
        str(dcmread(path))
