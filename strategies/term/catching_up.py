"""Let a server that has missed terms fetch them from a site that is ahead, instead of serving."""

from __future__ import annotations

from flwr.app import Message

from strategies.errors import FederationStopped
from strategies.protocol import messages as wire
from strategies.protocol.messages import Answer
from strategies.term.conversation import request
from strategies.term.opening import Behind
from strategies.weights import Model


def catch_up_from(behind: Behind, vendor: str, deadline: float) -> None:
    """Bring ``vendor``'s own site up to date from the site that is ahead.

    Raises :class:`FederationStopped` if the other site does not send its records and model, or if
    the vendor's own site does not answer or refuses them.
    """
    if vendor not in behind.term.node_of:
        raise _stuck(behind, "this vendor's own node does not answer")
    first = behind.first
    while first <= behind.head_term:
        first = _take_page(behind, vendor, first, deadline)


def _take_page(behind: Behind, vendor: str, first: int, deadline: float) -> int:
    """Bring records from ``first`` on to the own site; return the first term that is left."""
    term, ahead = behind.term, behind.term.node_of[behind.vendor]
    fetch = wire.FetchRecords(envelope=term.envelope, first=first)
    records = _ask(behind, request(fetch, wire.RECORDS, ahead), deadline).reply.records
    if not records or records[0].record.term != first:
        raise _stuck(behind, "no records came")
    last, models = records[-1].record, list[Model]()
    more = last.term < behind.head_term
    if not more:  # only the last model is needed: the next term starts from it
        wanted = wire.FetchModel(envelope=term.envelope, model=last.model)
        sent = _ask(behind, request(wanted, wire.MODEL, ahead), deadline).models
        if last.model not in sent:
            raise _stuck(behind, "no model came")
        models = [sent[last.model]]
    # The certificates are not verified here: the own site checks them on receipt.
    commit = wire.Commit(envelope=term.envelope, records=records, more=more)
    _ask(behind, request(commit, wire.COMMIT, term.node_of[vendor], models), deadline)
    return first + len(records)


def _ask(behind: Behind, message: Message, deadline: float) -> Answer:
    answer = behind.term.exchange.ask({0: message}, deadline, "open").get(0)
    if answer is None or answer.reply.status != "done":
        why = answer.reply.code if answer is not None else "no reply"
        raise _stuck(behind, f"{message.metadata.message_type} failed: {why}")
    return answer


def _stuck(behind: Behind, what: str) -> FederationStopped:
    return FederationStopped(
        f"{behind.vendor} has committed term {behind.head_term}, but {what}",
        "a site that hands on what it has",
        "nothing: the next server brings this site up to date, too",
        FederationStopped.NOT_HANDED_ON,
    )
