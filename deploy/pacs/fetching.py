"""Fetch the images of one series, each whole or not at all, and give the series its place."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import httpx

from clients.files.durable import durable_file, not_writable, sync_folder
from clients.imaging.objects import object_in
from deploy.pacs.connection import Connection
from deploy.pacs.multipart import BrokenAnswer, boundary_of, write_part, write_plain
from deploy.pacs.search import Series, images_of
from strategies.errors import PacsError

MEND: Final = "free space or name another folder, then pull again: what has been fetched stays"
SUFFIX, FETCHED = ".dcm", ".fetched"
# As the PACS has stored it: without the *, it would have to decompress each image.
ACCEPT: Final = (
    'multipart/related; type="application/dicom"; transfer-syntax=*,'
    " application/dicom; transfer-syntax=*; q=0.5"
)
_OF_ONE: Final = frozenset({PacsError.ANSWER, PacsError.REFUSED})
"""What may be wrong with one image or series, while the PACS is all right."""


@dataclass(frozen=True)
class SeriesFolders:
    """``whole`` has a folder for each whole series, ``part`` one for each that is not yet."""

    whole: Path
    part: Path


@dataclass
class Fetched:
    """Images and bytes that came now, and the images that could not be fetched, by reason.

    ``before`` says that the series was whole already.
    """

    images: int = 0
    bytes: int = 0
    before: bool = False
    reasons: Counter[str] = field(default_factory=Counter)


def name_of(uid: str) -> str:
    """Return the name of a file or folder: a UID can hold a hospital's own numbers."""
    return hashlib.sha256(uid.encode()).hexdigest()[:32]


def fetch_series(pacs: Connection, series: Series, folders: SeriesFolders) -> Fetched:
    """Fetch what is missing of a series, and put it in its place if it is whole then.

    Raises :class:`PacsError` if the PACS cannot be reached any more or refuses the credentials, and
    :class:`strategies.errors.RunFolderError` if a file cannot be written.
    """
    place, part = (each / name_of(series.uid) for each in (folders.whole, folders.part))
    fetched = Fetched()
    try:
        there = {path.name for path in place.glob(f"*{SUFFIX}")}
        # A series may have grown since: then only what it has more is fetched.
        if there and (series.images is None or len(there) >= series.images):
            fetched.before = True
            return fetched
        try:
            wanted = images_of(pacs, series)
        except PacsError as error:
            _count(error, fetched)
            return fetched
        if (lacking := max(1, series.images or 0) - len(wanted)) > 0:
            # Half a volume looks like a whole one of something smaller.
            fetched.reasons["the PACS lists fewer images than the series has"] += lacking
        part.mkdir(parents=True, exist_ok=True)
        for uid in wanted:
            path = part / f"{name_of(uid)}{SUFFIX}"
            if path.name not in there and not path.exists():
                _fetch_or_count(pacs, series, uid, path, fetched)
            if pacs.stopping.is_set():
                return fetched
        if not fetched.reasons:
            _give_place(part, place)
            fetched.before = bool(there) and not fetched.images
    except OSError as error:
        raise not_writable(folders.whole, error, MEND) from None
    return fetched


def _give_place(part: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    sync_folder(part)
    if place.exists():
        for path in part.glob(f"*{SUFFIX}"):
            path.rename(place / path.name)
        part.rmdir()
        sync_folder(place)
    else:
        part.rename(place)
    sync_folder(place.parent)


def _fetch_or_count(
    pacs: Connection, series: Series, uid: str, path: Path, fetched: Fetched
) -> None:
    """Fetch an image; count the reason if this one cannot be, so that the others still come."""
    try:
        came = _fetch(pacs, series, uid, path)
        fetched.images, fetched.bytes = fetched.images + bool(came), fetched.bytes + came
    except PacsError as error:
        _count(error, fetched)


def _count(error: PacsError, fetched: Fetched) -> None:
    """Count an error about one image or series; raise it again if it is about the PACS."""
    if error.code not in _OF_ONE:
        raise error
    fetched.reasons[error.found] += 1


def _fetch(pacs: Connection, series: Series, uid: str, path: Path) -> int:
    """Fetch an image into a file; return the bytes that came.

    Raises :class:`PacsError` if what comes is not this image.
    """
    new, size = path.with_suffix(FETCHED), 0
    if not new.exists():  # else a killed pull has fetched it whole, and not looked at it yet
        address = f"studies/{series.study}/series/{series.uid}/instances/{uid}"
        most = pacs.settings.largest_image * 2**20
        with durable_file(new, private=True, mend=MEND) as file:
            size = pacs.get(address, lambda each: _take(each, pacs, file, most), accept=ACCEPT)
    found = object_in(new)
    if found is None or found.instance != uid:
        new.unlink()
        raise _no_image("something that is no DICOM" if found is None else "another image")
    new.rename(path)
    return size


def _take(answer: httpx.Response, pacs: Connection, file: BinaryIO, most: int) -> int:
    file.seek(0)
    file.truncate()  # an earlier try may have broken off
    try:
        boundary = boundary_of(answer.headers.get("content-type", ""))
        if boundary is not None:
            return write_part(_chunks(answer, pacs), boundary, file, most)
        if not {"content-length", "transfer-encoding"} & {*answer.headers}:
            raise BrokenAnswer("an answer of unknown length, which may be cut off")
        return write_plain(_chunks(answer, pacs), file, most)
    except BrokenAnswer as error:
        words = str(error)
    raise _no_image(words)


def _chunks(answer: httpx.Response, pacs: Connection) -> Iterator[bytes]:
    for chunk in answer.iter_bytes():
        if pacs.stopping.is_set():
            raise BrokenAnswer("an answer that is not waited for")
        yield chunk


def _no_image(what: str) -> PacsError:
    return PacsError(
        f"for an image the PACS sends {what}",
        "one whole DICOM object",
        "ask the PACS's operators; the series is left out until all of it can be fetched",
        PacsError.ANSWER,
    )
