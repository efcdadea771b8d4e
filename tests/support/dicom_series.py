"""DICOM series as scanners write them: one file a slice, in whatever order and under any name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import MRImageStorage, generate_uid

from clients.imaging.index import Series, find_series
from tests.support.dicom_files import MR, write_dicom

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Real images, where they are at hand."""

AXIAL, CORONAL, SAGITTAL = (0, 1, 2), (0, 2, 1), (1, 2, 0)
"""The axes of an array that become a slice's columns, its rows, and the order of slices."""

TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def affine_of(
    spacing: Sequence[float] = (1, 2, 3),
    degrees: float = 0,
    flips: Sequence[int] = (1, 1, 1),
    origin: Sequence[float] = (-31.5, 12.25, 7),
) -> np.ndarray:
    """Return an affine to mm in RAS: turned about the axis through all three, axes reversed."""
    angle = np.deg2rad(degrees)
    axis = np.ones(3) / np.sqrt(3)
    cross = np.cross(np.eye(3), axis)
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    affine = np.eye(4)
    affine[:3, :3] = turn * np.array(spacing) * np.array(flips)
    affine[:3, 3] = origin
    return affine


def slices_of(
    array: np.ndarray, affine: np.ndarray, axes: tuple[int, int, int] = AXIAL
) -> list[tuple[np.ndarray, dict[str, Any]]]:
    """Return the slices of an array (i, j, k) as pixels and elements of a header."""
    column, row, through = axes
    lps = TO_LPS @ affine
    sizes = np.linalg.norm(lps[:3, :3], axis=0)
    along, down = lps[:3, column] / sizes[column], lps[:3, row] / sizes[row]
    slices = []
    for at in range(array.shape[through]):
        pixels = np.transpose(array, (through, row, column))[at]
        elements = {
            "ImagePositionPatient": texts(lps[:3, 3] + at * lps[:3, through]),
            "ImageOrientationPatient": texts([*along, *down]),
            "PixelSpacing": texts([sizes[row], sizes[column]]),
            "SliceThickness": texts([sizes[through]])[0],
            "InstanceNumber": str((7 * at) % 5),  # numbers that are in no order
        }
        slices.append((pixels, elements))
    return slices


def write_series(
    folder: Path,
    slices: Sequence[tuple[np.ndarray, dict[str, Any]]],
    *,
    order: Sequence[int] | None = None,
    syntax: str | None = None,
    **changes: Any,
) -> Path:
    """Write slices of MR, or as ``changes`` say; ``order`` has the number in each file's name."""
    folder.mkdir(parents=True, exist_ok=True)
    names = np.random.default_rng(5).permutation(len(slices)) if order is None else order
    common = {"SOPClassUID": MRImageStorage, "SeriesInstanceUID": generate_uid(), **MR, **changes}
    for name, (pixels, elements) in zip(names, slices, strict=True):
        arguments = () if syntax is None else (syntax,)
        both = {**common, "SOPInstanceUID": generate_uid(), **elements}
        write_dicom(folder / f"IM{name:04}", pixels, *arguments, **both)
    return folder


def series_in(folder: Path) -> Series:
    """Return the one series in a folder."""
    (series,) = find_series(folder).series
    return series


def texts(numbers: Sequence[float] | np.ndarray) -> list[str]:
    """Return numbers as a header can hold them."""
    return [f"{number:.9f}" for number in numbers]
