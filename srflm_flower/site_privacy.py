"""A site's privacy: where its ledger lies, and who spends from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clients.data.vendor_data import VendorData
from clients.privacy.accounting import check_size, epsilon_quickly
from clients.privacy.ledger import ANCHOR_FILE, LEDGER_FILE, PrivacyLedger, spent_in
from clients.privacy.ledger_file import RETIRE
from clients.privacy.manifest import manifest_of
from clients.privacy.policy import ROLES, PrivacyPolicy, budget
from clients.privacy.spending import MOST_TOLD, Spender
from clients.privacy.units import count_units
from srflm_flower.errors import PrivacyError
from srflm_flower.federation import Federation
from srflm_flower.records import TermRecord
from srflm_flower.site_settings import SiteSettings

ROUNDING = 0.01
"""How much the quick ε of a longer history may be below that of a shorter one; it is far less."""


@dataclass(frozen=True)
class PrivacyAccount:
    """What a site owns: its ledger, and its own policy."""

    ledger: PrivacyLedger
    policy: PrivacyPolicy = field(default_factory=PrivacyPolicy)

    def spender(self, federation: Federation, vendor: str, data: VendorData) -> Spender | None:
        """Return who spends for the vendor's training data; None without differential privacy.

        Raises :class:`PrivacyError` when the site requires what the federation does not offer, when
        the data are too few, or when the ledger cannot be used.
        """
        settings = federation.privacy
        if not settings.private:
            if self.policy.required:
                raise PrivacyError(
                    f"the federation {federation.name!r} without differential privacy",
                    "training with it, which this site requires",
                    "set privacy.unit in federation.toml, or change privacy.required in site.toml",
                    PrivacyError.POLICY,
                )
            return None
        spent_at = budget(settings, self.policy, federation.rounds_per_term)
        units = count_units(data.train, spent_at.unit)
        check_size(settings.batch_size, units, spent_at.delta)
        mechanisms = {role: federation.mechanism(vendor, role) for role in ROLES}
        return Spender(
            self.ledger,
            self.policy,
            settings,
            spent_at,
            self.ledger.enrol(manifest_of(data.train)),
            federation.member(vendor).size or units,
            {role: each for role, each in mechanisms.items() if each is not None},
            federation.hash,
        )


def check_told(spender: Spender, vendor: str, records: Sequence[TermRecord]) -> None:
    """Raise :class:`PrivacyError` if ``records`` say that more was spent than the ledger knows.

    State and identity that were restored together from an old copy fit each other; but what this
    site has told of its ε stands in the term records, which the others keep too.
    """
    told = [record.privacy[vendor] for record in records if vendor in record.privacy]
    if not told:
        return
    books = spender.ledger.books()
    known = max(spent_in(books, name, told[-1].delta, epsilon_quickly) for name in books.sizes)
    if min(known, MOST_TOLD) < told[-1].epsilon * (1 - ROUNDING) - ROUNDING:
        raise PrivacyError(
            f"a privacy ledger with ε = {known:.3f}, where this site has told the federation of"
            f" {told[-1].epsilon:.3f}: an older copy of its state and identity",
            "the newest ledger",
            RETIRE,
            PrivacyError.LEDGER_ROLLED_BACK,
        )


def ledger_path(settings: SiteSettings) -> Path:
    """Return the ledger's file."""
    return settings.state / LEDGER_FILE


def anchor_path(settings: SiteSettings) -> Path:
    """Return the anchor's file, outside of the state folder."""
    return settings.identity / ANCHOR_FILE


def site_ledger(settings: SiteSettings) -> PrivacyLedger:
    """Return the site's privacy ledger."""
    return PrivacyLedger(ledger_path(settings), anchor_path(settings))
