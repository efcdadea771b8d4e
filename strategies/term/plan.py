"""The inputs of a server-rotating strategy: the agreed plan, a durable journal, an observer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from strategies.protocol.evidence_nouns import Evidence
from strategies.protocol.records import (
    Approval,
    Committed,
    Grant,
    Proposal,
    Quorum,
    Recovery,
    RosterChange,
    TermRecord,
)
from strategies.settings import Role
from strategies.weights import Model

StepPlan = Callable[[str, int, Role], int]
"""(vendor, round, role) → gradient steps, for plans that count work in steps, not in epochs."""


@dataclass(frozen=True)
class TermPlan:
    """The agreed part of every term (docs/explanation/method.md), the same at all sites.

    ``lengths`` is the length of a client's training over that of the server's fine-tuning.
    ``learning_rate`` is the rate of round 1 and is multiplied by ``decay`` after every round;
    deadlines are in seconds; ``first_answer_deadline``, if given, is that of a server's first
    opening.  Without ``evaluate_averaged`` only the fine-tuned model is evaluated, and the averaged
    model is not sent to the other sites.  ``first_poll`` is the shortest pause between two polls
    for replies, in seconds.  ``server_terms`` is the largest number of terms that a vendor may
    serve, ``min_clients`` the smallest number of clients in a term, ``quorum`` how many decide.
    """

    federation: str
    roster: tuple[str, ...]
    learning_rate: float
    decay: float
    client_epochs: int
    server_epochs: int
    lengths: float = 1.0
    rounds_per_term: int = 1
    answer_deadline: float = 60.0
    first_answer_deadline: float | None = None
    work_deadline: float = 3600.0
    steps: StepPlan | None = None
    evaluate_averaged: bool = True
    first_poll: float = 0.01
    server_terms: int | None = None
    min_clients: int = 1
    quorum: Quorum = "majority"

    def learning_rate_in(self, round_number: int) -> float:
        """Return the learning rate of a round (counted from 1): lr · decay^(round − 1)."""
        return self.learning_rate * self.decay ** (round_number - 1)

    def of_first_opening(self) -> TermPlan:
        """Return the plan with the answer deadline of a server's first opening."""
        return replace(self, answer_deadline=self.first_answer_deadline or self.answer_deadline)


class TermJournal(Protocol):
    """The server's state on disk, which survives the process that runs a term.

    A proposal is stored before the first message with it is sent, so that after a crash the server
    makes the same proposal under that attempt, never another one.
    """

    def records(self) -> Sequence[TermRecord]:
        """Return all committed records, oldest first."""
        ...

    def genesis(self) -> str:
        """Return the hash of the initial model."""
        ...

    def model(self, name: str) -> Model:
        """Return the last record's model, the initial model, or one of the proposal's, by hash."""
        ...

    def page(self, first: int) -> tuple[Committed, ...]:
        """Return committed records from term ``first`` on, as many as fit into one message."""
        ...

    def roster_change(self, approvals: Iterable[Approval]) -> RosterChange | None:
        """Return the roster change that a quorum has approved, or None."""
        ...

    def recovery(self, term: int) -> Recovery | None:
        """Return the recovery on which ``term`` is built, if any."""
        ...

    def check_vote(self, grant: Grant, accepted: Proposal | None, ranking: tuple[str, ...]) -> None:
        """Check a vote in the open term, whose succession is ``ranking``.

        Raises :class:`strategies.errors.MessageRefused` or :class:`strategies.errors.LedgerError`.
        """
        ...

    def is_signed(self, vendor: str, statement: bytes, signature: str) -> bool:
        """Return whether a vendor has signed a statement."""
        ...

    def evidence(self) -> tuple[Evidence, ...]:
        """Return the evidence that this site has of vendors that contradict themselves."""
        ...

    def hear_evidence(self, told: Iterable[Evidence]) -> None:
        """Keep the evidence that other sites have told, if its signatures are genuine."""
        ...

    def sign(self, record: TermRecord) -> Proposal:
        """Sign a record that this server has made."""
        ...

    def proposal(self) -> tuple[int, Proposal] | None:
        """Return the last attempt and proposal of this server in the open term, or None."""
        ...

    def propose(self, attempt: int, proposal: Proposal, models: Iterable[Model]) -> Proposal:
        """Store a proposal and its models durably; return the first proposal of this attempt."""
        ...

    def commit(self, committed: Committed) -> None:
        """Append a committed record to the ledger, durably."""
        ...


class Observer(Protocol):
    """A callback that receives the events of a run, each with its fields."""

    def __call__(self, event: str, **fields: object) -> None:
        """Note one event."""
        ...


def silent(event: str, **fields: object) -> None:
    """Observe nothing."""
