"""The state of the one attempt that a strategy is working on: who is there, who has replied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from strategies.errors import NO_REPLY, FederationStopped
from strategies.protocol.messages import Envelope, Reply
from strategies.protocol.records import (
    Absence,
    Approval,
    Ballot,
    Grant,
    Proposal,
    VendorMetrics,
    VendorPrivacy,
)
from strategies.term.exchange import CostMeter, Exchange
from strategies.weights import Model


class ServerLost(Exception):
    """The provisional server did not do its part: the next in the ranking stands in for it."""

    def __init__(self, absence: Absence) -> None:
        self.absence = absence
        super().__init__(f"{absence.vendor} lost as server in {absence.phase}: {absence.code}")


def nobody_served(term: int, lost: Iterable[Absence]) -> FederationStopped:
    """Return the error for a term as whose server every vendor has failed."""
    return FederationStopped(
        f"every vendor failed as server of term {term}"
        f" (codes {', '.join(sorted({absence.code for absence in lost}))})",
        "one vendor that can fine-tune",
        "look into the sites' own logs, mend the cause, and resume the run",
        FederationStopped.NO_SERVER,
    )


@dataclass(frozen=True)
class Vote:
    """A vendor's vote for an attempt, with the proposal that it had accepted before."""

    grant: Grant
    accepted: Proposal | None


@dataclass
class Attempt:
    """One attempt at a term, from its opening to its commit.

    ``was_asked``: the vendors have told who they are and how far; else that was known.
    """

    envelope: Envelope
    roster: tuple[str, ...]
    parent: str
    start: Model
    first_round: int
    exchange: Exchange
    meter: CostMeter
    node_of: dict[str, int] = field(default_factory=dict)
    votes: dict[str, Vote] = field(default_factory=dict)
    absences: list[Absence] = field(default_factory=list)
    ballots: dict[str, Ballot] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    clients: tuple[str, ...] = ()
    stale_server: bool = False
    was_asked: bool = False
    metrics: dict[str, VendorMetrics] = field(default_factory=dict)
    privacy: dict[str, VendorPrivacy] = field(default_factory=dict)
    approvals: dict[str, Approval] = field(default_factory=dict)

    @property
    def server(self) -> str:
        """The provisional server of this attempt."""
        return self.envelope.server

    def vendor_at(self, node: int) -> str | None:
        """Return the vendor that answers at ``node``."""
        return next((vendor for vendor, at in self.node_of.items() if at == node), None)

    def reachable(self) -> int:
        """Return how many vendors have answered whenever they were asked in this attempt."""
        lost = {
            absence.vendor
            for absence in self.absences
            if absence.code == NO_REPLY and absence.attempt == self.envelope.attempt
        }
        return len(self.node_of.keys() - lost)

    def note_absence(self, vendor: str, phase: str, code: str) -> Absence:
        """Note that ``vendor`` took no part in ``phase``."""
        absence = Absence(vendor=vendor, phase=phase, code=code, attempt=self.envelope.attempt)
        self.absences.append(absence)
        return absence

    def note_work(self, reply: Reply) -> None:
        """Note the ballot and the gradient steps of a vendor's work."""
        if reply.ballot is not None:
            self.ballots[reply.vendor] = reply.ballot
            self.steps[reply.vendor] = self.steps.get(reply.vendor, 0) + reply.steps

    def note_evaluation(self, reply: Reply) -> None:
        """Note a vendor's metrics, and what it tells of its privacy."""
        if reply.privacy is not None:
            self.privacy[reply.vendor] = reply.privacy
        if reply.metrics:
            known = {k: v for k, v in reply.metrics.items() if k in VendorMetrics.model_fields}
            self.metrics[reply.vendor] = VendorMetrics(**known)

    def too_few_clients(self, least: int) -> FederationStopped:
        """Return the error for a term with too few usable updates to average."""
        return FederationStopped(
            f"{len(self.clients)} usable client updates in term {self.envelope.term}",
            f"at least {least} (aggregation.min-clients)",
            "look into the sites' own logs, mend the cause, and resume the run",
            FederationStopped.TOO_FEW_CLIENTS,
        )
