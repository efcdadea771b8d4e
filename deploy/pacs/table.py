"""The table of what was asked for: which folder has which series.  It is for the site alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from clients.files.durable import not_writable, write_durably
from deploy.pacs.fetching import MEND, name_of
from deploy.pacs.search import Series

COLUMNS = ("folder", "study", "series", "date", "modality", "description", "images")


def write_table(path: Path, series: Sequence[Series]) -> None:
    """Add series to the table, in the place of earlier rows about them; only the owner reads it.

    Raises :class:`strategies.errors.RunFolderError` if it cannot be written.
    """
    rows = _read(path)
    for each in series:
        told = "" if each.images is None else str(each.images)
        texts = map(_inert, (each.date, each.modality, each.description))
        about = (each.study, each.uid, *texts, told)
        rows[name_of(each.uid)] = (name_of(each.uid), *about)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows.values())
    write_durably(path, text.getvalue().encode(), private=True, mend=MEND)


def _inert(text: str) -> str:
    # A spreadsheet would run a text of the PACS that begins so.
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _read(path: Path) -> dict[str, tuple[str, ...]]:
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = error if isinstance(error, OSError) else OSError(None, "it is not text")
        raise not_writable(path, reason, MEND) from None
    try:
        lines = [tuple(row) for row in csv.reader(io.StringIO(content)) if row]
    except csv.Error:
        raise not_writable(path, OSError(None, "it is no table"), MEND) from None
    return {row[0]: row for row in lines[1:]}
