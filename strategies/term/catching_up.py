"""Let a server that has missed terms fetch them from a site that is ahead, instead of serving."""

from __future__ import annotations

from flwr.app import Message

from strategies.errors import FederationStopped
from strategies.protocol import messages as wire
from strategies.term.attempt import Attempt
from strategies.term.conversation import parse_reply, request
from strategies.term.opening import Behind
from strategies.weights import Model


def catch_up_from(behind: Behind, term: Attempt, vendor: str, deadline: float) -> None:
    """Bring ``vendor``'s own site up to date from the site that is ahead.

    Raises :class:`FederationStopped` if the other site does not send its records and model, or if
    the vendor's own site does not answer or refuses them.
    """
    first = term.envelope.term
    fetch = wire.FetchRecords(envelope=term.envelope, first=first)
    _, answer = _ask(term, request(fetch, wire.RECORDS, behind.node), deadline, behind)
    if not answer.records:
        raise _stuck(behind, "no records came")
    # Only the last model is needed: the next term starts from it.
    name = answer.records[-1].record.model
    wanted = wire.FetchModel(envelope=term.envelope, model=name)
    message, _ = _ask(term, request(wanted, wire.MODEL, behind.node), deadline, behind)
    model = Model(wire.models_in(message)[name], name)
    if vendor not in term.node_of:
        raise _stuck(behind, "this vendor's own node does not answer")
    # Nothing is verified here: the own site checks the certificates and the model on receipt.
    commit = wire.Commit(envelope=term.envelope, records=answer.records)
    own = request(commit, wire.COMMIT, term.node_of[vendor], [model])
    _ask(term, own, deadline, behind)


def _ask(
    term: Attempt, message: Message, deadline: float, behind: Behind
) -> tuple[Message, wire.Reply]:
    answer = term.exchange.ask({0: message}, deadline, "open").get(0)
    reply = parse_reply(answer) if answer is not None else None
    if answer is None or reply is None or reply.status != "done":
        why = reply.code if reply is not None else "no reply"
        raise _stuck(behind, f"{message.metadata.message_type} failed: {why}")
    return answer, reply


def _stuck(behind: Behind, what: str) -> FederationStopped:
    return FederationStopped(
        f"{behind.vendor} has committed term {behind.head_term}, but {what}",
        "a site that hands on what it has",
        "nothing: the next server brings this site up to date, too",
        FederationStopped.NO_MAJORITY,
    )
