"""The way out for a site whose privacy ledger is lost, damaged, or an older copy.

What was spent in the rows that are gone is not known.  So the data sets that may have been used are
given up: they count as wholly spent, with all that share a record with them, for ever.  A crash on
the way leaves a ledger that is refused as before.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from clients.privacy.ledger.anchor import Anchor, read_anchor, write_anchor
from clients.privacy.ledger.file import LedgerFile
from clients.privacy.ledger.ledger import PrivacyLedger
from clients.privacy.ledger.manifest import Manifest
from clients.privacy.ledger.rows import Row, chained, retire_row
from strategies.errors import PrivacyError


def give_up(path: Path, anchor: Path, manifests: Sequence[Manifest], reason: str) -> Path | None:
    """Retire ``manifests`` and all data sets that are still known; the ledger is usable again.

    ``manifests`` must have every data set that this site may have trained on: of a ledger that is
    lost nothing else is known.  A file that cannot be used is kept; its new path is returned.
    """
    if not manifests:
        raise PrivacyError(
            "no data set to give up", "all that this site has trained on", "name them"
        )
    kept = None
    if not _is_sound(path, anchor) and not _older_copy_was_retired(path, anchor, reason):
        kept = _begin_anew(path, anchor, manifests, reason)
    ledger = PrivacyLedger(path, anchor)
    names = {ledger.enrol(manifest) for manifest in manifests}
    ledger.retire(sorted(names | set(ledger.books().sizes)), reason)
    return kept


def _is_sound(path: Path, anchor: Path) -> bool:
    try:
        PrivacyLedger(path, anchor).books()
    except PrivacyError as error:
        if error.code == PrivacyError.LEDGER_VERSION:
            raise
        return False
    return True


def _older_copy_was_retired(path: Path, anchor: Path, reason: str) -> bool:
    """Retire all data sets of an older copy that is sound in itself, then anchor it anew."""
    with suppress(PrivacyError):
        known = read_anchor(anchor)
        if known is None or not path.exists():
            return False
        file = LedgerFile(path)
        with file.locked() as db:
            books = file.books(db, known.first_parent)
            content = retire_row(books.sizes, reason) | {"time": time.time()}
            parent = books.rows[-1].hash if books.rows else known.first_parent
            row = chained(len(books.rows) + 1, parent, content)
            file.append(db, row)
        _anchor_at(anchor, known, row)
        return True
    return False


def _anchor_at(path: Path, anchor: Anchor, row: Row) -> None:
    write_anchor(path, anchor.model_copy(update={"rows": row.number, "head": row.hash}))


def _begin_anew(
    path: Path, anchor: Path, manifests: Sequence[Manifest], reason: str
) -> Path | None:
    """Make a ledger aside in which all is retired, then put it in place.

    Its anchor is first: from then on nothing but the new ledger fits.
    """
    aside, aside_anchor = (each.with_name(f"{each.name}.new") for each in (path, anchor))
    for left in (aside, aside_anchor):
        left.unlink(missing_ok=True)
    ledger = PrivacyLedger(aside, aside_anchor)
    ledger.retire([ledger.enrol(manifest) for manifest in manifests], reason)
    aside_anchor.replace(anchor)
    kept = _moved_away(path)
    aside.rename(path)
    return kept


def _moved_away(path: Path) -> Path | None:
    if not path.exists():
        return None
    number = 1
    while (kept := path.with_name(f"{path.name}.unusable-{number}")).exists():
        number += 1
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists():
        journal.rename(kept.with_name(f"{kept.name}-journal"))
    return path.rename(kept)
