"""Phase 1 of a term: find the reachable vendors, collect votes, update sites that are behind."""

from __future__ import annotations

from collections.abc import Iterable

from flwr.serverapp import Grid

from strategies.election import Ranking
from strategies.errors import LedgerError, MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.messages import Answer
from strategies.protocol.quorum import has_quorum, owner
from strategies.protocol.records import RunOrder
from strategies.term.attempt import Attempt, Vote
from strategies.term.conversation import (
    Conversation,
    request,
    require_quorum,
    vendors_done,
)
from strategies.term.exchange import Exchange
from strategies.term.plan import TermJournal, TermPlan


class AttemptTaken(Exception):
    """A site has already granted a higher attempt at this term."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        super().__init__(f"attempt {attempt} was granted")


class Behind(Exception):
    """``vendor``, furthest ahead, has committed terms that the server of this attempt lacks."""

    def __init__(self, term: Attempt, vendor: str, head_term: int) -> None:
        self.term, self.vendor, self.head_term = term, vendor, head_term
        self.first = term.envelope.term
        super().__init__(f"{vendor} has committed term {head_term}")


def ahead_of_server(behind: Behind) -> LedgerError:
    """Return the error for a server that cannot fetch the terms that it has missed."""
    return LedgerError(
        f"a site ({behind.vendor}) whose ledger is ahead of the server's",
        "a server that has every committed term record",
        "restore the whole run folder from a copy, or start a new run",
    )


def new_attempt(
    plan: TermPlan, journal: TermJournal, ranking: Ranking, attempt: int, exchange: Exchange
) -> Attempt:
    """Return an attempt at the next term, before any message is sent."""
    records = journal.records()
    head = records[-1] if records else None
    start = head.model if head is not None else journal.genesis()
    return Attempt(
        envelope=wire.Envelope(
            federation=plan.federation,
            term=len(records) + 1,
            attempt=attempt,
            server=owner(attempt, ranking),
        ),
        roster=plan.roster,
        quorum=plan.quorum,
        ranking=ranking,
        # The parent of the first record is the hash of the federation file.
        parent=head.hash if head is not None else plan.federation,
        start_name=start,
        find=journal.model,
        is_signed=journal.is_signed,
        first_round=(head.round if head is not None else 0) + 1,
        exchange=exchange,
        meter=exchange.meter,
    )


def open_term(
    term: Attempt,
    conversation: Conversation,
    grid: Grid,
    plan: TermPlan,
    journal: TermJournal,
    order: RunOrder | None = None,
) -> None:
    """Ask every node who it is; fill ``term.node_of`` and, for attempts above 0, ``term.votes``.

    Raises :class:`FederationStopped` without a quorum, :class:`AttemptTaken` when a site has
    granted a higher attempt, :class:`Behind` when a site has committed terms that the journal
    lacks.
    """
    # Nodes and absences assumed so far came without an opening: forget them and ask.
    term.was_asked, term.node_of = True, {}
    term.absences.clear()
    answers = _Answers(term, plan, journal)
    opening = wire.OpenAttempt(
        envelope=term.envelope, parent=term.parent, model=term.start_name, order=order
    )
    answers.gather(opening, grid.get_node_ids())
    head = term.envelope.term - 1
    behind = {v: at for v, at in answers.head_of.items() if at < head}
    if behind:
        caught_up = _catch_up(term, conversation, plan, journal, behind)
        answers.gather(opening, [term.node_of[vendor] for vendor in caught_up])
    # Every later step goes through vendors in the order of the roster, not of their replies.
    term.node_of = {v: term.node_of[v] for v in plan.roster if v in term.node_of}
    term.note_missing(answers.failed)
    codes = sorted(set(answers.codes.values()))
    reasons = f" (others: {', '.join(codes)})" if codes else ""
    ready, did = len(term.node_of), "were ready when the term was opened"
    if term.envelope.attempt > 0:  # attempt 0 is the lowest and needs no votes (protocol/quorum.py)
        ready, did = len(term.votes), f"granted attempt {term.envelope.attempt}"
    require_quorum(plan.roster, plan.quorum, ready, did + reasons, term.envelope.term)


class _Answers:
    """Collects the nodes' answers to the opening."""

    def __init__(self, term: Attempt, plan: TermPlan, journal: TermJournal) -> None:
        self._term, self._plan, self._journal = term, plan, journal
        self.head_of: dict[str, int] = {}
        self.codes: dict[str, str] = {}
        self.failed: dict[str, wire.Reply] = {}

    def gather(self, opening: wire.OpenAttempt, nodes: Iterable[int]) -> None:
        """Ask ``nodes`` and note their answers; raises :class:`AttemptTaken` or :class:`Behind`."""
        term, attempt = self._term, self._term.envelope.attempt
        requests = {node: request(opening, wire.OPEN, node) for node in nodes}
        highest = attempt
        answers = term.exchange.ask(
            requests, self._plan.answer_deadline, "open", enough=self._are_a_quorum
        )
        for node, answer in answers.items():
            # Nodes outside the federation may be connected to the SuperLink, too.
            if answer is None or answer.reply.vendor not in self._plan.roster:
                continue
            reply = answer.reply
            if reply.status == "done":
                self._note(node, reply)
            elif reply.status == "failed":
                self.codes[reply.vendor] = reply.code
                self.failed[reply.vendor] = reply
                if reply.code == MessageRefused.ATTEMPT:
                    highest = max(highest, reply.attempt)
        # Being behind counts before being outvoted: a committed term cannot be attempted again.
        ahead = max(self.head_of, key=lambda v: self.head_of[v], default="")
        if ahead and self.head_of[ahead] >= term.envelope.term:
            raise Behind(term, ahead, self.head_of[ahead])
        if highest > attempt:
            raise AttemptTaken(highest)

    def _are_a_quorum(self, answers: Iterable[Answer | None]) -> bool:
        """Return whether a quorum is ready, including the server's own node."""
        # Without its own node the server cannot fine-tune.
        ready = vendors_done(answers)
        return self._term.server in ready and has_quorum(
            ready, self._plan.roster, self._plan.quorum
        )

    def _note(self, node: int, reply: wire.Reply) -> None:
        self._term.node_of[reply.vendor] = node
        self.head_of[reply.vendor] = reply.head_term
        if reply.approval is not None:
            self._term.approvals[reply.vendor] = reply.approval
        grant, ranking = reply.grant, self._term.ranking
        attempt = self._term.envelope.attempt
        if grant is None or (grant.vendor, grant.attempt) != (reply.vendor, attempt):
            return
        try:
            self._journal.check_vote(grant, reply.accepted, ranking)
        except (MessageRefused, LedgerError) as error:
            self.codes[reply.vendor] = error.code  # no vote: no site would take it as a proof
            return
        self._term.votes[reply.vendor] = Vote(grant, reply.accepted)


def _catch_up(
    term: Attempt,
    conversation: Conversation,
    plan: TermPlan,
    journal: TermJournal,
    behind: dict[str, int],
) -> list[str]:
    """Send vendors that are ``behind`` (vendor → last term) the committed records that they lack.

    Returns the vendors that are now up to date; removes the others from ``term.node_of``.
    """
    newest, caught_up = term.envelope.term - 1, list[str]()
    while behind:
        pages = {vendor: journal.page(head + 1) for vendor, head in behind.items()}
        reached = {vendor: page[-1].record.term for vendor, page in pages.items()}
        requests = [
            request(
                wire.Commit(envelope=term.envelope, records=page, more=reached[vendor] < newest),
                wire.COMMIT,
                term.node_of[vendor],
            )
            for vendor, page in pages.items()
        ]
        done = conversation.ask(requests, "open", plan.work_deadline, [term.start])
        for vendor in behind:
            # A site that stays behind cannot take part in the term.
            if vendor not in done:
                del term.node_of[vendor]
        caught_up += [vendor for vendor in done if reached[vendor] == newest]
        behind = {vendor: reached[vendor] for vendor in done if reached[vendor] < newest}
    return caught_up
