"""Read the cases of a manifest, prepared as all members have agreed; a bad one is left out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.data.examples import Examples, Texts
from clients.data.manifest.finding import source_of
from clients.data.manifest.rows import Row, read_manifest
from clients.data.npz import Arrays
from clients.data.vendor_data import SPLITS
from clients.imaging.reading import read_volume
from clients.preparation.prepare import Prepared, prepare
from clients.preparation.settings import PrepareSettings
from clients.tasks.settings import TaskSettings
from strategies.errors import DataError

log = logging.getLogger(__name__)


def read_cases(
    path: Path,
    task: TaskSettings,
    settings: PrepareSettings,
    owner: bytes,
    most_unreadable: float,
) -> Arrays:
    """Return split → examples of the manifest at ``path``: images (n, channels, *space) in [0, 1].

    ``owner`` is the key under which the manifest names series.  A case that cannot be read is left
    out, and named in the log by its HMAC.  Raises :class:`DataError` if more than the share
    ``most_unreadable`` of the cases cannot be read, or if prepared images have several sizes.
    """
    rows = read_manifest(path)
    if not rows:
        raise DataError(
            f"{path} has no case",
            "at least one case in every split",
            "run `srflm data index` on a folder with images for this task",
            DataError.NO_EXAMPLES,
        )
    cases: list[tuple[Row, Prepared]] = []
    bad: list[tuple[Row, DataError]] = []
    for row in rows:
        try:
            cases.append((row, _case(row, path.parent, task, settings, owner)))
        except DataError as error:
            bad.append((row, error))
            log.warning("case %s is left out: %s", row.case, error.code)
    if len(bad) > most_unreadable * len(rows):
        raise DataError(
            f"{len(bad)} of {len(rows)} cases in {path} cannot be read; the first: {bad[0][1]}",
            f"at most {most_unreadable:.0%} (data.most-unreadable)",
            "mend or remove these images, then run `srflm data index` again",
            DataError.UNREADABLE,
        )
    _check_sizes(path, [prepared for _, prepared in cases])
    return {
        split: _examples([(row, each) for row, each in cases if row.split == split], task)
        for split in SPLITS
    }


def _case(
    row: Row, folder: Path, task: TaskSettings, settings: PrepareSettings, owner: bytes
) -> Prepared:
    image = read_volume(source_of(row.image, folder, owner))
    target = None
    if task.target != "class":
        target = read_volume(source_of(row.target, folder, owner))
    elif row.target not in task.classes:
        raise DataError(
            f"the class {row.target[:40]!r} in a manifest",
            f"one of task.classes: {', '.join(task.classes)}",
            "correct the target, or list every class in task.classes",
            DataError.LABELS_OUTSIDE_CLASSES,
        )
    return prepare(image, target, task.target, settings, f"case {row.case}")


def _examples(cases: Sequence[tuple[Row, Prepared]], task: TaskSettings) -> Examples:
    images = [prepared.image for _, prepared in cases]
    targets: NDArray[np.generic]
    if task.target == "class":
        targets = np.array([task.classes.index(row.target) for row, _ in cases], np.int64)
    else:
        found = [each.target for _, each in cases if each.target is not None]
        targets = np.stack(found) if found else np.empty(0)
    return Examples(
        np.stack(images) if images else np.empty((0, 1, 1, 1), np.float32),
        targets,
        _texts(row.record for row, _ in cases),
        _texts(row.patient for row, _ in cases),
        tuple(frozenset(row.older.split()) for row, _ in cases),
        np.array([prepared.spacing for _, prepared in cases], np.float64).reshape(len(cases), -1),
    )


def _texts(values: Iterable[str]) -> Texts:
    return np.array(list(values), dtype=np.str_)


def _check_sizes(path: Path, cases: Sequence[Prepared]) -> None:
    shapes = sorted({each.image.shape for each in cases})
    if len(shapes) > 1:
        raise DataError(
            f"images of {len(shapes)} shapes in {path}, among them {shapes[0]} and {shapes[-1]}",
            "images of one shape",
            "set data.prepare.size, to which all are cut or padded",
            DataError.SHAPE,
        )
