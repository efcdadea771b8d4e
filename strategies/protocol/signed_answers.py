"""The figures that vendors sign themselves: ballots and steps, metrics and ε, failures.  Pure.

A term record quotes them with their signatures.  So anybody can recompute an election from it, and
no server can invent an answer of another vendor.  A server can still leave an answer out, or say
that no answer came: nobody can sign a silence.
"""

from __future__ import annotations

from collections.abc import Mapping

from strategies.errors import NO_REPLY, UpdateRejected
from strategies.protocol.messages import Envelope
from strategies.protocol.quorum import owner
from strategies.protocol.records import (
    Absence,
    Ballot,
    Metrics,
    SignedAnswers,
    SignedWork,
    TermRecord,
    VendorMetrics,
    VendorPrivacy,
    canonical_json,
)
from strategies.protocol.signatures import Keys, forged
from strategies.settings import Role

SEEN_BY_SERVER = frozenset({NO_REPLY, *UpdateRejected.codes})
"""Codes of absences that the server itself notes; any other code is the vendor's own word."""

# ---- statements ------------------------------------------------------------------------------


def work_statement(
    envelope: Envelope, vendor: str, round_number: int, role: Role, ballot: Ballot, steps: int
) -> bytes:
    """Return the statement on a vendor's training in one round: its ballot and gradient steps."""
    told = {"round": round_number, "role": role, "ballot": ballot.model_dump(), "steps": steps}
    return _statement("trained", envelope, vendor, told)


def evaluation_statement(
    envelope: Envelope,
    vendor: str,
    models: Mapping[str, str],
    metrics: Mapping[str, Metrics],
    privacy: VendorPrivacy | None,
) -> bytes:
    """Return the statement on a vendor's metrics of ``models`` (name → hash), and on its ε."""
    told = {
        "models": dict(models),
        "metrics": quotable(metrics).model_dump(),
        "privacy": privacy.model_dump() if privacy is not None else None,
    }
    return _statement("evaluated", envelope, vendor, told)


def failure_statement(envelope: Envelope, vendor: str, phase: str, code: str) -> bytes:
    """Return the statement on a vendor's failure, or its refusal, in ``phase``."""
    return _statement("failed", envelope, vendor, {"phase": phase, "code": code})


def _statement(says: str, envelope: Envelope, vendor: str, told: Mapping[str, object]) -> bytes:
    return canonical_json({"says": says, "vendor": vendor, **envelope.model_dump(), **told})


def quotable(metrics: Mapping[str, Metrics]) -> VendorMetrics:
    """Return the part of an answer's metrics that a record quotes."""
    # The noun forbids extra fields: an unknown name would raise at the server.
    return VendorMetrics(**{k: v for k, v in metrics.items() if k in VendorMetrics.model_fields})


# ---- checking --------------------------------------------------------------------------------


def check_signed_answers(
    record: TermRecord, head: TermRecord | None, ranking: tuple[str, ...], keys: Keys
) -> None:
    """Check every figure that ``record`` quotes of a vendor; raises :class:`MessageRefused`.

    ``head`` is the record before (None for the first term), and ``ranking`` the succession in the
    record's term.  It is not for a simulation, in which nobody signs.
    """
    envelope = Envelope(
        federation=record.federation,
        term=record.term,
        attempt=record.attempt,
        server=record.server,
    )
    signed = record.signed or {}
    quoted = {*record.clients, *record.ballots, *record.steps, *record.metrics, *record.privacy}
    first_round = head.round + 1 if head is not None else 1
    for vendor in sorted({*quoted, *signed}):
        answers = signed.get(vendor, SignedAnswers())
        _check_work(record, vendor, answers.work, first_round, envelope, keys)
        _check_evaluation(record, vendor, answers, head, envelope, keys)
    _check_absences(record, ranking, envelope, keys)


def _check_work(
    record: TermRecord,
    vendor: str,
    works: tuple[SignedWork, ...],
    first_round: int,
    envelope: Envelope,
    keys: Keys,
) -> None:
    for work in works:
        statement = work_statement(envelope, vendor, work.round, work.role, work.ballot, work.steps)
        if not keys.verify(vendor, statement, work.signature):
            raise forged(f"a ballot that {vendor!r} has not signed")
        in_term = first_round <= work.round <= record.round
        if not in_term or (work.role == "server" and vendor != record.server):
            raise forged(f"work of {vendor!r} that is no part of the term")
    done = [(work.round, work.role) for work in works]
    # In the order of the work: a server fine-tunes after the clients have trained.
    if done != sorted(set(done)):
        raise forged(f"work of {vendor!r} that is quoted twice or out of order")
    if record.ballots.get(vendor) != (works[-1].ballot if works else None):
        raise forged(f"another ballot of {vendor!r} than its last one")
    if record.steps.get(vendor) != (sum(work.steps for work in works) if works else None):
        raise forged(f"another number of steps of {vendor!r} than it has signed")
    if vendor in record.clients and (record.round, "client") not in done:
        raise forged(f"{vendor!r} as a client without its signed ballot")


def _check_evaluation(
    record: TermRecord,
    vendor: str,
    answers: SignedAnswers,
    head: TermRecord | None,
    envelope: Envelope,
    keys: Keys,
) -> None:
    metrics, privacy = record.metrics.get(vendor), record.privacy.get(vendor)
    told = answers.evaluation
    if told is not None:
        if told.privacy and privacy is None:
            raise forged(f"a signature of {vendor!r} on an ε that is not there")
        models = {"finetuned": record.model}
        if told.averaged:
            models["averaged"] = record.averaged_model
        statement = evaluation_statement(
            envelope,
            vendor,
            models,
            metrics.model_dump() if metrics is not None else {},
            privacy if told.privacy else None,
        )
        if not keys.verify(vendor, statement, told.signature):
            raise forged(f"metrics or an ε that {vendor!r} has not signed")
    elif metrics is not None:
        raise forged(f"metrics of {vendor!r} without its signature")
    # A vendor that did not report keeps its report of the record before.
    before = head.privacy.get(vendor) if head is not None else None
    if (told is None or not told.privacy) and privacy != before:
        raise forged(f"an ε of {vendor!r} without its signature")


def _check_absences(
    record: TermRecord, ranking: tuple[str, ...], envelope: Envelope, keys: Keys
) -> None:
    for absence in record.absences:
        # A lost server counts as one that has served, and its ε with it.
        if not is_possible(absence, record.attempt, ranking):
            raise forged("an absence of another vendor than the server of that attempt")
        if absence.attempt == record.attempt and absence.code not in SEEN_BY_SERVER:
            _check_absence(absence, envelope, keys)


def is_possible(absence: Absence, attempt: int, ranking: tuple[str, ...]) -> bool:
    """Return whether a record of ``attempt`` can have this absence.

    It is of this attempt, or of the server of an earlier one.
    """
    if absence.attempt == attempt:
        return absence.vendor in ranking
    return 0 <= absence.attempt < attempt and absence.vendor == owner(absence.attempt, ranking)


def _check_absence(absence: Absence, envelope: Envelope, keys: Keys) -> None:
    vendor = absence.vendor
    statement = failure_statement(envelope, vendor, absence.phase, absence.code)
    if not keys.verify(vendor, statement, absence.signature or ""):
        raise forged(f"a failure that {vendor!r} has not signed")
