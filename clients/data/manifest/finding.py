"""Find images in a folder: files, and DICOM series where the task learns from volumes."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as kept
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from clients.data.manifest.makers import maker
from clients.data.manifest.pairing import LeftOut
from clients.data.manifest.rows import MANIFEST
from clients.imaging.decoding import has_magic
from clients.imaging.header import SeriesHeader, why_left_out
from clients.imaging.index import Series, find_series, series_among, shown_files
from clients.imaging.nifti import is_nifti
from clients.imaging.picture import NUMPY_SUFFIXES, PICTURE_SUFFIXES
from clients.imaging.refusal import without_extra
from strategies.errors import DataError

NO_IMAGE_FILE = "no image"
KEY_LETTERS = 16  # of a series' HMAC: enough to tell the series of a folder apart
_MARK = "#"


@dataclass(frozen=True)
class Item:
    """An image and what its header says; ``path`` is as in a manifest's row.

    ``source`` is its file or series; ``patient`` is as the hospital has it, "" if no header says
    it.  ``header`` is that of the first DICOM file.
    """

    path: str
    source: Path | Series
    patient: str = ""
    vendor: str = ""
    model: str = ""
    kernel: str = ""
    field: str = ""
    header: SeriesHeader | None = kept(default=None, repr=False)


def items_in(folder: Path, volumes: bool, key: bytes) -> tuple[list[Item], list[LeftOut]]:
    """Return the images in a folder and all folders in it, and the files that are none.

    DICOM files are series where ``volumes`` are wanted, else images one by one.  Hidden files are
    not looked at.  Raises :class:`DataError` if there is no such folder, or if a package that
    reads its files is missing.
    """
    if not folder.is_dir():
        raise DataError(
            f"no folder {folder}", "a folder of images", "correct the path", DataError.MISSING
        )
    items, out, dicom = [], [], []
    for path in _files_in(folder):
        if has_magic(path):
            _check_installed(path, "a DICOM file", "pydicom")
            dicom.append(path)
        elif path.suffix.lower() in PICTURE_SUFFIXES | NUMPY_SUFFIXES:
            items.append(Item(_relative(path, folder), path))
        elif is_nifti(path):
            _check_installed(path, "a NIfTI file", "nibabel")
            items.append(Item(_relative(path, folder), path))
        else:
            out.append(LeftOut(_relative(path, folder), NO_IMAGE_FILE))
    found = series_among(dicom)
    out += [LeftOut(_relative(each.path, folder), each.reason) for each in found.left_out]
    if volumes:
        items += _of_series(found.series, folder, key)
    else:
        single = (header for series in found.series for header in series.headers)
        items += [_item(_relative(each.path, folder), each.path, each) for each in single]
    return sorted(items, key=_order), sorted(out, key=lambda each: each.path)


def _order(item: Item) -> tuple[str, str]:
    # Without the owner's key, which is in the name of a series: of two series with the same pixels,
    # the same one stays at every owner.
    return place_of(item.path), item.header.series if item.header is not None else ""


def source_of(
    path: str, folder: Path, key: bytes, seen: dict[Path, list[Series]] | None = None
) -> Path | Series:
    """Return the file or series at a ``path`` of a manifest in ``folder``.

    The series of a folder that is in ``seen`` are not looked for again; others are added to it.
    Raises :class:`DataError` for a path that leads out of the folder, or to nothing.
    """
    series = path.partition(_MARK)[2]
    name = place_of(path)
    place = folder / name
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise DataError(
            f"the path {name} in a manifest leads out of its folder",
            "paths of images below the manifest",
            "put the manifest into the folder that holds all images",
            DataError.UNREADABLE,
        )
    if not place.exists():
        raise DataError(
            f"no file or folder {place}",
            "the image that the manifest names",
            "bring the image back, or run `srflm data index` again",
            DataError.MISSING,
        )
    if not series:
        return place
    known = {} if seen is None else seen
    if place not in known:
        known[place] = find_series(place).series
    for each in known[place]:
        if series_key(each.uid, key) == series:
            return each
    raise DataError(
        f"no series {series} in {place}",
        "the series that the manifest names",
        "bring its files back, or run `srflm data index` again",
        DataError.MISSING,
    )


def place_of(path: str) -> str:
    """Return the file, or the folder of the series, at a ``path`` of a manifest."""
    return path.partition(_MARK)[0]


def _check_installed(path: Path, form: str, package: str) -> None:
    # All such files would be left out one by one, and the reason be lost among them.
    if find_spec(package) is None:
        raise without_extra(path, form, package)


def series_key(uid: str, key: bytes) -> str:
    """Return the name of a series in a manifest: an HMAC, as its number may lead to a patient."""
    return hmac.digest(key, f"series {uid}".encode(), "sha256").hex()[:KEY_LETTERS]


def _files_in(folder: Path) -> Iterator[Path]:
    return (path for path in shown_files(folder) if path != folder / MANIFEST)


def _of_series(found: list[Series], folder: Path, key: bytes) -> Iterator[Item]:
    places = {series.uid: _place(series, folder) for series in found}
    crowded: Mapping[Path, int] = Counter(places.values())
    for series in found:
        place = places[series.uid]
        name = _relative(place, folder)
        if crowded[place] > 1 or place == folder:
            name = f"{name}{_MARK}{series_key(series.uid, key)}"
        yield _item(name, series, series.headers[0])


def _place(series: Series, folder: Path) -> Path:
    """Return the folder that holds all files of a series, and as little else as can be."""
    first, *others = [header.path.parent for header in series.headers]
    while any(not other.is_relative_to(first) for other in others):
        first = first.parent
    return first if first.is_relative_to(folder) else folder


def _item(path: str, source: Path | Series, header: SeriesHeader) -> Item:
    assert why_left_out(header) is None
    strength = header.field_strength
    return Item(
        path,
        source,
        header.patient,
        maker(header.manufacturer),
        header.model,
        header.kernel,
        "" if strength is None else f"{strength:g}",
        header,
    )


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
