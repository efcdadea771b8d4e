"""Check the division of one folder by its images' headers against the roster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from clients.data.manifest.by_header import held_by
from clients.settings import FileData, Header
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.places import short


def header_problems(federation: Federation) -> list[str]:
    """Return one line for each contradiction of ``data.path``, ``data.partition``, and roster."""
    header = federation.data.partition if isinstance(federation.data, FileData) else None
    return [*_path(federation), *_holds_nothing(federation, header), *_twice(federation, header)]


def _path(federation: Federation) -> Iterator[str]:
    data = federation.data
    if not isinstance(data, FileData):
        return
    if data.path is not None and data.partition is None:
        yield (
            f"data.path: found {short(data.path)}; expected none without data.partition; add"
            ' partition = "manufacturer", or give each vendor a path of its own'
        )
    has_no_folder = any(vendor.path is None for vendor in federation.vendors)
    if data.partition is not None and data.path is None and has_no_folder:
        yield (
            f"data.partition: found {data.partition!r}; expected data.path beside it, the folder"
            ' that is divided; add path = "…", or remove partition'
        )


def _holds_nothing(federation: Federation, header: Header | None) -> Iterator[str]:
    for vendor in federation.vendors:
        if vendor.holds is not None and header is None:
            yield (
                f"vendors.{vendor.name}.holds: found {short(vendor.holds)}; expected none without"
                ' a data.partition by headers; remove it, or set partition = "manufacturer"'
            )


def _twice(federation: Federation, header: Header | None) -> Iterator[str]:
    if header is None:
        return
    holders = defaultdict(set)
    for vendor in federation.vendors:
        # The images of a folder of one's own are not divided.
        if vendor.path is None:
            for value in held_by(vendor, header):
                holders[value].add(vendor.name)
    for value, names in sorted(holders.items()):
        if len(names) > 1:
            yield (
                f"vendors: found {', '.join(sorted(names))} for the {header} {value!r}; expected"
                " one vendor; correct holds = […], or rename one of them"
            )
