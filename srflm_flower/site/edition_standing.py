"""The standing of a site between two editions of the federation file.

The edition that decides the next term can differ from the edition of the file at the site.
"""

from __future__ import annotations

from dataclasses import dataclass
from sqlite3 import Connection
from typing import Literal

from srflm_flower.site.ledger import TermLedger
from srflm_flower.site.ledger_file import fact_in
from strategies.protocol.records import Approval, Edition
from strategies.protocol.roster_change import Editions

APPROVAL = "approval"

Place = Literal["member", "between", "left"]


@dataclass(frozen=True)
class Standing:
    """A site between editions.

    ``editions`` are the editions in its ledger, and ``own`` is the edition of the file with which
    it runs.  ``approved`` is the next edition that its operator has approved, until it is decided.
    """

    editions: Editions
    own: Edition
    approved: Edition | None = None

    @property
    def known(self) -> frozenset[str]:
        """The hashes of all editions that the site knows."""
        chain = [edition for _, edition in self.editions.changes]
        every = [self.editions.first, *chain, self.own, *filter(None, [self.approved])]
        return frozenset(edition.federation for edition in every)

    def find(self, federation: str) -> Edition | None:
        """Return the edition with this hash, if the site knows it."""
        found = self.editions.find(federation)
        ahead = (each for each in (self.own, self.approved) if each is not None)
        return found or next((each for each in ahead if each.federation == federation), None)

    def members(self, federation: str) -> tuple[str, ...]:
        """Return the vendors whose messages under this edition the site answers.

        They are none for an edition that the site does not know.
        """
        ahead = self.find(federation)
        if ahead is None or self.editions.find(federation) is not None:
            return self.editions.last.roster if ahead is not None else ()
        if federation == self.own.federation:
            # The ledger has not reached the site's own edition, so there is no better roster.
            return self.own.roster
        # The edition is approved but not decided: its newcomers are not members yet.
        return tuple(vendor for vendor in ahead.roster if vendor in self.editions.last.roster)

    def place(self, vendor: str) -> Place:
        """Return whether the vendor's site can take part in the next term.

        ``between``: it runs with the file of another edition than the deciding one.  ``left``: the
        deciding edition has no such vendor.
        """
        deciding = self.editions.last
        if self.own.federation == deciding.federation:
            return "member"
        if self.editions.find(self.own.federation) is None:
            return "between"  # the ledger has not reached the edition of the site's file
        return "between" if vendor in deciding.roster else "left"


def standing_of(ledger: TermLedger, first: Edition, own: Edition) -> Standing:
    """Return the standing of the site with this ledger and the federation file of ``own``."""
    with ledger.reading() as db:  # once: to open the file costs more than to read it
        approval, editions = _approval_in(db), Editions(first, ledger.changes_in(db))
    # An approval with another predecessor is decided, or another edition was decided instead.
    if approval is not None and approval.previous == editions.last.federation:
        return Standing(editions, own, approval.edition)
    return Standing(editions, own)


def approval_of(ledger: TermLedger) -> Approval | None:
    """Return the approval that the site's operator has given last, unless it was withdrawn."""
    with ledger.reading() as db:
        return _approval_in(db)


def _approval_in(db: Connection) -> Approval | None:
    text = fact_in(db, APPROVAL)
    return Approval.model_validate_json(text) if text else None


def keep_approval(ledger: TermLedger, approval: Approval | None) -> None:
    """Store an approval, replacing an earlier one; None withdraws it."""
    ledger.set_fact(APPROVAL, approval.model_dump_json() if approval is not None else "")
