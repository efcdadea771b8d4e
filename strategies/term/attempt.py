"""The state of the current attempt at a term: reachable vendors, votes, absences, results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from strategies.errors import CODE, NO_REPLY, FederationStopped
from strategies.protocol.messages import Envelope, Reply
from strategies.protocol.records import (
    Absence,
    Approval,
    Ballot,
    Grant,
    Proposal,
    Quorum,
    SignedAnswers,
    SignedEvaluation,
    SignedWork,
    VendorMetrics,
    VendorPrivacy,
)
from strategies.protocol.signed_answers import failure_statement, quotable
from strategies.settings import Role
from strategies.term.exchange import CostMeter, Exchange
from strategies.weights import Model


class ServerLost(Exception):
    """The provisional server failed; the next vendor in the ranking has to replace it."""

    def __init__(self, absence: Absence) -> None:
        self.absence = absence
        super().__init__(f"{absence.vendor} lost as server in {absence.phase}: {absence.code}")


def nobody_served(term: int, lost: Iterable[Absence]) -> FederationStopped:
    """Return the error for a term in which every vendor has failed as the server."""
    return FederationStopped(
        f"every vendor failed as server of term {term}"
        f" (codes {', '.join(sorted({absence.code for absence in lost}))})",
        "one vendor that can fine-tune",
        "look into the sites' own logs, mend the cause, and resume the run",
        FederationStopped.NO_SERVER,
    )


@dataclass(frozen=True)
class Vote:
    """A vendor's vote for an attempt, with the proposal that it had accepted earlier, if any."""

    grant: Grant
    accepted: Proposal | None


@dataclass
class Attempt:
    """One attempt at a term, from its opening to its commit.

    ``ranking`` is the succession in this term.  ``node_of`` has the node of each vendor that takes
    part.  ``find`` looks up a model by its hash, and ``is_signed`` tells whether a vendor has
    signed a statement.  ``was_asked`` is true if the vendors gave their names and last terms at an
    opening, and false if ``node_of`` was known without one.
    """

    envelope: Envelope
    roster: tuple[str, ...]
    quorum: Quorum
    ranking: tuple[str, ...]
    parent: str
    start_name: str
    find: Callable[[str], Model]
    is_signed: Callable[[str, bytes, str], bool]
    first_round: int
    exchange: Exchange
    meter: CostMeter
    node_of: dict[str, int] = field(default_factory=dict)
    votes: dict[str, Vote] = field(default_factory=dict)
    absences: list[Absence] = field(default_factory=list)
    ballots: dict[str, Ballot] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    clients: tuple[str, ...] = ()
    stale_server: bool = False
    was_asked: bool = False
    metrics: dict[str, VendorMetrics] = field(default_factory=dict)
    privacy: dict[str, VendorPrivacy] = field(default_factory=dict)
    approvals: dict[str, Approval] = field(default_factory=dict)
    signed: dict[str, SignedAnswers] = field(default_factory=dict)

    @cached_property
    def start(self) -> Model:
        """The model that the term starts from; a server that is behind may lack it."""
        return self.find(self.start_name)

    @property
    def server(self) -> str:
        """The provisional server of this attempt."""
        return self.envelope.server

    def vendor_at(self, node: int) -> str | None:
        """Return the vendor at ``node``, or None for an unknown node."""
        return next((vendor for vendor, at in self.node_of.items() if at == node), None)

    def reachable(self) -> int:
        """Return the number of vendors that have answered every request of this attempt."""
        # A vendor that refused or failed has answered: only silence makes it unreachable.
        lost = {
            absence.vendor
            for absence in self.absences
            if absence.code == NO_REPLY and absence.attempt == self.envelope.attempt
        }
        return len(self.node_of.keys() - lost)

    def note_absence(
        self, vendor: str, phase: str, code: str, signature: str | None = None
    ) -> Absence:
        """Note that ``vendor`` took no part in ``phase``, with the error code that says why."""
        absence = Absence(
            vendor=vendor,
            phase=phase,
            code=code,
            attempt=self.envelope.attempt,
            signature=signature or None,
        )
        self.absences.append(absence)
        return absence

    def note_failure(self, vendor: str, phase: str, reply: Reply | None) -> None:
        """Note the absence of a vendor that says why, or of one that gave no valid answer."""
        code, signature = (reply.code, reply.signature) if reply is not None else (NO_REPLY, "")
        # No site takes a record with a reason that is no code, or that its vendor has not signed.
        if not re.fullmatch(CODE, code) or not self.is_signed(
            vendor, failure_statement(self.envelope, vendor, phase, code), signature
        ):
            code, signature = NO_REPLY, ""
        self.note_absence(vendor, phase, code, signature)

    def note_missing(self, failed: Mapping[str, Reply] = MappingProxyType({})) -> None:
        """Note the vendors without a node as absent in the opening; ``failed`` say why."""
        for vendor in self.roster:
            if vendor not in self.node_of:
                self.note_failure(vendor, "open", failed.get(vendor))

    def note_work(self, reply: Reply, round_number: int, role: Role) -> None:
        """Note the ballot, the gradient steps, and the signature of a vendor's work."""
        vendor, ballot = reply.vendor, reply.ballot
        if ballot is None:
            return
        self.ballots[vendor] = ballot
        # Steps add up over the rounds of a term; the last ballot counts.
        self.steps[vendor] = self.steps.get(vendor, 0) + reply.steps
        if reply.signature:  # in a simulation nobody signs
            work = SignedWork(
                round=round_number,
                role=role,
                ballot=ballot,
                steps=reply.steps,
                signature=reply.signature,
            )
            self._note_signed(vendor, work=(work,))

    def examples_of(self, vendor: str) -> int:
        """Return a vendor's training examples; 1 for one that has told none of its work."""
        ballot = self.ballots.get(vendor)
        return ballot.examples if ballot is not None else 1

    def note_evaluation(self, reply: Reply, averaged: bool) -> None:
        """Note a vendor's metrics and its report on privacy; ``averaged`` as in the record."""
        vendor = reply.vendor
        if reply.privacy is not None:
            self.privacy[vendor] = reply.privacy
        if reply.metrics:
            self.metrics[vendor] = quotable(reply.metrics)
        if reply.signature:
            evaluation = SignedEvaluation(
                averaged=averaged, privacy=reply.privacy is not None, signature=reply.signature
            )
            self._note_signed(vendor, evaluation=evaluation)

    def _note_signed(
        self,
        vendor: str,
        work: tuple[SignedWork, ...] = (),
        evaluation: SignedEvaluation | None = None,
    ) -> None:
        """Add to the figures that a record quotes of ``vendor`` with its signatures."""
        told = self.signed.get(vendor, SignedAnswers())
        every = {"work": (*told.work, *work), "evaluation": evaluation or told.evaluation}
        self.signed[vendor] = told.model_copy(update=every)

    def too_few_clients(self, least: int) -> FederationStopped:
        """Return the error for a term with too few usable updates to average."""
        return FederationStopped(
            f"{len(self.clients)} usable client updates in term {self.envelope.term}",
            f"at least {least} (aggregation.min-clients)",
            "look into the sites' own logs, mend the cause, and resume the run",
            FederationStopped.TOO_FEW_CLIENTS,
        )
