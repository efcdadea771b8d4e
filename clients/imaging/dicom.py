"""Read one DICOM file with one image of two dimensions, by pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clients.imaging.decoding import MANY_FRAMES, frames_of, guarded, header_of, pixels_of
from clients.imaging.geometry import Plane, affine_of_slice, plane_of
from clients.imaging.meaning import is_in_hounsfield_units, real_values
from clients.imaging.refusal import unreadable
from clients.imaging.volume import Kind, Volume

if TYPE_CHECKING:
    from pydicom import Dataset


class DicomImage(NamedTuple):
    """An upright image: ``stored`` and ``values`` have the shape (channels, height, width).

    ``stored`` are the numbers in the file, ``values`` what they mean: float32 HU in CT, for
    example, or uint8. ``rescale`` is (slope, intercept), None without either. ``plane`` is where
    it lies in the patient, None if the file does not say so.
    """

    stored: NDArray[np.generic]
    values: NDArray[np.generic]
    kind: Kind
    rescale: tuple[float, float] | None
    plane: Plane | None = None

    def volume(self) -> Volume:
        """Return the image as all readers do: rows from top to bottom, columns left to right."""
        affine = None if self.plane is None else affine_of_slice(self.plane)
        earlier = as_monai_read(self.stored, self.rescale)
        return Volume(self.stored, self.values, self.kind, affine, earlier)


def read_dicom(path: Path) -> DicomImage:
    """Return the image in a DICOM file; see :func:`clients.imaging.meaning.real_values`.

    Raises :class:`DataError` if pydicom is missing, for a file that is damaged, is not DICOM or
    has no pixels, for several frames, a palette, CT without HU, and for pixels that nothing
    installed decodes. The error quotes nothing of the file.
    """
    return guarded(path, lambda: _read(path))


def is_many_frames(header: Dataset) -> bool:
    """Return whether a header says that there are several frames, or is in the form for them."""
    return frames_of(header) != 1 or any(name in header for name in MANY_FRAMES)


def check_hounsfield(header: Dataset, path: Path) -> None:
    """Refuse CT of which nothing says how its numbers become HU."""
    if header.get("Modality") == "CT" and not is_in_hounsfield_units(header):
        raise unreadable(
            f"{path} is a CT image that does not say how its numbers become Hounsfield units",
            "RescaleSlope and RescaleIntercept to HU",
            "remove screenshots and maps of other quantities, or export the original images",
        )


def image_of(dataset: Dataset, path: Path) -> DicomImage:
    """Return the one image of a file that is open; call it guarded."""
    is_grey = int(dataset.SamplesPerPixel) == 1
    if is_grey:
        check_hounsfield(dataset, path)
    stored = pixels_of(dataset, path)
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    rescale = None
    if slope is not None or intercept is not None:
        rescale = (
            1.0 if slope is None else float(slope),
            0.0 if intercept is None else float(intercept),
        )
    plane = plane_of(dataset)
    if not is_grey:
        colours = np.moveaxis(stored, -1, 0)
        return DicomImage(colours, colours, "picture", rescale, plane)
    kind: Kind = "hounsfield" if dataset.get("Modality") == "CT" else "numbers"
    values = real_values(stored, dataset)
    return DicomImage(stored[None], values[None], kind, rescale, plane)


def as_monai_read(
    stored: NDArray[Any], rescale: tuple[float, float] | None
) -> tuple[NDArray[np.generic], ...]:
    """Return ``stored`` (channels, height, width) as MONAI read it for earlier versions."""
    transposed = stored.swapaxes(1, 2)
    # MONAI's reader by pydicom applied a rescale of (1, 0) too; the one by ITK kept the type then.
    read = (transposed,) if rescale in (None, (1.0, 0.0)) else ()
    if rescale is None:
        return read
    slope, intercept = np.float64(rescale[0]), np.float64(rescale[1])
    return (*read, transposed.astype(np.float32) * slope + intercept)


def _read(path: Path) -> DicomImage:
    dataset = header_of(path)
    if is_many_frames(dataset):
        raise unreadable(
            f"{path} has {frames_of(dataset)} frame(s) in a multi-frame form",
            "a file with one image of two dimensions",
            "read it as a volume, or export the series as single images, one a file",
        )
    return image_of(dataset, path)
