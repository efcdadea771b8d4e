"""Phase 1 of a term: find out who is there, and bring those who have missed terms up to date."""

from __future__ import annotations

from collections.abc import Sequence

from flwr.serverapp import Grid

from srflm_flower import messages as wire
from srflm_flower.errors import NO_REPLY, LedgerError, MessageRefused
from srflm_flower.records import TermRecord
from strategies.conversation import Conversation, parse_reply, request, require_majority
from strategies.open_term import OpenTerm
from strategies.term_plan import TermPlan


class AttemptTaken(Exception):
    """A site has seen a higher attempt at this term (before a restart): go on from there."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        super().__init__(f"attempt {attempt} was seen")


def open_term(
    term: OpenTerm,
    conversation: Conversation,
    grid: Grid,
    plan: TermPlan,
    records: Sequence[TermRecord],
    resuming: bool,
) -> None:
    """Ask every node who it is; fill ``term.node_of`` with the vendors that are ready.

    Raises :class:`FederationStopped` without a majority, :class:`AttemptTaken` when a site has
    seen a higher attempt, :class:`LedgerError` when sites have committed what the server does not
    know of — unless it is ``resuming``: then they have stored the proposal that it holds.
    """
    opening = wire.OpenTerm(envelope=term.envelope, parent=term.parent, model=term.start.hash)
    requests = {node: request(opening, wire.OPEN, node) for node in grid.get_node_ids()}
    found: dict[str, tuple[int, int]] = {}
    codes: dict[str, str] = {}
    highest = term.envelope.attempt
    for node, message in term.exchange.ask(requests, plan.answer_deadline, "open").items():
        reply = parse_reply(message)
        if reply is None or reply.vendor not in plan.roster:
            continue
        if reply.status == "done":
            found[reply.vendor] = (node, reply.head_term)
        elif reply.status == "failed":
            codes[reply.vendor] = reply.code
            if reply.code == MessageRefused.ATTEMPT:
                highest = max(highest, reply.attempt)
    if highest > term.envelope.attempt:
        raise AttemptTaken(highest)
    for vendor in plan.roster:
        if vendor in found:
            term.node_of[vendor] = found[vendor][0]
        else:
            term.note_absence(vendor, "open", codes.get(vendor, NO_REPLY))
    if max((head for _, head in found.values()), default=0) > len(records) and not resuming:
        raise LedgerError(
            "sites whose ledgers are ahead of the server's",
            "a server that has every committed term record",
            "restore the run's ledger.jsonl from a site's own",
        )
    behind = {v: head for v, (_, head) in found.items() if head < len(records)}
    _catch_up(term, conversation, plan, records, behind)
    reasons = f" (others: {', '.join(sorted(set(codes.values())))})" if codes else ""
    require_majority(
        plan.roster,
        len(term.node_of),
        f"were ready when the term was opened{reasons}",
        term.envelope.term,
    )


def _catch_up(
    term: OpenTerm,
    conversation: Conversation,
    plan: TermPlan,
    records: Sequence[TermRecord],
    behind: dict[str, int],
) -> None:
    """Send vendors the committed records that they have missed; leave out those that fail."""
    requests = [
        request(
            wire.Commit(envelope=term.envelope, records=tuple(records[head:])),
            wire.COMMIT,
            term.node_of[vendor],
        )
        for vendor, head in behind.items()
    ]
    caught_up = conversation.ask(requests, "open", plan.work_deadline, [term.start])
    for vendor in behind:
        if vendor not in caught_up:
            del term.node_of[vendor]
