"""Read the cases of a manifest, prepared as all members have agreed; a bad one is left out."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from clients.data.case_cache import CaseCache, case_key
from clients.data.examples import Examples, Texts, record_name
from clients.data.manifest.finding import place_of, source_of
from clients.data.manifest.rows import Row, read_manifest
from clients.data.manifest.untouched import State, Untouched
from clients.data.records import Records
from clients.data.separate import SeparateRecords
from clients.data.vendor_data import SPLITS, Split, SplitName, as_split
from clients.imaging.index import Series
from clients.imaging.reading import read_volume
from clients.imaging.segmentation import is_segmentation, read_target
from clients.preparation.prepare import VERSION, Prepared, prepare
from clients.preparation.settings import PrepareSettings
from clients.tasks.settings import TaskSettings
from strategies.errors import DataError

MOST_IN_MEMORY: Final = 2**29
"""Bytes of prepared images and targets of one vendor that are kept in memory."""

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
    most_in_memory: int = MOST_IN_MEMORY
    seen: dict[Path, list[Series]] = field(default_factory=dict, compare=False)
    untouched: Untouched = field(default_factory=Untouched, compare=False)


def read_cases(
    path: Path,
    source: Source,
    chosen: Callable[[Sequence[Row]], Sequence[Row]] = lambda rows: rows,
) -> dict[SplitName, Records]:
    """Return split → records of those rows of the manifest at ``path`` that ``chosen`` returns.

    They are in memory if that is little, else in the files of the cache.  A case that cannot be
    read is left out, and named in the log by its HMAC.  Raises :class:`DataError` if more than the
    share ``most_unreadable`` of the cases cannot be read, or if prepared images have several sizes
    and the network sees whole images.
    """
    rows = read_manifest(path)
    if not rows:
        raise DataError(
            f"{path} has no case",
            "at least one case in every split",
            "run `srflm data index` on a folder with images for this task",
            DataError.NO_EXAMPLES,
        )
    rows = tuple(chosen(rows))
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
            f"{len(bad)} of {len(rows)} cases in {path} cannot be read; the first is"
            f" {bad[0][0].case} ({bad[0][1].code})",
            f"at most {source.most_unreadable:.0%} (data.most-unreadable)",
            "look at them with `srflm data check`, mend or remove them, then run `srflm data index`"
            " again",
            DataError.UNREADABLE,
        )
    patch = source.settings.patch_of(source.task.spatial_dims)
    if patch is None:
        _check_sizes(path, [prepared for _, prepared in cases])
    separate = patch is not None or _bytes(cases) > source.most_in_memory
    make = _separate if separate else _in_memory
    return {
        split: make([(row, each) for row, each in cases if row.split == split], source)
        for split in SPLITS
    }


def _bytes(cases: Sequence[tuple[Row, Prepared]]) -> int:
    parts = ((each.image, each.target) for _, each in cases)
    return sum(part.nbytes for pair in parts for part in pair if part is not None)


def prepared_case(row: Row, folder: Path, source: Source) -> Prepared:
    """Return a case of the manifest in ``folder``, prepared.

    Raises :class:`DataError` if it cannot be read, is not of the task, or has other pixels than
    when it was indexed.
    """
    task, owner = source.task, source.owner
    state = _state(row, folder, source)
    found = source.cache.again(state.digest) if state is not None else None
    if found is not None:
        return found
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
    key = _digest(f"{case_key(*files, task.target, source.settings)} {row.record}")
    if isinstance(target, Path) and is_segmentation(target):
        # Its labels are numbers by the agreed classes, which other masks have by themselves.
        key += f"-{_digest(repr(task.classes))[:16]}"
    prepared = source.cache.prepared(key, make)
    if state is not None and state.settled:
        source.cache.note(state.digest, key)
    return prepared


def _state(row: Row, folder: Path, source: Source) -> State | None:
    """Return the state of all from which a case is prepared; it opens no file."""
    task, settings = source.task, source.settings.changes.model_dump_json(exclude_defaults=True)
    is_file = task.target != "class"
    # A class has to be known; whether it is is no question to the cache.
    if not is_file and row.target not in task.classes:
        return None
    paths = [row.image, row.target] if is_file else [row.image]
    # The owner's key names the series, the classes give the segments of a DICOM SEG their numbers.
    agreed = [_digest(source.owner.hex()), task.target, settings, repr(task.classes)]
    words = [str(VERSION), *agreed, row.record, *paths]
    places = [folder / place_of(path) for path in paths]
    inside = all(place.is_relative_to(folder) and ".." not in place.parts for place in places)
    return source.untouched.state(words, places) if inside else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _files(source: Path | Series) -> list[Path]:
    if isinstance(source, Series):
        return [header.path for header in source.headers]
    if source.is_dir():
        return sorted(path for path in source.rglob("*") if path.is_file())
    return [source]


def _separate(cases: Sequence[tuple[Row, Prepared]], source: Source) -> SeparateRecords:
    task, dims = source.task, source.task.spatial_dims
    targets: torch.Tensor | tuple[NDArray[Any], ...]
    if task.target == "class":
        targets = torch.tensor([task.classes.index(row.target) for row, _ in cases])
    else:
        targets = tuple(each.target for _, each in cases if each.target is not None)
    spacing = [each.spacing for _, each in cases]
    return SeparateRecords(
        tuple(each.image for _, each in cases),
        targets,
        torch.tensor(spacing, dtype=torch.float64).reshape(len(cases), -1),
        tuple(row.record for row, _ in cases),
        tuple(row.patient for row, _ in cases),
        frozenset().union(*(row.older.split() for row, _ in cases)),
        source.settings.patch_of(dims),
        source.settings.patch_foreground,
    )


def _in_memory(cases: Sequence[tuple[Row, Prepared]], source: Source) -> Split:
    return as_split(_examples(cases, source.task), source.task)


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
            "set data.prepare.size, to which all are cut or padded, or data.prepare.patch",
            DataError.SHAPE,
        )
