"""Send results to the PACS: only DICOM SEG, and only if the site allows it (STOW-RS)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx

from clients.imaging.objects import check_reader, object_in
from deploy.pacs.connection import CHUNK, Connection
from deploy.pacs.dicom_json import (
    FAILED,
    FAILURE,
    REFERENCED,
    REFERENCED_IMAGE,
    number,
    text,
    values,
)
from strategies.errors import ConfigurationError, DataError, PacsError


def store(pacs: Connection, files: Sequence[Path], progress: Callable[[int, int], None]) -> None:
    """Send DICOM SEG files to the PACS, one at a time, as they are.

    All files are looked at before the first one is sent.  ``progress`` is told how many are stored.
    Raises :class:`ConfigurationError` if the site does not allow it, :class:`DataError` for a file
    that is not DICOM SEG, and :class:`PacsError` for the first file that is not stored.
    """
    if not pacs.settings.store_results:
        raise ConfigurationError(
            "a result to store, which [pacs] in site.toml does not allow",
            "store-results = true, set by the site's IT",
            "set it; nothing was sent",
        )
    names = [_checked(path) for path in files]
    for at, (path, name) in enumerate(zip(files, names, strict=True)):
        progress(at, len(files))
        _store(pacs, path, name)
    progress(len(files), len(files))


def _checked(path: Path) -> str:
    """Return the number of the object in a file."""
    check_reader(path.parent)
    try:
        found = object_in(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror})",
            "a DICOM SEG file",
            "correct the path; nothing was sent",
            DataError.MISSING,
        ) from None
    if found is None or not found.is_segmentation:
        kind = "no DICOM file" if found is None else "a DICOM object of another kind"
        raise DataError(
            f"{path} is {kind}",
            "DICOM SEG, as only results are sent to the PACS",
            "leave the file out; nothing was sent",
            DataError.UNREADABLE,
        )
    return found.instance


def _store(pacs: Connection, path: Path, name: str) -> None:
    boundary = secrets.token_hex(16)
    kind = f'multipart/related; type="application/dicom"; boundary="{boundary}"'
    body = _Body(path, boundary)
    headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
    answer = pacs.post("studies", body, {**headers, "Content-Length": str(body.size)})
    failed = [number(item, FAILURE) for entry in answer.entries for item in values(entry, FAILED)]
    told = [item for entry in answer.entries for item in values(entry, REFERENCED)]
    is_told = not told or any(text(item, REFERENCED_IMAGE) == name for item in told)
    if answer.status == 200 and not failed and is_told:
        return
    reason = next((f"0x{each:04X}" for each in failed if each is not None), "no reason given")
    raise PacsError(
        f"the PACS has not stored {path} (status {answer.status}, {reason})",
        "a PACS that stores segmentations in the study of their images",
        "ask the PACS's operators; the files before this one in the list are stored",
        PacsError.NOT_STORED,
    )


class _Body(httpx.SyncByteStream):
    """A file as the only part of a body, read while it is sent."""

    def __init__(self, path: Path, boundary: str) -> None:
        self.path = path
        self.before = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self.after = f"\r\n--{boundary}--\r\n".encode()
        self.size = len(self.before) + path.stat().st_size + len(self.after)

    def __iter__(self) -> Iterator[bytes]:
        yield self.before
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
        yield self.after
