"""Verify a site's files: its ledger's chain and signatures, its head model, its message log."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.site.deployed_site import DeployedSite
from deploy.site.message_log import check_message_log
from strategies.protocol.chain import check_chain
from strategies.protocol.roster_change import Editions, check_decided


@dataclass(frozen=True)
class Verified:
    """A ledger that was found valid: its records' hashes, its head's model, the audit's length.

    ``changes`` are the terms whose records changed the roster.
    """

    hashes: tuple[str, ...]
    head_model: str
    audited: int
    changes: tuple[int, ...] = ()


def verify_site(site: DeployedSite) -> Verified:
    """Check every link, every certificate, the head's model, and the audit of a site.

    Raises :class:`strategies.errors.SrflmError` for the first error found.
    """
    committed = site.state.ledger.committed()
    records = [each.record for each in committed]
    first = site.federation.first_edition
    check_chain(records, first.federation)
    editions = Editions(first)
    for each in committed:
        check_decided(each, editions.last, site.keys)
        editions = editions.after(each.record)
    head = records[-1].model if records else site.initial.hash
    if records:
        site.models.get(head)  # raises if the model is missing or does not have this hash
    audited = check_message_log(site.settings.state / "audit.jsonl")
    changes = tuple(term for term, _ in editions.changes)
    return Verified(tuple(record.hash for record in records), head, audited, changes)
