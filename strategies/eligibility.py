"""Who may serve and who may train: a hard cap on terms as the server, and what vendors report.

The privacy that a vendor's records lose depends on its role, so that a plan holds only if nobody
serves more often than planned.  All of it follows from committed records: every site finds the
same.  Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from strategies.election import Election, ElectionPolicy, Ranking, Readiness
from strategies.protocol.records import TermRecord

READY = Readiness()
"""A vendor that has reported nothing."""


@dataclass(frozen=True)
class Eligibility:
    """What decides: the roster, how often each has served, the cap, and what vendors report."""

    roster: tuple[str, ...]
    served: Mapping[str, int]
    server_terms: int | None = None
    readiness: Mapping[str, Readiness] = field(default_factory=dict)

    def may_serve(self) -> tuple[str, ...]:
        """Return who is below the cap and can afford it, in the roster's order."""
        return tuple(
            vendor
            for vendor in self.roster
            if (self.server_terms is None or self.served.get(vendor, 0) < self.server_terms)
            and self.readiness.get(vendor, READY).can_serve
        )

    def may_train(self) -> tuple[str, ...]:
        """Return who can afford to train as a client; the others only evaluate."""
        return tuple(v for v in self.roster if self.readiness.get(v, READY).can_train)

    def reason_to_end(self, min_clients: int = 1) -> str | None:
        """Return why there can be no further term, or None: a server and enough clients are left.

        A client is another vendor than the server.
        """
        servers, trainers = self.may_serve(), self.may_train()
        if not servers:
            return (
                f"no vendor may serve another term: each of {len(self.roster)} has served"
                f" {self.server_terms} terms or has no privacy budget left for it"
                if self.server_terms is not None
                else "no vendor has privacy budget left to serve"
            )
        most = max(len([v for v in trainers if v != server]) for server in servers)
        if most < min_clients:
            return (
                f"{most} vendors have privacy budget left to train as clients, fewer than the"
                f" {min_clients} that are needed"
            )
        return None


def terms_served(history: Iterable[TermRecord]) -> Counter[str]:
    """Return how many terms each vendor has served in, or has failed as the server of.

    One that failed may have used its records before, so that its turn counts.
    """
    return Counter(vendor for record in history for vendor in {record.server, *record.lost_servers})


@dataclass(frozen=True)
class EligibleFirst:
    """Another policy's ranking, with those who may not serve at its very end.

    They stay in the ranking, which is an order of the whole roster, and can still complete a term
    that another has proposed.  They come after vendors that are only absent.
    """

    policy: ElectionPolicy
    server_terms: int | None

    def rank(self, election: Election) -> Ranking:
        """Return the policy's ranking, stably divided into those who may serve and the others."""
        ranking = self.policy.rank(election)
        may = set(eligibility(election, self.server_terms).may_serve())
        return (*(v for v in ranking if v in may), *(v for v in ranking if v not in may))


def eligibility(election: Election, server_terms: int | None) -> Eligibility:
    """Return what decides for the term being elected for: the term before counts already."""
    served = terms_served(election.history)
    if election.server is not None:
        served.update({election.server, *election.lost_servers})
    return Eligibility(election.roster, served, server_terms, election.readiness)


def reason_to_end(election: Election, server_terms: int | None, min_clients: int) -> str | None:
    """Return why no term can follow the one whose ballots are counted; None if one can."""
    return eligibility(election, server_terms).reason_to_end(min_clients)
