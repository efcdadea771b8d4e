"""Changes of the roster: approved by a quorum of the old roster, in force after a committed term.

A vendor approves a new :class:`Edition` with its signature.  A server learns approvals when it
opens a term; with the approvals of a quorum, the term's record carries the change.  The old
roster decides on that record, so at most one edition follows another, and the new roster decides
the next term.  To verify a ledger, its first edition is enough.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from strategies.errors import MessageRefused
from strategies.protocol.quorum import has_quorum
from strategies.protocol.records import (
    Approval,
    Committed,
    Edition,
    RosterChange,
    TermRecord,
    canonical_json,
    quorum_size,
)
from strategies.protocol.signatures import Keys, check_committed


@dataclass(frozen=True)
class Editions:
    """The edition that decides each term: ``first``, then the editions of ``changes``.

    ``changes`` has the terms whose records carry a change, ascending, each with the new edition.
    """

    first: Edition
    changes: tuple[tuple[int, Edition], ...] = ()

    def at(self, term: int) -> Edition:
        """Return the edition that decides ``term``."""
        before = (edition for changed, edition in reversed(self.changes) if changed < term)
        return next(before, self.first)

    @property
    def last(self) -> Edition:
        """The edition that decides the next term."""
        return self.changes[-1][1] if self.changes else self.first

    @property
    def last_change(self) -> int:
        """The term whose record carries the last change; 0 without any change."""
        return self.changes[-1][0] if self.changes else 0

    def find(self, federation: str) -> Edition | None:
        """Return the edition whose federation file has this hash, or None."""
        every = (self.first, *(edition for _, edition in self.changes))
        return next((each for each in every if each.federation == federation), None)

    def after(self, record: TermRecord) -> Editions:
        """Return the editions after ``record``: with its roster change added, if it carries one."""
        before, change = self.recovered_by(record), record.roster_change
        # A record up to the last change is already included.
        if change is None or record.term <= before.last_change:
            return before
        return replace(before, changes=(*before.changes, (record.term, change.edition)))

    def recovered_by(self, record: TermRecord) -> Editions:
        """Return the editions that decide ``record``: with its recovery, if it carries one."""
        found = record.recovery
        if found is None or found.term < self.last_change or self.find(found.edition.federation):
            return self
        return replace(self, changes=(*self.changes, (found.term, found.edition)))


def approval_statement(previous: str, edition: Edition) -> bytes:
    """Return the statement that a vendor signs when it approves a new edition."""
    # Without the fields that are not set: approvals of earlier versions stay valid.
    plain = edition.model_dump(mode="json", exclude_none=True)
    return canonical_json({"says": "roster", "previous": previous, "edition": plain})


def sign_approval(vendor: str, previous: str, edition: Edition, keys: Keys) -> Approval:
    """Return the vendor's approval that ``edition`` shall follow the one with hash ``previous``."""
    signature = keys.sign(approval_statement(previous, edition))
    return Approval(vendor=vendor, previous=previous, edition=edition, signature=signature)


def agreed_change(
    approvals: Iterable[Approval], edition: Edition, keys: Keys
) -> RosterChange | None:
    """Return the change that a quorum of ``edition``'s roster has approved, or None.

    Ignore approvals whose signature does not match their vendor.
    """
    signed: dict[bytes, tuple[Edition, dict[str, str]]] = {}
    verifying = keys.at(edition)
    for each in approvals:
        # Approvals count together only if they are for exactly the same edition.
        statement = approval_statement(each.previous, each.edition)
        if each.previous != edition.federation or each.vendor not in edition.roster:
            continue
        if verifying.verify(each.vendor, statement, each.signature):
            by = signed.setdefault(statement, (each.edition, {}))[1]
            by[each.vendor] = each.signature
    for wanted, by in signed.values():
        if has_quorum(by, edition.roster, edition.quorum):
            return RosterChange(edition=wanted, approvals=by)
    return None


def check_change(change: RosterChange, edition: Edition, keys: Keys) -> None:
    """Check that a quorum of ``edition``'s roster has approved the change.

    Raises :class:`MessageRefused`.
    """
    approvals = [
        Approval(
            vendor=vendor,
            previous=edition.federation,
            edition=change.edition,
            signature=signature,
        )
        for vendor, signature in change.approvals.items()
    ]
    if agreed_change(approvals, edition, keys) is None:
        needed = quorum_size(len(edition.roster), edition.quorum)
        raise MessageRefused(
            "a change of the roster without enough valid approvals",
            f"those of {needed} of {', '.join(edition.roster)}",
            "let more members approve it: `srflm roster approve`",
            MessageRefused.SIGNATURE,
        )


def check_decided(committed: Committed, edition: Edition, keys: Keys) -> None:
    """Check that ``edition``'s roster has committed a record and approved the change in it, if any.

    Raises :class:`MessageRefused`.
    """
    verifying = keys.at(edition)
    check_committed(committed, edition, verifying)
    change = committed.record.roster_change
    if change is not None:
        check_change(change, edition, keys)
