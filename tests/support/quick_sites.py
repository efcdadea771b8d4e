"""Deployed sites whose learners answer at once: for protocol tests with many schedules.

Keys, ledgers, files, and messages are real.  Disks are not asked to be durable: what is killed here
is a run of a server, never the machine.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message
from torch import nn

from clients.files.durable import TEMPORARY
from deploy.serving.job import JobOutcome
from deploy.site.deployed_site import DeployedSite
from deploy.site.settings import SiteSettings
from deploy.site.starts import found_ledger
from srflm_flower.federation.first_model import FirstModel
from srflm_flower.run.memory_grid import Deliver
from srflm_flower.site.evidence.signed_votes import evidence
from srflm_flower.site.ledger import MESSAGE_LOG, TermLedger
from strategies.protocol import messages as wire
from strategies.protocol.records import Committed
from tests.support.deployed import DeployedFederation, SiteFault, pass_on
from tests.support.faults import Crash, crash_at_message
from tests.support.learning.instant_learner import InstantLearner
from tests.support.tiny import tiny_federation

TABLES = (
    "meta",
    "records",
    "votes",
    "proposals",
    "yielded",
    "changes",
    "orders",
    "said",
    "evidence",
)


class KeptConnection(sqlite3.Connection):
    """A connection that stays open for the next use."""

    owner: TermLedger | None = None

    def close(self) -> None:
        """Stay open."""

    def close_in_earnest(self) -> None:
        """Close."""
        super().close()


class QuickFederation(DeployedFederation):
    """A deployed federation that can be emptied, and whose sites stay in memory until restarted."""

    def __init__(self, folder: Path, vendors: tuple[str, ...], **changes: object) -> None:
        deadlines = {"run__answer_deadline": 1e-3, "run__work_deadline": 1e-3}
        federation = tiny_federation(folder, vendors, **deadlines, **changes)
        super().__init__(folder / "f", federation)
        self.trained: Counter[tuple[str, int, str]] = Counter()
        self.disconnect: Callable[[], None] = lambda: None
        self.liars = False
        self._kept: dict[str, DeployedSite] = {}

    def learner(
        self, federation: object, vendor: str, network: object, account: object
    ) -> InstantLearner:
        """Stand in for :func:`srflm_flower.site.own_data.learner.vendor_learner`."""
        return InstantLearner(vendor, self.trained, self.roster.index(vendor))

    def site(self, vendor: str) -> DeployedSite:
        """Return a vendor's site."""
        if vendor not in self._kept:
            self._kept[vendor] = super().site(vendor)
        return self._kept[vendor]

    def keep(self, vendor: str, settings: SiteSettings) -> None:
        """Run the vendor's site with other settings until it is restarted."""
        self._kept[vendor] = DeployedSite(self.folders[vendor], settings)

    def restart(self, vendor: str, restored: bool = False) -> DeployedSite:
        """Start a site anew, as ``srflm up`` does; then it asks the others."""
        site = self.start_site(vendor, restored)
        with suppress(Crash):  # a launcher whose question breaks off asks again before it serves
            self.ask_others(vendor)
        return site

    def start_site(self, vendor: str, restored: bool = False) -> DeployedSite:
        """Start a site anew; its launcher has not asked the others yet."""
        self._kept.pop(vendor, None)
        site = self.site(vendor)
        site.begin(restored)
        return site

    def new_process(self, vendor: str) -> DeployedSite:
        """Forget what the site's process remembers, as its worker does for each message."""
        self._kept.pop(vendor, None)
        return self.site(vendor)

    def ask_others(self, vendor: str) -> JobOutcome:
        """Let a site ask the others how far they are, as its launcher does when it comes up."""
        return self.perform(vendor, kind="sync")

    def lose_disk(self, vendor: str, copy: Path | None = None) -> DeployedSite:
        """Delete a site's state, or put an older copy in its place; start the site again."""
        self.disconnect()
        shutil.rmtree(self.folders[vendor] / "state", ignore_errors=True)
        if copy is not None:
            shutil.copytree(copy, self.folders[vendor] / "state")
        return self.start_site(vendor)

    def turn(self) -> str:
        """Let those that have forgotten ask the others, as launchers do; then take a turn."""
        for vendor in self.roster:
            if vendor not in self.down and not self.site(vendor).state.ledger.is_sure():
                self.perform(vendor, kind="sync")
        return super().turn()

    def clear(self) -> None:
        """Begin anew, with the same keys."""
        self.disconnect()
        for folder in self.folders.values():
            for name in ("state", "run", "logs"):
                shutil.rmtree(folder / name, ignore_errors=True)
            (folder / "identity" / "starts").unlink(missing_ok=True)
        self._kept = {}
        self.down, self.fault, self.now = set(), pass_on, 0.0
        self.launchers_know_nodes = False
        self.seen, self.heard, self.outcomes = {}, {}, []
        self.trained.clear()
        for vendor in self.roster:
            found_ledger(self.site(vendor))
            self.site(vendor).begin()
        for vendor in self.roster:
            self.ask_others(vendor)
        self.outcomes = []

    def committed(self, vendor: str) -> list[Committed]:
        """Return a site's committed records with their certificates."""
        return list(self.site(vendor).state.ledger.committed())

    def head(self, vendor: str) -> int:
        """Return the last term in a site's ledger."""
        return len(self.site(vendor).state.ledger)

    def run_to(self, terms: int, most: int = 40) -> None:
        """Take turns until every site that is up has this many terms."""
        for _ in range(most):
            if all(self.head(v) >= terms for v in self.roster if v not in self.down):
                return
            self.turn()
        raise AssertionError(f"stuck: {self.outcomes[-4:]}")

    def agree(self) -> None:
        """Check that every two ledgers agree as far as both go, and that each holds its head.

        In addition, no site has evidence against a vendor that has only crashed.
        """
        longest = max((self.records(v) for v in self.roster), key=len)
        for vendor in self.roster:
            records = self.records(vendor)
            assert records == longest[: len(records)], f"{vendor} has another history"
            accused = evidence(self.site(vendor).state.ledger)
            assert not accused or self.liars, [str(each) for each in accused]
            assert [record.term for record in records] == list(range(1, len(records) + 1))
            if records:
                assert records[-1].model in self.site(vendor).models

    def complete(self, terms: int = 2) -> None:
        """Check that the run goes on, with one history, and that no client trains twice."""
        self.run_to(terms)
        self.agree()
        assert {self.head(vendor) for vendor in self.roster} <= {terms, terms + 1}
        assert self.trained_once(), self.trained

    def trained_once(self) -> bool:
        """Return whether nobody has done a client's work twice."""
        return all(n == 1 for (_, _, role), n in self.trained.items() if role == "client")


