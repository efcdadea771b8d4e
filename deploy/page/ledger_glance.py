"""A look at a site's ledger by a program that must not change it: the file is opened read-only.

:class:`srflm_flower.site.ledger.TermLedger` decides and votes; it makes missing tables and imports
Flower.  A page needs neither; a test looks with both at one ledger of a real site.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from strategies.errors import LedgerError
from strategies.protocol.quorum import NONE_SEEN
from strategies.protocol.records import Certificate, Committed, RunOrder, TermRecord

BUSY_SECONDS = 5.0


@dataclass(frozen=True)
class LedgerGlance:
    """The ledger in the file ``path``.

    Methods raise :class:`LedgerError` for a file that is missing, busy, damaged, or no ledger.
    """

    path: Path

    def head(self) -> tuple[int, str]:
        """Return term and hash of the last record; (0, "") without one."""
        with self._reading() as db:
            row = db.execute("SELECT term, hash FROM records ORDER BY term DESC LIMIT 1").fetchone()
        return (int(row[0]), str(row[1])) if row else (0, "")

    def hash_of(self, term: int) -> str:
        """Return the hash of the record of ``term``; "" without one."""
        with self._reading() as db:
            row = db.execute("SELECT hash FROM records WHERE term = ?", (term,)).fetchone()
        return str(row[0]) if row else ""

    def committed(self, first: int, most: int) -> list[Committed]:
        """Return up to ``most`` records with certificates, from the one of term ``first`` on."""
        query = "SELECT record, certificate FROM records WHERE term >= ? ORDER BY term LIMIT ?"
        with self._reading() as db:
            rows = db.execute(query, (first, most)).fetchall()
        try:
            return [
                Committed(
                    record=TermRecord.model_validate_json(record),
                    certificate=Certificate.model_validate_json(certificate),
                )
                for record, certificate in rows
            ]
        except ValueError as error:
            raise self._unusable("a record that is none") from error

    def attempt(self, term: int) -> int:
        """Return the highest attempt at ``term`` that the site has granted; −1 for none."""
        with self._reading() as db:
            row = db.execute("SELECT granted FROM votes WHERE term = ?", (term,)).fetchone()
        return int(row[0]) if row else NONE_SEEN

    def order(self) -> RunOrder | None:
        """Return the run order with the highest number."""
        query = "SELECT run_order FROM orders ORDER BY number DESC LIMIT 1"
        with self._reading() as db:
            row = db.execute(query).fetchone()
        try:
            return RunOrder.model_validate_json(row[0]) if row else None
        except ValueError as error:
            raise self._unusable("a run order that is none") from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            uri = f"{self.path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, timeout=BUSY_SECONDS, uri=True)) as db:
                yield db
        except sqlite3.Error as error:
            raise self._unusable(f"no ledger that can be read now ({error})") from error

    def _unusable(self, found: str) -> LedgerError:
        return LedgerError(
            f"{self.path} holds {found}",
            "the ledger of a site",
            "`srflm verify` says more; a site that was never up has no ledger yet",
        )
