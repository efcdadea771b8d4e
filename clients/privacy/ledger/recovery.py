"""Make a privacy ledger usable again after it was lost, damaged, or replaced by an older copy.

The spending in the missing rows is unknown. So all data sets that may have been used are given up:
they, and all that share a record with them, count as fully spent for ever.
"""

# A crash at any point leaves a ledger that is refused as before, so the command can be repeated.

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from clients.privacy.ledger.anchor import Anchor, read_anchor, write_anchor
from clients.privacy.ledger.file import LedgerFile
from clients.privacy.ledger.ledger import PrivacyLedger
from clients.privacy.ledger.manifest import Manifest
from clients.privacy.ledger.place import LedgerPlace
from clients.privacy.ledger.rows import Row, chained, retire_row
from strategies.errors import PrivacyError


def give_up(
    ledger: LedgerPlace,
    manifests: Sequence[Manifest],
    reason: str,
    through: Mapping[str, int] = MappingProxyType({}),
) -> Path | None:
    """Retire ``manifests`` and all data sets that are still known, and make the ledger usable.

    ``manifests`` must hold every data set that this site may have trained on, and ``through`` the
    last term of each federation in which it may have. An unusable file is renamed, and its new
    path returned.
    """
    path, anchor = ledger.path, ledger.anchor
    if not manifests:
        raise PrivacyError(
            "no data set to give up", "all that this site has trained on", "name them"
        )
    kept = None
    if not _is_sound(ledger) and not _older_copy_was_retired(path, anchor, reason):
        kept = _begin_anew(path, anchor, manifests, reason)
    usable = PrivacyLedger(path, anchor)
    names = {usable.enrol(manifest) for manifest in manifests}
    usable.retire(sorted(names | set(usable.books().sizes)), reason, through)
    newest = read_anchor(anchor)
    if ledger.witness is not None and newest is not None:
        # Last: until then the site refuses the ledger, so that the command can be repeated.
        write_anchor(ledger.witness, newest)
    return kept


def _is_sound(ledger: LedgerPlace) -> bool:
    try:
        ledger.open().books()
    except PrivacyError as error:
        if error.code == PrivacyError.LEDGER_VERSION:  # a newer program can still read it
            raise
        return False
    return True


def _older_copy_was_retired(path: Path, anchor: Path, reason: str) -> bool:
    """Retire all data sets of an older but sound copy and anchor it again; return whether done."""
    with suppress(PrivacyError):
        known = read_anchor(anchor)
        if known is None or not path.exists():
            return False
        file = LedgerFile(path)
        with file.locked() as db:
            books = file.books(db, known.first_parent)
            content = retire_row(books.sizes, reason, {}) | {"time": time.time()}
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
    """Make a new ledger with everything retired, put it in place, and return the old one's path."""
    aside, aside_anchor = (each.with_name(f"{each.name}.new") for each in (path, anchor))
    for left in (aside, aside_anchor):
        left.unlink(missing_ok=True)
    ledger = PrivacyLedger(aside, aside_anchor)
    ledger.retire([ledger.enrol(manifest) for manifest in manifests], reason)
    # The anchor first: from now on only the new ledger fits, so a crash cannot revive the old one.
    aside_anchor.replace(anchor)
    kept = moved_away(path)
    aside.rename(path)
    return kept


def moved_away(path: Path) -> Path | None:
    """Rename a ledger's file that is not to be used any more; return its new path, if any."""
    if not path.exists():
        return None
    number = 1
    while (kept := path.with_name(f"{path.name}.unusable-{number}")).exists():
        number += 1
    # SQLite would replay a journal of the old file into the new one of the same name.
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists():
        journal.rename(kept.with_name(f"{kept.name}-journal"))
    return path.rename(kept)