@contextmanager
def silence() -> Iterator[None]:
    """Let nobody log."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def quick_federation(
    folder: Path,
    vendors: tuple[str, ...],
    kind: type[QuickFederation] | None = None,
    **changes: object,
) -> Iterator[QuickFederation]:
    """Give a federation whose learners and disks take no time; ``changes`` are to its file."""
    kept: dict[int, KeptConnection] = {}

    def connect_once(ledger: TermLedger) -> sqlite3.Connection:
        if id(ledger) not in kept:
            # Scripted servers have threads of their own, but never two of them run at once.
            db = sqlite3.connect(
                ledger._path, isolation_level=None, check_same_thread=False, factory=KeptConnection
            )
            db.execute("PRAGMA synchronous = OFF")
            kept[id(ledger)] = db
            db.owner = ledger  # so that no other ledger gets its number
        return kept[id(ledger)]

    def disconnect() -> None:
        for db in kept.values():
            db.close_in_earnest()
        kept.clear()

    with pytest.MonkeyPatch.context() as patch, silence():
        patch.setattr(os, "fsync", lambda handle: None)
        patch.setattr(TermLedger, "_connect", connect_once)
        for module in ("term_server", "telling"):
            patch.setattr(f"deploy.serving.{module}.FIRST_POLL_SECONDS", 1e-4)
        sites = (kind or QuickFederation)(folder, vendors, **changes)
        sites.disconnect = disconnect
        initial = {"weight": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)}
        for name, stand_in in (
            ("vendor_learner", sites.learner),
            ("first_model", lambda federation: FirstModel(nn.Identity(), initial, {})),
        ):
            patch.setattr(f"deploy.site.deployed_site.{name}", stand_in)
        yield sites
        disconnect()


def content_of(site: DeployedSite) -> dict[str, list[Any]]:
    """Return all that the site has decided, promised, and been told; and the models it keeps."""
    kept: dict[str, list[Any]] = {}
    with sqlite3.connect(site.settings.state / "ledger.sqlite") as db:
        for table in TABLES:
            kept[table] = sorted(db.execute(f"SELECT * FROM {table}").fetchall())
    db.close()
    # A message that is refused is in the message log, too.
    kept["meta"] = [fact for fact in kept["meta"] if fact[0] != MESSAGE_LOG]
    models = (site.settings.state / "models").glob("*")
    kept["models"] = sorted(path.name for path in models if not TEMPORARY.fullmatch(path.name))
    return kept


def crash_at(count: int, after_delivery: bool) -> SiteFault:
    """Kill the server at its ``count``-th message (from 0), before or after it is handled."""
    crash = crash_at_message(count, after_delivery)
    return lambda server, site, message, deliver: crash(message, deliver)


def lost(*kinds: str, to: tuple[str, ...] = (), reply_only: bool = False) -> SiteFault:
    """Lose messages of these kinds to these sites (all if empty), or only the replies to them."""

    def fault(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        chosen = message.metadata.message_type in kinds and (not to or site in to)
        if chosen and not reply_only:
            return None
        reply = deliver(message)
        return None if chosen else reply

    return fault


def split(*groups: str) -> SiteFault:
    """Let only sites of one group hear each other."""

    def fault(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        together = any(server in group and site in group for group in groups)
        return deliver(message) if together else None

    return fault


def keep_accepts(kept: list[wire.Accept]) -> SiteFault:
    """Keep the requests to accept a record instead of delivering them."""

    def fault(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        if kind_of(message) != wire.ACCEPT:
            return deliver(message)
        kept.append(wire.unpack(message, wire.Accept))
        return None

    return fault


def kind_of(message: Message) -> str:
    """Return a message's type."""
    return str(message.metadata.message_type)


def term_in(message: Message) -> int:
    """Return the term in a request's envelope."""
    envelope = wire.envelope_of(message)
    assert envelope is not None
    return envelope.term
