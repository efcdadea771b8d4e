"""How this program names itself in the DICOM files that it writes, and knows them again."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final
from uuid import uuid4

MAKER: Final = "SRFLM"
MODEL: Final = "srflm predict"
SERIES_NUMBER: Final = 9001
"""Behind the numbers that scanners give; DICOM wants a number, and nothing depends on it."""


def software_version() -> str:
    """Return the version of this program."""
    try:
        return version("srflm-flower")
    except PackageNotFoundError:  # run from a Flower app bundle
        return "unknown"


def new_uid() -> str:
    """Return a number, unique in the world, for a series or an object (DICOM PS3.5, B.2)."""
    return f"2.25.{uuid4().int}"
