"""A site's privacy account: its ledger, its policy, and the spender of its training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clients.data.vendor_data import VendorData
from clients.privacy.accounting.accounting import check_size
from clients.privacy.ledger.file import RETIRE
from clients.privacy.ledger.ledger import PrivacyLedger
from clients.privacy.ledger.manifest import manifest_of
from clients.privacy.ledger.policy import ROLES, PrivacyPolicy, budget
from clients.privacy.ledger.spending import Spender
from clients.privacy.training.units import count_units
from srflm_flower.federation.federation import Federation
from strategies.errors import PrivacyError
from strategies.protocol.records import TermRecord


@dataclass(frozen=True)
class PrivacyAccount:
    """The privacy ledger of a site and the site's own policy."""

    ledger: PrivacyLedger
    policy: PrivacyPolicy = field(default_factory=PrivacyPolicy)

    def spender(self, federation: Federation, vendor: str, data: VendorData) -> Spender | None:
        """Return the spender for the vendor's training data; None without differential privacy.

        Raises :class:`PrivacyError` when the site requires more privacy than the federation offers,
        when there are too few data or no patient names, or when the ledger cannot be used.
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
        if spent_at.unit == "patient" and not named_patients(federation, data):
            raise PrivacyError(
                "training images without the names of their patients",
                'them, as privacy.unit is "patient"',
                "put each patient's images into a folder of its own, <class>/<patient>/*, or add"
                " the arrays train_patients, val_patients, and test_patients to the file",
                PrivacyError.SETTINGS,
            )
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


def named_patients(federation: Federation, data: VendorData) -> bool:
    """Return whether the patient of every training image is known."""
    # Each image of the phantom is of another patient, so it needs no names.
    return bool(data.train.patients) or federation.data.source == "phantom"


def check_told(
    spender: Spender, vendor: str, records: Sequence[TermRecord], rounds_per_term: int = 1
) -> None:
    """Check that the privacy ledger lists all training of ``vendor`` that ``records`` contain.

    ``records`` follow each other in one federation; uses in others are none of theirs. Raises
    :class:`PrivacyError` for a ledger that lacks some of it, as after a rollback.
    """
    # A ledger and its anchor that were restored together from an old copy match each other.  The
    # other sites' term records still say in which terms this vendor trained.
    books = spender.ledger.books()
    # Each edition of the federation file has a hash of its own.
    editions = {spender.federation, *(record.federation for record in records)}
    # Its operator gave up the data of an unknown past: that past stays missing, and no other.
    excused = books.excused_through(editions)
    known = {
        (use.term, use.round, use.purpose)
        for name in books.sizes
        for use in books.uses(name)
        if use.federation in editions
    }
    lacking: list[int] = []
    for record in records:
        rounds = range(record.round - rounds_per_term + 1, record.round + 1)
        served = vendor == record.server and [(record.term, r, "server") for r in rounds]
        trained = vendor in record.clients and [(record.term, r, "client") for r in rounds]
        # A server has fine-tuned in every round.  A client may have been away in some, and which
        # ones the record does not say.
        lacks = (served and not known.issuperset(served)) or (trained and known.isdisjoint(trained))
        if lacks and record.term > excused:
            lacking.append(record.term)
        changes = record.roster_change, record.recovery
        if any(each is not None and vendor not in each.edition.roster for each in changes):
            lacking.clear()  # the vendor left: a later vendor of that name is another site
    if lacking:
        raise PrivacyError(
            f"a privacy ledger that knows nothing of term {lacking[0]}, in which this site has"
            " trained: an older copy of its state and identity",
            "the newest ledger",
            RETIRE,
            PrivacyError.LEDGER_ROLLED_BACK,
        )
