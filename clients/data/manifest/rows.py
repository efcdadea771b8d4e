"""The file ``manifest.csv``: a row for each case, read and written whole."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from clients.data.vendor_data import SPLITS, SplitName
from clients.files.durable import write_durably
from strategies.errors import DataError

MANIFEST = "manifest.csv"
MEND = "run `srflm data index` again; the splits of known patients stay as they are"


@dataclass(frozen=True)
class Row:
    """A case: an image, its target, and the split to which it belongs for good.

    ``image`` and ``target`` are paths from the manifest's folder; of a DICOM series, the folder and
    ``#`` with the series' key.  The ``target`` of a classification is a class.  ``case`` and
    ``patient`` are HMACs under the owner's key, ``record`` is the image's name in the privacy
    ledger, ``older`` its names in older ledgers, with spaces between.  ``vendor`` is the scanner's
    maker, normalised; ``model``, ``kernel``, and ``field`` (tesla) are as in the header.
    """

    case: str
    patient: str
    image: str
    target: str
    split: SplitName
    record: str
    older: str = ""
    vendor: str = ""
    model: str = ""
    kernel: str = ""
    field: str = ""

    def in_split(self, split: SplitName) -> Row:
        """Return the row with another split."""
        return replace(self, split=split)


COLUMNS = tuple(field.name for field in fields(Row))


def write_manifest(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows in the order of their images; only the owner can read the file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in sorted(rows, key=lambda row: row.image))
    mend = "free space, or name another file with --out"
    write_durably(path, text.getvalue().encode(), private=True, mend=mend)


def read_manifest(path: Path) -> tuple[Row, ...]:
    """Return the rows of a manifest.

    Raises :class:`DataError` for a file that is missing or damaged, a split of an unknown name, a
    case that is there twice, and a patient in two splits.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = io.StringIO(file.read(), newline="")
    except FileNotFoundError:
        raise DataError(
            f"no file {path}", "a manifest of images", "run `srflm data index`", DataError.MISSING
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, type(error).__name__) from None
    reader = csv.DictReader(text)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        found = ", ".join(reader.fieldnames or ()) or "missing"
        raise DataError(
            f"{path} is no manifest: its columns are {found}",
            f"the columns {', '.join(COLUMNS)}",
            "if the file is another program's, move it away; then run `srflm data index`",
            DataError.UNREADABLE,
        )
    rows = tuple(_row(path, number, found) for number, found in enumerate(reader, start=2))
    _check(path, rows)
    return rows


def _row(path: Path, number: int, found: dict[str | None, object]) -> Row:
    if None in found or None in found.values():
        raise _damaged(path, f"line {number} has another number of columns")
    values = {str(name): str(value) for name, value in found.items()}
    if values["split"] not in SPLITS:
        raise _damaged(path, f"line {number} has the split {values['split'][:20]!r}")
    return Row(**values)  # type: ignore[arg-type]


def _check(path: Path, rows: Sequence[Row]) -> None:
    split_of: dict[str, str] = {}
    cases: set[str] = set()
    for number, row in enumerate(rows, start=2):
        if row.case in cases:
            raise _damaged(path, f"line {number} has a case that is there already")
        cases.add(row.case)
        if split_of.setdefault(row.patient, row.split) != row.split:
            raise DataError(
                f"{path}, line {number}: a patient of {split_of[row.patient]} in {row.split}",
                "each patient in one split only",
                "give all rows of a patient one split: what is measured on those who were trained"
                " on tells nothing about others",
                DataError.SHAPE,
            )


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} is no whole manifest: {why}",
        f"the columns {', '.join(COLUMNS)}",
        MEND,
        DataError.UNREADABLE,
    )
