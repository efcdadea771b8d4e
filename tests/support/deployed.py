"""A deployed federation in memory: real sites with keys and disks, no processes, no network.

Each vendor's server talks to the sites as Flower would let it; a fault may stand in between.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flwr.app import Context, Message

from deploy.operating.local_consortium import make_local_sites
from deploy.serving.term_server import JobOutcome, ServerJob, perform
from deploy.site.deployed_site import DeployedSite, _sites, site_at
from srflm_flower.client_app import answer_at
from srflm_flower.federation.federation import Federation
from srflm_flower.run.memory_grid import Deliver, Fault, MemoryGrid
from strategies.protocol.quorum import NONE_SEEN
from strategies.protocol.records import RunOrder, TermRecord
from strategies.protocol.signatures import sign_order
from strategies.protocol.succession import Seen, Timeouts, Yielded, newly_heard, next_turn

SiteFault = Callable[[str, str, Message, Deliver], Message | None]
"""(server, site, message, deliver) → reply."""

TIMEOUTS = Timeouts(open=5.0, commit=20.0)


def pass_on(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
    """Deliver everything."""
    return deliver(message)


class DeployedFederation:
    """Sites in one folder, and a clock that jumps from turn to turn."""

    def __init__(self, folder: Path, federation: Federation) -> None:
        addresses = {v: f"127.0.0.1:{9000 + n}" for n, v in enumerate(federation.roster)}
        self.folders = make_local_sites(folder, federation, addresses)
        self.roster = federation.roster
        self.down: set[str] = set()
        self.fault: SiteFault = pass_on
        self.now = 0.0
        self.seen: dict[str, tuple[int, Seen]] = {}
        self.heard: dict[str, dict[str, Yielded]] = {}
        self.outcomes: list[tuple[str, JobOutcome]] = []
        self.launchers_know_nodes = False
        """Whether an elected server is told where everybody is, as launchers tell it."""
        self._tasks = 0

    def site(self, vendor: str) -> DeployedSite:
        """Return a vendor's site as a fresh process would find it."""
        _sites.pop(self.folders[vendor], None)
        return site_at(self.folders[vendor])

    def grid(self, server: str) -> MemoryGrid:
        """Return the grid that ``server``'s SuperLink offers its ServerApp."""

        nodes = self.nodes_of(server)

        def answer(message: Message, context: Context) -> Message:
            vendor = nodes[context.node_id - 1]
            return answer_at(lambda: self.site(vendor), message, server)

        def fault(message: Message, deliver: Deliver) -> Message | None:
            vendor = nodes[message.metadata.dst_node_id - 1]
            if vendor in self.down:
                return None
            return self.fault(server, vendor, message, deliver)

        nowhere: Fault = fault
        return MemoryGrid(answer, len(nodes), Path(), nowhere)

    def nodes_of(self, server: str) -> tuple[str, ...]:
        """Return the vendors whose SuperNodes are at ``server``'s SuperLink."""
        return self.roster

    def may_serve(self, vendor: str) -> bool:
        """Return whether a vendor's launcher takes its turns."""
        return vendor not in self.down

    def perform(self, vendor: str, **task: object) -> JobOutcome:
        """Let ``vendor``'s ServerApp do a task."""
        self._tasks += 1
        registered = {name: node for node, name in enumerate(self.nodes_of(vendor), start=1)}
        plain = {"name": f"t{self._tasks}", "kind": "serve", "registered": registered}
        noun = ServerJob.model_validate(plain | task)
        if self.launchers_know_nodes and not self.down and noun.attempt == 0:
            nodes = {vendor: node for node, vendor in enumerate(self.roster, start=1)}
            noun = noun.model_copy(update={"nodes": nodes})
        outcome = perform(self.site(vendor), noun, self.grid(vendor))
        self.outcomes.append((vendor, outcome))
        return outcome

    def order(self, vendor: str, rounds: int, number: int = 1) -> JobOutcome:
        """Let ``vendor`` order a run."""
        site = self.site(vendor)
        order = RunOrder(
            number=number, federation=site.federation.hash, rounds=rounds, vendor=vendor
        )
        return self.perform(vendor, kind="order", order=sign_order(order, site.keys))

    def records(self, vendor: str) -> list[TermRecord]:
        """Return a site's committed records."""
        return list(self.site(vendor).state.ledger.records())

    def turn(self) -> str:
        """Let the vendor whose turn comes first take it; return its name."""
        due = {}
        for vendor in self.roster:
            if not self.may_serve(vendor):
                continue
            site = self.site(vendor)
            view = site.site.participant.view()
            term, granted = view.head_term + 1, view.attempt
            known = self.seen.get(vendor)
            if known is None or known[0] != term or granted > known[1].attempt:
                attempt = granted if granted > NONE_SEEN else NONE_SEEN
                self.seen[vendor] = (term, Seen(attempt, self.now))
            told = site.state.ledger.yielded(term)
            self.heard[vendor] = newly_heard(told, self.heard.get(vendor, {}), self.now)
            known_since, yielded = self.seen[vendor][1], self.heard[vendor]
            due[vendor] = next_turn(vendor, view.ranking, known_since, TIMEOUTS, yielded=yielded)
        vendor = min(due, key=lambda v: due[v].due)
        self.now = max(self.now, due[vendor].due)
        outcome = self.perform(vendor, attempt=due[vendor].attempt)
        if outcome.result in ("outvoted", "failed"):
            attempt = max(outcome.attempt, due[vendor].attempt)
            term = self.seen[vendor][0]
            self.seen[vendor] = (term, Seen(attempt, self.now + TIMEOUTS.commit))
        self.now += 1.0
        return vendor
