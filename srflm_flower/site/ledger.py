"""A site's ledger, votes, proposals, and run orders in one SQLite file; every write is durable.

Several processes of a site use it at once (messages of two servers, its own server, the launcher).
Every decision that depends on its content is therefore made inside :meth:`TermLedger.deciding`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from srflm_flower.site.evidence.signed_votes import note_committed_in
from srflm_flower.site.lapses import LapsingLedger, count_vote_in, is_silent_in, memory_in
from srflm_flower.site.ledger_file import fact_in
from strategies.errors import MessageRefused
from strategies.protocol.chain import check_follows
from strategies.protocol.memory import Memory, newest
from strategies.protocol.quorum import NONE_SEEN, Accepted, Votes
from strategies.protocol.records import (
    Absence,
    Certificate,
    Committed,
    Edition,
    LogAnchor,
    Proposal,
    Recovery,
    RunOrder,
    TermRecord,
)

MESSAGE_LOG = "message-log"
"""The fact that has the length of the site's message log, and the hash of its last line."""
PAGE_BYTES = 4 * 2**20  # of JSON: SuperNodes drop messages above 32 MiB and twice the model


class TermLedger(LapsingLedger):
    """The promises, proposals, and committed records of a site."""

    # ---- committed records -------------------------------------------------------------------

    def __len__(self) -> int:
        with self.reading() as db:
            return int(db.execute("SELECT COALESCE(MAX(term), 0) FROM records").fetchone()[0])

    def records(self, first: int = 1) -> Sequence[TermRecord]:
        """Return the records from term ``first`` on, oldest first."""
        return [committed.record for committed in self.committed(first)]

    def committed(self, first: int = 1, most: int = -1) -> Sequence[Committed]:
        """Return up to ``most`` records with certificates from ``first`` on; all if negative."""
        with self.reading() as db:
            rows = db.execute(
                "SELECT record, certificate FROM records WHERE term >= ? ORDER BY term LIMIT ?",
                (first, most),
            ).fetchall()
        return [committed_in(*row) for row in rows]

    def page(self, first: int) -> tuple[Committed, ...]:
        """Return records from ``first`` on, up to ``PAGE_BYTES``; at least one if there is one."""
        found, size = list[Committed](), 0
        query = "SELECT record, certificate FROM records WHERE term >= ? ORDER BY term"
        with self.reading() as db:
            for row in db.execute(query, (first,)):
                size += sum(len(text.encode()) for text in row)
                if found and size > PAGE_BYTES:
                    break
                found.append(committed_in(*row))
        return tuple(found)

    def last(self) -> TermRecord | None:
        """Return the latest record."""
        with self.reading() as db:
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
            if record.recovery is not None:
                keep_recovery_in(db, record.recovery)
            if record.roster_change is not None:
                edition = record.roster_change.edition.model_dump_json()
                db.execute("INSERT INTO changes VALUES (?, ?)", (record.term, edition))
            note_committed_in(db, committed)
            # In the same transaction: no vote may be given in a term that is committed.
            db.execute("DELETE FROM votes WHERE term <= ?", (record.term,))
            db.execute("DELETE FROM proposals WHERE term <= ?", (record.term,))
            db.execute("DELETE FROM yielded WHERE term <= ?", (record.term,))
        return True

    def check_next(self, record: TermRecord) -> None:
        """Raise :class:`LedgerError` unless a record follows the latest one."""
        check_follows(self.last(), record, self._federation)

    @staticmethod
    def changes_in(db: sqlite3.Connection) -> tuple[tuple[int, Edition], ...]:
        """Return (term, edition) for each record after which the roster changed, oldest first."""
        # A recovery from a record that changes the roster comes after that change.
        query = (
            "SELECT term, edition, 0 FROM changes UNION ALL"
            " SELECT term, edition, 1 FROM recoveries ORDER BY 1, 3"
        )
        rows = db.execute(query).fetchall()
        return tuple((term, Edition.model_validate_json(edition)) for term, edition, _ in rows)

    def recovery(self, head: int) -> Recovery | None:
        """Return the recovery from the record of term ``head``, if there is one."""
        with self.reading() as db:
            return recovery_in(db, head)

    # ---- votes in the open term --------------------------------------------------------------

    def votes(self, term: int) -> Votes:
        """Return this site's votes in ``term``."""
        with self.reading() as db:
            return self.votes_in(db, term)

    def accepted(self, term: int) -> Proposal | None:
        """Return the proposal that this site has accepted in ``term``."""
        with self.reading() as db:
            return self.accepted_in(db, term)

    @staticmethod
    def accepted_in(db: sqlite3.Connection, term: int) -> Proposal | None:
        """Return the proposal that this site has accepted in ``term``."""
        row = db.execute("SELECT accepted FROM votes WHERE term = ?", (term,)).fetchone()
        return Proposal.model_validate_json(row[0]) if row and row[0] else None

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
        forgetful = is_silent_in(db, term)
        if row is None:
            return Votes(term, NONE_SEEN, None, forgetful)
        accepted = None
        if row[2] is not None:
            accepted = Accepted(row[1], Proposal.model_validate_json(row[2]).record.hash)
        return Votes(term, row[0], accepted, forgetful)

    @staticmethod
    def keep_votes(db: sqlite3.Connection, votes: Votes, proposal: Proposal | None = None) -> None:
        """Store votes, with the accepted proposal if it is a new one; None keeps the old one."""
        count_vote_in(db)
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

    # ---- what this site has proposed as a server ---------------------------------------------

    def proposal(self, term: int) -> tuple[int, Proposal] | None:
        """Return this site's proposal under its highest attempt in ``term``, and the attempt."""
        with self.reading() as db:
            row = db.execute(
                "SELECT attempt, proposal FROM proposals WHERE term = ?"
                " ORDER BY attempt DESC LIMIT 1",
                (term,),
            ).fetchone()
        return (row[0], Proposal.model_validate_json(row[1])) if row else None

    def propose(self, attempt: int, proposal: Proposal) -> Proposal:
        """Store a proposal under ``attempt``; return the first one stored under it.

        Raises :class:`MessageRefused` at a site that may have forgotten an earlier proposal.
        """
        term = proposal.record.term
        with self.deciding() as db:
            # Two records under one attempt could both get a quorum.
            if is_silent_in(db, term):
                raise MessageRefused(
                    "a proposal by a site that may have forgotten one",
                    "a server that remembers what it has proposed",
                    "nothing: another vendor serves; `srflm status` says what this one waits for",
                    MessageRefused.NO_VOTE,
                )
            count_vote_in(db)  # a second proposal under one attempt does as much harm as a vote
            db.execute(
                "INSERT OR IGNORE INTO proposals VALUES (?, ?, ?)",  # the first one stays
                (term, attempt, proposal.model_dump_json()),
            )
            row = db.execute(
                "SELECT proposal FROM proposals WHERE term = ? AND attempt = ?", (term, attempt)
            ).fetchone()
        return Proposal.model_validate_json(row[0])

    # ---- attempts that their vendors have yielded ----------------------------------------------

    def yielded(self, term: int) -> Sequence[Absence]:
        """Return the last attempt in ``term`` of each vendor that has yielded one, lowest first."""
        query = "SELECT absence FROM yielded WHERE term = ? ORDER BY attempt"
        with self.reading() as db:
            return [Absence.model_validate_json(row[0]) for row in db.execute(query, (term,))]

    def keep_yielded(self, term: int, lost: Absence) -> None:
        """Note that a vendor yields its attempt; a lower one than it has yielded is ignored."""
        # One row a vendor: however often it yields, it fills no disk and no term record.
        row = (term, lost.vendor, lost.attempt, lost.model_dump_json())
        with self.deciding() as db:
            db.execute(
                "INSERT INTO yielded VALUES (?, ?, ?, ?) ON CONFLICT (term, vendor) DO UPDATE SET"
                " attempt = excluded.attempt, absence = excluded.absence"
                " WHERE excluded.attempt > attempt",
                row,
            )

    def take_up(self, vendor: str) -> None:
        """Forget what a vendor has yielded."""
        with self.deciding() as db:
            db.execute("DELETE FROM yielded WHERE vendor = ?", (vendor,))

    # ---- the site's message log ----------------------------------------------------------------

    def log(self) -> LogAnchor | None:
        """Return the site's message log as the ledger knows it; None if it knows none."""
        with self.reading() as db:
            return self.log_in(db)

    @staticmethod
    def log_in(db: sqlite3.Connection) -> LogAnchor | None:
        """Return the site's message log as the ledger knows it; None if it knows none."""
        fact = fact_in(db, MESSAGE_LOG)
        if fact is None:
            return None
        lines, head = fact.split()
        return LogAnchor(lines=int(lines), head=head)

    def keep_log(self, log: LogAnchor) -> None:
        """Note the length and the last line of the site's message log."""
        self.set_fact(MESSAGE_LOG, f"{log.lines} {log.head}")

    # ---- what the peers remember ---------------------------------------------------------------

    def memories(self, vendor: str, peer: str) -> tuple[Memory, Memory | None]:
        """Return what this site of ``vendor`` remembers, unsigned, and has heard of a peer."""
        with self.reading() as db:
            return memory_in(db, vendor), _heard(db, peer)

    def keep_heard(self, memory: Memory, outdated: Memory | None = None) -> bool:
        """Store what a vendor's site says of its memory; return False if a newer one is stored.

        An ``outdated`` one, signed with a key that the vendor no longer has, counts as none.
        """
        with self.deciding() as db:
            held = _heard(db, memory.vendor)
            kept = newest(None if held == outdated else held, memory)
            if kept is not None:
                plain = kept.model_dump_json()
                db.execute("INSERT OR REPLACE INTO heard VALUES (?, ?)", (kept.vendor, plain))
        return kept is not None

    # ---- run orders --------------------------------------------------------------------------

    def order(self) -> RunOrder | None:
        """Return the run order in force: the one with the highest number."""
        with self.reading() as db:
            return _order(db)

    def open_order(self) -> RunOrder | None:
        """Return the run order in force, until its rounds are committed or no term can follow."""
        with self.reading() as db:
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


