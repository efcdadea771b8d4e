"""Read a DICOM series as one volume."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from clients.imaging.decoding import guarded, header_of, pixels_of
from clients.imaging.dicom import check_hounsfield
from clients.imaging.frames import read_file
from clients.imaging.geometry import stacked
from clients.imaging.header import SeriesHeader, why_left_out
from clients.imaging.index import Series, find_series
from clients.imaging.refusal import unreadable
from clients.imaging.stack import Slice, check_extra, volume_of
from clients.imaging.volume import Volume


def read_series(series: Series) -> Volume:
    """Return a series as a volume (1, *space) in the order of axes nearest to RAS.

    Its slices lie in the order of their positions; what numbers mean is as in
    :func:`clients.imaging.meaning.real_values`. A series of one file is read as
    :func:`clients.imaging.frames.read_file` does. Raises :class:`DataError`, besides, for slices
    that are no volume (:func:`clients.imaging.geometry.stacked`), localizers and others that no
    scanner measured, several patients, modalities, or files of many frames.
    """
    where = series.where
    headers = without_copies(series.headers)
    _check(headers, where)
    if len(headers) == 1:
        return read_file(headers[0].path)
    check_extra(headers[0].path)
    return guarded(headers[0].path, lambda: _stack(headers, where))


def read_series_in(folder: Path) -> Volume:
    """Return the one series in a folder as a volume.

    Raises :class:`DataError` if there is none or several, and as :func:`read_series` does.
    """
    found = find_series(folder)
    if len(found.series) != 1:
        reasons = sorted(each.reason for each in found.left_out)
        counts = ", ".join(f"{reasons.count(each)} {each}" for each in dict.fromkeys(reasons))
        raise unreadable(
            f"{folder} has {len(found.series)} series; left out: {counts or 'nothing'}",
            "one DICOM series",
            "name the folder of one series, or take the others out",
        )
    return read_series(found.series[0])


def _stack(headers: list[SeriesHeader], where: str) -> Volume:
    planes = [header.plane for header in headers]
    stacked(planes, where)  # before any pixel is read
    return volume_of([_slice(header.path) for header in headers], planes, where)


def _slice(path: Path) -> Slice:
    def read() -> Slice:
        header = header_of(path)
        check_hounsfield(header, path)
        return Slice(header, pixels_of(header, path))

    header, stored = guarded(path, read)
    # The file's own pixels are decoded, and held only once.
    for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        if name in header:
            del header[name]
    return Slice(header, stored)


def without_copies(headers: Iterable[SeriesHeader]) -> list[SeriesHeader]:
    """Return the first file of each image, in the order of paths."""
    first: dict[str, SeriesHeader] = {}
    for header in sorted(headers, key=lambda each: each.path):
        first.setdefault(header.instance or str(header.path), header)
    return list(first.values())


def _check(headers: list[SeriesHeader], where: str) -> None:
    """Refuse files that are no single scan of one patient."""
    reasons = [reason for reason in map(why_left_out, headers) if reason is not None]
    if reasons and len(headers) > 1:
        words = ", ".join(sorted(set(reasons)))
        raise unreadable(
            f"{where} has {len(reasons)} file(s) of another kind mixed in: {words}",
            "slices that a scanner measured",
            "take these files out",
        )
    if len({(header.series, header.patient, header.modality) for header in headers}) > 1:
        raise unreadable(
            f"{where} has files of several series, patients, or modalities",
            "files of one series",
            "divide it",
        )
    if len(headers) > 1 and any(header.frames > 1 for header in headers):
        raise unreadable(
            f"{where} has several files, some of many frames",
            "one file of many frames, or one file a slice",
            "read each file of many frames as a volume of its own",
        )
