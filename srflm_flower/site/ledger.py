"""A site's ledger, votes, proposals, and run orders in one SQLite file; every write is durable.

Several processes of a site use it at once (messages of two servers, its own server, the launcher).
Every decision that depends on its content is therefore made inside :meth:`TermLedger.deciding`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from clients.files.database import connect
from clients.files.durable import not_writable
from strategies.errors import LedgerError
from strategies.protocol.chain import check_follows
from strategies.protocol.quorum import NONE_SEEN, Accepted, Votes
from strategies.protocol.records import (
    Certificate,
    Committed,
    Edition,
    Proposal,
    RunOrder,
    TermRecord,
)

SCHEMA_VERSION = 1
BUSY_SECONDS = 30.0
PAGE_BYTES = 4 * 2**20  # of JSON: SuperNodes drop messages above 32 MiB and twice the model
FORGETFUL = "forgetful-through"
ALL_TERMS = "all"
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    term INTEGER PRIMARY KEY, hash TEXT NOT NULL, record TEXT NOT NULL, certificate TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS votes (
    term INTEGER PRIMARY KEY, granted INTEGER NOT NULL, accepted_attempt INTEGER, accepted TEXT);
CREATE TABLE IF NOT EXISTS proposals (
    term INTEGER NOT NULL, attempt INTEGER NOT NULL, proposal TEXT NOT NULL,
    PRIMARY KEY (term, attempt));
CREATE TABLE IF NOT EXISTS changes (term INTEGER PRIMARY KEY, edition TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, run_order TEXT NOT NULL);
"""


