"""Imported by a site's worker: its server quotes a client's ballot otherwise than it was given."""

from __future__ import annotations

from srflm_flower.site.journal import SiteJournal
from strategies.protocol.records import Proposal, TermRecord

_sign_truly = SiteJournal.sign


def sign_another(self: SiteJournal, record: TermRecord) -> Proposal:
    """Sign a record in which a client had a million examples."""
    victim = record.clients[-1]
    false = record.ballots[victim].model_copy(update={"examples": 10**6})
    ballots = record.ballots | {victim: false}
    return _sign_truly(self, record.model_copy(update={"ballots": ballots}))


SiteJournal.sign = sign_another  # type: ignore[method-assign]
