"""The journal of a server, deployed or simulated: a term ledger and the models that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

from clients.models.model_store import ModelStore
from srflm_flower.site.evidence.signed_votes import (
    evidence,
    hear_evidence,
    look_for_evidence,
    note_in,
)
from srflm_flower.site.ledger import TermLedger
from strategies.protocol.equivocation import said_in_vote
from strategies.protocol.evidence_nouns import Evidence
from strategies.protocol.proof import check_vote
from strategies.protocol.records import (
    Approval,
    Committed,
    Edition,
    Grant,
    Proposal,
    Recovery,
    RosterChange,
    TermRecord,
)
from strategies.protocol.roster_change import agreed_change, check_decided
from strategies.protocol.signatures import Keys, sign_proposal
from strategies.weights import Model

Around = Callable[[TermRecord], AbstractContextManager[None]]
"""Makes a context that is entered before a record is committed, and left when it counts."""


def nothing_around(record: TermRecord) -> AbstractContextManager[None]:
    """Do nothing before or after a commit."""
    return nullcontext()


class SiteJournal:
    """Implements :class:`strategies.term.plan.TermJournal` on disk.

    At a deployed site the ledger is that of the site's node, and ``edition`` is the one with whose
    ``keys`` the server signs and verifies.  Each commit happens inside the context that ``around``
    makes for its record.
    """

    # The site's node commits to the same ledger in another process; its transactions keep order.
    def __init__(
        self,
        ledger: TermLedger,
        models: ModelStore,
        initial: Model,
        edition: Edition,
        keys: Keys,
        around: Around = nothing_around,
    ) -> None:
        self._ledger, self._models, self._edition, self._keys = ledger, models, edition, keys
        self._initial = initial
        self._around = around
        self._records: list[TermRecord] = []

    def records(self) -> Sequence[TermRecord]:
        """Return all committed records, oldest first."""
        # A ledger only grows: records that were read once are not read again.
        self._records += self._ledger.records(len(self._records) + 1)
        return tuple(self._records)

    def genesis(self) -> str:
        """Return the hash of the initial model."""
        return self._initial.hash

    def model(self, name: str) -> Model:
        """Return the head's model, the initial one, or one of the proposal's, by hash."""
        return self._initial if name == self._initial.hash else self._models.get(name)

    def page(self, first: int) -> tuple[Committed, ...]:
        """Return committed records from term ``first`` on, as many as fit into one message."""
        return self._ledger.page(first)

    def roster_change(self, approvals: Iterable[Approval]) -> RosterChange | None:
        """Return the roster change that a quorum has approved, or None."""
        return agreed_change(approvals, self._edition, self._keys)

    def recovery(self, term: int) -> Recovery | None:
        """Return the recovery on which ``term`` is built, if any."""
        return self._ledger.recovery(term - 1)

    def check_vote(self, grant: Grant, accepted: Proposal | None, ranking: tuple[str, ...]) -> None:
        """Check a vote in the open term, whose succession is ``ranking``.

        Raises :class:`strategies.errors.MessageRefused` or :class:`strategies.errors.LedgerError`.
        """
        term = len(self._ledger) + 1
        check_vote(grant, accepted, term, self._edition, ranking, self._keys)
        if self._edition.keys:  # in a simulation nobody signs
            with self._ledger.deciding() as db:
                told = said_in_vote(grant, accepted)
                note_in(db, self._edition, term, told, self._keys)
            look_for_evidence(self._ledger, self._edition, term, self._keys)
        # Obliged to a record that no site takes, every server of the term would fail.
        if accepted is not None:
            self._ledger.check_next(accepted.record)

    def is_signed(self, vendor: str, statement: bytes, signature: str) -> bool:
        """Return whether a vendor has signed a statement."""
        return self._keys.verify(vendor, statement, signature)

    def evidence(self) -> tuple[Evidence, ...]:
        """Return the evidence that this site has of vendors that contradict themselves."""
        return evidence(self._ledger, self._edition.federation)

    def hear_evidence(self, told: Iterable[Evidence]) -> None:
        """Keep the evidence that other sites have told, if its signatures are genuine."""
        hear_evidence(self._ledger, told, self._edition, self._keys)

    def sign(self, record: TermRecord) -> Proposal:
        """Sign this server's record."""
        return sign_proposal(record, self._keys)

    def proposal(self) -> tuple[int, Proposal] | None:
        """Return this server's last proposal in the open term with its attempt, or None."""
        return self._ledger.proposal(len(self._ledger) + 1)

    def propose(self, attempt: int, proposal: Proposal, models: Iterable[Model]) -> Proposal:
        """Store a proposal and its models durably; return the first proposal of this attempt.

        Raises :class:`strategies.errors.MessageRefused` at a site that may have forgotten one.
        """
        # The models come first: a crash in between must not leave a proposal without its models.
        for model in models:
            self._models.put(model)
        return self._ledger.propose(attempt, proposal)

    def commit(self, committed: Committed) -> None:
        """Append a committed record to the ledger, durably.

        Raises :class:`strategies.errors.MessageRefused` without the signatures of a quorum.
        """
        # No other site would accept a record without a quorum.
        check_decided(committed, self._edition, self._keys)
        with self._around(committed.record):
            self._ledger.append(committed)
