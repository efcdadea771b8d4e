"""The paths of a site's privacy ledger and of the anchors that guard it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clients.privacy.ledger.adoption import adopt, require_adopted
from clients.privacy.ledger.ledger import ANCHOR_FILE, LEDGER_FILE, PrivacyLedger
from clients.privacy.ledger.place import LedgerPlace, owners_ledger
from deploy.site.settings import SiteSettings
from srflm_flower.federation.federation import Federation
from srflm_flower.privacy.own_data import is_own_data


def ledger_place(settings: SiteSettings, federation: Federation) -> LedgerPlace:
    """Return where the ledger of this site's records lies: at their owner's, or in its state.

    ``federation`` is the federation as the site sees it.
    """
    named, anchor = settings.privacy.ledger, settings.identity / ANCHOR_FILE
    if named is None and not is_own_data(federation):
        return LedgerPlace(own_ledger(settings), anchor)
    return owners_ledger(named, witness=anchor)


def own_ledger(settings: SiteSettings) -> Path:
    """Return the file of a ledger that a site keeps for itself."""
    return settings.state / LEDGER_FILE


def ledger_if_private(settings: SiteSettings, federation: Federation) -> Path | None:
    """Return the ledger's file; None in a federation without differential privacy."""
    return ledger_place(settings, federation).path if federation.privacy.private else None


def site_ledger(settings: SiteSettings) -> PrivacyLedger:
    """Return the ledger in which this site's uses count.

    Raises :class:`strategies.errors.PrivacyError` while the site has one of its own that its
    owner's has yet to adopt.
    """
    place = ledger_place(settings, settings.load_federation())
    if place.witness is not None:
        require_adopted(own_ledger(settings))
    return place.open()


def adopt_own_ledger(
    settings: SiteSettings, federation: Federation, through: Mapping[str, int]
) -> Path | None:
    """Enter a ledger of an older version into the owner's, once; return where its file is kept.

    ``through`` is the last term, by federation, in which the site may have trained.  Raises
    :class:`strategies.errors.PrivacyError` when it cannot be entered.
    """
    return adopt(own_ledger(settings), ledger_place(settings, federation), through)
