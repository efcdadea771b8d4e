"""Read NIfTI by nibabel, turned so that its axes lead right, to the front, and to the head (RAS).

Source: the NIfTI-1 and NIfTI-2 data formats; ``nibabel.as_closest_canonical``.
"""

from __future__ import annotations

import gzip
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clients.imaging.orientation import is_degenerate, turned_to_ras
from clients.imaging.quiet import quiet
from clients.imaging.refusal import unreadable, without_extra
from clients.imaging.volume import Volume
from strategies.errors import DataError

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

_SUFFIXES = (".nii", ".nii.gz")
_NIFTI_2 = (540).to_bytes(4, "little"), (540).to_bytes(4, "big")  # the length of its header
_LARGEST_LABEL = 2**31 - 1


def is_nifti(path: Path) -> bool:
    """Return whether a file is NIfTI by its suffix, or by its first bytes if not compressed."""
    if path.name.lower().endswith(_SUFFIXES):
        return True
    with path.open("rb") as file:
        start = file.read(348)
    return start[344:] == b"n+1\0" or start[4:8] == b"n+2\0"


def read_nifti(path: Path) -> Volume:
    """Return the volume (1, *space) in a file, in its own type; an image of two axes has two.

    The axes are those of the file, exchanged and reversed until they lead right, anterior, and
    superior as nearly as they can; the scale of the header is applied to ``stored`` too.  Raises
    :class:`DataError` if nibabel is missing, for a damaged or truncated file, several frames,
    complex numbers or colours, NaN or infinite numbers, and for an affine that flattens voxels.
    """
    try:
        import nibabel  # noqa: F401
    except ImportError:
        raise without_extra(path, "NIfTI", "nibabel") from None
    with quiet():
        try:
            return _read(path)
        except DataError:
            raise
        except Exception as error:  # nibabel, gzip, and zlib have exceptions of their own
            kind = type(error).__name__
    # Raised here: a traceback would show the exception from which it comes, and its text.
    raise _damaged(path, kind)


def read_mask(path: Path) -> Volume:
    """Return the labels (1, *space) in a NIfTI file, as int32 whatever its type.

    Raises :class:`DataError` as :func:`read_nifti` does, and for numbers that are not whole.
    """
    volume = read_nifti(path)
    values: NDArray[Any] = volume.values
    if values.dtype.kind == "f" and (np.rint(values) != values).any():
        raise unreadable(
            f"the mask {path} has numbers that are not whole",
            "one whole number a voxel: its class",
            "resample masks by the nearest neighbour; take the mask, not a map of probabilities",
        )
    if values.size and max(-float(values.min()), float(values.max())) > _LARGEST_LABEL:
        raise unreadable(
            f"the mask {path} has numbers beyond {_LARGEST_LABEL}",
            "one whole number a voxel: its class",
            "number the classes from 0",
        )
    labels = values.astype(np.int32)
    return Volume(labels, labels, "numbers", volume.affine)


def _read(path: Path) -> Volume:
    image = _opened(path)
    shape = image.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    _check(image, shape, path)
    # A copy: of a file without compression, nibabel's own array is a window into the file.
    pixels = np.array(image.dataobj).reshape(shape)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise unreadable(
            f"{path} has voxels that are NaN or infinite",
            "finite numbers",
            "write the image again with the background's value in their place",
        )
    affine = np.asarray(image.affine, np.float64)
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    turned, affine = _turned(native, affine)
    # Earlier versions read by MONAI, in the file's order, and foreign byte order as float32.
    before = native if pixels.dtype.isnative else native.astype(np.float32)
    return Volume(turned[None], turned[None], "numbers", affine, (before[None],))


def _opened(path: Path) -> Nifti1Image:
    from nibabel.nifti1 import Nifti1Image
    from nibabel.nifti2 import Nifti2Image

    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)  # the whole of it: so its checksum is tested too
    form = Nifti2Image if content[:4] in _NIFTI_2 else Nifti1Image
    image = form.from_bytes(content)
    # Tested first: a damaged header may ask for more than the memory.
    needed = prod(image.shape) * image.get_data_dtype().itemsize
    there = max(0, len(content) - image.header.get_data_offset())
    if there < needed:
        raise unreadable(
            f"{path} is truncated: it has {there} bytes of voxels",
            f"{needed} bytes of voxels",
            "export or copy it again",
        )
    return image


def _check(image: Nifti1Image, shape: tuple[int, ...], path: Path) -> None:
    """Refuse what is no single volume of real numbers with a place in the patient."""
    if len(shape) > 3:
        raise unreadable(
            f"{path} has {len(shape)} axes of lengths {shape}: several frames",
            "one volume a file",
            "write each frame to a file of its own, or take the one that the task needs",
        )
    if len(shape) < 2 or 0 in shape:
        raise unreadable(
            f"{path} has axes of lengths {shape}",
            "two or three axes, none of them empty",
            "write the image again, or remove it",
        )
    if image.get_data_dtype().kind not in "buif":
        raise unreadable(
            f"{path} has colours or complex numbers ({image.get_data_dtype()})",
            "one real number a voxel",
            "write the magnitude, or the brightness, as one number a voxel",
        )
    if is_degenerate(np.asarray(image.affine, np.float64)):
        raise unreadable(
            f"{path} has an affine that leads nowhere, or gives voxels no volume",
            "an affine with three directions and sizes in mm",
            "convert the image again from its source",
        )


def _turned(
    pixels: NDArray[Any], affine: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    if pixels.ndim == 3:
        (turned,), affine = turned_to_ras((pixels,), affine)
        return np.ascontiguousarray(turned), affine
    from nibabel.orientations import io_orientation

    # The third axis of a single slice may lead anywhere; it is the last again afterwards.
    through = int(io_orientation(affine)[2, 0])
    (turned,), affine = turned_to_ras((pixels[..., None],), affine)
    order = [axis for axis in range(3) if axis != through] + [through]
    flat = np.transpose(turned, order)[..., 0]
    return np.ascontiguousarray(flat), affine[:, [*order, 3]]


def _damaged(path: Path, kind: str) -> DataError:
    return unreadable(
        f"{path} cannot be decoded ({kind})",
        "a whole NIfTI file (.nii, .nii.gz)",
        "copy it again, or convert the image again from its source",
    )
