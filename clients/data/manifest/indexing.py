"""Make the manifest of a folder of images: pairs, patients, splits; a bad image is left out."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clients.data.examples import record_name
from clients.data.former_names import all_older_names
from clients.data.manifest.by_header import Division
from clients.data.manifest.finding import Item, items_in
from clients.data.manifest.pairing import NO_TARGET, LeftOut, Pair, stem
from clients.data.manifest.rows import Row
from clients.data.manifest.selection import selected
from clients.data.manifest.splits import frozen_splits, frozen_splits_of_groups
from clients.data.manifest.targets import pairs_of
from clients.data.vendor_data import SplitName
from clients.imaging.reading import read_volume
from clients.imaging.segmentation import is_segmentation, read_segmentation
from clients.imaging.select_settings import SelectSettings
from clients.settings import SplitSettings
from clients.tasks.settings import TaskSettings
from strategies.errors import DataError

SAME_PIXELS = "the pixels of another image"
UNREADABLE = "unreadable"
UNUSABLE = "segmentation that does not fit"
EVERYTHING = SelectSettings()
CASE_LETTERS, PATIENT_LETTERS = 16, 32


@dataclass(frozen=True)
class Index:
    """The rows of a manifest, and the files that are in none, each with its reason."""

    rows: tuple[Row, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class Keys:
    """``owner`` hides names of patients and series; ``division`` decides splits."""

    owner: bytes
    division: bytes


def index_folder(
    folder: Path,
    task: TaskSettings,
    splits: SplitSettings,
    keys: Keys,
    exact: bool = True,
    known: Sequence[Row] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
    division: Division | None = None,
    select: SelectSettings = EVERYTHING,
    descriptions: Sequence[str] = (),
) -> Index:
    """Read the headers and the pixels of all images in a folder; return its manifest.

    ``exact`` is as in :func:`clients.data.manifest.splits.frozen_splits`; differential privacy
    wants it false.  Patients of the ``known`` rows, of an earlier manifest of the folder, keep
    their splits.  ``progress`` is told how many of the images are read.  With a
    ``division``, the images of each vendor get all three splits where they can.  DICOM images are
    chosen by ``select``, and by the site's own patterns of ``descriptions``.  Raises
    :class:`DataError` if there is no such folder, or for a table of labels that cannot be used.
    """
    found, out = items_in(folder, task.spatial_dims == 3, keys.owner)
    found, others = selected(found, select, descriptions)
    items = {item.path: item for item in found}
    pairs, out = pairs_of(items, [*out, *others], folder, task)
    # Of two images with the same pixels the one stays that was there before.
    before_now = {row.image for row in known}
    pairs.sort(key=lambda pair: pair.image not in before_now)
    rows: list[Row] = []
    records: set[str] = set()
    names: dict[str, str] = {}
    for done, pair in enumerate(pairs):
        progress(done, len(pairs))
        row = _row(items[pair.image], pair, folder, task, keys.owner)
        if not isinstance(row, Row):
            out += row
        elif row.record in records:
            out.append(LeftOut(pair.image, SAME_PIXELS))
        else:
            records.add(row.record)
            rows.append(row)
            names[row.patient] = _patient(items[pair.image], pair)
    progress(len(pairs), len(pairs))
    before = _former_splits(known, rows)
    split_of = _splits(before, rows, names, splits, keys.division, exact, division)
    rows.sort(key=lambda row: row.image)
    divided = tuple(row.in_split(split_of[row.patient]) for row in rows)
    return Index(divided, tuple(sorted(out, key=lambda each: each.path)))


def _former_splits(known: Sequence[Row], rows: Sequence[Row]) -> dict[str, SplitName]:
    """Return patient → split of all patients whose images have a split already.

    Raises :class:`DataError` if that is more than one: a patient may have another name now.
    """
    found: dict[str, SplitName] = {row.patient: row.split for row in known}
    of_record = {row.record: row.split for row in known}
    moved = set[str]()
    for row in rows:
        split = of_record.get(row.record)
        if split is not None and found.setdefault(row.patient, split) != split:
            moved.add(row.patient)
    if moved:
        raise DataError(
            f"{len(moved)} patients with images in several splits of the manifest that is there:"
            " images have another patient than before",
            "each patient in one split, and each image in the split that it had",
            "give the images the patients that they had; or move manifest.csv away, which divides"
            " all anew, and begin a new run: what was trained on may be tested on then",
            DataError.SHAPE,
        )
    return found


def _splits(
    before: Mapping[str, SplitName],
    rows: Sequence[Row],
    names: Mapping[str, str],
    splits: SplitSettings,
    key: bytes,
    exact: bool,
    division: Division | None,
) -> dict[str, SplitName]:
    # By the patients' own names: those in the manifest depend on the owner's key, and a copy of
    # the data at another owner is to be divided alike.
    shares = splits.validation, splits.test
    if division is None:
        return frozen_splits(before, (row.patient for row in rows), *shares, key, exact, names)
    groups = [{row.patient for row in group} for group in division.parts(rows)]
    return frozen_splits_of_groups(before, groups, *shares, key, exact, names)


def _row(
    item: Item, pair: Pair, folder: Path, task: TaskSettings, owner: bytes
) -> Row | list[LeftOut]:
    try:
        volume = read_volume(item.source)
    except DataError as error:
        return [LeftOut(item.path, UNREADABLE, error.found)]
    if task.target == "mask" and is_segmentation(folder / pair.target):
        # Read now: by whom and of what it was made is known here, and later it would be a warning.
        try:
            read_segmentation(folder / pair.target, item.source, volume, task.classes)
        except DataError as error:
            return [
                LeftOut(pair.target, UNUSABLE, error.found),
                LeftOut(item.path, NO_TARGET, f"{item.path}: its segmentation cannot be used"),
            ]
    record = record_name(volume.stored)
    older = all_older_names(volume.stored, volume.earlier)
    return Row(
        case=_hidden(f"case {record}", owner)[:CASE_LETTERS],
        patient=_hidden(f"patient {_patient(item, pair)}", owner)[:PATIENT_LETTERS],
        image=item.path,
        target=pair.target,
        split="train",
        record=record,
        older=" ".join(sorted(older)),
        vendor=item.vendor,
        model=item.model,
        kernel=item.kernel,
        field=item.field,
    )


def _patient(item: Item, pair: Pair) -> str:
    # A table counts more than a header, whose name may be another one for each image.  Without both
    # a patient is the folder's, else the file's name.
    told = pair.patient if pair.told else ""
    return told or item.patient or pair.patient or stem(item.path.rpartition("/")[2])


def _hidden(text: str, owner: bytes) -> str:
    return hmac.digest(owner, text.encode(), "sha256").hex()
