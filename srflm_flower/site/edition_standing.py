"""Where a site stands between editions: which decides the next term, which it has the file of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from srflm_flower.site.ledger import TermLedger
from strategies.protocol.records import Approval, Edition
from strategies.protocol.roster_change import Editions

APPROVAL = "approval"

Place = Literal["member", "between", "left"]


@dataclass(frozen=True)
class Standing:
    """A site between editions.

    ``editions`` are those of its ledger, ``own`` is the one of the file with which it runs, and
    ``approved`` the one that its operator wants to come next, while that is not decided.
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
        """Return whose messages under this edition the site answers: none where it is unknown.

        Whoever joins with an edition that is approved only is no member yet.  A site that runs with
        an edition to which its ledger has not come knows no better roster.
        """
        ahead = self.find(federation)
        if ahead is None or self.editions.find(federation) is not None:
            return self.editions.last.roster if ahead is not None else ()
        if federation == self.own.federation:
            return self.own.roster
        return tuple(vendor for vendor in ahead.roster if vendor in self.editions.last.roster)

    def place(self, vendor: str) -> Place:
        """Return whether the vendor's site can take part in the next term.

        ``between``: it runs with the file of another edition than the one that decides.
        """
        deciding = self.editions.last
        if self.own.federation == deciding.federation:
            return "member"
        if self.editions.find(self.own.federation) is None:
            return "between"  # its ledger has not come to the edition that it runs with
        return "between" if vendor in deciding.roster else "left"


def standing_of(ledger: TermLedger, first: Edition, own: Edition) -> Standing:
    """Return where the site with this ledger stands, when it runs with the file of ``own``."""
    approval, editions = approval_of(ledger), Editions(first, ledger.changes())
    if approval is not None and approval.previous == editions.last.federation:
        return Standing(editions, own, approval.edition)
    return Standing(editions, own)


def approval_of(ledger: TermLedger) -> Approval | None:
    """Return what the site's operator has approved, if it is still to be decided or to be made."""
    text = ledger.fact(APPROVAL)
    return Approval.model_validate_json(text) if text else None


def keep_approval(ledger: TermLedger, approval: Approval | None) -> None:
    """Keep an approval in place of an earlier one; None withdraws it."""
    ledger.set_fact(APPROVAL, approval.model_dump_json() if approval is not None else "")
