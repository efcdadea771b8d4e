"""The organs of the upper abdomen: their places, their variation, and their attenuation."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from clients.data.phantom.ellipses import Ellipses, draw_lobes, f32


class Organ(IntEnum):
    """Labels of the organ masks; a later organ covers an earlier one, a lesion covers all."""

    BACKGROUND = 0
    BODY = 1  # skin, fat, muscle, ribs, vessels of the organs' surroundings
    LIVER = 2
    SPLEEN = 3
    KIDNEYS = 4
    LUNGS = 5
    STOMACH = 6
    SPINE = 7
    AORTA = 8
    LESION = 9


@dataclass(frozen=True)
class _Part:
    """One part of an organ: mean centre and half axes in mm; HU without contrast agent, and the
    HU that full uptake of the agent adds.
    """

    label: Organ
    centre: tuple[float, float]
    axes: tuple[float, float]
    hounsfield: float
    uptake: float = 0.0
    tilt: float = 0.0  # degrees
    jitter: float = 4.0  # sd of the centre, mm
    spread: float = 6.0  # sd of the attenuation, HU
    lobes: float = 0.0  # relative amplitude of the outline's undulation
    levels: tuple[float, float] = (1.0, 1.0)  # chance of being in an (upper, lower) slice


_UPPER, _LOWER = (1.0, 0.0), (0.0, 1.0)
_ORGANS = (
    _Part(Organ.LUNGS, (-72, 38), (44, 40), -830, tilt=20, spread=25, levels=_UPPER),
    _Part(Organ.LUNGS, (76, 36), (42, 42), -830, tilt=-20, spread=25, levels=_UPPER),
    _Part(Organ.STOMACH, (56, -36), (38, 26), 35, 20, tilt=-25, jitter=7, spread=20, lobes=0.1),
    _Part(Organ.STOMACH, (54, -48), (15, 8), -850, jitter=5, levels=(0.6, 0.4)),
    _Part(
        Organ.STOMACH, (12, -44), (17, 13), 30, 30, jitter=9, spread=25, lobes=0.1, levels=(0, 0.8)
    ),
    _Part(
        Organ.STOMACH, (28, -8), (15, 12), 30, 30, jitter=9, spread=25, lobes=0.1, levels=(0, 0.7)
    ),
    _Part(Organ.SPLEEN, (93, 22), (22, 42), 48, 62, tilt=-18, lobes=0.06, levels=(1, 0.75)),
    _Part(Organ.LIVER, (-64, -10), (64, 60), 56, 48, tilt=12, jitter=5, lobes=0.1),
    _Part(
        Organ.LIVER, (-14, -44), (50, 24), 56, 48, tilt=-8, jitter=5, lobes=0.08, levels=(1, 0.3)
    ),
    _Part(Organ.LIVER, (-52, -16), (15, 4.5), 56, 75, tilt=35, jitter=9, levels=(0.4, 0.3)),
    _Part(Organ.LIVER, (-72, 4), (4.5, 4.5), 56, 75, jitter=12, levels=(0.4, 0.3)),
    # the gall bladder
    _Part(Organ.BODY, (-32, -42), (11, 18), 12, tilt=20, jitter=7, levels=(0, 0.25)),
    _Part(Organ.KIDNEYS, (-62, 44), (23, 29), 34, 60, tilt=-25, lobes=0.06, levels=_LOWER),
    _Part(Organ.KIDNEYS, (62, 44), (23, 29), 34, 60, tilt=25, lobes=0.06, levels=_LOWER),
    _Part(Organ.SPINE, (0, 80), (6, 15), 260, spread=30, jitter=1),
    _Part(Organ.SPINE, (0, 70), (25, 6), 240, spread=30, jitter=1),
    _Part(Organ.SPINE, (0, 45), (23, 18), 330, spread=40, jitter=1),
    _Part(Organ.SPINE, (0, 45), (18, 13), 175, spread=30, jitter=1),
    _Part(Organ.SPINE, (0, 67), (9, 7), 25, jitter=0.7),
    _Part(Organ.AORTA, (12, 17), (10.5, 10.5), 42, 70, jitter=2.5),
    _Part(Organ.BODY, (-15, 16), (12, 9), 42, 55, jitter=2.5),  # inferior vena cava
)
# Organs inside the abdominal cavity, cut off at its outline.
VISCERA = (Organ.LIVER, Organ.SPLEEN, Organ.KIDNEYS, Organ.LUNGS, Organ.STOMACH)

# Indices in _ORGANS of the parts in which a lesion may grow: spleen, liver, kidneys.
LESION_HOSTS = (6, 7, 12, 13)


def draw_organs(n: int, rng: np.random.Generator) -> list[Ellipses]:
    """Draw the organs of `n` patients, half of them cut at an upper, half at a lower level."""
    upper = rng.random(n) < 0.5
    uptake = rng.uniform(0.9, 1.2, n)  # of contrast agent: one factor for all organs of a patient
    return [_draw_part(part, upper, uptake, rng) for part in _ORGANS]


def _draw_part(
    part: _Part,
    upper: npt.NDArray[np.bool_],
    uptake: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> Ellipses:
    n = len(upper)
    normal = rng.standard_normal((n, 6))
    return Ellipses(
        part.label,
        f32(part.centre + part.jitter * normal[:, :2]),
        f32(part.axes * np.exp(0.06 * normal[:, 2:4])),
        f32(np.deg2rad(part.tilt + 6 * normal[:, 4])),
        draw_lobes(np.full(n, part.lobes), rng),
        f32(part.hounsfield + part.uptake * uptake + part.spread * normal[:, 5]),
        f32(rng.random(n) < np.where(upper, *part.levels)),
    )
