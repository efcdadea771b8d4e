"""Phase 5 of a term: a majority accepts the record, then all vendors learn of the commit."""

from __future__ import annotations

from collections.abc import Mapping

from flwr.app import Message

from strategies.errors import FederationStopped, LedgerError
from strategies.protocol import messages as wire
from strategies.protocol.messages import Answer
from strategies.protocol.quorum import Accepted, must_propose
from strategies.protocol.records import Certificate, Committed, Proposal
from strategies.term.attempt import Attempt
from strategies.term.conversation import Conversation, request
from strategies.term.plan import TermPlan
from strategies.weights import Model


def obliged(term: Attempt) -> Proposal | None:
    """Return the proposal that the votes oblige the server to make, or None if it is free.

    Raises :class:`LedgerError` if two records were accepted under one attempt.
    """
    accepted: dict[int, Proposal] = {}
    for vote in term.votes.values():
        if vote.accepted is not None:
            first = accepted.setdefault(vote.grant.accepted_attempt, vote.accepted)
            # Only a server that broke its promise proposes two: do not choose between them.
            if first.record.hash != vote.accepted.record.hash:
                raise LedgerError(
                    f"two records accepted under one attempt in term {term.envelope.term}",
                    "one outcome an attempt",
                    f"look into the site of {first.record.server}, which proposed both",
                )
    # Paxos: the record accepted under the highest attempt may be committed already.
    wanted = must_propose(Accepted(at, each.record.hash) for at, each in accepted.items())
    return accepted[wanted.attempt] if wanted is not None else None


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
        FederationStopped.NO_MAJORITY,
    )


def acceptance_requests(term: Attempt, proposal: Proposal) -> list[Message]:
    """Return the requests to accept ``proposal``; a site that lacks the model asks for it."""
    accept = wire.Accept(envelope=term.envelope, proposal=proposal)
    return [request(accept, wire.ACCEPT, node) for node in term.node_of.values()]


def certified(term: Attempt, proposal: Proposal, answers: Mapping[str, Answer]) -> Committed:
    """Return the record with a certificate: the signatures of the vendors that accepted it."""
    # In the order of the roster, whatever the order of the replies.
    acceptances = {
        vendor: answers[vendor].reply.signature for vendor in term.roster if vendor in answers
    }
    certificate = Certificate(
        attempt=term.envelope.attempt, proposal=proposal.signature, acceptances=acceptances
    )
    return Committed(record=proposal.record, certificate=certificate)


def commit_requests(term: Attempt, committed: Committed) -> list[Message]:
    """Return the messages that tell all vendors that the record is committed."""
    commit = wire.Commit(envelope=term.envelope, records=(committed,))
    return [request(commit, wire.COMMIT, node) for node in term.node_of.values()]
