"""A site's part in the protocol: whom it obeys, what it promises, which records it stores.

It never forks: what it has promised is on its own disk before it answers (README, "Safety").
"""

from __future__ import annotations

from dataclasses import dataclass
from sqlite3 import Connection

from srflm_flower import messages as wire
from srflm_flower.errors import MessageRefused
from srflm_flower.fencing import View, check_envelope, check_sender
from srflm_flower.ledger import check_follows
from srflm_flower.quorum import Refusal, accept, grant, refusal
from srflm_flower.records import Grant, RunOrder, TermRecord
from srflm_flower.signatures import (
    Keys,
    acceptance_statement,
    check_committed,
    check_grants,
    check_order,
    check_proposal,
    sign_grant,
)
from srflm_flower.site_ledger import SiteLedger

MOST_RECORDS_AT_ONCE = 5000
MOST_ATTEMPTS_AHEAD = 1000


@dataclass(frozen=True)
class Genesis:
    """What stands in for the record before term 1."""

    federation: str
    roster: tuple[str, ...]
    ranking: tuple[str, ...]
    model: str


@dataclass(frozen=True)
class Participant:
    """One vendor's site in the protocol.

    ``obeys`` are the vendors whose run orders the site follows: its own policy.  With
    ``needs_order`` it takes part in a term only while such an order is not fulfilled.
    """

    vendor: str
    genesis: Genesis
    ledger: SiteLedger
    keys: Keys
    obeys: tuple[str, ...]
    needs_order: bool = False

    # ---- whom it obeys -----------------------------------------------------------------------

    def view(self) -> View:
        """Return what this site knows about the federation."""
        return self._view_after(self.ledger.last())

    def _view_after(self, head: TermRecord | None) -> View:
        term = head.term if head is not None else 0
        return View(
            federation=self.genesis.federation,
            head_term=term,
            ranking=head.ranking if head is not None else self.genesis.ranking,
            attempt=self.ledger.votes(term + 1).granted,
        )

    def admit_member(self, envelope: wire.Envelope, sender: str | None) -> None:
        """Check a message that any member may send."""
        check_sender(envelope, self.view(), sender)
        if envelope.server not in self.genesis.roster:
            raise MessageRefused(
                f"a message of {envelope.server!r}",
                f"one of {', '.join(self.genesis.roster)}",
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
        """Check a message of the term's server; from then on nobody below it is obeyed.

        ``order`` is the run order that came with it.
        """
        view = self.view()
        check_envelope(envelope, view, any_term, sender)
        if order is not None:
            self.follow(order)
        if envelope.term == view.head_term + 1:
            self._require_order()
            _require_near(envelope.attempt, view.attempt)
        if envelope.term == view.head_term + 1 and envelope.attempt > view.attempt:
            with self.ledger.deciding() as db:
                votes = self.ledger.votes_in(db, envelope.term)
                open_still = self._head_term(db) == view.head_term
                if open_still and refusal(votes, envelope.attempt) is None:
                    self.ledger.keep_votes(db, grant(votes, envelope.attempt))
        return view

    # ---- phase 1: open -----------------------------------------------------------------------

    def open(self, opening: wire.OpenTerm) -> wire.Reply:
        """Compare the parent, follow the run order, and vote if the attempt is above 0."""
        envelope = opening.envelope
        head = self.ledger.last()
        head_term = head.term if head is not None else 0
        if envelope.term != head_term + 1:
            return self._done(head_term=head_term)
        expected = (
            (head.hash, head.model)
            if head is not None
            else (self.genesis.federation, self.genesis.model)
        )
        if (opening.parent, opening.model) != expected:
            raise MessageRefused(
                "a term on top of another record or model",
                "the head of this site's ledger",
                "compare the sites' ledgers; all must start from the same seed",
                MessageRefused.PARENT,
            )
        if envelope.attempt == 0:
            return self._done(head_term=head_term)
        return self._vote(envelope)

    def _vote(self, envelope: wire.Envelope) -> wire.Reply:
        """Grant the attempt; what is told is read where the promise is written.

        Another process may have committed the term since: its votes are gone, and none is given.
        """
        with self.ledger.deciding() as db:
            head_term = self._head_term(db)
            if envelope.term <= head_term:
                return self._done(head_term=head_term)
            votes = self.ledger.votes_in(db, envelope.term)
            _require(refusal(votes, envelope.attempt))
            accepted = self.ledger.accepted_in(db, envelope.term)
            self.ledger.keep_votes(db, grant(votes, envelope.attempt))
        granted = Grant(vendor=self.vendor, attempt=envelope.attempt)
        if votes.accepted and accepted:
            before = {"accepted_attempt": votes.accepted.attempt, "accepted": accepted.record.hash}
            granted = granted.model_copy(update=before)
        signed = sign_grant(self.genesis.federation, envelope.term, granted, self.keys)
        return self._done(head_term=head_term, grant=signed, accepted=accepted)

    def _head_term(self, db: Connection) -> int:
        head = self.ledger.head_in(db)
        return head.term if head is not None else 0

    # ---- phase 5: accept, commit ---------------------------------------------------------------

    def check_acceptable(self, proposed: wire.Accept) -> None:
        """Check that a proposed record follows this site's head and was made by its server.

        Raises :class:`MessageRefused` or :class:`srflm_flower.errors.LedgerError`.
        """
        envelope, record = proposed.envelope, proposed.proposal.record
        if record.term != envelope.term:
            raise MessageRefused(
                f"a record of term {record.term}",
                f"term {envelope.term}",
                "install the same version at every site",
                MessageRefused.TERM,
            )
        head = self.ledger.last()
        if head is not None and record.term <= head.term:
            self._require_same(record)  # decided already
            return
        check_follows(head, record, self.genesis.federation)
        ranking = head.ranking if head is not None else self.genesis.ranking
        if record.server != ranking[record.attempt % len(ranking)]:
            raise MessageRefused(
                f"a record made by {record.server!r} under attempt {record.attempt}",
                "the vendor to which the attempt belongs",
                "give every site the same federation file and let it catch up",
                MessageRefused.SERVER,
            )
        if sorted(record.ranking) != sorted(self.genesis.roster):
            raise MessageRefused(
                "a record whose ranking is not an order of the whole roster",
                "every vendor once",
                "install the same version at every site",
                MessageRefused.MALFORMED,
            )
        check_proposal(proposed.proposal, self.keys)
        if envelope.attempt > 0:
            check_grants(
                proposed.grants,
                self.genesis.federation,
                envelope.term,
                envelope.attempt,
                self.genesis.roster,
                self.keys,
            )

    def accept(self, proposed: wire.Accept) -> wire.Reply:
        """Store the proposal; its model must be stored already.  Acknowledged once durable."""
        record, attempt = proposed.proposal.record, proposed.envelope.attempt
        with self.ledger.deciding() as db:
            head = self.ledger.head_in(db)
            if head is not None and record.term <= head.term:
                self._require_same(record)
            else:
                votes = self.ledger.votes_in(db, record.term)
                _require(refusal(votes, attempt, record.hash))
                after = accept(votes, attempt, record.hash)
                self.ledger.keep_votes(db, after, proposed.proposal)
        statement = acceptance_statement(self.vendor, record, attempt)
        return self._done(signature=self.keys.sign(statement))

    def _require_same(self, record: TermRecord) -> None:
        known = self.ledger.committed(record.term, most=1)
        if not known or known[0].record.hash != record.hash:
            raise MessageRefused(
                f"another record for the committed term {record.term}",
                "the one in this site's ledger",
                "let the server catch up",
                MessageRefused.TERM,
            )

    def check_commit(self, commit: wire.Commit) -> None:
        """Check that every record has the signatures of a majority."""
        if not commit.records:
            raise MessageRefused(
                "a commit without records",
                "at least one",
                "install the same version at every site",
                MessageRefused.MALFORMED,
            )
        for committed in commit.records:
            check_committed(committed, self.genesis.roster, self.keys)

    def commit(self, commit: wire.Commit) -> wire.Reply:
        """Append committed records, each with the signatures of a majority."""
        self.check_commit(commit)
        for committed in commit.records:
            self.ledger.append(committed)
        return self._done(head_term=len(self.ledger))

    def records(self, wanted: wire.FetchRecords) -> wire.Reply:
        """Return committed records for a site that has missed them."""
        found = self.ledger.committed(wanted.first, MOST_RECORDS_AT_ONCE)
        return self._done(head_term=len(self.ledger), records=tuple(found))

    def tell_votes(self) -> wire.Reply:
        """Tell a forgetful site how far this one is: the term open here, and whether it voted."""
        with self.ledger.deciding() as db:  # or a commit in between would hide what was accepted
            votes = self.ledger.votes_in(db, self._head_term(db) + 1)
        told = wire.VotesTold(
            term=votes.term, accepted=votes.accepted is not None, forgetful=votes.forgetful
        )
        return self._done(head_term=votes.term - 1, votes=told)

    # ---- run orders --------------------------------------------------------------------------

    def follow(self, order: RunOrder) -> wire.Reply:
        """Store a run order of a vendor that this site obeys."""
        if order.vendor not in self.obeys or order.federation != self.genesis.federation:
            raise MessageRefused(
                f"a run order of {order.vendor!r}",
                f"one of {', '.join(self.obeys)} for this federation",
                "ask this site to allow it (runs-from in its site.toml)",
                MessageRefused.NO_ORDER,
            )
        check_order(order, self.keys)
        held = self.ledger.keep_order(order)
        if held.number == order.number and held != order:
            raise MessageRefused(
                f"a second run order with the number {order.number}",
                f"the one of {held.vendor}: of two with one number the first name's holds",
                "give the order again: it gets the next number",
                MessageRefused.NO_ORDER,
            )
        return self._done(head_term=len(self.ledger))

    def _require_order(self) -> None:
        if self.needs_order and self.ledger.open_order() is None:
            raise MessageRefused(
                "the opening of a term that no run order asks for",
                "an order of a vendor that this site obeys, not fulfilled yet",
                "order a run: `srflm run`",
                MessageRefused.NO_ORDER,
            )

    def _done(self, **fields: object) -> wire.Reply:
        return wire.Reply.model_validate({"vendor": self.vendor, "status": "done"} | fields)


def _require_near(attempt: int, granted: int) -> None:
    """Raise :class:`MessageRefused` for an attempt that no succession of servers leads to."""
    if attempt > max(granted, 0) + MOST_ATTEMPTS_AHEAD:
        raise MessageRefused(
            f"attempt {attempt} after attempt {granted}",
            f"at most {MOST_ATTEMPTS_AHEAD} more",
            "look into the site that sent it",
            MessageRefused.ATTEMPT,
        )


def _require(reason: Refusal | None) -> None:
    """Raise :class:`MessageRefused` for a vote that must not be given."""
    if reason == "outvoted":
        raise MessageRefused(
            "an attempt below the one that this site has granted",
            "a higher one",
            "nothing: the next vendor in the ranking serves",
            MessageRefused.ATTEMPT,
        )
    if reason == "forgetful":
        raise MessageRefused(
            "a vote asked of a site that has lost its state",
            "a site that remembers its promises",
            "nothing: it votes again after the next committed term",
            MessageRefused.NO_VOTE,
        )
    if reason == "two-outcomes":
        raise MessageRefused(
            "a second record under one attempt",
            "one outcome an attempt",
            "look into the server that sent both",
            MessageRefused.NO_VOTE,
        )
