"""Secure aggregation against plain: bytes and seconds for a model of 45 MB.

In a federation in memory, with real sites, keys, files, and messages, a server asks trained clients
for their updates and computes the mean. There is no training and no network, so the figures are the
extra cost of secure aggregation. Clients answer one after another on this machine; the seconds are
those of the slowest one. The means must be equal up to the rounding step. The ways are measured in
turn; the lost client does not send its masked update.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Context, Error, Message, RecordDict
from torch import nn

from benchmarks.measuring.markdown import table
from benchmarks.measuring.round_times import UnequalWork
from benchmarks.measuring.section import main
from benchmarks.measuring.spread import Spread, spread
from clients.learner import Learner
from clients.models.model_store import ModelStore
from srflm_flower.client_app import answer_at
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.first_model import FirstModel
from srflm_flower.federation.loading import built_in_federation, with_changes
from srflm_flower.run.memory_grid import Deliver, MemoryGrid
from srflm_flower.site.site import Site
from srflm_flower.site.state import SiteState, UpdateNotes
from strategies.aggregation import Update, aggregate
from strategies.protocol import messages as wire
from strategies.protocol.records import Ballot
from strategies.protocol.signatures import Keys, VendorKeys
from strategies.secure_aggregation import messages as secure
from strategies.secure_aggregation.quantising import agreed_quantiser
from strategies.term.answers import checked_update
from strategies.term.attempt import Attempt
from strategies.term.conversation import Conversation
from strategies.term.exchange import CostMeter, Exchange
from strategies.term.plan import silent
from strategies.term.requests import training_requests
from strategies.term.secure_averaging import secure_mean
from strategies.weights import Model, Weights

PARAMETERS = 11_250_000  # in single precision 45 MB, as a ResNet-18

DEADLINE = 60.0


@dataclass(frozen=True)
class Measured:
    """Bytes and seconds of one way of aggregating, for one number of vendors."""

    vendors: int
    way: str
    sent: Spread
    received: Spread
    at_client: Spread
    at_server: Spread


@dataclass(frozen=True)
class SecureAggregation:
    """All ways and numbers of vendors."""

    parameters: int
    measured: tuple[Measured, ...]

    def as_markdown(self) -> str:
        """Return the table."""
        columns = ("vendors", "way", "server sends MB", "server gets MB")
        rows = [
            (
                each.vendors,
                each.way,
                f"{each.sent.median / 1e6:.3f}",
                f"{each.received.median / 1e6:.3f}",
                each.at_client,
                each.at_server,
            )
            for each in self.measured
        ]
        what = f"Model of {4 * self.parameters / 1e6:.1f} MB; medians (range).\n\n"
        return what + table((*columns, "seconds at a client", "seconds at the server"), rows)


def run(quick: bool, folder: Path) -> SecureAggregation:
    """Measure 4 and 10 vendors, or in a hurry 4 with a tenth of the model."""
    parameters, pairs = (PARAMETERS // 10, 2) if quick else (PARAMETERS, 5)
    measured: list[Measured] = []
    for vendors in (4,) if quick else (4, 10):
        measured += measure(vendors, parameters, pairs, folder / str(vendors))
    return SecureAggregation(parameters, tuple(measured))


@dataclass
class _Sample:
    """The mean of one aggregation, its bytes, and its seconds."""

    mean: Weights
    sent: int
    received: int
    at_client: float
    at_server: float


def measure(vendors: int, parameters: int, pairs: int, folder: Path) -> list[Measured]:
    """Measure all ways in turn; raise :class:`UnequalWork` if their means differ."""
    start = {"w": np.zeros(parameters, np.float32)}
    ways: dict[str, Callable[[], _Sample]] = {}
    for way in ("plain", "secure", "secure, a client lost"):
        sites = _Sites(vendors, start, folder / way, way != "plain", way.endswith("lost"))
        ways[way] = sites.aggregate
    samples: dict[str, list[_Sample]] = {way: [] for way in ways}
    for _ in range(pairs):
        for way, once in ways.items():
            samples[way].append(once())
        # The third way's mean lacks the lost client, so it is not compared.
        step = agreed_quantiser(64.0, vendors).step
        _check_same(samples["secure"][-1].mean, samples["plain"][-1].mean, step)
    return [
        Measured(
            vendors,
            way,
            spread([float(each.sent) for each in of_way]),
            spread([float(each.received) for each in of_way]),
            spread([each.at_client for each in of_way]),
            spread([each.at_server for each in of_way]),
        )
        for way, of_way in samples.items()
    ]


def _check_same(securely: Weights, plainly: Weights, step: float) -> None:
    """Raise :class:`UnequalWork` unless the means agree up to half a step and rounding."""
    for name, array in plainly.items():
        difference = float(np.abs(securely[name] - array).max())
        if not difference <= step / 2 + 1e-7:  # written so that NaN fails too
            raise UnequalWork(f"the means {name} differ by {difference}")


@dataclass
class _Timed:
    """A site that adds up the seconds of its answers."""

    site: Site
    seconds: Counter[str] = field(default_factory=Counter)

    @property
    def vendor(self) -> str:
        return self.site.vendor

    @property
    def keys(self) -> Keys:
        return self.site.keys

    def answer(self, message: Message, sender: str | None = None) -> RecordDict:
        started = time.perf_counter()
        reply = self.site.answer(message, sender)
        self.seconds[self.vendor] += time.perf_counter() - started  # type: ignore[assignment]
        return reply

    def log(self, text: str) -> None:
        raise RuntimeError(text)  # a site logs only errors here, and an error spoils the figures

    def highest_attempt(self) -> int:
        return 0


class _Sites:
    """Sites after the training of round 1; the first vendor serves."""

    def __init__(
        self, vendors: int, start: Weights, folder: Path, securely: bool, one_lost: bool
    ) -> None:
        self._federation = with_changes(
            built_in_federation(vendors),
            evaluate_averaged=False,
            aggregation__secure=securely,
            aggregation__include_stale_server="never",  # a mean of the clients' updates alone
            run__work_deadline=DEADLINE,
        )
        self._start = Model.of(start)
        self._seconds: Counter[str] = Counter()
        roster = self._federation.roster
        private = {vendor: Ed25519PrivateKey.generate() for vendor in roster}
        public = {v: key.public_key().public_bytes_raw().hex() for v, key in private.items()}
        self._keys = VendorKeys(None, public)
        self._sites = []
        for number, vendor in enumerate(roster):
            keys = VendorKeys(private[vendor], public)
            site = _trained(self._federation, vendor, number, self._start, folder, keys)
            self._sites.append(_Timed(site, self._seconds))
        self._lost = vendors if one_lost else 0

    def aggregate(self) -> _Sample:
        """Ask for the updates; return their mean with bytes and seconds."""
        self._seconds.clear()
        federation, plan = self._federation, self._federation.term_plan()
        grid = MemoryGrid(self._answer, len(self._sites), Path(), self._fault)  # type: ignore[arg-type]
        roster, meter = federation.roster, CostMeter()
        envelope = wire.Envelope(federation=federation.hash, term=1, attempt=0, server=roster[0])
        term = Attempt(
            envelope=envelope,
            roster=roster,
            quorum="majority",
            ranking=roster,
            parent="",
            start_name=self._start.hash,
            find=lambda name: self._start,
            is_signed=self._keys.verify,
            first_round=1,
            exchange=Exchange(grid, meter),
            meter=meter,
        )
        term.node_of = {vendor: node for node, vendor in enumerate(roster, start=1)}
        conversation = Conversation(term, lambda name: self._start, silent)
        started = time.perf_counter()
        asking = training_requests(term, plan, federation.aggregation, 1, self._start)
        trained = conversation.ask(asking, "train", DEADLINE, [self._start])
        if federation.aggregation.secure:
            mean = secure_mean(conversation, plan, federation.aggregation, 1, self._start, trained)
        else:
            template = self._start.weights
            updates = {
                vendor: Update(checked_update(answer, template).weights, 1)
                for vendor, answer in trained.items()
            }
            mean = aggregate(updates, federation.aggregation)
        whole = time.perf_counter() - started
        return _Sample(
            mean,
            sum(cost.bytes_sent for cost in meter.phases.values()),
            sum(cost.bytes_received for cost in meter.phases.values()),
            max(self._seconds.values()),
            # The clients ran in this process, so their seconds are within the whole.
            whole - sum(self._seconds.values()),
        )

    def _answer(self, message: Message, context: Context) -> Message:
        return answer_at(lambda: self._sites[context.node_id - 1], message)

    def _fault(self, message: Message, deliver: Deliver) -> Message | None:
        if (message.metadata.dst_node_id, message.metadata.message_type) == (
            self._lost,
            secure.MASKED,
        ):
            return Message(Error(code=2, reason="lost"), reply_to=message)
        return deliver(message)


def _trained(
    federation: Federation,
    vendor: str,
    number: int,
    start: Model,
    folder: Path,
    keys: VendorKeys,
) -> Site:
    """Return a site with a stored update for round 1, made of noise that depends on the vendor."""
    rng = np.random.default_rng(number)
    update = {n: a + rng.normal(0, 0.01, a.shape).astype(a.dtype) for n, a in start.weights.items()}
    state = SiteState(
        folder / vendor, federation.hash, federation.network_settings, federation.task
    )
    ballot = Ballot(examples=1, loss=1.0)
    notes = UpdateNotes(term=1, round=1, start=start.hash, ballot=ballot, steps=1)
    state.store_update(update, notes)
    models = ModelStore(folder / vendor / "models")
    first = FirstModel(nn.Identity(), start.weights, {})
    return Site(vendor, federation, _no_learner, first, state, models, keys)


def _no_learner() -> Learner:
    raise RuntimeError("nothing is trained here")


if __name__ == "__main__":
    sys.exit(main("secure_aggregation", run, (__doc__ or "").splitlines()[0]))
