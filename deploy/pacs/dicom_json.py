"""The few values that are read of DICOM's JSON, which a PACS answers searches with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

Entry = Mapping[str, Any]
"""One study, series, or image: a tag as eight hexadecimal digits → its VR and values."""

STUDY_DATE: Final = "00080020"
ACCESSION: Final = "00080050"
MODALITY: Final = "00080060"
MANUFACTURER: Final = "00080070"
STUDY_DESCRIPTION: Final = "00081030"
SERIES_DESCRIPTION: Final = "0008103E"
PATIENT: Final = "00100020"
BODY_PART: Final = "00180015"
STUDY: Final = "0020000D"
SERIES: Final = "0020000E"
IMAGE: Final = "00080018"
IMAGES_OF_SERIES: Final = "00201209"
FAILED: Final = "00081198"
FAILURE: Final = "00081197"

REFERENCED: Final = "00081199"
REFERENCED_IMAGE: Final = "00081155"

MOST_LETTERS: Final = 1024
_UID = re.compile(r"[0-9](?:[0-9.]{0,62}[0-9])?")


def entries_of(content: bytes) -> list[Entry]:
    """Return the entries of an answer, none if it is empty; raises ValueError for all else."""
    if not content.strip():
        return []
    try:
        found = json.loads(content)
    except RecursionError:
        raise ValueError("deeper than any answer") from None
    entries = [found] if isinstance(found, dict) else found  # some servers unpack a single one
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise ValueError("no list of objects")
    return entries


def values(entry: Entry, tag: str) -> list[Any]:
    """Return the values of a tag, as they are."""
    element = entry.get(tag)
    found = element.get("Value") if isinstance(element, dict) else None
    return found if isinstance(found, list) else []


def text(entry: Entry, tag: str) -> str:
    """Return the first value of a tag as text, cut to 1,024 letters; "" if there is none."""
    first = next(iter(values(entry, tag)), "")
    if not isinstance(first, str | int | float):
        return ""
    # JSON can say half of a letter (a lone surrogate), which no file can hold.
    return str(first)[:MOST_LETTERS].encode("utf-8", "replace").decode().strip()


def number(entry: Entry, tag: str) -> int | None:
    """Return the first value of a tag as a whole number, None if it is none."""
    try:
        return int(text(entry, tag))
    except ValueError:
        return None


def uid(entry: Entry, tag: str) -> str:
    """Return a UID; raises ValueError for one that is none, as it becomes a part of a path."""
    found = text(entry, tag)
    if not _UID.fullmatch(found):
        raise ValueError("no UID")
    return found
