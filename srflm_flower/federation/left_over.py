"""Say which images of a divided folder belong to no vendor: none is left out in silence."""

from __future__ import annotations

from collections.abc import Mapping

from clients.data.manifest.by_header import of_no_vendor
from clients.data.manifest.rows import MANIFEST, read_manifest
from clients.settings import FileData, Header
from srflm_flower.federation.federation import Federation


def about_left_over(federation: Federation) -> str:
    """Return a line about the images that no vendor of the roster holds; "" if there are none.

    It is empty, too, where the data is not one folder that its images' headers divide.  Raises
    :class:`strategies.errors.DataError` if the folder has no manifest.
    """
    header, data = header_of(federation), federation.data
    if header is None or not isinstance(data, FileData) or data.path is None:
        return ""
    rows = read_manifest(data.path / MANIFEST)
    return in_words(of_no_vendor(rows, federation.vendors, header))


def header_of(federation: Federation) -> Header | None:
    """Return the element of headers that divides the federation's folder, if one does."""
    return federation.data.partition if isinstance(federation.data, FileData) else None


def in_words(counts: Mapping[str, int]) -> str:
    """Return a line about the number of images of each value; "" if there are none."""
    if not counts:
        return ""
    named = ", ".join(f"{value} ({count})" for value, count in counts.items())
    total = sum(counts.values())
    return f"Images of no vendor of the roster, which are not used: {total}, by header {named}.\n"
