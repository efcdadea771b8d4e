"""Draw random patients: axial slices of the upper abdomen, in Hounsfield units.

A slice is a stack of soft-edged ellipses, painted from the skin inwards. Geometry is in
millimetres: x to the patient's left, y to the back, as on a radiological display. Attenuation is
that of a portal-venous abdominal CT: water 0 HU, air -1000 HU.
"""

# No draw depends on the matrix or the pixel, so that a generator state gives the same patient at
# any resolution.

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from clients.data.phantom.ellipses import Ellipses, Floats, f32, paint, rotated, upright
from clients.data.phantom.lesions import draw_lesions, lesion_labels
from clients.data.phantom.organs import VISCERA, Organ, draw_organs

SMALLEST_FIELD_MM = 280.0
_AIR_HU = -1000.0
_CAVITY = 3  # index of the abdominal cavity among the ellipses of the wall
_CHUNK = 32  # slices painted at once: bounds the memory, and fits the processor's cache


@dataclass(frozen=True)
class Slices:
    """Axial slices with their true organs and lesions.

    `hounsfield` float32 and `organs` uint8 are (n, size, size); `lesion` int64 (n,) has indices
    into LESION_CLASSES; `pixel_mm` is the side of a pixel in mm.
    """

    hounsfield: Floats
    organs: npt.NDArray[np.uint8]
    lesion: npt.NDArray[np.int64]
    pixel_mm: float


def draw_slices(
    count: int,
    size: int,
    pixel_mm: float,
    rng: np.random.Generator,
    *,
    lesion_types: Sequence[int] | npt.NDArray[np.int64] | None = None,
    class_probabilities: Sequence[float] | None = None,
) -> Slices:
    """Draw `count` random slices of `size` x `size` pixels of `pixel_mm` millimetres.

    `lesion_types` gives the class of every slice (index into LESION_CLASSES); otherwise the
    classes are drawn from `class_probabilities` (uniform by default). Raises ValueError for an
    argument out of its range.
    """
    _check_geometry(count, size, pixel_mm)
    lesion = lesion_labels(count, rng, lesion_types, class_probabilities)
    stack, pose, scale = _draw_patients(lesion, pixel_mm, rng)
    hounsfield = np.empty((count, size, size), np.float32)
    organs = np.empty((count, size, size), np.uint8)
    for start in range(0, count, _CHUNK):
        rows = slice(start, min(start + _CHUNK, count))
        x, y = _patient_grid(size, pixel_mm, pose[rows], scale[rows])
        some = [each.at(rows) for each in stack]
        hounsfield[rows], organs[rows] = paint(
            some, x, y, pixel_mm, _AIR_HU, VISCERA, within=some[_CAVITY]
        )
        hounsfield[rows] += (organs[rows] > 0) * _texture(hounsfield[rows].shape, pixel_mm, rng)
    return Slices(hounsfield, organs, lesion, pixel_mm)


def _check_geometry(count: int, size: int, pixel_mm: float) -> None:
    if count < 1:
        raise ValueError(f"count is {count}, but at least 1 slice must be drawn")
    if size < 16:
        raise ValueError(f"size is {size} pixels, but a slice needs at least 16")
    if not SMALLEST_FIELD_MM <= size * pixel_mm < np.inf:
        raise ValueError(
            f"the field of view is {size} x {pixel_mm} mm = {size * pixel_mm:.0f} mm, but a body "
            f"needs at least {SMALLEST_FIELD_MM:.0f} mm: use more or larger pixels"
        )


def _draw_patients(
    lesion: npt.NDArray[np.int64], pixel_mm: float, rng: np.random.Generator
) -> tuple[list[Ellipses], Floats, Floats]:
    """Draw the ellipses, poses (n, 3: shift x, y in mm, rotation in rad) and body sizes (n, 2)."""
    n = len(lesion)
    pose = f32(rng.standard_normal((n, 3)) * (5.0, 5.0, 0.06))
    scale = f32(rng.uniform(0.86, 1.04, (n, 1)) * rng.uniform(0.96, 1.04, (n, 2)))
    organs = draw_organs(n, rng)
    stack = _draw_wall(n, rng) + organs + draw_lesions(lesion, organs, pixel_mm, rng)
    return stack, pose, scale


def _draw_wall(n: int, rng: np.random.Generator) -> list[Ellipses]:
    """Draw skin and subcutaneous fat, the muscular wall, and the cavity filled with fat."""
    centre = np.zeros((n, 2), np.float32)
    skin = np.broadcast_to(f32((150, 106)), (n, 2))
    wall = skin - f32(rng.uniform(7, 20, (n, 1)))
    cavity = wall - f32(rng.uniform(10, 15, (n, 1)))
    return [
        upright(Organ.BODY, centre, skin, 40),
        upright(Organ.BODY, centre, skin - 2, rng.normal(-105, 6, n)),
        upright(Organ.BODY, centre, wall, rng.normal(58, 6, n)),
        upright(Organ.BODY, centre, cavity, rng.normal(-95, 6, n)),
    ]


def _patient_grid(size: int, pixel_mm: float, pose: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Return the pixel centres x and y in mm, each (n, size, size), seen by the mean patient."""
    # The grid moves by the inverse pose; the ellipses stay in the mean patient's coordinates.
    axis = f32((np.arange(size) - (size - 1) / 2) * pixel_mm)
    dx = axis[None, None, :] - pose[:, 0, None, None]
    dy = axis[None, :, None] - pose[:, 1, None, None]
    return rotated(dx, dy, pose[:, 2], f32(1 / scale))


def _texture(shape: tuple[int, ...], pixel_mm: float, rng: np.random.Generator) -> Floats:
    """Draw the texture of tissue: Gaussian noise of 5 HU, correlated over about 9 mm."""
    fy = fft.fftfreq(shape[-2], pixel_mm)[:, None]
    shaping = f32(np.exp(-4 * 9.0**2 * (fy**2 + fft.fftfreq(shape[-1], pixel_mm) ** 2)))
    half = shaping[:, : shape[-1] // 2 + 1] * np.float32(5.0 / np.sqrt(np.mean(shaping**2)))
    white = rng.standard_normal(shape, np.float32)
    return f32(fft.irfft2(fft.rfft2(white) * half, s=shape[-2:]))
