"""Verify what a site has on disk: its ledger's chain and signatures, its head model, its audit."""

from __future__ import annotations

from dataclasses import dataclass

from srflm_flower.audit import check_audit
from srflm_flower.deployed_site import DeployedSite
from srflm_flower.ledger import check_chain
from srflm_flower.signatures import check_committed
from srflm_flower.weights import hash_weights


@dataclass(frozen=True)
class Verified:
    """A ledger that was found valid: its records' hashes, its head's model, the audit's length."""

    hashes: tuple[str, ...]
    head_model: str
    audited: int


def verify_site(site: DeployedSite) -> Verified:
    """Check every link, every certificate, the head's model, and the audit of a site.

    Raises :class:`srflm_flower.errors.SrflmError` for the first thing that is wrong.
    """
    committed = site.state.ledger.committed()
    records = [each.record for each in committed]
    check_chain(records, site.federation.hash)
    for each in committed:
        check_committed(each, site.federation.roster, site.keys)
    head = records[-1].model if records else hash_weights(site.initial)
    if records:
        site.models.get(head)
    audited = check_audit(site.settings.state / "audit.jsonl")
    return Verified(tuple(record.hash for record in records), head, audited)
