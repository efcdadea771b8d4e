"""The paths of a site's privacy ledger and of the anchor that guards it."""

from __future__ import annotations

from pathlib import Path

from clients.privacy.ledger.ledger import ANCHOR_FILE, LEDGER_FILE, PrivacyLedger
from deploy.site.settings import SiteSettings


def ledger_path(settings: SiteSettings) -> Path:
    """Return the ledger's file."""
    return settings.state / LEDGER_FILE


def anchor_path(settings: SiteSettings) -> Path:
    """Return the anchor's file, outside of the state folder."""
    return settings.identity / ANCHOR_FILE


def site_ledger(settings: SiteSettings) -> PrivacyLedger:
    """Return the site's privacy ledger."""
    return PrivacyLedger(ledger_path(settings), anchor_path(settings))
