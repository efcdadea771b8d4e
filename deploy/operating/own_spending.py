"""What a site has really spent, by its owner's ledger: only `srflm status` shows it, at home."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clients.privacy.accounting.accounting import epsilon_quickly
from clients.privacy.ledger.ledger import spent_in
from clients.privacy.ledger.policy import budget
from clients.privacy.ledger.rows import TRAINING
from deploy.site.privacy_files import ledger_place, site_ledger
from deploy.site.site_on_disk import SiteOnDisk
from strategies.errors import SrflmError


@dataclass(frozen=True)
class OwnSpending:
    """The ledger's file, and the largest ε of a data set that was trained on and not given up."""

    ledger: Path | None
    epsilon: float | None


def own_spending(site: SiteOnDisk) -> OwnSpending:
    """Return what the data of this site's owner have been used for."""
    path = None
    with suppress(SrflmError):  # of a user without a home folder, for example
        path = ledger_place(site.settings, site.federation).path
    return OwnSpending(path, _epsilon(site))


def _epsilon(site: SiteOnDisk) -> float | None:
    delta = budget(site.federation.privacy, site.settings.privacy).delta
    with suppress(SrflmError):  # a ledger that cannot be used is told by the last problem
        books = site_ledger(site.settings).books()
        used = {
            use.dataset
            for name in books.sizes
            for use in books.uses(name)
            if use.purpose in TRAINING
        }
        spent = [
            spent_in(books, each, delta, epsilon_quickly)
            for each in used
            if not books.retired(each)
        ]
        return max(spent, default=None)
    return None
