"""The journal that a deployed server writes: its own site's ledger and models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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
from strategies.weights import Weights, hash_weights


class SiteJournal:
    """Implements :class:`strategies.term.plan.TermJournal` on a site's own state."""

    # The site's node commits to the same ledger in another process; its transactions keep order.
    def __init__(
        self,
        ledger: TermLedger,
        models: ModelStore,
        initial: Weights,
        edition: Edition,
        keys: Keys,
    ) -> None:
        self._ledger, self._models, self._edition, self._keys = ledger, models, edition, keys
        self._initial, self._genesis = initial, hash_weights(initial)

    def records(self) -> Sequence[TermRecord]:
        """Return all committed records, oldest first."""
        return self._ledger.records()

    def genesis(self) -> str:
        """Return the hash of the initial model."""
        return self._genesis

    def weights(self, model: str) -> Weights:
        """Return the weights with the hash ``model``: the head's, the initial, or the proposed."""
        return self._initial if model == self._genesis else self._models.get(model)

    def committed(self, first: int) -> Sequence[Committed]:
        """Return the committed records from term ``first`` on with their certificates."""
        return self._ledger.committed(first)

    def roster_change(self, approvals: Iterable[Approval]) -> RosterChange | None:
        """Return the roster change that a majority has approved, or None."""
        return agreed_change(approvals, self._edition, self._keys)

    def sign(self, record: TermRecord) -> Proposal:
        """Sign this server's record."""
        return sign_proposal(record, self._keys)

    def proposal(self) -> tuple[int, Proposal] | None:
        """Return this server's last proposal in the open term with its attempt, or None."""
        return self._ledger.proposal(len(self._ledger) + 1)

    def propose(self, attempt: int, proposal: Proposal, models: Mapping[str, Weights]) -> Proposal:
        """Store a proposal and its models durably; return the first proposal of this attempt.

        Raises :class:`MessageRefused` at a site that may have forgotten an earlier proposal.
        """
        # Two records under one attempt could both get a majority.
        if self._ledger.votes(proposal.record.term).forgetful:
            raise MessageRefused(
                "a proposal by a site that has lost its state",
                "a server that remembers what it has proposed",
                "nothing: another vendor serves, and this one again after the next committed terms",
                MessageRefused.NO_VOTE,
            )
        # The models come first: a crash in between must not leave a proposal without its models.
        for name, weights in models.items():
            self._models.put(weights, name)
        return self._ledger.propose(attempt, proposal)

    def commit(self, committed: Committed) -> None:
        """Append a committed record to the ledger, durably.

        Raises :class:`MessageRefused` without the signatures of a majority.
        """
        # No other site would accept a record without a majority.
        check_decided(committed, self._edition, self._keys)
        self._ledger.append(committed)
