"""Imported by a site's worker: its server ends the federation in its record."""

from __future__ import annotations

from srflm_flower.site.journal import SiteJournal
from strategies.protocol.records import Proposal, TermRecord

_sign_truly = SiteJournal.sign


def sign_another(self: SiteJournal, record: TermRecord) -> Proposal:
    """Sign a record after which no term can follow."""
    return _sign_truly(self, record.model_copy(update={"ended": "because I say so"}))


SiteJournal.sign = sign_another  # type: ignore[method-assign]
