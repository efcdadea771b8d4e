"""Read the cases of a manifest, prepared as all members have agreed; a bad one is left out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.data.case_cache import CaseCache, case_key
from clients.data.examples import Examples, Texts, record_name
from clients.data.manifest.finding import source_of
from clients.data.manifest.rows import Row, read_manifest
from clients.data.npz import Arrays
from clients.data.vendor_data import SPLITS
from clients.imaging.index import Series
from clients.imaging.reading import read_volume
from clients.imaging.segmentation import is_segmentation, read_target
from clients.preparation.prepare import Prepared, prepare
from clients.preparation.settings import PrepareSettings
from clients.tasks.settings import TaskSettings
from strategies.errors import DataError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """By which rules cases are read: the task, the agreed preparation, and the site's own means.

    ``owner`` is the key under which manifests name series; prepared cases are kept in ``cache``.
    ``seen`` has the series of the folders that this source has looked through.
    """

    task: TaskSettings
    settings: PrepareSettings
    owner: bytes
    most_unreadable: float
    cache: CaseCache
    seen: dict[Path, list[Series]] = field(default_factory=dict, compare=False)


def read_cases(path: Path, source: Source) -> Arrays:
    """Return split → examples of the manifest at ``path``: images (n, channels, *space) in [0, 1].

    A case that cannot be read is left out, and named in the log by its HMAC.  Raises
    :class:`DataError` if more than the share ``most_unreadable`` of the cases cannot be read, or
    if prepared images have several sizes.
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
            cases.append((row, prepared_case(row, path.parent, source)))
        except DataError as error:
            bad.append((row, error))
            log.warning("case %s is left out: %s", row.case, error.code)
    if len(bad) > source.most_unreadable * len(rows):
        raise DataError(
            f"{len(bad)} of {len(rows)} cases in {path} cannot be read; the first: {bad[0][1]}",
            f"at most {source.most_unreadable:.0%} (data.most-unreadable)",
            "mend or remove these images, then run `srflm data index` again",
            DataError.UNREADABLE,
        )
    _check_sizes(path, [prepared for _, prepared in cases])
    return {
        split: _examples([(row, each) for row, each in cases if row.split == split], source.task)
        for split in SPLITS
    }


def prepared_case(row: Row, folder: Path, source: Source) -> Prepared:
    """Return a case of the manifest in ``folder``, prepared.

    Raises :class:`DataError` if it cannot be read, is not of the task, or has other pixels than
    when it was indexed.
    """
    task, owner = source.task, source.owner
    image = source_of(row.image, folder, owner, source.seen)
    target = source_of(row.target, folder, owner, source.seen) if task.target != "class" else None
    if target is None and row.target not in task.classes:
        raise DataError(
            f"the class {row.target[:40]!r} in a manifest",
            f"one of task.classes: {', '.join(task.classes)}",
            "correct the target, or list every class in task.classes",
            DataError.LABELS_OUTSIDE_CLASSES,
        )

    def make() -> Prepared:
        volume = read_volume(image)
        # The ledger counts by the manifest's names: pixels of another name would cost nothing.
        if record_name(volume.stored) != row.record:
            raise DataError(
                f"case {row.case} has other pixels than when it was indexed",
                "the image of which the manifest has the name",
                "bring the image back, or run `srflm data index` again",
                DataError.UNREADABLE,
            )
        mask = None if target is None else read_target(target, image, volume, task.classes)
        return prepare(volume, mask, task.target, source.settings, f"case {row.case}")

    files = _files(image), [] if target is None else _files(target)
    # The name stands for the check of the pixels: a cached case of these files has passed it.
    key = f"{case_key(*files, task.target, source.settings)}-{row.record[:16]}"
    if isinstance(target, Path) and is_segmentation(target):
        # Its labels are numbers by the agreed classes, which other masks have by themselves.
        key += f"-{sha256(repr(task.classes).encode()).hexdigest()[:16]}"
    return source.cache.prepared(key, make)


def _files(source: Path | Series) -> list[Path]:
    if isinstance(source, Series):
        return [header.path for header in source.headers]
    if source.is_dir():
        return sorted(path for path in source.rglob("*") if path.is_file())
    return [source]


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
