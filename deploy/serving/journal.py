"""The journal of a deployed server: its own site's ledger and models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clients.models.model_store import ModelStore
from srflm_flower.site.ledger import TermLedger
from strategies.errors import MessageRefused
from strategies.protocol.records import (
    Approval,
    Committed,
    Edition,
    Proposal,
    RosterChange,
    TermRecord,
)
from strategies.protocol.roster_change import agreed_change, check_decided
from strategies.protocol.signatures import Keys, sign_proposal
from strategies.weights import Model


class SiteJournal:
    """Implements :class:`strategies.term.plan.TermJournal` on a site's own state.

    The server's commits go to the same ledger as those of the site's node.
    """

    def __init__(
        self,
        ledger: TermLedger,
        models: ModelStore,
        initial: Model,
        edition: Edition,
        keys: Keys,
    ) -> None:
        self._ledger, self._models, self._edition, self._keys = ledger, models, edition, keys
        self._initial = initial

    def records(self) -> Sequence[TermRecord]:
        """Return all committed records, oldest first."""
        return self._ledger.records()

    def genesis(self) -> str:
        """Return the hash of the initial model."""
        return self._initial.hash

    def model(self, name: str) -> Model:
        """Return the head's model, the initial one, or one of the proposal's, by hash."""
        return self._initial if name == self._initial.hash else self._models.get(name)

    def committed(self, first: int) -> Sequence[Committed]:
        """Return the committed records from term ``first`` on with their certificates."""
        return self._ledger.committed(first)

    def roster_change(self, approvals: Iterable[Approval]) -> RosterChange | None:
        """Return the roster change that a majority has approved, or None."""
        return agreed_change(approvals, self._edition, self._keys)

    def sign(self, record: TermRecord) -> Proposal:
        """Sign a record that this server has made."""
        return sign_proposal(record, self._keys)

    def proposal(self) -> tuple[int, Proposal] | None:
        """Return the last proposal in the open term and its attempt, or None."""
        return self._ledger.proposal(len(self._ledger) + 1)

    def propose(self, attempt: int, proposal: Proposal, models: Iterable[Model]) -> Proposal:
        """Store a proposal and its models durably; return the first proposal of this attempt.

        Raises :class:`MessageRefused` at a site that may have forgotten what it proposed before.
        """
        if self._ledger.votes(proposal.record.term).forgetful:
            raise MessageRefused(
                "a proposal by a site that has lost its state",
                "a server that remembers what it has proposed",
                "nothing: another vendor serves, and this one again after the next committed terms",
                MessageRefused.NO_VOTE,
            )
        # The models come first: a crash in between must not leave a proposal without its models.
        for model in models:
            self._models.put(model)
        return self._ledger.propose(attempt, proposal)

    def commit(self, committed: Committed) -> None:
        """Append a committed record to the ledger, durably.

        Raises :class:`MessageRefused` if fewer than a majority have signed it.
        """
        # No other site would follow a record without a majority.
        check_decided(committed, self._edition, self._keys)
        self._ledger.append(committed)
