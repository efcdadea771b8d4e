"""Take the one object out of a DICOMweb answer while it comes, without holding it in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.message import Message
from typing import BinaryIO

MOST_HEAD = 64 * 1024  # bytes before a part's content, and after it
_BLANK = b"\r\n\r\n"


class BrokenAnswer(Exception):
    """An answer is not one whole object; the text is one of a few, and quotes nothing."""


def boundary_of(content_type: str) -> bytes | None:
    """Return the boundary of a multipart answer, None if the answer is no multipart.

    Raises :class:`BrokenAnswer` for a multipart answer without a boundary.
    """
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_maintype() != "multipart":
        return None
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not 0 < len(boundary) <= 200 or not boundary.isascii():
        raise BrokenAnswer("an answer in parts without a boundary")
    return boundary.encode()


def write_part(chunks: Iterable[bytes], boundary: bytes, file: BinaryIO, most: int) -> int:
    """Write the content of the only part to ``file``; return its size in bytes.

    Raises :class:`BrokenAnswer` if the answer ends early, has several parts, or the content has
    more than ``most`` bytes.  At most a chunk and :data:`MOST_HEAD` bytes are in memory.
    """
    coming = iter(chunks)
    delimiter = b"\r\n--" + boundary
    kept = _after_headers(coming, boundary)
    size = 0
    while (at := kept.find(delimiter)) < 0:
        # The delimiter may have come in part only.
        sure = max(0, len(kept) - len(delimiter) + 1)
        size = _write(file, kept[:sure], size, most)
        kept = kept[sure:] + _next(coming)
    size = _write(file, kept[:at], size, most)
    rest = kept[at + len(delimiter) :]
    while len(rest) < 2:
        rest += _next(coming)
    if not rest.startswith(b"--"):
        raise BrokenAnswer("an answer with several objects for one")
    # Read to its end, as the connection can be used again only then.
    left = MOST_HEAD
    for chunk in coming:
        left -= len(chunk)
        if left < 0:
            raise BrokenAnswer("an answer that does not end")
    return size


def write_plain(chunks: Iterable[bytes], file: BinaryIO, most: int) -> int:
    """Write an answer that is the object itself; else as :func:`write_part`."""
    size = 0
    for chunk in chunks:
        size = _write(file, chunk, size, most)
    return size


def _after_headers(coming: Iterator[bytes], boundary: bytes) -> bytes:
    """Return what has come of the first part's content."""
    opening, kept = b"--" + boundary + b"\r\n", b""
    while True:
        start = kept.find(opening)
        # A part without headers has a blank line at once.
        end = kept.find(_BLANK, start + len(opening) - 2) if start >= 0 else -1
        if end >= 0:
            return kept[end + len(_BLANK) :]
        if len(kept) > MOST_HEAD:
            raise BrokenAnswer("an answer whose parts do not begin")
        kept += _next(coming)


def _next(coming: Iterator[bytes]) -> bytes:
    for chunk in coming:
        return chunk
    raise BrokenAnswer("an answer that ends before its object does")


def _write(file: BinaryIO, content: bytes, size: int, most: int) -> int:
    size += len(content)
    if size > most:
        raise BrokenAnswer("an object larger than pacs.largest-image")
    file.write(content)
    return size
