"""Draw the lesions: at most one in the liver, the spleen, or a kidney of every slice."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from clients.data.phantom.ellipses import Ellipses, Floats, Reals, draw_lobes, f32, upright
from clients.data.phantom.organs import LESION_HOSTS, Organ

LESION_CLASSES = ("none", "cyst", "solid", "calcified")
NONE, CYST, SOLID, CALCIFIED = range(len(LESION_CLASSES))
_HOST_CHANCE = (0.1, 0.7, 0.1, 0.1)  # in the order of LESION_HOSTS: spleen, liver, two kidneys


def lesion_labels(
    count: int,
    rng: np.random.Generator,
    types: Sequence[int] | npt.NDArray[np.int64] | None,
    prior: Sequence[float] | None,
) -> npt.NDArray[np.int64]:
    """Return `types` after a check, or `count` classes drawn from `prior` (uniform by default).

    Raises ValueError if an argument does not fit.
    """
    classes = len(LESION_CLASSES)
    if types is not None:
        if prior is not None:
            raise ValueError("give either lesion_types or class_probabilities, not both")
        labels = np.asarray(types, np.int64)
        if labels.shape != (count,) or labels.min() < 0 or labels.max() >= classes:
            raise ValueError(
                f"lesion_types must be {count} integers in 0..{classes - 1}, one per slice"
            )
        return labels
    weights = np.full(classes, 1 / classes) if prior is None else np.asarray(prior, np.float64)
    if weights.shape != (classes,) or not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-6:
        names = ", ".join(LESION_CLASSES)
        raise ValueError(
            f"class_probabilities must be {classes} shares ({names}) that sum to 1, found {prior}"
        )
    return rng.choice(classes, count, p=weights / weights.sum()).astype(np.int64)


def draw_lesions(
    lesion: npt.NDArray[np.int64],
    organs: list[Ellipses],
    pixel_mm: float,
    rng: np.random.Generator,
) -> list[Ellipses]:
    """Draw lesions of the classes `lesion` (n,) into `organs`.

    A cyst is round and near water; a solid lesion is lobulated and denser than its host; a
    calcified lesion is a solid one with bright specks or, in two of five, a bright rim.
    """
    # Cysts, rims, and specks are drawn for every slice and hidden where they do not belong: slices
    # from one generator state then differ in nothing but the lesion's class.
    n = len(lesion)
    centre, host = _draw_site(n, organs, rng)
    # At least 3 pixels across: otherwise a coarse image would not show the lesion at all.
    radius = np.maximum(rng.uniform(22, 33, (n, 1)), 1.5 * pixel_mm)
    oval = radius * np.exp(rng.normal(0, 0.12, (n, 2)) * (lesion != CYST)[:, None])
    dense = host + rng.uniform(70, 110, n)
    value = np.where(lesion == CYST, rng.uniform(-5, 12, n), dense)
    core = replace(
        upright(Organ.LESION, centre, f32(oval), value),
        lobes=draw_lobes(np.where(lesion == CYST, 0.0, 0.2), rng),
        presence=f32(lesion != NONE),
    )
    rim = rng.random(n) < 0.4
    with_rim, with_specks = f32((lesion == CALCIFIED) & rim), f32((lesion == CALCIFIED) & ~rim)
    shell = replace(core, hounsfield=f32(rng.uniform(300, 480, n)), presence=with_rim)
    pulp = replace(shell, axes=f32(oval * 0.72), hounsfield=f32(dense))
    specks = [replace(_draw_speck(centre, oval, rng), presence=with_specks) for _ in range(3)]
    return [core, shell, pulp, *specks]


def _draw_speck(centre: Floats, oval: Reals, rng: np.random.Generator) -> Ellipses:
    """Draw one round calcification within each lesion of half axes `oval`."""
    place = f32(centre + oval * _polar(rng.uniform(0.1, 0.65, len(centre)), rng))
    radius = np.repeat(rng.uniform(3.0, 5.0, (len(centre), 1)), 2, axis=1)
    return upright(Organ.LESION, place, f32(radius), rng.uniform(450, 800, len(centre)))


def _polar(distance: Reals, rng: np.random.Generator) -> Reals:
    """Return points (n, 2) at the given distances (n,) and random angles."""
    angle = rng.uniform(0, 2 * np.pi, len(distance))
    return np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1)


def _draw_site(n: int, organs: list[Ellipses], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Choose an organ in each slice; return the lesion's centre (n, 2) and the organ's HU (n,)."""
    hosts = [organs[i] for i in LESION_HOSTS]
    chance = np.stack([h.presence for h in hosts], axis=1) * _HOST_CHANCE
    edges = np.cumsum(chance, axis=1) / chance.sum(axis=1, keepdims=True)
    chosen = np.minimum((rng.random((n, 1)) >= edges).sum(axis=1), len(hosts) - 1)
    picked = np.arange(n), chosen
    centre = np.stack([h.centre for h in hosts], axis=1)[picked]
    axes = np.stack([h.axes for h in hosts], axis=1)[picked]
    # The square root makes the places uniform over the area.
    offset = axes * _polar(0.6 * np.sqrt(rng.random(n)), rng)
    return f32(centre + offset), np.stack([h.hounsfield for h in hosts], axis=1)[picked]
