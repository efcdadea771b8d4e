"""The SQLite file of a site's ledger: made once, opened for each use, and full of facts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType

from clients.files.database import connect
from clients.files.durable import not_writable
from strategies.errors import LedgerError

SCHEMA_VERSION = 1
BUSY_SECONDS = 30.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    term INTEGER PRIMARY KEY, hash TEXT NOT NULL, record TEXT NOT NULL, certificate TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS votes (
    term INTEGER PRIMARY KEY, granted INTEGER NOT NULL, accepted_attempt INTEGER, accepted TEXT);
CREATE TABLE IF NOT EXISTS proposals (
    term INTEGER NOT NULL, attempt INTEGER NOT NULL, proposal TEXT NOT NULL,
    PRIMARY KEY (term, attempt));
CREATE TABLE IF NOT EXISTS yielded (
    term INTEGER NOT NULL, vendor TEXT NOT NULL, attempt INTEGER NOT NULL, absence TEXT NOT NULL,
    PRIMARY KEY (term, vendor));
CREATE TABLE IF NOT EXISTS changes (term INTEGER PRIMARY KEY, edition TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS recoveries (
    term INTEGER PRIMARY KEY, edition TEXT NOT NULL, recovery TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, run_order TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS heard (vendor TEXT PRIMARY KEY, memory TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS contradictions (
    hash TEXT PRIMARY KEY, term INTEGER NOT NULL, record TEXT NOT NULL, certificate TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS said (
    term INTEGER NOT NULL, federation TEXT NOT NULL, vendor TEXT NOT NULL, kind TEXT NOT NULL,
    attempt INTEGER NOT NULL, value TEXT NOT NULL, plain TEXT NOT NULL,
    PRIMARY KEY (term, vendor, kind, attempt, value));
CREATE TABLE IF NOT EXISTS evidence (
    vendor TEXT NOT NULL, federation TEXT NOT NULL, votes INTEGER NOT NULL, term INTEGER NOT NULL,
    plain TEXT NOT NULL, PRIMARY KEY (vendor, federation, votes));
"""
BOOTS = "boots"
"""The number of the site's last start, which is also in a file beside its keys."""


class LedgerFile:
    """The file of a ledger, and facts about its site.

    ``federation`` is the hash of the federation file's first edition, which never changes.  With
    ``starts``, the file beside the keys that has the number of starts, the ledger of a deployed
    site is made by :meth:`found` alone: votes in a file that is gone must not be given again.

    Methods raise :class:`LedgerError` for a file that is missing, damaged, of another version, of
    another federation, or of another start of the site, and
    :class:`strategies.errors.RunFolderError` when it cannot be written.
    """

    def __init__(self, path: Path, federation: str, starts: Path | None = None) -> None:
        self._path, self._federation, self._starts = path, federation, starts
        self._made = False

    # ---- facts ---------------------------------------------------------------------------------

    def set_fact(self, key: str, value: str) -> None:
        """Store a fact about this site."""
        with self.deciding() as db:
            set_fact_in(db, key, value)

    def fact(self, key: str) -> str | None:
        """Return a fact about this site."""
        with self.reading() as db:
            return fact_in(db, key)

    # ---- transactions --------------------------------------------------------------------------

    @contextmanager
    def deciding(self, starting: bool = False) -> Iterator[sqlite3.Connection]:
        """Yield a connection that holds the write lock.

        Commit on exit; roll back if the block raises.  ``starting`` is for a start of the site.
        """
        with self.reading() as db:
            db.execute("BEGIN IMMEDIATE")  # lock before the first read, so that it stays true
            try:
                if not starting:
                    self._require_own_start(db)
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection for reading."""
        try:
            self._make()
            with closing(self._connect()) as db:
                yield db
        except sqlite3.OperationalError as error:  # a DatabaseError too, so it comes first
            raise not_writable(self._path, OSError(0, str(error))) from error
        except sqlite3.DatabaseError as error:
            raise self._unusable("a file that is damaged or no ledger") from error

    def _require_own_start(self, db: sqlite3.Connection) -> None:
        """Raise unless the file is the one with which the site was started."""
        if self._starts is None:
            return
        known, expected = int(fact_in(db, BOOTS) or 0), number_in(self._starts)
        # A copy that was put back while the site runs has forgotten the votes since.
        if known != expected:
            raise LedgerError(
                f"{self._path} of start {known} of this site",
                f"the ledger of its start {expected}: it was exchanged while the site runs",
                "`srflm down`, then `srflm up`: the site then asks the others what it has missed",
            )

    # ---- the file ------------------------------------------------------------------------------

    def found(self, facts: Mapping[str, str]) -> None:
        """Make the file, with these facts about the site, if there is none."""
        if not self._path.exists():
            self._create(facts)

    def _make(self) -> None:
        if self._starts is not None and not self._path.exists():
            raise LedgerError(
                f"no ledger at {self._path}: the site's state is gone or was never there",
                "the ledger that was made when the site joined or was last started",
                "mount its disk again; if the state is lost: `srflm down`, then `srflm up`; if the"
                " site was never up: `srflm site join` again",
            )
        if not self._made:
            self._create()

    def _connect(self) -> sqlite3.Connection:
        # A promise must survive a power cut.
        return connect(self._path, BUSY_SECONDS, "FULL")

    def _create(self, facts: Mapping[str, str] = MappingProxyType({})) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise not_writable(self._path, error) from error
        own = {"schema-version": str(SCHEMA_VERSION), "federation": self._federation}
        with closing(self._connect()) as db:
            db.execute("PRAGMA journal_mode = WAL")  # readers do not wait for a writer
            db.execute("BEGIN IMMEDIATE")
            # The facts are checked before the other tables are made in a file of another version.
            db.execute(SCHEMA.strip().split(";", 1)[0])
            known = dict(db.execute("SELECT key, value FROM meta").fetchall())
            # Made when the site joined, and never started: the operator may change the file still.
            if self._starts is not None and BOOTS not in known:
                known.pop("federation", None)
            self._check_facts({key: known.get(key, value) for key, value in own.items()})
            # A fact that is there already is not written again.
            db.executemany(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE"
                " SET value = excluded.value WHERE value <> excluded.value",
                {**own, **facts}.items(),
            )
            for statement in filter(str.strip, SCHEMA.split(";")):
                db.execute(statement)
            db.execute("COMMIT")
        self._made = True

    def _check_facts(self, facts: dict[str, str]) -> None:
        if facts["schema-version"] != str(SCHEMA_VERSION):
            raise self._unusable(f"a ledger of schema version {facts['schema-version']}")
        if facts["federation"] != self._federation:
            raise self._unusable(f"the ledger of another federation ({facts['federation'][:12]}…)")

    def _unusable(self, found: str) -> LedgerError:
        return LedgerError(
            f"{self._path} holds {found}",
            f"a ledger of schema version {SCHEMA_VERSION} of this federation"
            f" ({self._federation[:12]}…)",
            "give the site the federation file with which its state began, or another state"
            " folder; a damaged one can be moved away: the site then learns from the others",
        )


def fact_in(db: sqlite3.Connection, key: str) -> str | None:
    """Return a fact about the site."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return str(row[0]) if row else None


def set_fact_in(db: sqlite3.Connection, key: str, value: str | None) -> None:
    """Store a fact about the site; None takes it away."""
    if value is None:
        db.execute("DELETE FROM meta WHERE key = ?", (key,))
    else:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def number_in(path: Path) -> int:
    """Return the number in a file, or 0 without one."""
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0
