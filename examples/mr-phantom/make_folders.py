"""Make two folders of the MR series of one quality phantom: its slices by class, and noisy pairs.

    python examples/mr-phantom/make_folders.py FOLDER OUT

FOLDER has MR series in DICOM, in any structure.  OUT gets two folders, which keep every header:

``slices/<class>/<scanner>``: copies of the slices of each series of eleven.  A slice's class is the
part of the phantom that it shows, by its place along the slices' normal, never by its number.

``volumes/images/<scanner>`` and ``volumes/targets/<scanner>``: each series with Rician noise, and
as it is.  The noise has SIGMA of the series' brightest percentile in both of its channels.

A scanner is a model and its field strength: series of one scanner count as one patient's.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from clients.data.manifest.by_header import header_value
from clients.imaging.geometry import stacked
from clients.imaging.index import Series, find_series

SEED = 65
SIGMA = 0.04
CLASSES = (
    *("resolution", "ladder", "wedge", "contrast-bars", "grid"),
    *("uniform", "uniform", "discs", "discs", "discs", "discs"),
)
"""By a slice's place, from the feet; slices 6 and 7, and 8 to 11, show the same part."""


def main(source: Path, out: Path) -> None:
    """Write both folders."""
    found = find_series(source)
    for left in found.left_out:
        print(f"left out: {left.path.name}, {left.reason}")
    for number, series in enumerate(found.series):
        scanner = scanner_of(series)
        ordered = paths_in_order(series)
        if len(ordered) != len(CLASSES):
            print(f"left out: a series of {len(ordered)} slices of {scanner}")
            continue
        for place, path in enumerate(ordered):
            folder = out / "slices" / CLASSES[place] / scanner
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / f"{number:02}-{place + 1:02}.dcm")
        _write_pair(ordered, out / "volumes", Path(scanner, f"{number:02}"), number)
    print(
        f"{len(found.series)} series of {len({scanner_of(each) for each in found.series})} scanners"
    )


def scanner_of(series: Series) -> str:
    """Return the model and the field strength of a series' scanner, as a folder's name."""
    header = series.headers[0]
    return f"{header_value(header.model, 'model')}-{header.field_strength:g}t"


def paths_in_order(series: Series) -> list[Path]:
    """Return the files of a series in the order of their places, from the feet to the head."""
    order, affine = stacked([header.plane for header in series.headers], series.where)
    upwards = order if affine[2, 2] > 0 else order[::-1]
    return [series.headers[at].path for at in upwards]


def _write_pair(paths: Sequence[Path], out: Path, name: Path, number: int) -> None:
    headers = [dcmread(path) for path in paths]
    values = [_values(header) for header in headers]
    sigma = SIGMA * float(np.percentile(np.stack(values), 99))
    rng = np.random.default_rng([SEED, number])
    series = generate_uid()
    for place, (header, clean) in enumerate(zip(headers, values, strict=True)):
        real, imaginary = rng.normal(0, sigma, (2, *clean.shape))
        noisy = np.hypot(clean + real, imaginary)
        for folder in ("images", "targets"):
            (out / folder / name).mkdir(parents=True, exist_ok=True)
        header.save_as(out / "targets" / name / f"{place:02}.dcm")
        _store(header, noisy)
        # Another series, or its slices would be copies of the clean ones.
        header.SeriesInstanceUID, header.SOPInstanceUID = series, generate_uid()
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.save_as(out / "images" / name / f"{place:02}.dcm")


def _values(header: Dataset) -> NDArray[np.float64]:
    slope, intercept = _rescale(header)
    return header.pixel_array * slope + intercept


def _rescale(header: Dataset) -> tuple[float, float]:
    return float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))


def _store(header: Dataset, values: NDArray[np.float64]) -> None:
    slope, intercept = _rescale(header)
    kind = header.pixel_array.dtype
    bits = header.BitsStored - (1 if kind.kind == "i" else 0)
    stored = np.rint((values - intercept) / slope).clip(0, 2**bits - 1).astype(kind)
    header.PixelData = stored.tobytes()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
