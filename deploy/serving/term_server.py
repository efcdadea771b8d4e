"""The server side of a deployed site: one run of the ServerApp does one task and ends.

The launcher passes the task in the run configuration, and reads the result from the outcome file.
"""

# Flower's exit code and run status say nothing about a term: a run in which every client failed is
# still "finished:completed".

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from flwr.serverapp import Grid

from clients.files.durable import write_durably
from clients.files.event_log import EventLog
from clients.files.locks import locked
from deploy.serving.gathering import gathered, nodes_present
from deploy.serving.job import JobOutcome, ServerJob, lock_path, names_in, outcome_path
from deploy.serving.ringing import ringing
from deploy.serving.telling import FIRST_POLL_SECONDS, Told, ask_all, compare_heads, learn_orders
from deploy.serving.yielding import yield_attempt
from deploy.site.deployed_site import DeployedSite
from deploy.site.starts import take_over
from srflm_flower.site.edition_standing import Standing
from srflm_flower.site.journal import SiteJournal
from strategies.errors import INTERNAL_ERROR, FederationStopped, MessageRefused, SrflmError
from strategies.protocol import messages as wire
from strategies.protocol.quorum import Accepted, Votes, has_quorum, refusal, silent_through
from strategies.protocol.yielding import must_yield
from strategies.server_rotating import ServerRotating
from strategies.term.attempt import ServerLost
from strategies.term.catching_up import catch_up_from
from strategies.term.conversation import request
from strategies.term.exchange import CostMeter, Exchange, Peers
from strategies.term.opening import AttemptTaken, Behind

ORDER_PATIENCE = 30.0


def perform(site: DeployedSite, task: ServerJob, grid: Grid) -> JobOutcome:
    """Do ``task``, write its outcome, and return it; a failed task raises no error."""
    # From a free lock without an outcome the launcher knows that this process died.
    with locked(lock_path(site.settings.run, task.name), wait=True):
        outcome = _perform(site, task, grid)
        path = outcome_path(site.settings.run, task.name)
        write_durably(path, outcome.model_dump_json().encode())
    with suppress(SrflmError):  # a failed ring costs a second: the launcher looks that often
        site.tell_next()
    return outcome


def _perform(site: DeployedSite, task: ServerJob, grid: Grid) -> JobOutcome:
    try:
        return TASKS[task.kind](site, task, ringing(site, task, gathered(task, grid)))
    except SrflmError as error:
        site.log(f"{task.kind}: {error}")
        return JobOutcome(task=task.name, result="failed", code=error.code, text=str(error))
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        site.log(f"{task.kind}: {text}")
        return JobOutcome(task=task.name, result="failed", code=INTERNAL_ERROR, text=str(error))


def peers_of(site: DeployedSite, task: ServerJob) -> Peers:
    """Return the vendors behind the nodes of the own SuperLink, and the memories for them."""
    return Peers(names_in(task), site.site.memory)


