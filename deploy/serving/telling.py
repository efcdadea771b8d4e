"""Ask all sites how far they are: before a site catches up, orders a run, or stands in."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from flwr.serverapp import Grid

from deploy.site.deployed_site import DeployedSite
from srflm_flower.site.journal import SiteJournal
from strategies.errors import FederationStopped, MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.admission import MAX_ORDERS_AHEAD
from strategies.protocol.messages import Answer, VotesTold
from strategies.protocol.quorum import has_quorum
from strategies.protocol.records import Quorum, quorum_size
from strategies.term.attempt import Attempt
from strategies.term.conversation import request, vendors_done
from strategies.term.exchange import CostMeter, Exchange, Peers
from strategies.term.opening import new_attempt

FIRST_POLL_SECONDS = 0.1  # every look for replies is a request to the SuperLink, and costs CPU


@dataclass(frozen=True)
class Told:
    """The answers of the members, by vendor, the own site among them; ``term`` has their nodes."""

    term: Attempt
    votes: dict[str, VotesTold]
    roster: tuple[str, ...]
    quorum: Quorum

    def require_quorum(self) -> None:
        """Raise :class:`FederationStopped` when too few have answered."""
        if not has_quorum(self.votes, self.roster, self.quorum):
            raise FederationStopped(
                f"{len(self.votes)} of {len(self.roster)} vendors that told how far they are",
                f"{quorum_size(len(self.roster), self.quorum)} of them",
                "nothing, if the others are starting; otherwise see `srflm status` at their sites",
                FederationStopped.NO_QUORUM,
            )

    def require_unreached(self, vendor: str) -> None:
        """Raise :class:`FederationStopped` unless a quorum cannot reach ``vendor`` either."""
        agree = [each for each, votes in self.votes.items() if vendor in votes.unreached]
        if not has_quorum(agree, self.roster, self.quorum):
            raise FederationStopped(
                f"{len(agree)} of {len(self.roster)} vendors that cannot reach {vendor}, which is"
                " to serve",
                f"{quorum_size(len(self.roster), self.quorum)}, for an attempt before its time",
                f"nothing: {vendor} keeps its turn until the usual time-out",
                FederationStopped.NO_QUORUM,
            )

    def known_order(self) -> int:
        """Return the order number up to which a quorum knows the orders; 0 without one."""
        # Not the highest: one site that lies must not make the others follow any number.
        numbers = sorted(v.order.number if v.order else 0 for v in self.votes.values())
        needed = quorum_size(len(self.roster), self.quorum)
        return numbers[-needed] if len(numbers) >= needed else 0


def ask_all(site: DeployedSite, grid: Grid, peers: Peers, hurry: bool = False) -> Told:
    """Ask the members' sites; wait for all, at most the federation's answer deadline.

    In a ``hurry``, the wait ends as soon as a quorum has answered.
    """
    federation = site.federation
    journal = SiteJournal(
        site.state.ledger, site.models, site.initial, federation.as_edition, site.keys
    )
    exchange = Exchange(grid, CostMeter(), first_poll=FIRST_POLL_SECONDS, peers=peers)
    ranking = site.site.participant.view().ranking
    term = new_attempt(federation.term_plan(), journal, ranking, 0, exchange)
    term.envelope = term.envelope.model_copy(update={"server": site.vendor})
    asking = wire.TellVotes(envelope=term.envelope)
    asked = {node: request(asking, wire.VOTES, node) for node in grid.get_node_ids()}

    def enough(answers: Iterable[Answer | None]) -> bool:
        return hurry and has_quorum(
            vendors_done(answers), federation.roster, federation.protocol.quorum
        )

    answers = exchange.ask(asked, federation.run.answer_deadline, "open", enough=enough, grace=0.0)
    votes: dict[str, VotesTold] = {}
    for node, answer in answers.items():
        if answer is not None and answer.reply.votes is not None:
            term.node_of[answer.reply.vendor] = node
            votes[answer.reply.vendor] = answer.reply.votes
            site.site.participant.witness().hear(answer.reply.evidence)
    return Told(term, votes, federation.roster, federation.protocol.quorum)


def learn_orders(site: DeployedSite, told: Told) -> int:
    """Store the newest run order that this site obeys; return the highest number in use."""
    known = told.known_order()
    held = site.state.ledger.order()
    highest = held.number if held is not None else 0
    for votes in told.votes.values():
        if votes.order is None:
            continue
        # A site that lies must not use up the numbers that are left.
        if votes.order.number <= max(known, highest) + MAX_ORDERS_AHEAD:
            highest = max(highest, votes.order.number)
        with suppress(MessageRefused):  # of a vendor that this site does not obey, or forged
            site.site.participant.hear(votes.order, known)
    return highest


def compare_heads(site: DeployedSite, told: Told) -> None:
    """Give the own site every record that contradicts its ledger; it keeps them as evidence."""
    own, exchange = site.state.ledger, told.term.exchange
    if site.vendor not in told.term.node_of:
        return
    for vendor, votes in told.votes.items():
        term = votes.term - 1
        mine = own.committed(term, most=1) if 0 < term <= len(own) else ()
        if not mine or not votes.head or mine[0].record.hash == votes.head:
            continue
        fetch = wire.FetchRecords(envelope=told.term.envelope, first=term)
        asked = {0: request(fetch, wire.RECORDS, told.term.node_of[vendor])}
        answer = exchange.ask(asked, site.federation.run.answer_deadline, "open").get(0)
        if answer is None or not answer.reply.records:
            continue
        # The own node checks the signatures, keeps the record, and refuses it.
        commit = wire.Commit(
            envelope=told.term.envelope, records=answer.reply.records[:1], more=True
        )
        asked = {0: request(commit, wire.COMMIT, told.term.node_of[site.vendor])}
        exchange.ask(asked, site.federation.run.answer_deadline, "open")
