"""The one form of all refusals of image files, and the extra that reads most of them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from strategies.errors import DataError

EXTRA: Final = "pip install 'srflm-flower[imaging]'"


def unreadable(found: str, expected: str, mend: str) -> DataError:
    """Return an error of a file that is not read; the caller raises it."""
    return DataError(found, expected, mend, DataError.UNREADABLE)


def without_extra(path: Path, form: str, package: str) -> DataError:
    """Return an error of a file in a ``form`` that a package of the extra ``imaging`` reads."""
    return unreadable(
        f"{path} is {form}, and {package} is not installed", "the extra imaging", EXTRA
    )