class TermLedger:
    """The promises, proposals, and committed records of a site.

    ``federation`` is the hash of the federation file's first edition, which never changes.  Methods
    raise :class:`LedgerError` for a file that is damaged, of another version, or of another
    federation, and :class:`strategies.errors.RunFolderError` when it cannot be written.
    """

    def __init__(self, path: Path, federation: str) -> None:
        self._path, self._federation = path, federation
        self._made = False

    # ---- committed records -------------------------------------------------------------------

    def __len__(self) -> int:
        with self._open() as db:
            return int(db.execute("SELECT COALESCE(MAX(term), 0) FROM records").fetchone()[0])

    def records(self, first: int = 1) -> Sequence[TermRecord]:
        """Return the records from term ``first`` on, oldest first."""
        return [committed.record for committed in self.committed(first)]

    def committed(self, first: int = 1, most: int = -1) -> Sequence[Committed]:
        """Return up to ``most`` records with certificates from ``first`` on; all if negative."""
        with self._open() as db:
            rows = db.execute(
                "SELECT record, certificate FROM records WHERE term >= ? ORDER BY term LIMIT ?",
                (first, most),
            ).fetchall()
        return [_committed(*row) for row in rows]

    def page(self, first: int) -> tuple[Committed, ...]:
        """Return records from ``first`` on, up to ``PAGE_BYTES``; at least one if there is one."""
        found, size = list[Committed](), 0
        query = "SELECT record, certificate FROM records WHERE term >= ? ORDER BY term"
        with self._open() as db:
            for row in db.execute(query, (first,)):
                size += sum(len(text.encode()) for text in row)
                if found and size > PAGE_BYTES:
                    break
                found.append(_committed(*row))
        return tuple(found)

    def last(self) -> TermRecord | None:
        """Return the latest record."""
        with self._open() as db:
            return _last(db)

    def rounds(self) -> int:
        """Return how many rounds are committed."""
        head = self.last()
        return head.round if head is not None else 0

    def append(self, committed: Committed) -> bool:
        """Append the next record; return False if the ledger has it already.

        Raises :class:`LedgerError` for a record that does not follow the latest one.
        """
        record, certificate = committed.record, committed.certificate.model_dump_json()
        with self.deciding() as db:
            known = db.execute("SELECT hash FROM records WHERE term = ?", (record.term,)).fetchone()
            if known and known[0] == record.hash:
                return False
            check_follows(_last(db), record, self._federation)
            row = (record.term, record.hash, record.model_dump_json(), certificate)
            db.execute("INSERT INTO records VALUES (?, ?, ?, ?)", row)
            if record.roster_change is not None:
                edition = record.roster_change.edition.model_dump_json()
                db.execute("INSERT INTO changes VALUES (?, ?)", (record.term, edition))
            # In the same transaction: no vote may be given in a term that is committed.
            db.execute("DELETE FROM votes WHERE term <= ?", (record.term,))
            db.execute("DELETE FROM proposals WHERE term <= ?", (record.term,))
        return True

    def changes(self) -> tuple[tuple[int, Edition], ...]:
        """Return (term, new edition) for each record that changed the roster, oldest first."""
        with self._open() as db:
            rows = db.execute("SELECT term, edition FROM changes ORDER BY term").fetchall()
        return tuple((term, Edition.model_validate_json(edition)) for term, edition in rows)

    # ---- votes in the open term --------------------------------------------------------------

    def votes(self, term: int) -> Votes:
        """Return this site's votes in ``term``."""
        with self._open() as db:
            return self.votes_in(db, term)

    def accepted(self, term: int) -> Proposal | None:
        """Return the proposal that this site has accepted in ``term``."""
        with self._open() as db:
            return self.accepted_in(db, term)

    @staticmethod
    def accepted_in(db: sqlite3.Connection, term: int) -> Proposal | None:
        """Return the proposal that this site has accepted in ``term``."""
        row = db.execute("SELECT accepted FROM votes WHERE term = ?", (term,)).fetchone()
        return Proposal.model_validate_json(row[0]) if row and row[0] else None

    @contextmanager
    def deciding(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that holds the write lock.

        Commit on exit; roll back if the block raises.
        """
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")  # lock before the first read, so that it stays true
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @staticmethod
    def head_in(db: sqlite3.Connection) -> TermRecord | None:
        """Return the latest record."""
        return _last(db)

    @staticmethod
    def votes_in(db: sqlite3.Connection, term: int) -> Votes:
        """Return this site's votes in ``term``."""
        row = db.execute(
            "SELECT granted, accepted_attempt, accepted FROM votes WHERE term = ?",
            (term,),
        ).fetchone()
        forgetful = _forgetful(db, term)
        if row is None:
            return Votes(term, NONE_SEEN, None, forgetful)
        accepted = None
        if row[2] is not None:
            accepted = Accepted(row[1], Proposal.model_validate_json(row[2]).record.hash)
        return Votes(term, row[0], accepted, forgetful)

    @staticmethod
    def keep_votes(db: sqlite3.Connection, votes: Votes, proposal: Proposal | None = None) -> None:
        """Store votes, with the accepted proposal if it is a new one; None keeps the old one."""
        db.execute(
            "INSERT INTO votes VALUES (?, ?, ?, ?) ON CONFLICT (term) DO UPDATE SET"
            " granted = excluded.granted, accepted_attempt = excluded.accepted_attempt,"
            " accepted = COALESCE(excluded.accepted, accepted)",
            (
                votes.term,
                votes.granted,
                votes.accepted.attempt if votes.accepted else None,
                proposal.model_dump_json() if proposal else None,
            ),
        )

    # ---- a state that was lost -----------------------------------------------------------------

    def forget(self) -> None:
        """Note that this site may have lost promises, so that it must not vote for now."""
        self.set_fact(FORGETFUL, ALL_TERMS)

    def is_forgetful(self) -> bool:
        """Return whether the terms in which this site may have promised are still unknown."""
        return self.fact(FORGETFUL) == ALL_TERMS

    def remember(self, through: int) -> None:
        """Note that a forgetful site votes again after term ``through``."""
        self.set_fact(FORGETFUL, str(through))

    # ---- what this site has proposed as a server ---------------------------------------------

    def proposal(self, term: int) -> tuple[int, Proposal] | None:
        """Return this site's proposal under its highest attempt in ``term``, and the attempt."""
        with self._open() as db:
            row = db.execute(
                "SELECT attempt, proposal FROM proposals WHERE term = ?"
                " ORDER BY attempt DESC LIMIT 1",
                (term,),
            ).fetchone()
        return (row[0], Proposal.model_validate_json(row[1])) if row else None

    def propose(self, attempt: int, proposal: Proposal) -> Proposal:
        """Store a proposal under ``attempt``; return the first one stored under it."""
        term = proposal.record.term
        with self.deciding() as db:
            db.execute(
                "INSERT OR IGNORE INTO proposals VALUES (?, ?, ?)",  # the first one stays
                (term, attempt, proposal.model_dump_json()),
            )
            row = db.execute(
                "SELECT proposal FROM proposals WHERE term = ? AND attempt = ?", (term, attempt)
            ).fetchone()
        return Proposal.model_validate_json(row[0])

    # ---- run orders --------------------------------------------------------------------------

    def order(self) -> RunOrder | None:
        """Return the run order in force: the one with the highest number."""
        with self._open() as db:
            return _order(db)

    def open_order(self) -> RunOrder | None:
        """Return the run order in force, until its rounds are committed or no term can follow."""
        with self._open() as db:
            order, head = _order(db), _last(db)
        over = order is None or (head is not None and (head.ended or head.round >= order.rounds))
        return None if over else order

    def keep_order(self, order: RunOrder) -> RunOrder:
        """Store a run order if its number is the highest so far; return the order in force.

        Of two orders with one number, every site keeps that of the alphabetically first vendor.
        """
        with self.deciding() as db:
            before = _order(db)
            if before is None or (before.number, order.vendor) < (order.number, before.vendor):
                db.execute(
                    "INSERT OR REPLACE INTO orders VALUES (?, ?)",
                    (order.number, order.model_dump_json()),
                )
            held = _order(db)
        assert held is not None
        return held

    # ---- the file ----------------------------------------------------------------------------

    def set_fact(self, key: str, value: str) -> None:
        """Store a fact about this site."""
        with self.deciding() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def fact(self, key: str) -> str | None:
        """Return a fact about this site."""
        with self._open() as db:
            row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self._make()
            with closing(self._connect()) as db:
                yield db
        except sqlite3.OperationalError as error:  # a DatabaseError too, so it comes first
            raise not_writable(self._path, OSError(0, str(error))) from error
        except sqlite3.DatabaseError as error:
            raise self._unusable("a file that is damaged or no ledger") from error

    def _connect(self) -> sqlite3.Connection:
        # A promise must survive a power cut.
        return connect(self._path, BUSY_SECONDS, "FULL")

    def _make(self) -> None:
        if self._made:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise not_writable(self._path, error) from error
        facts = {"schema-version": str(SCHEMA_VERSION), "federation": self._federation}
        with closing(self._connect()) as db:
            db.execute("PRAGMA journal_mode = WAL")  # readers do not wait for a writer
            db.execute("BEGIN IMMEDIATE")
            # The facts are checked before the other tables are made in a file of another version.
            db.execute(SCHEMA.strip().split(";", 1)[0])
            known = dict(db.execute("SELECT key, value FROM meta").fetchall())
            self._check_facts({key: known.get(key, value) for key, value in facts.items()})
            db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", facts.items())
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


def _forgetful(db: sqlite3.Connection, term: int) -> bool:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (FORGETFUL,)).fetchone()
    return row is not None and (row[0] == ALL_TERMS or term <= int(row[0]))


def _committed(record: str, certificate: str) -> Committed:
    return Committed(
        record=TermRecord.model_validate_json(record),
        certificate=Certificate.model_validate_json(certificate),
    )


def _last(db: sqlite3.Connection) -> TermRecord | None:
    row = db.execute("SELECT record FROM records ORDER BY term DESC LIMIT 1").fetchone()
    return TermRecord.model_validate_json(row[0]) if row else None


def _order(db: sqlite3.Connection) -> RunOrder | None:
    row = db.execute("SELECT run_order FROM orders ORDER BY number DESC LIMIT 1").fetchone()
    return RunOrder.model_validate_json(row[0]) if row else None
