"""A member's ServerApp in the hands of an attacker, who sends over the wire what he likes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.common.serde import run_from_proto
from flwr.proto.runtime_pb2 import PullTaskInputRequest
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid import HttpGrid

from deploy.flower.control import Control
from deploy.flower.internals import RuntimeApi
from deploy.operating.run_orders import order_rounds
from deploy.processes.bell import Bell
from deploy.processes.config import load_config
from deploy.serving.launcher_config import LauncherConfig
from deploy.site.deployed_site import DeployedSite
from strategies.protocol import messages as wire
from strategies.protocol.records import Noun, TermRecord
from strategies.term.conversation import request
from strategies.weights import Model
from tests.support.quick_sites import content_of
from tests.support.sites import Sites, layout_of, programs_of, run_rounds
from tests.support.waiting import PATIENCE_SECONDS, wait_until

QUIET_LOOKS = 6
"""Looks, half a second apart, in which nothing changes before a test begins to watch."""


@dataclass(frozen=True)
class Rogue:
    """A member's ServerApp in the hands of an attacker, who sends what he likes."""

    site: DeployedSite
    sites: Sites
    grid: HttpGrid
    run: int

    @property
    def peers(self) -> list[str]:
        return [vendor for vendor in self.sites if vendor != self.site.vendor]

    def envelope(self, **changes: object) -> wire.Envelope:
        """Return the envelope of the term to come, in the rogue's own name."""
        head = head_of(self.sites)
        fields = {
            "federation": head.federation,
            "term": head.term + 1,
            "attempt": 0,
            "server": self.site.vendor,
        }
        return wire.Envelope.model_validate(fields | changes)

    def send(self, noun: Noun, kind: str, models: Iterable[Model] = ()) -> dict[str, str]:
        """Put a message for every peer on the rogue's SuperLink; return peer → its id."""
        sent = {}
        for peer in self.peers:
            node = (layout_of(self.sites[peer]).run / "nodes" / self.site.vendor).read_text()
            (sent[peer],) = self.grid.push_messages([request(noun, kind, int(node), models)])
            Bell(layout_of(self.sites[peer]).bells / self.site.vendor).ring()
        return sent

    def ask(self, noun: Noun, kind: str, models: Iterable[Model] = ()) -> dict[str, wire.Reply]:
        """Send a message to every peer; return their replies."""
        waiting, replies = self.send(noun, kind, models), {}
        until = time.monotonic() + PATIENCE_SECONDS
        while len(replies) < len(waiting) and time.monotonic() < until:
            left = [each for peer, each in waiting.items() if peer not in replies]
            for message in self.grid.pull_messages(left):
                answer = wire.answer_in(message)
                assert answer is not None, message
                replies[answer.reply.vendor] = answer.reply
            time.sleep(0.05)
        return replies

    def is_refused(self, code: str, noun: Noun, kind: str, models: Iterable[Model] = ()) -> None:
        """Check that every peer refuses a message with ``code``, and has that in its audit."""
        # On a busy machine a late message of an honest server may be noted after this one.
        before = {peer: len(audited(self.sites[peer])) for peer in self.peers}
        replies = self.ask(noun, kind, models)
        answered = {peer: (reply.status, reply.code) for peer, reply in replies.items()}
        assert answered == dict.fromkeys(self.peers, ("failed", code))
        for peer in self.peers:
            noted = audited(self.sites[peer])[before[peer] :]
            assert (self.site.vendor, kind, code) in noted


