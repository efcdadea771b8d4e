"""Find the DICOM series in a folder, by the headers of its files; no pixels are read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from clients.imaging.header import Reason, SeriesHeader, read_header, why_left_out
from clients.imaging.refusal import without_extra
from strategies.errors import DataError


@dataclass(frozen=True)
class Series:
    """The files of one series, in the order of their paths; at least one."""

    headers: tuple[SeriesHeader, ...]

    @property
    def uid(self) -> str:
        """The series' own number, unique in the world; it may lead to a patient."""
        return self.headers[0].series

    @property
    def modality(self) -> str:
        """What kind of scanner made it: CT, MR, …"""
        return self.headers[0].modality

    @property
    def manufacturer(self) -> str:
        """The scanner's maker, "" if no header says it."""
        return self.headers[0].manufacturer

    @property
    def where(self) -> str:
        """The series in an error: how many files, and one of them."""
        return f"the series of {len(self.headers)} file(s) with {self.headers[0].path}"


class LeftOut(NamedTuple):
    """A file that is in no series, and why."""

    path: Path
    reason: Reason


class Found(NamedTuple):
    """All series of a folder, and the files that are in none; both in the order of paths."""

    series: list[Series]
    left_out: list[LeftOut]


def find_series(folder: Path) -> Found:
    """Return the series in a folder and all folders in it, whatever its structure and names.

    Raises :class:`DataError` if there is no such folder, or pydicom is missing.
    """
    if not folder.is_dir():
        raise DataError(
            f"no folder {folder}",
            "a folder with DICOM files",
            "correct the path",
            DataError.MISSING,
        )
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise without_extra(folder, "a folder of DICOM", "pydicom") from None
    return series_among(shown_files(folder))


def shown_files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and all folders in it, in the order of paths, but hidden ones."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file():
            yield path


def series_among(paths: Iterable[Path]) -> Found:
    """Return the series of some files, by their headers; needs pydicom."""
    headers: list[SeriesHeader] = []
    left_out: list[LeftOut] = []
    for path in paths:
        header = read_header(path)
        if isinstance(header, SeriesHeader):
            headers.append(header)
        else:
            left_out.append(LeftOut(path, header))
    series, besides = group(headers)
    return Found(series, sorted([*left_out, *besides]))


def group(headers: Iterable[SeriesHeader]) -> Found:
    """Return headers as series, whatever their order.

    Left out is what a scanner did not measure (:func:`clients.imaging.header.why_left_out`), and of
    several copies of an image all but the one with the first path.
    """
    by_series: defaultdict[str, list[SeriesHeader]] = defaultdict(list)
    left_out: list[LeftOut] = []
    known: set[str] = set()
    for header in sorted(headers, key=lambda each: each.path):
        reason = why_left_out(header)
        if reason is None and header.instance in known:
            reason = "duplicate"
        if reason is not None:
            left_out.append(LeftOut(header.path, reason))
            continue
        if header.instance:
            known.add(header.instance)
        by_series[header.series].append(header)
    return Found([Series(tuple(each)) for each in by_series.values()], left_out)