def _serve(site: DeployedSite, task: ServerJob, grid: Grid) -> JobOutcome:
    federation, order = site.federation, site.state.ledger.open_order()
    standing = site.site.participant.standing()
    if standing.place(site.vendor) != "member":
        raise FederationStopped(
            "another edition of the federation file that decides the next term",
            "the one with which this site runs",
            "see `srflm status`: the site switches by itself once it has the new file",
        )
    votes = site.state.ledger.votes(len(site.state.ledger) + 1)
    reason = refusal(votes, task.attempt)
    # Attempt 0 needs no vote, but a site that may have forgotten a promise must not make it.
    if reason is not None:
        return JobOutcome(
            task=task.name, result="outvoted", attempt=votes.granted, code=MessageRefused.NO_VOTE
        )
    if task.attempt > 0:
        _require_voters(site, task, grid)
    journal = SiteJournal(
        site.state.ledger, site.models, site.initial, federation.as_edition, site.keys
    )
    lost_before = [a for a in site.state.ledger.yielded(votes.term) if a.attempt < task.attempt]
    strategy = ServerRotating(
        replace(federation.term_plan(), first_poll=FIRST_POLL_SECONDS),
        federation.election_policy(),
        federation.aggregation,
        journal,
        EventLog(site.settings.logs / "events.jsonl"),
        order,
        # Known ids save the opening questions. A site that approves a change of the roster asks all
        # the same, to collect the other approvals; one without the head's model, to catch up.
        nodes_present(task, grid, federation.roster) if _may_skip_opening(site, standing) else {},
        peers_of(site, task),
    )
    try:
        strategy.serve(grid, task.attempt, lost_before)
    except AttemptTaken as taken:
        return JobOutcome(task=task.name, result="outvoted", attempt=taken.attempt)
    except Behind as behind:
        deadline = federation.run.work_deadline
        catch_up_from(behind, site.vendor, deadline)
        return JobOutcome(task=task.name, result="caught-up")
    except ServerLost as lost:
        site.log(str(lost))
        yields = must_yield(lost.absence)
        if yields:
            yield_attempt(site, grid, peers_of(site, task), votes.term, lost.absence)
        return JobOutcome(
            task=task.name,
            result="yielded" if yields else "failed",
            code=lost.absence.code,
            text=str(lost),
        )
    return JobOutcome(task=task.name, result="committed", attempt=task.attempt)


def _require_voters(site: DeployedSite, task: ServerJob, grid: Grid) -> None:
    """Raise :class:`FederationStopped` unless a quorum is there to vote, or a site is ahead.

    The launcher then tries the same attempt again.
    """
    # An opening makes sites promise: without a quorum, two servers that take turns would raise
    # the attempts without end.  These questions bind nobody.
    told = ask_all(site, grid, peers_of(site, task), hurry=True)
    if any(votes.term > told.term.envelope.term for votes in told.votes.values()):
        return
    told.require_quorum()
    if task.early:
        told.require_unreached(task.early)


def _sync(site: DeployedSite, task: ServerJob, grid: Grid) -> JobOutcome:
    """Catch up with the site furthest ahead; after a loss of state, learn when to vote again.

    Raises :class:`FederationStopped` if less than a quorum answers.
    """
    ledger, told = site.state.ledger, ask_all(site, grid, peers_of(site, task))
    newer = ledger.newer_site()
    if newer is not None:
        take_over(site, newer)
        # With its new number: from then on the others refuse whoever had the old one.
        told = ask_all(site, grid, peers_of(site, task))
    told.require_quorum()
    ledger.set_sure()
    compare_heads(site, told)
    learn_orders(site, told)
    # This site's own memory must not count as a witness.
    others = {vendor: votes for vendor, votes in told.votes.items() if vendor != site.vendor}
    _catch_up(site, told, others)
    if ledger.is_forgetful():
        _remember(site, others)
    return JobOutcome(task=task.name, result="synced")


def _ask(site: DeployedSite, task: ServerJob, grid: Grid) -> JobOutcome:
    """Ask who could vote now; the outcome names the vendors that answered and those that could."""
    told = ask_all(site, grid, peers_of(site, task))
    able = [vendor for vendor, votes in told.votes.items() if not votes.forgetful]
    return JobOutcome(
        task=task.name, result="told", answered=tuple(sorted(told.votes)), able=tuple(sorted(able))
    )


def _catch_up(site: DeployedSite, told: Told, others: dict[str, wire.VotesTold]) -> None:
    """Fetch what this site has missed; take those out of ``others`` that do not show what they say.

    Raises :class:`FederationStopped` if this site cannot get its own head's model.
    """
    # Broken off between two pages, the head's model is missing: that record is fetched once more.
    missing, deadline = not _has_head_model(site), site.federation.run.work_deadline
    for vendor in sorted(others, key=lambda vendor: others[vendor].term, reverse=True):
        behind = Behind(told.term, vendor, others[vendor].term - 1)
        behind.first = len(site.state.ledger) + 1 - missing
        if behind.head_term < behind.first:
            return
        try:
            catch_up_from(behind, site.vendor, deadline)
            return
        except FederationStopped as stopped:
            # A term that no records lead to must not keep this site silent, or from serving.
            site.log(str(stopped))
            del others[vendor]
    if not _has_head_model(site):
        raise FederationStopped(
            "no site that has sent the model of this site's last record",
            "one of those that have it",
            "bring more sites up",
            FederationStopped.NO_QUORUM,
        )