@contextmanager
def rogue_at(sites: Sites, vendor: str, bundle: bytes | None = None) -> Iterator[Rogue]:
    """Take the place of a site's ServerApp: its worker sleeps, and its task becomes ours."""
    layout = layout_of(sites[vendor])
    config = load_config(LauncherConfig, layout.config("launcher"))
    address, root = config.superlink, config.root_certificate
    worker, control = psutil.Process(programs_of(sites[vendor])["worker"]), Control(address, root)
    worker.suspend()
    try:
        run = control.start_run(bundle or config.bundle.read_bytes())
        with closing(RuntimeApi(address, "server", root, layout.secret)) as api:
            task = api.acquire()
        assert task is not None and task.run_id == run, api.problem
        with (
            closing(HttpGrid(address, False, root.read_bytes(), token=task.token)) as grid,
            pytest.MonkeyPatch.context() as patch,
        ):
            for name, value in (("task_id", 1), ("run_id", run), ("node_id", SUPERLINK_NODE_ID)):
                patch.setattr(TaskIdentity, f"_{name}", value)
            given = grid._runtime_client.PullTaskInput(PullTaskInputRequest())
            grid.set_run(run_from_proto(given.run))
            yield Rogue(sites[vendor], sites, grid, run)
        control.stop_run(run)
    finally:
        worker.resume()


def head_of(sites: Sites) -> TermRecord:
    heads = [site.state.ledger.last() for site in sites.values()]
    assert heads[0] is not None and heads == heads[:1] * len(heads)
    return heads[0]


def audited(site: DeployedSite) -> list[tuple[str, str, str]]:
    """Return (sender, type, outcome) of the messages in a site's audit."""
    path = site.settings.state / "audit.jsonl"
    assert site.audit.check() > 0
    messages = map(json.loads, path.read_text().splitlines())
    return [(each["vendor"], each["type"], each["outcome"]) for each in messages]


@contextmanager
def unchanged(sites: Sites, but: tuple[str, ...] = ()) -> Iterator[None]:
    """Check that nothing changes that a site has decided or promised, and that none dies.

    Tables ``but`` may change.
    """

    def now() -> dict[str, Any]:
        return {
            vendor: ({k: v for k, v in content_of(site).items() if k not in but}, programs_of(site))
            for vendor, site in sites.items()
        }

    before, quiet = now(), 0
    while quiet < QUIET_LOOKS:  # a site tidies up after it has committed
        time.sleep(0.5)
        seen = now()
        before, quiet = seen, quiet + 1 if seen == before else 0
    yield
    assert now() == before


@contextmanager
def unharmed(sites: Sites) -> Iterator[None]:
    """Check that nothing changes, and that an honest round is committed afterwards."""
    with unchanged(sites):
        yield
    run_rounds(sites, 1)
    assert head_of(sites).attempt == 0


@contextmanager
def elected_rogue(sites: Sites, but: tuple[str, ...] = ()) -> Iterator[tuple[Rogue, TermRecord]]:
    """Be the elected server, which has opened an ordered term as it should; give its head, too."""
    head = head_of(sites)
    launchers = [psutil.Process(programs_of(site)["launcher"]) for site in sites.values()]
    try:
        for launcher in launchers:  # else the honest servers would be faster
            launcher.suspend()
        order = order_rounds(sites[head.ranking[0]], head.round + 1)
        held = [site.state.ledger for site in sites.values()]
        wait_until(lambda: all(each.order() == order for each in held), "no order")
        with rogue_at(sites, head.ranking[0]) as rogue:
            opening = wire.OpenAttempt(
                envelope=rogue.envelope(), parent=head.hash, model=head.model
            )
            replies = rogue.ask(opening, wire.OPEN)
            assert {reply.status for reply in replies.values()} == {"done"}, "honest so far"
            with unchanged(sites, but):
                yield rogue, head
    finally:
        for launcher in launchers:
            launcher.resume()
    run_rounds(sites, 1)


def training(envelope: wire.Envelope, head: TermRecord, model: str | None = None) -> wire.Train:
    return wire.Train(envelope=envelope, round=head.round + 1, model=model or head.model)


def next_record(head: TermRecord, server: str, **changes: object) -> TermRecord:
    """Return a record that follows ``head`` as it should, made by ``server``."""
    follows = {"term": head.term + 1, "round": head.round + 1, "parent": head.hash}
    return head.model_copy(update={**follows, "attempt": 0, "server": server, **changes})