def recovery_in(db: sqlite3.Connection, head: int) -> Recovery | None:
    """Return the recovery from the record of term ``head``, if there is one."""
    row = db.execute("SELECT recovery FROM recoveries WHERE term = ?", (head,)).fetchone()
    return Recovery.model_validate_json(row[0]) if row else None


def keep_recovery_in(db: sqlite3.Connection, recovery: Recovery) -> None:
    """Store a recovery: its edition decides from the next term on."""
    row = recovery.term, recovery.edition.model_dump_json(), recovery.model_dump_json()
    db.execute("INSERT OR IGNORE INTO recoveries VALUES (?, ?, ?)", row)


def committed_in(record: str, certificate: str) -> Committed:
    """Return a record with its certificate from the two columns that hold them as JSON."""
    return Committed(
        record=TermRecord.model_validate_json(record),
        certificate=Certificate.model_validate_json(certificate),
    )


def _heard(db: sqlite3.Connection, vendor: str) -> Memory | None:
    row = db.execute("SELECT memory FROM heard WHERE vendor = ?", (vendor,)).fetchone()
    return Memory.model_validate_json(row[0]) if row else None


def _last(db: sqlite3.Connection) -> TermRecord | None:
    row = db.execute("SELECT record FROM records ORDER BY term DESC LIMIT 1").fetchone()
    return TermRecord.model_validate_json(row[0]) if row else None


def _order(db: sqlite3.Connection) -> RunOrder | None:
    row = db.execute("SELECT run_order FROM orders ORDER BY number DESC LIMIT 1").fetchone()
    return RunOrder.model_validate_json(row[0]) if row else None
