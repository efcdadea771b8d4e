"""Take the rows of an older ledger, of one site alone, into its data owner's: each use once."""

# A crash at any point leaves the older file in its place, and the call can be repeated.

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clients.privacy.ledger.anchor import read_anchor
from clients.privacy.ledger.file import LedgerFile
from clients.privacy.ledger.ledger import PrivacyLedger
from clients.privacy.ledger.place import LedgerPlace
from clients.privacy.ledger.rows import Books, adopt_row
from strategies.errors import PrivacyError


def adopt(older: Path, place: LedgerPlace, through: Mapping[str, int]) -> Path | None:
    """Enter the rows of the file ``older`` into the ledger at ``place``, and move it away.

    Return its new path; None if there is no such file. Its anchor is the site's own, at
    ``place.witness``. ``through`` are the site's last terms by federation: uses up to them that
    were given up before are not missed. Raises :class:`PrivacyError`, and leaves everything as it
    is, for a file that is damaged, an older copy, or of an unknown ledger.
    """
    if place.witness is None or not older.exists():
        return None
    target = PrivacyLedger(place.path, place.anchor)
    if not _is_in(older, target.books()):
        books = PrivacyLedger(older, place.witness).books()
        anchor = read_anchor(place.witness)
        assert anchor is not None  # the ledger was read with it
        target.begin()
        with target.writing() as (db, known):
            # Keys first: a row whose records no key can name would give them a new budget.
            target.add_keys((anchor.key, *anchor.older_keys))
            file = LedgerFile(older)
            with file.reading() as theirs:
                for name, digest in books.digests.items():
                    if name not in known.digests:
                        LedgerFile.keep_records(db, name, file.records(theirs, name, digest))
            target.append(db, known, _contents(books, known, through))
        target.advance()
    return older.replace(older.with_name(f"{older.name}.adopted"))


def _is_in(older: Path, known: Books) -> bool:
    """Return whether all rows of the file were entered by an earlier call."""
    file = LedgerFile(older)
    for first_parent, hashes in known.adopted.items():
        try:
            with file.reading() as db:
                rows = file.books(db, first_parent).rows
        except PrivacyError as error:  # the chain is another ledger's
            if error.code != PrivacyError.LEDGER_DAMAGED:
                raise
            continue
        return all(row.hash in hashes for row in rows)
    return False


def _contents(books: Books, known: Books, through: Mapping[str, int]) -> list[dict[str, object]]:
    """Return the rows that enter ``books`` into a ledger with the rows ``known``."""
    added: list[dict[str, object]] = [
        adopt_row(books.first_parent, [row.hash for row in books.rows])
    ]
    numbers: dict[int, int] = {}
    names, strangers = set(known.sizes), set(known.sizes) - set(books.sizes)
    for row in books.rows:
        content = row.content
        match content["kind"]:
            case "data-set" if content["dataset"] in names:
                continue
            case "data-set":
                # Their records are under another key and cannot be compared with those here, so
                # data sets that only one ledger knows count as sharing one: never too little.
                name = content["dataset"]
                overlaps = (books.group(name) & names) | strangers
                content = content | {"overlaps": sorted(overlaps)}
                names.add(name)
            case "settle":
                content = content | {"of": numbers[content["of"]]}
            case "retire":
                content = {"through": dict(through)} | content
        numbers[row.number] = len(known.rows) + len(added) + 1
        added.append(content)
    return added


def require_adopted(older: Path) -> None:
    """Raise :class:`PrivacyError` while a site has a ledger of its own beside its owner's."""
    if older.exists():
        raise PrivacyError(
            f"{older}, a privacy ledger that this site has kept for itself",
            "its uses in the ledger of the data owner, where they count for every federation",
            "bring the site down and up again: `srflm up` enters them there",
            PrivacyError.LEDGER_MISSING,
        )
