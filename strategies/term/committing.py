"""Phase 5 of a term: a quorum accepts the record, then all vendors learn of the commit."""

from __future__ import annotations

from collections.abc import Mapping

from flwr.app import Message

from strategies.errors import FederationStopped, LedgerError, MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.evidence_nouns import Evidence
from strategies.protocol.messages import Answer
from strategies.protocol.quorum import (
    Accepted,
    has_quorum,
    must_propose,
    none_committed,
    without_tie,
)
from strategies.protocol.records import Certificate, Committed, Proposal, quorum_size
from strategies.protocol.signatures import acceptance_statement
from strategies.term.attempt import Attempt, ServerLost, Vote
from strategies.term.conversation import Conversation, request, require_quorum
from strategies.term.plan import TermPlan
from strategies.weights import Model


def obliged(term: Attempt, guarded: bool = False) -> Proposal | None:
    """Return the proposal that the votes oblige the server to make, or None if it is free.

    ``guarded`` says that sites refuse records that others accept (``aggregation.guard``).  Votes
    that name another record than most do under one attempt are left out.  Raises
    :class:`LedgerError` if too few are left.
    """
    told = {vendor: _told(vote) for vendor, vote in term.votes.items()}
    if guarded and none_committed(told, term.roster, term.quorum):
        return None
    kept = without_tie(told)
    if kept != told.keys():
        # Only a server that broke its promise proposes two: of these records any may be committed.
        if not has_quorum(kept, term.roster, term.quorum):
            servers = sorted({v.accepted.record.server for v in term.votes.values() if v.accepted})
            raise LedgerError(
                f"two records accepted under one attempt in term {term.envelope.term}",
                "one outcome an attempt",
                f"look into the sites of {', '.join(servers)}, one of which proposed both",
            )
        term.votes = {vendor: vote for vendor, vote in term.votes.items() if vendor in kept}
    # Paxos: the record accepted under the highest attempt may be committed already.
    wanted = must_propose(told[vendor] for vendor in kept)
    accepted = (vote.accepted for vendor, vote in term.votes.items() if told[vendor] == wanted)
    return next(accepted, None) if wanted is not None else None


def _told(vote: Vote) -> Accepted | None:
    if vote.accepted is None:
        return None
    return Accepted(vote.grant.accepted_attempt, vote.accepted.record.hash)


def proven(term: Attempt, proposal: Proposal, is_own: bool) -> Proposal:
    """Return ``proposal`` with the proof that this attempt may propose it.

    ``is_own`` says that the server is free; else the votes oblige it to propose this record.
    """
    if term.envelope.attempt == 0:
        return proposal.model_copy(update={"proof": ()})
    grants = tuple(vote.grant for vote in term.votes.values())
    return proposal.model_copy(update={"proof": (grants, *(() if is_own else proposal.proof))})


def fetch_model(conversation: Conversation, name: str, plan: TermPlan) -> Model:
    """Fetch the model with hash ``name`` from the vendors that accepted its record.

    If no vote names the model, all reachable vendors are asked.  Raises :class:`FederationStopped`
    if no vendor sends it.
    """
    term = conversation.term
    wanted = wire.FetchModel(envelope=term.envelope, model=name)
    has = [
        vendor
        for vendor, vote in term.votes.items()
        if vote.accepted is not None and vote.accepted.record.model == name
    ]
    # One vendor at a time: a model is large, and one copy is enough.
    for vendor in has or term.node_of:
        asked = [request(wanted, wire.MODEL, term.node_of[vendor])]
        for answer in conversation.ask(asked, "open", plan.work_deadline).values():
            if name in answer.models:
                return answer.models[name]
    raise FederationStopped(
        f"nobody sent the model {name[:12]}… of the record accepted in term {term.envelope.term}",
        "one of the vendors that have accepted it",
        "bring more sites back; nothing committed is lost",
        FederationStopped.NOT_HANDED_ON,
    )


def acceptance_requests(term: Attempt, proposal: Proposal) -> list[Message]:
    """Return the requests to accept ``proposal``; a site that lacks the model asks for it."""
    accept = wire.Accept(envelope=term.envelope, proposal=proposal)
    return [request(accept, wire.ACCEPT, node) for node in term.node_of.values()]


def signed_acceptances(
    term: Attempt, proposal: Proposal, answers: Mapping[str, Answer]
) -> dict[str, Answer]:
    """Return the answers that hold a vendor's genuine signature of its acceptance."""
    record, attempt = proposal.record, term.envelope.attempt
    return {
        vendor: answer
        for vendor, answer in answers.items()
        if term.is_signed(
            vendor,
            acceptance_statement(vendor, record, attempt, answer.reply.log),
            answer.reply.signature,
        )
    }


def require_accepted(term: Attempt, count: int) -> None:
    """Require that ``count`` vendors, those that have accepted the record, are a quorum.

    Raises :class:`ServerLost` if they would be, had their sites' guards not refused the model, and
    :class:`FederationStopped` if too few have answered.
    """
    refusals = {
        absence.vendor
        for absence in term.absences
        if (absence.attempt, absence.code) == (term.envelope.attempt, MessageRefused.HARMFUL)
    }
    # The others have answered, so it is not they who are missing: another server may do better.
    if count < quorum_size(len(term.roster), term.quorum) <= count + len(refusals):
        raise ServerLost(term.note_absence(term.server, "commit", MessageRefused.HARMFUL))
    stored = count, "stored the term record", term.envelope.term
    require_quorum(term.roster, term.quorum, *stored)


def certified(term: Attempt, proposal: Proposal, answers: Mapping[str, Answer]) -> Committed:
    """Return the record with a certificate: the signatures of the vendors that accepted it."""
    # In the order of the roster, whatever the order of the replies.
    replies = {vendor: answers[vendor].reply for vendor in term.roster if vendor in answers}
    certificate = Certificate(
        attempt=term.envelope.attempt,
        proposal=proposal.signature,
        acceptances={vendor: reply.signature for vendor, reply in replies.items()},
        logs={vendor: reply.log for vendor, reply in replies.items() if reply.log is not None},
    )
    return Committed(record=proposal.record, certificate=certificate)


def commit_requests(
    term: Attempt, committed: Committed, evidence: tuple[Evidence, ...]
) -> list[Message]:
    """Return the messages that tell all vendors that the record is committed.

    With them goes the ``evidence`` of vendors that contradict themselves.
    """
    commit = wire.Commit(envelope=term.envelope, records=(committed,), evidence=evidence)
    return [request(commit, wire.COMMIT, node) for node in term.node_of.values()]
