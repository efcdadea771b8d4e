"""The state of the current attempt at a term: reachable vendors, votes, absences, results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from strategies.errors import NO_REPLY, FederationStopped
from strategies.protocol.messages import Envelope, Reply
from strategies.protocol.records import (
    Absence,
    Approval,
    Ballot,
    Grant,
    Proposal,
    Quorum,
    VendorMetrics,
    VendorPrivacy,
)
from strategies.term.exchange import CostMeter, Exchange
from strategies.weights import Model


class ServerLost(Exception):
    """The provisional server failed; the next vendor in the ranking has to replace it."""

    def __init__(self, absence: Absence) -> None:
        self.absence = absence
        super().__init__(f"{absence.vendor} lost as server in {absence.phase}: {absence.code}")


def nobody_served(term: int, lost: Iterable[Absence]) -> FederationStopped:
    """Return the error for a term in which every vendor has failed as the server."""
    return FederationStopped(
        f"every vendor failed as server of term {term}"
        f" (codes {', '.join(sorted({absence.code for absence in lost}))})",
        "one vendor that can fine-tune",
        "look into the sites' own logs, mend the cause, and resume the run",
        FederationStopped.NO_SERVER,
    )


@dataclass(frozen=True)
class Vote:
    """A vendor's vote for an attempt, with the proposal that it had accepted earlier, if any."""

    grant: Grant
    accepted: Proposal | None


@dataclass
class Attempt:
    """One attempt at a term, from its opening to its commit.

    ``ranking`` is the succession in this term.  ``node_of`` has the node of each vendor that takes
    part.  ``find`` looks up a model by its hash.  ``was_asked`` is true if the vendors gave their
    names and last terms at an opening, and false if ``node_of`` was known without one.
    """

    envelope: Envelope
    roster: tuple[str, ...]
    quorum: Quorum
    ranking: tuple[str, ...]
    parent: str
    start_name: str
    find: Callable[[str], Model]
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

    @cached_property
    def start(self) -> Model:
        """The model that the term starts from; a server that is behind may lack it."""
        return self.find(self.start_name)

    @property
    def server(self) -> str:
        """The provisional server of this attempt."""
        return self.envelope.server

    def vendor_at(self, node: int) -> str | None:
        """Return the vendor at ``node``, or None for an unknown node."""
        return next((vendor for vendor, at in self.node_of.items() if at == node), None)

    def reachable(self) -> int:
        """Return the number of vendors that have answered every request of this attempt."""
        # A vendor that refused or failed has answered: only silence makes it unreachable.
        lost = {
            absence.vendor
            for absence in self.absences
            if absence.code == NO_REPLY and absence.attempt == self.envelope.attempt
        }
        return len(self.node_of.keys() - lost)

    def note_absence(self, vendor: str, phase: str, code: str) -> Absence:
        """Note that ``vendor`` took no part in ``phase``, with the error code that says why."""
        absence = Absence(vendor=vendor, phase=phase, code=code, attempt=self.envelope.attempt)
        self.absences.append(absence)
        return absence

    def note_work(self, reply: Reply) -> None:
        """Note the ballot and the gradient steps of a vendor's work."""
        if reply.ballot is not None:
            self.ballots[reply.vendor] = reply.ballot
            # Steps add up over the rounds of a term; the last ballot counts.
            self.steps[reply.vendor] = self.steps.get(reply.vendor, 0) + reply.steps

    def note_evaluation(self, reply: Reply) -> None:
        """Note a vendor's metrics and its report on privacy."""
        if reply.privacy is not None:
            self.privacy[reply.vendor] = reply.privacy
        if reply.metrics:
            # The noun forbids extra fields: an unknown name would raise at the server.
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
