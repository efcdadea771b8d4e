"""Soft-edged ellipses, painted over one another: the building blocks of the phantom."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Reals = npt.NDArray[np.floating[Any]]


def f32(values: npt.ArrayLike) -> Floats:
    """Return `values` in single precision."""
    return np.asarray(values, np.float32)


@dataclass(frozen=True)
class Ellipses:
    """One ellipse per slice, with the label and the attenuation (HU) of the organ it depicts.

    `centre` and `axes` (half axes) are (n, 2) in mm, `tilt` (n,) in rad; `lobes` (n, 3) are
    amplitudes of the outline's harmonics 2 to 4; `presence` (n,) is 0 for slices without it.
    """

    label: int
    centre: Floats
    axes: Floats
    tilt: Floats
    lobes: npt.NDArray[np.complex64]
    hounsfield: Floats
    presence: Floats

    def at(self, rows: slice | npt.NDArray[np.intp]) -> "Ellipses":
        """Return the ellipses of some slices."""
        return replace(self, **{k: v[rows] for k, v in vars(self).items() if k != "label"})


def upright(label: int, centre: Floats, axes: Floats, hounsfield: npt.ArrayLike) -> Ellipses:
    """Make upright plain ellipses, present in every slice."""
    n = len(centre)
    value = np.broadcast_to(f32(hounsfield), (n,))
    zeros = np.zeros(n, np.float32)
    return Ellipses(label, centre, axes, zeros, np.zeros((n, 3), np.complex64), value, zeros + 1)


def draw_lobes(amplitude: Reals, rng: np.random.Generator) -> npt.NDArray[np.complex64]:
    """Draw random outlines: `amplitude` (n,), relative to the radius, gives lobes (n, 3)."""
    phases = np.exp(2j * np.pi * rng.random((len(amplitude), 3)))
    size = amplitude[:, None] * (1, 0.8, 0.6) * rng.uniform(0.4, 1, phases.shape)
    return np.asarray(size * phases, np.complex64)


def rotated(dx: Floats, dy: Floats, angle: Floats, factor: Floats) -> tuple[Floats, Floats]:
    """Turn by `angle` (n,), then stretch each coordinate by `factor` (n, 2)."""
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    fx, fy = factor[:, 0, None, None], factor[:, 1, None, None]
    return f32(dx * (cos * fx) + dy * (sin * fx)), f32(dy * (cos * fy) - dx * (sin * fy))


def paint(
    stack: Sequence[Ellipses],
    x: Floats,
    y: Floats,
    pixel_mm: float,
    background: float,
    confined: Collection[int],
    within: Ellipses,
) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """Paint `stack` in its order; return attenuation and labels, each (n, size, size).

    `x` and `y` are the pixel centres in mm, `background` the attenuation of label 0.  Ellipses
    whose label is in `confined` are cut off at the outline of `within`.
    """
    hounsfield = np.full(x.shape, background, np.float32)
    labels = np.zeros(x.shape, np.uint8)
    room = _coverage(within, x, y, pixel_mm)
    for ellipses in stack:
        rows = np.flatnonzero(ellipses.presence)
        if len(rows):
            some = ellipses.at(rows)
            cover = _coverage(some, x[rows], y[rows], pixel_mm)
            if some.label in confined:
                cover *= room[rows]
            # A pixel at the edge is a mixture, as in a real scan (partial volume).
            hounsfield[rows] += cover * (some.hounsfield[:, None, None] - hounsfield[rows])
            labels[rows] = np.where(cover > 0.5, np.uint8(some.label), labels[rows])
    return hounsfield, labels


def _coverage(some: Ellipses, x: Floats, y: Floats, pixel_mm: float) -> Floats:
    """Return the covered share of every pixel: distance inside the outline in pixels, plus 1/2."""
    dx, dy = x - some.centre[:, 0, None, None], y - some.centre[:, 1, None, None]
    u, v = rotated(dx, dy, some.tilt, f32(1 / some.axes))
    radius = np.sqrt(u * u + v * v) + np.float32(1e-6)  # never 0: it is a divisor below
    edge: Floats | np.float32 = np.float32(1)
    if some.lobes.any():
        c, s = u / radius, v / radius
        ck, sk = c, s
        for amplitude in some.lobes.T:
            # Cosine and sine of the next multiple of the angle, without trigonometry.
            ck, sk = ck * c - sk * s, sk * c + ck * s
            edge = edge + ck * amplitude.real[:, None, None] - sk * amplitude.imag[:, None, None]
    per_pixel = np.sqrt(some.axes.prod(axis=1))[:, None, None] / np.float32(pixel_mm)
    return f32(np.clip((edge - radius) * per_pixel + np.float32(0.5), 0, 1))
