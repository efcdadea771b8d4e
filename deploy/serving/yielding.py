"""A server that cannot do its own part yields its attempt: it notes that, and tells the others."""

from __future__ import annotations

from flwr.serverapp import Grid

from deploy.serving.telling import FIRST_POLL_SECONDS
from deploy.site.deployed_site import DeployedSite
from strategies.protocol import messages as wire
from strategies.protocol.quorum import has_quorum
from strategies.protocol.records import Absence
from strategies.protocol.yielding import YIELD, signed_yield
from strategies.term.conversation import request, vendors_done
from strategies.term.exchange import CostMeter, Exchange, Peers


def yield_attempt(site: DeployedSite, grid: Grid, peers: Peers, term: int, lost: Absence) -> None:
    """Yield the attempt at ``term`` at which this site's server was ``lost``."""
    federation = site.federation
    envelope = wire.Envelope(
        federation=federation.hash, term=term, attempt=lost.attempt, server=site.vendor
    )
    told = signed_yield(envelope, lost, site.keys)
    try:
        site.state.ledger.keep_yielded(term, told.absence)
    finally:  # a full disk is a reason to yield, and the others must hear of it all the same
        exchange = Exchange(grid, CostMeter(), first_poll=FIRST_POLL_SECONDS, peers=peers)
        exchange.ask(
            {
                node: request(told, YIELD, node)
                for node in grid.get_node_ids()
                if peers.names.get(node) != site.vendor
            },
            federation.run.answer_deadline,
            "open",
            # A hint: who is away, or slow, waits for the time-outs.
            enough=lambda answers: has_quorum(
                {site.vendor, *vendors_done(answers)},
                federation.roster,
                federation.protocol.quorum,
            ),
        )
