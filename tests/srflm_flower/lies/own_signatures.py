"""Sign again, after a lie, all that bears the liar's own name: then only others can show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from strategies.protocol.evidence_nouns import Acceptance, ClientWork, Evidence
from strategies.protocol.memory import Memory, signed_memory
from strategies.protocol.messages import Envelope
from strategies.protocol.records import (
    Certificate,
    Committed,
    Grant,
    Metrics,
    Noun,
    Proposal,
    Recovery,
    RosterChange,
    SignedAnswers,
    TermRecord,
)
from strategies.protocol.records import RunOrder as Order
from strategies.protocol.recovery import sign_recovery
from strategies.protocol.roster_change import sign_approval
from strategies.protocol.secure_nouns import Context, KeyCard
from strategies.protocol.signatures import (
    Keys,
    acceptance_statement,
    record_statement,
    sign_grant,
    sign_order,
)
from strategies.protocol.signed_answers import (
    SEEN_BY_SERVER,
    evaluation_statement,
    failure_statement,
    work_statement,
)
from strategies.protocol.yielding import YieldAttempt, signed_yield
from strategies.secure_aggregation.keys import card_statement
from strategies.secure_aggregation.messages import SecureRequest

AnyNoun = TypeVar("AnyNoun", bound=Noun)


@dataclass(frozen=True)
class OwnSignatures:
    """The signatures that ``vendor`` can make, at the term after the ledger's head.

    ``first`` and ``federation`` are the hashes of the first edition and of the one that decides.
    """

    vendor: str
    keys: Keys
    first: str
    federation: str
    term: int

    def signed(self, noun: AnyNoun) -> AnyNoun:
        """Return a noun with every own signature."""
        signed: AnyNoun = self._signed(noun, (), self.federation, self.term)
        return signed

    def signed_again(self, text: str, declared: type[Noun], path: tuple[str, ...]) -> str:
        """Return a noun's JSON with every own signature; the lie is at ``path``.

        Raises ValueError if the noun is invalid.
        """
        noun = declared.model_validate_json(text)
        signed: Noun = self._signed(noun, path, self.federation, self.term)
        return signed.model_dump_json()

    def enclosed(self, text: str, declared: type[Noun]) -> str:
        """Return a noun's JSON with only its records signed: a signature in them is the lie."""
        signed: Noun = self._enclosing(declared.model_validate_json(text))
        return signed.model_dump_json()

    # ---- every noun ------------------------------------------------------------------------------

    def _signed(self, value: Any, path: tuple[str, ...], federation: str, term: int) -> Any:
        if isinstance(value, (TermRecord, Evidence)):
            federation, term = value.federation, value.term
        if isinstance(value, Proposal):
            federation, term = value.record.federation, value.record.term
        value = _inside(value, lambda each: self._signed(each, path, federation, term))
        return self._enclosed(self._alone(value, path, federation, term))

    def _alone(self, value: Any, path: tuple[str, ...], federation: str, term: int) -> Any:
        if isinstance(value, TermRecord):
            return self._figures(self._changes(value), path)
        if isinstance(value, Grant) and value.vendor == self.vendor:
            return sign_grant(federation, term, value, self.keys)
        if isinstance(value, Order):
            return sign_order(value, self.keys)
        if isinstance(value, YieldAttempt):
            return signed_yield(value.envelope, value.absence, self.keys)
        if isinstance(value, Memory) and value.vendor == self.vendor:
            return signed_memory(value, self.first, self.keys)
        if isinstance(value, Evidence) and value.vendor == self.vendor:
            return self._evidence(value)
        if isinstance(value, SecureRequest) and hasattr(value, "keys"):
            cards = tuple(self._card(each, value.context) for each in value.keys)
            return value.model_copy(update={"keys": cards})
        return value

    def _card(self, card: KeyCard, context: Context) -> KeyCard:
        if card.vendor != self.vendor:
            return card
        signature = self.keys.sign(card_statement(context, card))
        return card.model_copy(update={"signature": signature})

    def _evidence(self, value: Evidence) -> Evidence:
        """Return evidence against the liar itself, which it signs."""
        of = {"federation": value.federation, "term": value.term}

        def signed(each: Any) -> Any:
            if isinstance(each, Acceptance):
                told = acceptance_statement(self.vendor, each.record, each.attempt, each.log)
                return each.model_copy(update={"signature": self.keys.sign(told)})
            if isinstance(each, ClientWork):
                envelope = Envelope(**of, attempt=each.attempt, server=each.server)
                work = each.told
                told = work_statement(
                    envelope, self.vendor, work.round, work.role, work.ballot, work.steps
                )
                work = work.model_copy(update={"signature": self.keys.sign(told)})
                return each.model_copy(update={"told": work})
            return each

        one, other = (_inside(each, signed) for each in (value.one, value.other))
        return value.model_copy(update={"one": one, "other": other})

    def _changes(self, record: TermRecord) -> TermRecord:
        """Return a record whose roster change or recovery the liar has signed as well."""
        update: dict[str, object] = {}
        change, recovery = record.roster_change, record.recovery
        if isinstance(change, RosterChange):
            own = sign_approval(self.vendor, record.federation, change.edition, self.keys)
            approvals = change.approvals | {self.vendor: own.signature}
            update["roster_change"] = change.model_copy(update={"approvals": approvals})
        if isinstance(recovery, Recovery):
            update["recovery"] = sign_recovery(recovery, self.vendor, self.keys)
        return record.model_copy(update=update)

    # ---- the figures in a record -----------------------------------------------------------------

    def _figures(self, record: TermRecord, path: tuple[str, ...]) -> TermRecord:
        """Return a record whose figures of the liar fit each other, and are signed.

        A lie in its ballot or steps is told in its signed work too, and the other way round.
        """
        envelope = Envelope(
            federation=record.federation,
            term=record.term,
            attempt=record.attempt,
            server=record.server,
        )
        absences = tuple(
            each.model_copy(
                update={
                    "signature": self.keys.sign(
                        failure_statement(envelope, self.vendor, each.phase, each.code)
                    )
                }
            )
            if each.vendor == self.vendor and each.code not in SEEN_BY_SERVER
            else each
            for each in record.absences
        )
        record = record.model_copy(update={"absences": absences})
        answers = (record.signed or {}).get(self.vendor)
        if answers is None:
            return record
        if "work" in path or "signed" not in path:
            record, answers = self._work(record, answers, envelope, "work" in path)
        answers = self._evaluation(record, answers, envelope, "evaluation" in path)
        return record.model_copy(update={"signed": {**(record.signed or {}), self.vendor: answers}})

    def _work(
        self, record: TermRecord, answers: SignedAnswers, envelope: Envelope, leads: bool
    ) -> tuple[TermRecord, SignedAnswers]:
        works, vendor = [*answers.work], self.vendor
        ballots, steps = dict(record.ballots), dict(record.steps)
        if works and leads:
            ballots[vendor], steps[vendor] = works[-1].ballot, sum(each.steps for each in works)
        elif vendor not in ballots or vendor not in steps:
            works = []
            ballots.pop(vendor, None)
            steps.pop(vendor, None)
        elif works:
            rest = sum(each.steps for each in works[:-1])
            told = {"ballot": ballots[vendor], "steps": max(0, steps[vendor] - rest)}
            works[-1] = works[-1].model_copy(update=told)
        signed = tuple(
            each.model_copy(
                update={
                    "signature": self.keys.sign(
                        work_statement(
                            envelope, vendor, each.round, each.role, each.ballot, each.steps
                        )
                    )
                }
            )
            for each in works
        )
        record = record.model_copy(update={"ballots": ballots, "steps": steps})
        return record, answers.model_copy(update={"work": signed})

    def _evaluation(
        self, record: TermRecord, answers: SignedAnswers, envelope: Envelope, leads: bool
    ) -> SignedAnswers:
        told, metrics = answers.evaluation, record.metrics.get(self.vendor)
        privacy = record.privacy.get(self.vendor)
        if told is None or (metrics is None and not leads):
            return answers.model_copy(update={"evaluation": None})
        models = {"finetuned": record.model}
        if told.averaged:
            models["averaged"] = record.averaged_model
        quoted: dict[str, Metrics] = metrics.model_dump() if metrics is not None else {}
        statement = evaluation_statement(
            envelope, self.vendor, models, quoted, privacy if told.privacy else None
        )
        signed = told.model_copy(update={"signature": self.keys.sign(statement)})
        return answers.model_copy(update={"evaluation": signed})

    # ---- what encloses a record --------------------------------------------------------------

    def _enclosing(self, value: Any) -> Any:
        return self._enclosed(_inside(value, self._enclosing))

    def _enclosed(self, value: Any) -> Any:
        if isinstance(value, Proposal):
            signature = self.keys.sign(record_statement(value.record))
            return value.model_copy(update={"signature": signature})
        if isinstance(value, Committed):
            return value.model_copy(update={"certificate": self._certify(value)})
        return value

    def _certify(self, committed: Committed) -> Certificate:
        record, certificate = committed.record, committed.certificate
        log = certificate.logs.get(self.vendor)
        own = acceptance_statement(self.vendor, record, certificate.attempt, log)
        accepted = {**certificate.acceptances, self.vendor: self.keys.sign(own)}
        proposal = self.keys.sign(record_statement(record))
        return certificate.model_copy(update={"proposal": proposal, "acceptances": accepted})


def _inside(value: Any, change: Any) -> Any:
    """Return a value with ``change`` done to the nouns in it."""
    if isinstance(value, tuple):
        return tuple(
            change(each) if isinstance(each, Noun) else _inside(each, change) for each in value
        )
    if isinstance(value, dict):
        return {k: change(each) if isinstance(each, Noun) else each for k, each in value.items()}
    if not isinstance(value, Noun):
        return value
    fields = ((name, getattr(value, name)) for name in type(value).model_fields)
    return value.model_copy(
        update={
            name: change(each) if isinstance(each, Noun) else _inside(each, change)
            for name, each in fields
        }
    )
