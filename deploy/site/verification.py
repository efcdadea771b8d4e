"""Verify a site's files: the ledger's chain, signatures and elections, the model, the log."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from deploy.site.site_on_disk import SiteOnDisk
from srflm_flower.federation.federation import Federation
from srflm_flower.site.evidence.signed_votes import evidence
from strategies.election import first_ranking, ranking_after
from strategies.errors import LedgerError
from strategies.protocol.chain import check_chain
from strategies.protocol.equivocation import check_evidence
from strategies.protocol.evidence_nouns import Evidence
from strategies.protocol.records import Committed, Edition, LogAnchor, Recovery, TermRecord
from strategies.protocol.recovery import check_recovery
from strategies.protocol.roster_change import Editions, check_decided
from strategies.protocol.signatures import Keys
from strategies.protocol.signed_answers import check_signed_answers
from strategies.term.record_of_term import next_term


@dataclass(frozen=True)
class SignedLog:
    """The message log for which ``vendor`` has signed when it accepted the record of ``term``."""

    vendor: str
    term: int
    log: LogAnchor


@dataclass(frozen=True)
class Verified:
    """The findings at a site whose files are valid.

    ``hashes`` are those of its ledger's records, the oldest first.  ``head_model`` is the hash of
    the model that the next term starts from; None at a site that has no record yet and was never
    up.  ``audited`` counts the messages in its log.  ``changes`` are the terms whose records
    changed the roster.  ``elected`` counts the records whose figures their vendors have signed, and
    whose election follows from these figures; older versions of the project made records without.
    ``recovered`` are the recoveries after the quorum was lost for good.  ``evidence`` is of vendors
    whose signatures contradict each other.  ``logs`` are the message logs for which the vendors
    have signed with their acceptances.
    """

    hashes: tuple[str, ...]
    head_model: str | None
    audited: int
    changes: tuple[int, ...] = ()
    elected: int = 0
    recovered: tuple[Recovery, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    logs: frozenset[SignedLog] = frozenset()


def verify_site(site: SiteOnDisk) -> Verified:
    """Check every link, every certificate, the newest record's model, and the audit of a site.

    Raises :class:`strategies.errors.SrflmError` for the first error found.
    """
    found, head = verify_history(site), site.state.ledger.last()
    if head is not None:
        site.models.get(head.model)  # raises if the model is missing or does not have this hash
    return replace(found, audited=site.audit.check())


def verify_history(site: SiteOnDisk) -> Verified:
    """Check every link and every certificate of a site's ledger; raises as :func:`verify_site`."""
    committed = site.state.ledger.committed()
    found, editions = verify_committed(site.federation, committed, site.keys)
    pending = site.state.ledger.recovery(len(committed))
    recovered = found.recovered
    if pending is not None:  # no record has followed it yet
        check_recovery(pending, editions.last, site.keys)
        recovered = (*recovered, pending)
    return replace(
        found,
        head_model=found.head_model or site.initial_model,
        recovered=recovered,
        evidence=_genuine_evidence(site, editions),
    )


def verify_committed(
    federation: Federation, committed: Sequence[Committed], keys: Keys
) -> tuple[Verified, Editions]:
    """Check every link and every certificate of a ledger, wherever it comes from.

    ``keys`` verify for any edition.  Return also the editions that decided it.  Raises as
    :func:`verify_site` does.
    """
    records = [each.record for each in committed]
    first = federation.first_edition
    check_chain(records, first.federation)
    editions = Editions(first)
    elected = 0
    recovered = list[Recovery]()
    logs = set[SignedLog]()
    for number, each in enumerate(committed):
        if each.record.recovery is not None:
            check_recovery(each.record.recovery, editions.last, keys)
            recovered.append(each.record.recovery)
        editions = editions.recovered_by(each.record)
        check_decided(each, editions.last, keys)
        logs.update(_signed_logs(each))
        # A record without signatures after one with them is no record of an older version.
        if each.record.signed is not None or elected:
            _check_elected(federation, keys, records[: number + 1], editions.last)
            elected += 1
        editions = editions.after(each.record)
    newest = records[-1].model if records else None
    changes = tuple(each.term for each in records if each.roster_change is not None)
    hashes = tuple(record.hash for record in records)
    found = Verified(hashes, newest, 0, changes, elected, tuple(recovered), (), frozenset(logs))
    return found, editions


def _genuine_evidence(site: SiteOnDisk, editions: Editions) -> tuple[Evidence, ...]:
    """Return the evidence that the site keeps; raises for evidence that somebody has altered."""
    found = evidence(site.state.ledger)
    for each in found:
        edition = editions.find(each.federation)
        if edition is not None:
            check_evidence(each, site.keys.at(edition))
    return found


def _signed_logs(committed: Committed) -> Iterator[SignedLog]:
    certificate = committed.certificate
    # The signatures are checked; of a vendor that has not accepted there is none.
    for vendor in certificate.acceptances.keys() & certificate.logs.keys():
        yield SignedLog(vendor, committed.record.term, certificate.logs[vendor])


@dataclass(frozen=True)
class OtherLog:
    """A site whose message log is not the one for which it has signed in the records of ``terms``.

    With ``still``, that is so of the newest record in its own ledger that it has signed; else it
    has gone on with another log since, and has signed for that one.
    """

    vendor: str
    terms: tuple[int, ...]
    still: bool


def compare_log(site: SiteOnDisk, found: Collection[Verified]) -> OtherLog | None:
    """Compare a site's message log with its acceptances in all ledgers; None if it holds them all.

    Call it after all ledgers were read: the log of a site that is up grows on.  Raises
    :class:`LedgerError` for a log that is broken.
    """
    signed = sorted(
        {each for one in found for each in one.logs if each.vendor == site.vendor},
        key=lambda each: (each.term, each.log.lines),
    )
    holds = site.audit.holds(each.log for each in signed)
    missing = [each.term for each, held in zip(signed, holds, strict=True) if not held]
    if not missing:
        return None
    # Copies of the folders may not be equally old: then the log lacks the newest terms, too.
    reach = len(site.state.ledger)
    known = [held for each, held in zip(signed, holds, strict=True) if each.term <= reach]
    return OtherLog(site.vendor, tuple(dict.fromkeys(missing)), bool(known) and not known[-1])


def _check_elected(
    federation: Federation, keys: Keys, records: Sequence[TermRecord], edition: Edition
) -> None:
    """Check the figures and the election of the last of ``records``, which ``edition`` decides."""
    *history, record = records
    head = history[-1] if history else None
    plan, policy = federation.term_plan(), federation.election_policy()
    ranking = ranking_after(head, first_ranking(policy, edition.roster), edition.roster)
    check_signed_answers(record, head, ranking, keys.at(edition))
    # Another edition may have another least number of clients, which decides the end alone.
    elected, _ = next_term(record, history, replace(plan, roster=edition.roster), policy)
    if elected != record.ranking:
        raise LedgerError(
            f"a ranking in the record of term {record.term} that its ballots do not give",
            f"{', '.join(elected)}",
            "keep the ledger as it is, and look into the vendors that have signed this record",
        )
