"""What a site checks before it signs a term record: a server is believed in nothing it can compute.

Two checks: against the site's ledger and plan (:func:`check_agreed`), and against the answers that
the site itself gave in the term (:func:`check_quoted`).  Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from strategies.election import ElectionPolicy, first_ranking, ranking_after
from strategies.errors import CODE, MessageRefused, UpdateRejected
from strategies.phases import PHASES
from strategies.protocol.records import (
    Absence,
    Ballot,
    Metrics,
    TermRecord,
    VendorPrivacy,
    canonical_json,
)
from strategies.protocol.signed_answers import is_possible
from strategies.term.agreed_work import rounds_of_next_term
from strategies.term.plan import TermPlan
from strategies.term.record_of_term import next_term

RECORD_BYTES = 65_536
RECORD_BYTES_OF_A_VENDOR = 4096
RECORD_BYTES_OF_A_ROUND = 512
"""A record takes about 2 KiB for each vendor, and a signed ballot a round; every site keeps it for
ever."""


@dataclass(frozen=True)
class OwnPart:
    """The answers that one vendor gave in a term.

    ``trained`` and ``evaluated`` are the attempts in which it sent an update, and metrics;
    ``rounds`` are the (attempt, round) in which it sent an update.
    """

    vendor: str
    trained: frozenset[int] = frozenset()
    evaluated: frozenset[int] = frozenset()
    rounds: frozenset[tuple[int, int]] = frozenset()
    ballots: tuple[Ballot, ...] = ()
    metrics: tuple[Metrics, ...] = ()
    privacy: tuple[VendorPrivacy, ...] = ()


def check_agreed(
    record: TermRecord, history: Sequence[TermRecord], plan: TermPlan, policy: ElectionPolicy
) -> None:
    """Check everything in ``record`` that follows from the plan and the committed ``history``.

    Raises :class:`MessageRefused`.
    """
    of_a_vendor = RECORD_BYTES_OF_A_VENDOR + RECORD_BYTES_OF_A_ROUND * plan.rounds_per_term
    most = RECORD_BYTES + of_a_vendor * len(plan.roster)
    size = len(canonical_json(record.model_dump(mode="json")))
    if size > most:
        raise _refused(f"a record of {size} bytes", f"at most {most}")
    head = history[-1] if history else None
    last = rounds_of_next_term(head, plan)[-1]
    if record.round != last:
        raise _refused(f"a record through round {record.round}", f"through round {last}")
    rate = plan.learning_rate_in(last)
    if record.learning_rate != rate:
        raise _refused(f"the learning rate {record.learning_rate}", f"{rate}")
    named = {*record.clients, *record.ballots, *record.steps, *record.metrics, *record.privacy}
    strangers = named - set(plan.roster)
    if strangers or record.server in record.clients:
        raise _refused("a record of strangers, or of its server as a client", "members")
    if record.clients != tuple(v for v in plan.roster if v in record.clients):
        raise _refused("clients twice or in another order", "each once, in the roster's order")
    if len(record.clients) < max(plan.min_clients, 1):
        raise _refused(f"{len(record.clients)} clients", f"at least {plan.min_clients}")
    before = ranking_after(head, first_ranking(policy, plan.roster), plan.roster)
    if not all(is_possible(each, record.attempt, before) for each in record.absences):
        raise _refused("an absence in an attempt that was not that vendor's", "lost servers")
    if not all(_is_plain(each) for each in record.absences):
        raise _refused("an absence in other words than the protocol's", "a phase and a code")
    ranking, ended = next_term(record, history, plan, policy)
    if record.ranking != ranking:
        raise _refused("another ranking than the ballots give", "the agreed election's")
    if record.ended != ended:
        raise _refused("another end of the run than follows from the record", ended or "no end")


def _is_plain(absence: Absence) -> bool:
    """Return whether an absence has no text of a vendor's own: every site keeps and shows it."""
    signed = re.fullmatch(r"([0-9a-f]{128})?", absence.signature or "")
    return bool(absence.phase in PHASES and re.fullmatch(CODE, absence.code) and signed)


def check_quoted(record: TermRecord, own: OwnPart, before: VendorPrivacy | None) -> None:
    """Check that ``record`` quotes this vendor as it answered.

    ``before`` is the vendor's report on privacy in the record before, which is carried on when a
    vendor did not answer.  Raises :class:`MessageRefused`.
    """
    vendor = own.vendor
    if vendor in record.clients and not own.trained:
        raise _refused("this vendor named as a client", "only vendors that sent an update")
    if vendor in record.ballots and record.ballots[vendor] not in own.ballots:
        raise _refused("a ballot in this vendor's name", "one that it has sent")
    quoted = record.metrics.get(vendor)
    told = [each for each in (quoted.model_dump().values() if quoted else ()) if each]
    if any(each not in own.metrics for each in told):
        raise _refused("metrics in this vendor's name", "those that it has sent")
    privacy = record.privacy.get(vendor)
    if privacy is not None and privacy not in (*own.privacy, before):
        raise _refused("a privacy report in this vendor's name", "one that it has sent")


def check_not_left_out(record: TermRecord, own: OwnPart) -> None:
    """Check that ``record`` quotes every answer that this vendor gave in the record's attempt.

    It is for a record that its own server proposes.  An answer can be lost on its way, so that an
    honest server leaves it out: a stand-in that must complete the term needs this vendor's vote.
    Raises :class:`MessageRefused`.
    """
    vendor, attempt = own.vendor, record.attempt
    if any(a.vendor == vendor and a.attempt == attempt and a.signature for a in record.absences):
        return  # this vendor has itself signed that it failed in the attempt
    if attempt in own.trained and vendor not in record.ballots:
        raise _refused("this vendor's ballot left out", "the ballot that it has sent")
    # Only the server sees whether an update can be used; the record says so.
    unusable = any(
        (a.vendor, a.attempt) == (vendor, attempt) and a.code in UpdateRejected.codes
        for a in record.absences
    )
    trained = (attempt, record.round) in own.rounds
    if trained and vendor not in record.clients and not unusable:
        raise _refused("this vendor left out of the clients", "it among them: it has trained")
    if attempt in own.evaluated and vendor not in record.metrics:
        raise _refused("this vendor's metrics left out", "the metrics that it has sent")


def _refused(found: str, expected: str) -> MessageRefused:
    return MessageRefused(
        f"{found} in a proposed term record",
        expected,
        "look into the server that proposed it: this site has signed nothing",
        MessageRefused.RECORD,
    )
