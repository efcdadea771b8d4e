"""A site's part in the protocol: the servers it obeys, its promises, and the records it stores.

Every promise is on the site's own disk before the site answers (docs/explanation/safety.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from sqlite3 import Connection

from srflm_flower.site.edition_standing import Standing, approval_of, standing_of
from srflm_flower.site.evidence.contradictions import keep_contradictions
from srflm_flower.site.evidence.witness import Witness
from srflm_flower.site.ledger import TermLedger
from srflm_flower.site.run_orders import hear_order, require_in_force, require_open_order
from srflm_flower.site.view import Base, base_of, view_of
from strategies.errors import MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.admission import (
    View,
    check_envelope,
    check_sender,
    promised,
    require_near,
    require_own_edition,
    require_vote,
)
from strategies.protocol.chain import check_follows
from strategies.protocol.decided import check_all_decided
from strategies.protocol.proof import check_proof
from strategies.protocol.quorum import accept, grant, owner, refusal
from strategies.protocol.records import Approval, Edition, Grant, RunOrder, TermRecord
from strategies.protocol.recovery import not_recovered, without
from strategies.protocol.roster_change import check_change
from strategies.protocol.signatures import (
    Keys,
    acceptance_statement,
    check_proposal,
    sign_grant,
)


@dataclass(frozen=True)
class Genesis:
    """The start of the chain: edition, ranking, and model hash that term 1 builds on.

    ``recovered`` are the hashes of the records from which the site's federation file goes on.
    """

    edition: Edition
    ranking: tuple[str, ...]
    model: str
    recovered: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Participant:
    """One vendor's site in the protocol.

    ``own`` is the edition of the federation file with which the site runs.  ``obeys`` are the
    vendors whose run orders the site follows (None: all).  With ``needs_order`` the site takes part
    in a term only while such an order is not fulfilled.
    """

    vendor: str
    genesis: Genesis
    ledger: TermLedger
    keys: Keys
    own: Edition
    obeys: tuple[str, ...] | None = None
    needs_order: bool = False
    unreached: Callable[[], tuple[str, ...]] = tuple
    """Returns the vendors whose sites do not answer; a deployed site looks at their doors."""

    # ---- whom it obeys -----------------------------------------------------------------------

    def view(self, standing: Standing | None = None) -> View:
        """Return what this site knows about the federation; ``standing`` saves it a look."""
        return view_of(self.ledger, standing or self.standing(), self.genesis.ranking)

    def standing(self) -> Standing:
        """Return the editions in the site's ledger, its own edition, and the approved one."""
        return standing_of(self.ledger, self.genesis.edition, self.own)

    def witness(self) -> Witness:
        """Return the site as a witness of what vendors sign."""
        return Witness(self.ledger, self.keys, self.standing())

    def admit_member(self, envelope: wire.Envelope, sender: str | None) -> None:
        """Check a message that any member may send."""
        standing = self.standing()
        check_sender(envelope, self.view(standing), sender)
        members = standing.members(envelope.federation)
        if envelope.server not in members and self.genesis.recovered:
            raise without(envelope.server)
        if envelope.server not in members:
            raise MessageRefused(
                f"a message of {envelope.server!r}",
                f"one of {', '.join(members)}",
                "give every site the same federation file",
                MessageRefused.SERVER,
            )

    def admit_server(
        self,
        envelope: wire.Envelope,
        sender: str | None,
        any_term: bool,
        order: RunOrder | None = None,
    ) -> View:
        """Check a message of the term's server; from then on, obey no lower attempt.

        ``order`` is the run order that came with it.  Raises :class:`MessageRefused`.
        """
        view = self.view()
        check_envelope(envelope, view, any_term, sender)
        if envelope.term == view.head_term + 1:
            require_own_edition(self.own.federation, view)
            if order is not None:
                self.hear(order)  # the server may have missed a newer one
            if self.needs_order:
                require_open_order(self.ledger)
        if envelope.term == view.head_term + 1 and envelope.attempt > view.attempt:
            promise = promised(envelope.attempt, view.attempt)
            # Read again under the write lock: another process may have voted or committed since.
            with self.ledger.deciding() as db:
                votes = self.ledger.votes_in(db, envelope.term)
                open_still = self._head_term(db) == view.head_term
                if open_still and refusal(votes, promise) is None:
                    self.ledger.keep_votes(db, grant(votes, promise))
            require_near(envelope.attempt, promise)
        return view

    # ---- open --------------------------------------------------------------------------------

    def open(self, opening: wire.OpenAttempt) -> wire.Reply:
        """Compare the parent record and model, and vote if the attempt is above 0."""
        envelope = opening.envelope
        head = self.ledger.last()
        head_term = head.term if head is not None else 0
        if envelope.term != head_term + 1:  # one side has to catch up: the head tells which
            return self._done(head_term=head_term)
        expected = (
            (head.hash, head.model)
            if head is not None
            else (self.genesis.edition.federation, self.genesis.model)
        )
        if (opening.parent, opening.model) != expected:
            raise MessageRefused(
                "a term on top of another record or model",
                "the head of this site's ledger",
                "compare the sites' ledgers; all must start from the same seed",
                MessageRefused.PARENT,
            )
        # Only an approval of a change to this term's edition is of use to the server.
        approval = approval_of(self.ledger)
        if approval is not None and approval.previous != envelope.federation:
            approval = None
        if envelope.attempt == 0:
            return self._done(head_term=head_term, approval=approval)
        return self._vote(envelope, approval)

    def _vote(self, envelope: wire.Envelope, approval: Approval | None) -> wire.Reply:
        """Grant the attempt, and report the proposal that this site has accepted before, if any.

        The answer has no grant if another process has committed the term in the meantime.
        """
        # One transaction: a proposal accepted between reading and granting must not be missed.
        with self.ledger.deciding() as db:
            head_term = self._head_term(db)
            if envelope.term <= head_term:
                return self._done(head_term=head_term)
            votes = self.ledger.votes_in(db, envelope.term)
            require_vote(refusal(votes, envelope.attempt))
            accepted = self.ledger.accepted_in(db, envelope.term)
            self.ledger.keep_votes(db, grant(votes, envelope.attempt))
        granted = Grant(vendor=self.vendor, attempt=envelope.attempt)
        if votes.accepted and accepted:
            before = {"accepted_attempt": votes.accepted.attempt, "accepted": accepted.record.hash}
            granted = granted.model_copy(update=before)
        signed = sign_grant(envelope.federation, envelope.term, granted, self.keys)
        return self._done(head_term=head_term, grant=signed, accepted=accepted, approval=approval)

    def _head_term(self, db: Connection) -> int:
        head = self.ledger.head_in(db)
        return head.term if head is not None else 0

    # ---- accept, commit ------------------------------------------------------------------------

    def check_acceptable(self, proposed: wire.Accept) -> Base | None:
        """Check that a proposed record follows this site's head and comes from the right server.

        Returns what it builds on; None if this site has committed it already.  Raises
        :class:`MessageRefused` or :class:`strategies.errors.LedgerError`.
        """
        envelope, record = proposed.envelope, proposed.proposal.record
        if record.term != envelope.term:
            raise MessageRefused(
                f"a record of term {record.term}",
                f"term {envelope.term}",
                "install the same version at every site",
                MessageRefused.TERM,
            )
        base = base_of(self.ledger, self.genesis.edition, self.genesis.ranking)
        edition, ranking, change = base.edition, base.ranking, record.roster_change
        if base.head is not None and record.term <= base.head.term:
            self._require_same(record)  # a late request for a term that is decided
            return None
        check_follows(base.head, record, self.genesis.edition.federation)
        if record.recovery != base.recovery:
            raise not_recovered(record, "that its operator has applied")
        if record.server != owner(record.attempt, ranking):
            raise MessageRefused(
                f"a record made by {record.server!r} under attempt {record.attempt}",
                "the vendor to which the attempt belongs",
                "give every site the same federation file and let it catch up",
                MessageRefused.SERVER,
            )
        if change is not None:
            check_change(change, edition, self.keys)
        roster = change.edition.roster if change is not None else edition.roster
        if sorted(record.ranking) != sorted(roster):
            raise MessageRefused(
                "a record whose ranking is not an order of the whole roster",
                "every vendor once",
                "install the same version at every site",
                MessageRefused.MALFORMED,
            )
        keys = self.keys.at(edition)
        check_proposal(proposed.proposal, keys)
        check_proof(proposed.proposal, envelope.attempt, edition, ranking, keys)
        return base

    def accept(self, proposed: wire.Accept) -> wire.Reply:
        """Store the proposal durably, then sign its acceptance.

        The proposal's model must be stored already.  Raises :class:`MessageRefused`.
        """
        record, attempt = proposed.proposal.record, proposed.envelope.attempt
        witness = self.witness()
        with self.ledger.deciding() as db:
            head, log = self.ledger.head_in(db), self.ledger.log_in(db)
            if head is not None and record.term <= head.term:
                self._require_same(record)
                # No vote: it could contradict a grant that this site has given in that term.
                return self._done(head_term=head.term)
            votes = self.ledger.votes_in(db, record.term)
            require_vote(refusal(votes, attempt, record.hash))
            self.ledger.keep_votes(db, accept(votes, attempt, record.hash), proposed.proposal)
            witness.note_in(db, proposed.proposal)
        # Signed only after the commit above, as a signed promise must survive a crash.
        statement = acceptance_statement(self.vendor, record, attempt, log)
        signature = self.keys.sign(statement)
        return self._done(signature=signature, log=log, evidence=witness.told())

    def _require_same(self, record: TermRecord) -> None:
        known = self.ledger.committed(record.term, most=1)
        if not known or known[0].record.hash != record.hash:
            raise MessageRefused(
                f"another record for the committed term {record.term}",
                "the one in this site's ledger",
                "let the server catch up",
                MessageRefused.TERM,
            )

    def commit(
        self, commit: wire.Commit, keep_model: Callable[[], None] | None = None
    ) -> wire.Reply:
        """Append committed records, each with the signatures of a quorum.

        ``keep_model`` stores the newest record's model; between two pages none is needed.  Raises
        :class:`MessageRefused` or :class:`strategies.errors.LedgerError`.
        """
        if not commit.records:
            raise MessageRefused(
                "a commit without records",
                "at least one",
                "install the same version at every site",
                MessageRefused.MALFORMED,
            )
        # The only check of what is stored below, however it came.
        known, recovered = self.standing().editions, self.genesis.recovered
        check_all_decided(commit.records, known, recovered, self.keys)
        if keep_model is not None:
            keep_model()  # model first: a crash must not leave a head without its model
        keep_contradictions(self.ledger, commit.records)
        try:
            for committed in commit.records:
                self.ledger.append(committed)
        finally:  # a record that contradicts the ledger cannot be appended, and shows who lies
            self.witness().look(commit.records[-1].record.term)
        if commit.evidence:
            self.witness().hear(commit.evidence)
        return self._done(head_term=len(self.ledger))

    def records(self, wanted: wire.FetchRecords) -> wire.Reply:
        """Return a page of committed records for a site that has missed them."""
        return self._done(head_term=len(self.ledger), records=self.ledger.page(wanted.first))

    def tell_votes(self) -> wire.Reply:
        """Tell the term that is open here, whether this site has accepted, and its run order."""
        with self.ledger.deciding() as db:  # a commit in between would hide an acceptance
            head = self.ledger.head_in(db)
            votes = self.ledger.votes_in(db, head.term + 1 if head is not None else 1)
            forgetful = self.ledger.has_forgotten_in(db, votes.term)
        changes = self.standing().editions.changes
        told = wire.VotesTold(
            term=votes.term,
            accepted=votes.accepted is not None,
            forgetful=forgetful,
            edition=len(changes) + 1,
            head=head.hash if head is not None else "",
            order=self.ledger.order(),
            unreached=self.unreached(),
        )
        return self._done(head_term=votes.term - 1, votes=told, evidence=self.witness().told())

    # ---- run orders --------------------------------------------------------------------------

    def follow(self, order: RunOrder) -> wire.Reply:
        """Store a run order and answer; raises :class:`MessageRefused` if it is not in force."""
        require_in_force(order, self.hear(order))
        return self._done(head_term=len(self.ledger))

    def hear(self, order: RunOrder, told: int = 0) -> RunOrder:
        """Store a run order if it is newer than the one in force; return the one in force.

        ``told`` is the highest number that a quorum tells.  Raises :class:`MessageRefused` for an
        order that this site does not obey, that is too far ahead, or whose number is taken.
        """
        return hear_order(order, told, self.ledger, self.standing(), self.keys, self.obeys)

    def _done(self, **fields: object) -> wire.Reply:
        return wire.Reply.model_validate({"vendor": self.vendor, "status": "done"} | fields)
