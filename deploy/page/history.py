"""A site's ledger as its page needs it: records checked once, then kept as a few numbers.  Pure.

The whole record of a term can have some 10 kB, and a ledger thousands of terms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from strategies.election import cycle_after
from strategies.errors import SrflmError
from strategies.protocol.chain import check_follows
from strategies.protocol.records import Absence, Committed, Edition, TermRecord
from strategies.protocol.roster_change import Editions, check_decided
from strategies.protocol.signatures import VendorKeys

KINDS = ("averaged", "finetuned", "personalised")
"""The models of a term that each vendor measures on its own validation data."""

Values = Mapping[str, float]
"""Kind of model → the metric; a kind that was not measured is missing."""


@dataclass(frozen=True, slots=True)
class Term:
    """One committed term.

    ``values`` has each vendor's metrics, ``signers`` those whose acceptance commits the record.
    ``problem`` says why link or signatures are not valid; empty if they are.
    """

    term: int
    round: int
    attempt: int
    server: str
    present: tuple[str, ...]
    clients: tuple[str, ...]
    lost: tuple[str, ...]
    absences: tuple[Absence, ...]
    hash: str
    model: str
    values: Mapping[str, Values]
    seconds: Mapping[str, float]
    sent: int
    received: int
    signers: tuple[str, ...]
    ended: str
    problem: str = ""


@dataclass
class History:
    """The terms of a ledger that begins with the edition ``first``, the oldest term first.

    ``served`` are the vendors that have served in the current cycle; ``terms_served`` counts the
    terms in which each vendor was the server or was elected and failed.  ``rounds_trained`` counts
    each vendor's rounds as a client.
    """

    first: Edition
    metric: str
    terms: list[Term] = field(default_factory=list)
    last: TermRecord | None = None
    served: frozenset[str] = frozenset()
    terms_served: Counter[str] = field(default_factory=Counter)
    rounds_trained: Counter[str] = field(default_factory=Counter)
    invalid: int | None = None
    """The first term whose link or signatures are not valid."""
    _editions: Editions | None = None

    @property
    def editions(self) -> Editions:
        """The editions of the federation file that the records carry."""
        return self._editions or Editions(self.first)

    @property
    def head(self) -> tuple[int, str]:
        """Term and hash of the last record; (0, "") without one."""
        return (self.last.term, self.terms[-1].hash) if self.last is not None else (0, "")

    def add(self, committed: Committed) -> None:
        """Check the next record, and note it with the finding."""
        record = committed.record
        problem = self._problem(committed)
        if problem and self.invalid is None:
            self.invalid = record.term
        rounds = record.round - (self.last.round if self.last is not None else 0)
        self.terms.append(_term(committed, self.metric, problem))
        self.served = cycle_after(
            self.served, {record.server, *record.lost_servers}, record.ballots.keys()
        )
        self.terms_served.update({record.server, *record.lost_servers})
        self.rounds_trained.update(dict.fromkeys(record.clients, rounds))
        self._editions = self.editions.after(record)
        self.last = record

    def _problem(self, committed: Committed) -> str:
        """Return why a record does not follow the last one, or is not signed; "" if it is right."""
        record = committed.record
        edition = self.editions.recovered_by(record).last
        try:
            check_follows(self.last, record, self.first.federation)
            check_decided(committed, edition, VendorKeys(None, {}))
        except SrflmError as error:
            return error.found
        return ""


def _term(committed: Committed, metric: str, problem: str) -> Term:
    record = committed.record
    values = {
        vendor: {
            kind: found[metric] for kind in KINDS if metric in (found := getattr(metrics, kind))
        }
        for vendor, metrics in record.metrics.items()
    }
    costs = record.cost.values()
    return Term(
        term=record.term,
        round=record.round,
        attempt=record.attempt,
        server=record.server,
        present=tuple(record.ballots),
        clients=tuple(record.clients),
        lost=record.lost_servers,
        absences=tuple(record.absences),
        hash=record.hash,
        model=record.model,
        values={vendor: each for vendor, each in values.items() if each},
        seconds={phase: cost.seconds for phase, cost in record.cost.items()},
        sent=sum(cost.bytes_sent for cost in costs),
        received=sum(cost.bytes_received for cost in costs),
        signers=tuple(committed.certificate.acceptances),
        ended=record.ended,
        problem=problem,
    )
