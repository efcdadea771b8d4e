"""The SQLite file of a privacy ledger: rows are appended durably, and never changed."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from clients.files.database import connect
from clients.files.durable import not_writable
from clients.privacy.ledger.manifest import KEYED_BYTES
from clients.privacy.ledger.rows import Books, Row, first_broken
from strategies.errors import PrivacyError

SCHEMA_VERSION = 1
BUSY_SECONDS = 60.0  # wait for another process of the owner
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS rows"
    " (number INTEGER PRIMARY KEY, text TEXT NOT NULL, hash TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS records (dataset TEXT PRIMARY KEY, keyed BLOB NOT NULL)",
    "CREATE TRIGGER IF NOT EXISTS rows_stay BEFORE UPDATE ON rows"
    " BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    "CREATE TRIGGER IF NOT EXISTS rows_remain BEFORE DELETE ON rows"
    " BEGIN SELECT RAISE(ABORT, 'append-only'); END",
)
RETIRE = (
    "put the file back if it was only moved, never an older copy; otherwise run `srflm privacy"
    " retire`, which gives up the data whose past is not known"
)


class LedgerFile:
    """The rows of the ledger and the records of its data sets, in one file.

    Methods raise :class:`PrivacyError` for a damaged file or one of another version, and
    :class:`strategies.errors.RunFolderError` if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Return whether there is a file."""
        return self.path.exists()

    def make(self) -> None:
        """Make an empty ledger if there is no file yet."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # SQLite would make it with the user's umask.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise not_writable(self.path, error) from error
        with self._connected() as db:
            db.execute("BEGIN IMMEDIATE")
            self._check_version(db)
            for statement in SCHEMA:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            db.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that sees one state of the file."""
        with self._connected() as db:
            db.execute("BEGIN")
            self._check_version(db)
            yield db

    @contextmanager
    def locked(self) -> Iterator[sqlite3.Connection]:
        """Give the only writing connection; commit on exit, roll back if the block raises."""
        with self._connected() as db:  # closing a connection without COMMIT rolls back
            db.execute("BEGIN IMMEDIATE")
            self._check_version(db)
            yield db
            db.execute("COMMIT")

    def books(self, db: sqlite3.Connection, first_parent: str) -> Books:
        """Return all rows; raise :class:`PrivacyError` if their chain is broken."""
        rows = tuple(
            Row(*each) for each in db.execute("SELECT number, text, hash FROM rows ORDER BY number")
        )
        broken = first_broken(rows, first_parent)
        if broken is not None:
            raise self.damaged(f"row {broken} is not the one that was written")
        return Books(rows, first_parent)

    @staticmethod
    def append(db: sqlite3.Connection, row: Row) -> None:
        """Append a row."""
        db.execute("INSERT INTO rows VALUES (?, ?, ?)", (row.number, row.text, row.hash))

    def records(self, db: sqlite3.Connection, dataset: str, digest: str) -> frozenset[bytes]:
        """Return a data set's keyed records, checked against ``digest`` from the chain."""
        row = db.execute("SELECT keyed FROM records WHERE dataset = ?", (dataset,)).fetchone()
        if row is None or hashlib.sha256(row[0]).hexdigest() != digest:
            raise self.damaged(f"the records of data set {dataset[:12]} are not those written")
        packed: bytes = row[0]
        return frozenset(packed[at : at + KEYED_BYTES] for at in range(0, len(packed), KEYED_BYTES))

    @staticmethod
    def keep_records(db: sqlite3.Connection, dataset: str, keyed: Iterable[bytes]) -> str:
        """Store a data set's keyed records and return their digest."""
        packed = b"".join(sorted(keyed))
        db.execute("INSERT INTO records VALUES (?, ?)", (dataset, packed))
        return hashlib.sha256(packed).hexdigest()

    def damaged(self, how: str) -> PrivacyError:
        """Return the error for a file that differs from what this site wrote."""
        return PrivacyError(
            f"{self.path}, which is damaged: {how}",
            "the privacy ledger as this site wrote it",
            RETIRE,
            PrivacyError.LEDGER_DAMAGED,
        )

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._connect()) as db:
                yield db
        except sqlite3.OperationalError as error:
            # SQLite has one class for a full disk, a busy file, and a missing table.
            if "no such table" in str(error) or "no such column" in str(error):
                raise self.damaged("a table is missing") from error
            raise not_writable(self.path, OSError(0, str(error))) from error
        except sqlite3.DatabaseError as error:
            raise self.damaged("it is no database any more") from error

    def _connect(self) -> sqlite3.Connection:
        # Rollback journal and EXTRA: after a commit the ledger is this one file, without a -wal
        # beside it that a copy could miss, and a power cut cannot undo the commit.
        return connect(self.path, BUSY_SECONDS, "EXTRA")

    def _check_version(self, db: sqlite3.Connection) -> None:
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, SCHEMA_VERSION):  # 0 is a new, empty file
            raise PrivacyError(
                f"{self.path}, a privacy ledger of schema version {found}",
                f"schema version {SCHEMA_VERSION}",
                "use the version of srflm-flower that wrote it",
                PrivacyError.LEDGER_VERSION,
            )
