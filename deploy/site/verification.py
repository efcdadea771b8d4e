"""Verify a site's files: its ledger's chain and signatures, its newest model, its message log."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.site.site_on_disk import SiteOnDisk
from strategies.protocol.chain import check_chain
from strategies.protocol.records import Recovery
from strategies.protocol.recovery import check_recovery
from strategies.protocol.roster_change import Editions, check_decided


@dataclass(frozen=True)
class Verified:
    """The findings at a site whose files are valid.

    ``hashes`` are those of its ledger's records, the oldest first.  ``head_model`` is the hash of
    the model that the next term starts from; None at a site that has no record yet and was never
    up.  ``audited`` counts the messages in its log.  ``changes`` are the terms whose records
    changed the roster.  ``recovered`` are the recoveries after a majority was lost for good.
    """

    hashes: tuple[str, ...]
    head_model: str | None
    audited: int
    changes: tuple[int, ...] = ()
    recovered: tuple[Recovery, ...] = ()


def verify_site(site: SiteOnDisk) -> Verified:
    """Check every link, every certificate, the newest record's model, and the audit of a site.

    Raises :class:`strategies.errors.SrflmError` for the first error found.
    """
    committed = site.state.ledger.committed()
    records = [each.record for each in committed]
    first = site.federation.first_edition
    check_chain(records, first.federation)
    editions = Editions(first)
    recovered = list[Recovery]()
    for each in committed:
        if each.record.recovery is not None:
            check_recovery(each.record.recovery, editions.last, site.keys)
            recovered.append(each.record.recovery)
        editions = editions.recovered_by(each.record)
        check_decided(each, editions.last, site.keys)
        editions = editions.after(each.record)
    pending = site.state.ledger.recovery(len(records))
    if pending is not None:  # no record has followed it yet
        check_recovery(pending, editions.last, site.keys)
        recovered.append(pending)
    newest = records[-1].model if records else None
    if newest is not None:
        site.models.get(newest)  # raises if the model is missing or does not have this hash
    audited = site.audit.check()
    changes = tuple(each.term for each in records if each.roster_change is not None)
    head = newest or site.initial_model
    return Verified(
        tuple(record.hash for record in records), head, audited, changes, tuple(recovered)
    )
