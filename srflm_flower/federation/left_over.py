"""Say which images of a divided folder belong to no vendor: none is left out in silence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clients.data.manifest.by_header import Division
from clients.data.manifest.rows import MANIFEST, Row, read_manifest
from clients.settings import FileData
from srflm_flower.federation.federation import Federation


def division_of(federation: Federation) -> Division | None:
    """Return how headers divide one folder among the federation's vendors, if they do."""
    data = federation.data
    if not isinstance(data, FileData) or data.partition is None:
        return None
    return Division(data.partition, federation.vendors)


def division_of_folder(federation: Federation, folder: Path) -> Division | None:
    """Return how headers divide ``folder``; None if it is another one, as a site's own."""
    data = federation.data
    if not isinstance(data, FileData) or data.path is None:
        return None
    return division_of(federation) if folder.resolve() == data.path.resolve() else None


def about_left_over(federation: Federation) -> str:
    """Return a line about the images that no vendor of the roster holds; "" if there are none.

    It is empty, too, where no folder is divided.  Raises :class:`strategies.errors.DataError` if
    the folder has no manifest.
    """
    division, data = division_of(federation), federation.data
    if division is None or not isinstance(data, FileData) or data.path is None:
        return ""
    return in_words(division, read_manifest(data.path / MANIFEST))


def in_words(division: Division, rows: Sequence[Row]) -> str:
    """Return a line about the number of images of each value that no vendor holds, or ""."""
    counts = {value: len(of) for value, of in division.of_no_vendor(rows).items()}
    if not counts:
        return ""
    named = ", ".join(f"{value} ({count})" for value, count in counts.items())
    total = sum(counts.values())
    return f"Images of no vendor of the roster, which are not used: {total}, by header {named}.\n"