def _may_skip_opening(site: DeployedSite, standing: Standing) -> bool:
    return standing.approved is None and _has_head_model(site)


def _has_head_model(site: DeployedSite) -> bool:
    head = site.state.ledger.last()
    return head is None or head.model in site.models


def _remember(site: DeployedSite, told: Mapping[str, wire.VotesTold]) -> None:
    """Note the last term in which this forgetful site does not vote.

    Raises :class:`FederationStopped` if the answers do not determine it yet.
    """
    # The previous roster accepted the record before this edition's first term, and a quorum of
    # this roster may not know it. So one answer must come from a site that knows this edition, and
    # therefore that record.
    reports = {
        vendor: Votes(votes.term, 0, Accepted(0, "") if votes.accepted else None, votes.forgetful)
        for vendor, votes in told.items()
    }
    through = silent_through(reports, site.federation.roster, site.federation.protocol.quorum)
    # A forgetful site may know the edition's file, and nothing of its terms.
    newest = max((votes.edition for votes in told.values() if not votes.forgetful), default=1)
    if through is None or newest < site.federation.edition:
        raise FederationStopped(
            f"{len(told)} other vendors that told how far they are",
            "a quorum of the roster that knows this edition, this forgetful site not counted",
            "bring more sites up: this one votes again once they have answered",
            FederationStopped.NO_QUORUM,
        )
    site.state.ledger.remember(through)


def _spread(site: DeployedSite, task: ServerJob, grid: Grid) -> JobOutcome:
    """Ask every site to follow a run order, unless the others know newer ones.

    Raises :class:`FederationStopped` if no quorum follows it.
    """
    assert task.order is not None
    # After a loss the own ledger may lack orders that the others follow.
    number = learn_orders(site, ask_all(site, grid, peers_of(site, task)))
    if number >= task.order.number and site.state.ledger.order() != task.order:
        return JobOutcome(task=task.name, result="outnumbered", number=number)
    roster, quorum = site.federation.roster, site.federation.protocol.quorum
    envelope = wire.Envelope(
        federation=site.federation.hash,
        term=len(site.state.ledger) + 1,
        attempt=0,
        server=site.vendor,
    )
    ordering = wire.OrderRun(envelope=envelope, order=task.order)
    peers = peers_of(site, task)
    exchange = Exchange(grid, CostMeter(), first_poll=FIRST_POLL_SECONDS, peers=peers)
    following: set[str] = set()
    refusals: dict[str, str] = {}
    until = time.monotonic() + ORDER_PATIENCE
    while not has_quorum(following, roster, quorum) and time.monotonic() < until:
        asked = {node: request(ordering, wire.ORDER, node) for node in grid.get_node_ids()}
        answers = exchange.ask(asked, site.federation.run.answer_deadline, "order")
        for answer in filter(None, answers.values()):
            if answer.reply.status == "done":
                following.add(answer.reply.vendor)
            else:
                refusals[answer.reply.vendor] = answer.reply.code
        if not has_quorum(following, roster, quorum):
            time.sleep(1.0)  # sites may be starting
    if not has_quorum(following, roster, quorum):
        raise FederationStopped(
            f"{len(following)} of {len(roster)} vendors follow the run order"
            + (f" (refused: {refusals})" if refusals else ""),
            "a quorum",
            "bring more sites up (`srflm status`), or ask the others to allow it (runs-from)",
            FederationStopped.NO_QUORUM,
        )
    return JobOutcome(task=task.name, result="ordered")


TASKS: dict[str, Callable[[DeployedSite, ServerJob, Grid], JobOutcome]] = {
    "serve": _serve,
    "order": _spread,
    "sync": _sync,
    "ask": _ask,
}
