"""What vendors have signed in recent terms, and evidence of those that contradict themselves.

::

    said        (ledger.sqlite) one row for each different vote that a vendor has signed
    evidence    (ledger.sqlite) two votes of a vendor that contradict each other, one a vendor
                and kind, under each edition of the federation file
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from srflm_flower.site.ledger_file import LedgerFile
from strategies.errors import MessageRefused
from strategies.protocol.equivocation import (
    check_evidence,
    find_evidence,
    is_genuine,
    said_in_committed,
)
from strategies.protocol.evidence_nouns import Acceptance, Evidence, Said
from strategies.protocol.records import Committed, Edition, Proposal, TermRecord
from strategies.protocol.signatures import Keys

KEPT_TERMS = 10
"""For so many terms after it was committed, votes in a term are kept to be compared."""
MOST_VOTES = 8
"""Of one kind, vendor, and attempt: two that differ are evidence, and a liar fills no disk."""


def note_in(
    db: sqlite3.Connection,
    edition: Edition,
    term: int,
    told: Iterable[tuple[str, Said]],
    keys: Keys,
) -> None:
    """Note what vendors have signed in ``term``, in the transaction that stores it.

    ``edition`` decides the term.  What is not genuine must not take the place of what is.
    """
    if edition.keys:  # in a simulation nobody signs
        own, federation = keys.at(edition), edition.federation
        signed = (each for each in told if is_genuine(each[1], each[0], federation, term, own))
        _note_in(db, federation, term, signed)


def note_committed_in(db: sqlite3.Connection, committed: Committed) -> None:
    """Note what a committed record shows, in the transaction that appends it."""
    record = committed.record  # its signatures are checked
    _note_in(db, record.federation, record.term, said_in_committed(committed))
    db.execute("DELETE FROM said WHERE term <= ?", (record.term - KEPT_TERMS,))


def _note_in(
    db: sqlite3.Connection, federation: str, term: int, told: Iterable[tuple[str, Said]]
) -> None:
    rows = []
    for vendor, said in told:
        attempt, value, plain = _columns(said)
        rows.append((term, federation, vendor, said.kind, attempt, value, plain))
    # One row for each value: a vendor can sign the same in many ways, to hide another value.
    db.executemany(
        "INSERT OR IGNORE INTO said SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE (SELECT COUNT(*)"
        " FROM said WHERE term = ?1 AND vendor = ?3 AND kind = ?4 AND attempt = ?5)"
        f" < {MOST_VOTES}",
        rows,
    )


def _columns(said: Said) -> tuple[int, str, str]:
    """Return the attempt, the content, and the whole as JSON; an acceptance needs its record."""
    if said.record is not None:
        record = said.record.record
        return record.attempt, record.hash, said.record.model_dump_json()
    if said.acceptance is not None:
        told = said.acceptance
        return told.attempt, told.record.hash, told.model_dump_json(exclude={"record"})
    if said.grant is not None:
        plain = said.grant.model_dump_json()
        return said.grant.attempt, plain, plain
    assert said.ballot is not None
    plain = said.ballot.model_dump_json()
    return said.ballot.attempt, plain, plain


# ---- looking for evidence ----------------------------------------------------------------------


def look_for_evidence(ledger: LedgerFile, edition: Edition, term: int, keys: Keys) -> None:
    """Keep as evidence what vendors have signed in ``term`` that contradicts itself.

    ``edition`` decides the term.
    """
    if not edition.keys:  # in a simulation nobody signs
        return
    with ledger.reading() as db:
        if not _may_contradict(db, term):
            return
        said = _said_in(db, edition.federation, term)
    found = [
        each
        for vendor, votes in said.items()
        if vendor in edition.roster
        for each in find_evidence(vendor, edition.federation, term, votes, keys.at(edition))
    ]
    _keep(ledger, found)


def _may_contradict(db: sqlite3.Connection, term: int) -> bool:
    """Return whether a look at the signatures is worth its time."""
    twice = (
        "SELECT 1 FROM said WHERE term = ?1 AND kind <> 'grant' GROUP BY vendor, kind, attempt"
        " HAVING COUNT(*) > 1 UNION ALL"
        " SELECT 1 FROM said WHERE term = ?1 AND kind = 'grant' LIMIT 1"
    )
    return db.execute(twice, (term,)).fetchone() is not None


def _said_in(db: sqlite3.Connection, federation: str, term: int) -> dict[str, list[Said]]:
    """Return all that each vendor has signed in ``term``, under that edition."""
    rows = db.execute(
        "SELECT vendor, kind, value, plain FROM said WHERE term = ? AND federation = ?",
        (term, federation),
    ).fetchall()
    records: dict[str, TermRecord] = {}
    for _, kind, value, plain in rows:
        if kind == "record":
            records[value] = Proposal.model_validate_json(plain).record
    said: dict[str, list[Said]] = {}
    for vendor, kind, value, plain in rows:
        if kind != "acceptance":
            each = Said.model_validate_json(f'{{"{kind}": {plain}}}')
        elif value in records:
            told = Acceptance.model_validate({"record": records[value]} | json.loads(plain))
            each = Said(acceptance=told)
        else:
            continue
        said.setdefault(vendor, []).append(each)
    return said


# ---- the evidence ------------------------------------------------------------------------------


def hear_evidence(
    ledger: LedgerFile, told: Iterable[Evidence], edition: Edition, keys: Keys
) -> None:
    """Keep evidence that another site tells, if it is genuine and of the deciding ``edition``."""
    told = list(told)
    if not told or not edition.keys:  # in a simulation nobody signs
        return
    known = {(each.vendor, each.is_of_votes) for each in evidence(ledger, edition.federation)}
    good = []
    for each in told:
        unknown = (each.vendor, each.is_of_votes) not in known
        if each.vendor in edition.roster and each.federation == edition.federation and unknown:
            try:
                check_evidence(each, keys.at(edition))
            except MessageRefused:  # a liar that slanders: the signatures decide
                continue
            known.add((each.vendor, each.is_of_votes))
            good.append(each)
    _keep(ledger, good)


def _keep(ledger: LedgerFile, found: Iterable[Evidence]) -> None:
    rows = [
        (each.vendor, each.federation, each.is_of_votes, each.term, each.model_dump_json())
        for each in found
    ]
    if rows:
        with ledger.deciding() as db:
            db.executemany("INSERT OR IGNORE INTO evidence VALUES (?, ?, ?, ?, ?)", rows)


def evidence(ledger: LedgerFile, federation: str | None = None) -> tuple[Evidence, ...]:
    """Return the evidence under an edition of the federation file (None: all), by vendor."""
    with ledger.reading() as db:
        rows = db.execute(
            "SELECT plain FROM evidence WHERE ?1 IS NULL OR federation = ?1"
            " ORDER BY term, vendor, votes",
            (federation,),
        ).fetchall()
    return tuple(Evidence.model_validate_json(plain) for (plain,) in rows)


def not_obeyed(ledger: LedgerFile, federation: str) -> frozenset[str]:
    """Return the vendors whose servers this site does not obey under this edition."""
    with ledger.reading() as db:
        return not_obeyed_in(db, federation)


def not_obeyed_in(db: sqlite3.Connection, federation: str) -> frozenset[str]:
    """Return the vendors whose servers this site does not obey under this edition."""
    rows = db.execute(
        "SELECT vendor FROM evidence WHERE federation = ? AND votes", (federation,)
    ).fetchall()
    return frozenset(vendor for (vendor,) in rows)
