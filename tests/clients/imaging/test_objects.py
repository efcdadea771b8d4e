"""A file says which DICOM object it is, and nothing else of it comes out."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import CTImageStorage

from clients.imaging import objects
from clients.imaging.objects import SEGMENTATIONS, check_reader, object_in
from strategies.errors import DataError
from tests.support.dicom_files import RAMP, write_dicom

PIXELS = RAMP.astype(np.int16)


def test_kind_and_number_are_read(tmp_path: Path) -> None:
    found = object_in(write_dicom(tmp_path / "x", PIXELS, SOPInstanceUID="1.2.3"))
    assert found is not None
    assert (found.kind, found.instance, found.is_segmentation) == (CTImageStorage, "1.2.3", False)
    assert "1.2.3" not in repr(found)


@pytest.mark.parametrize("kind", sorted(SEGMENTATIONS))
def test_segmentations_are_known(tmp_path: Path, kind: str) -> None:
    found = object_in(write_dicom(tmp_path / "x", PIXELS, SOPClassUID=kind))
    assert found is not None and found.is_segmentation


@pytest.mark.parametrize("content", [b"", b"DICM", b"x" * 500, b"\0" * 128 + b"DICM" + b"x" * 9])
def test_file_that_is_no_object_is_none(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert object_in(path) is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("cut", [-1, 700, 300, 140])
def test_file_that_is_cut_off_is_never_an_exception(tmp_path: Path, cut: int) -> None:
    path = write_dicom(tmp_path / "x", PIXELS)
    path.write_bytes(path.read_bytes()[:cut])
    found = object_in(path)
    assert found is None or found.kind == CTImageStorage


def test_missing_reader_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_reader(tmp_path)
    monkeypatch.setattr(objects, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="imaging"):
        check_reader(tmp_path)
    assert util.find_spec("pydicom") is not None
