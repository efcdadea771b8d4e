"""The file ``labels.csv`` of a folder: the class of each image, wherever the image lies.

Its columns are ``class``, and one that says of which image: ``image``, a path from the folder;
``series``, the SeriesInstanceUID; or ``patient``, the PatientID.  Beside ``image``, ``patient`` may
say whose it is.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from clients.data.manifest.finding import Item
from clients.data.manifest.pairing import LeftOut, Pair
from strategies.errors import DataError

LABELS: Final = "labels.csv"
NO_LABEL = "image without a label in labels.csv"
NO_IMAGE = "label without an image"

Key = Literal["image", "series", "patient"]
_KEYS: tuple[Key, ...] = ("image", "series", "patient")
_CLASS = "class"


@dataclass(frozen=True)
class Label:
    """A row: the ``name`` of an image, a series, or a patient, and a class of the task.

    ``patient`` is "" unless the row is of an image and says it; ``line`` is that in the file.
    """

    line: int
    key: Key
    name: str
    label: str
    patient: str = ""


def labels_in(path: Path, classes: Sequence[str]) -> list[Label]:
    """Return the rows of a table of labels, with commas or semicolons between the columns.

    Raises :class:`DataError` for a file that is no UTF-8 text, lacks a column, names a class that
    the task does not have, or has two rows of one name; the texts of cells are not in the error.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # spreadsheets write a mark before it
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, f"is no text in UTF-8 ({type(error).__name__})") from None
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    try:
        rows = list(
            _rows(path, csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter), classes)
        )
    except csv.Error:
        raise _unusable(path, "is no table") from None
    _check_once(path, rows)
    return rows


def _rows(path: Path, reader: csv.DictReader[str], classes: Sequence[str]) -> Iterator[Label]:
    columns = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    key = next((name for name in _KEYS if name in columns), None)
    if key is None or _CLASS not in columns or len(set(columns)) < len(columns):
        raise _unusable(path, f"has {len(columns)} column(s), without all that are needed")
    for row in reader:
        if any(isinstance(cell, str) and cell.strip() for cell in row.values()):
            yield _label(path, reader.line_num, key, row, classes)


def pairs_by_table(
    items: Mapping[str, Item], rows: Iterable[Label]
) -> tuple[list[Pair], list[LeftOut]]:
    """Return each item with its class, and what is left out: images, and lines of the table."""
    of: dict[str, Label] = {}
    left_out: list[LeftOut] = []
    names = _names(items.values())
    for row in rows:
        paths = names[row.key].get(row.name, ())
        of |= dict.fromkeys(paths, row)  # one at most: names are of one kind, and no two are alike
        if not paths:
            left_out.append(LeftOut(f"{LABELS}, line {row.line}", NO_IMAGE))
    left_out += [LeftOut(path, NO_LABEL) for path in items if path not in of]
    pairs = [Pair(path, row.label, row.patient, told=bool(row.patient)) for path, row in of.items()]
    return sorted(pairs, key=lambda pair: pair.image), left_out


def _names(items: Iterable[Item]) -> Mapping[Key, Mapping[str, list[str]]]:
    """Return for each kind of name: name → the paths of its images."""
    found: dict[Key, defaultdict[str, list[str]]] = {key: defaultdict(list) for key in _KEYS}
    for item in items:
        found["image"][item.path].append(item.path)
        # Of several series in a folder, the folder names none.
        if item.patient:
            found["patient"][item.patient].append(item.path)
        if item.header is not None:
            found["series"][item.header.series].append(item.path)
    return found


def _plain(path: str) -> str:
    """Return a path as manifests have it, also if it was written on Windows."""
    return PurePosixPath(path.replace("\\", "/")).as_posix()


def _label(
    path: Path, line: int, key: Key, row: Mapping[str, object], classes: Sequence[str]
) -> Label:
    cells = {name: cell.strip() for name, cell in row.items() if isinstance(cell, str)}
    name, label = cells.get(key, ""), cells.get(_CLASS, "")
    if not name or not label:
        raise _unusable(path, f"has no {_CLASS if name else key} in line {line}")
    if label not in classes:
        raise DataError(
            f"{path}, line {line}: a class that the task does not have",
            f"one of task.classes: {', '.join(classes)}",
            "correct the line, or list every class in task.classes",
            DataError.LABELS_OUTSIDE_CLASSES,
        )
    if key == "image":
        return Label(line, key, _plain(name), label, cells.get("patient", ""))
    return Label(line, key, name, label)


def _check_once(path: Path, rows: Sequence[Label]) -> None:
    counts = Counter(row.name for row in rows)
    twice = [row.line for row in rows if counts[row.name] > 1]
    if twice:
        lines = ", ".join(map(str, twice[:5]))
        raise _unusable(path, f"has several lines of one name: {lines}")


def _unusable(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} {why}",
        f"UTF-8 text with a heading: the column {_CLASS}, and image, series, or patient; one line"
        " for each of them",
        "correct the file, or take it away: folders of classes then say the class",
        DataError.UNREADABLE,
    )
