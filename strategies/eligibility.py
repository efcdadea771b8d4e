"""Which vendors may serve or train: a hard cap on terms as the server, and reported budgets.  Pure.

The privacy loss of a vendor's records depends on its role, so a privacy plan holds only if no
vendor serves more often than planned.  Everything here follows from committed records, so every
site comes to the same result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from strategies.election import Election, ElectionPolicy, Ranking, Readiness
from strategies.protocol.records import TermRecord

READY = Readiness()
"""The readiness of a vendor that has not reported any."""


@dataclass(frozen=True)
class Eligibility:
    """The inputs: roster, terms ``served`` by each vendor, the cap, and the reported readiness."""

    roster: tuple[str, ...]
    served: Mapping[str, int]
    server_terms: int | None = None
    readiness: Mapping[str, Readiness] = field(default_factory=dict)

    def may_serve(self) -> tuple[str, ...]:
        """Return the vendors below the cap with budget to serve, in the roster's order."""
        return tuple(
            vendor
            for vendor in self.roster
            if (self.server_terms is None or self.served.get(vendor, 0) < self.server_terms)
            and self.readiness.get(vendor, READY).can_serve
        )

    def may_train(self) -> tuple[str, ...]:
        """Return the vendors with budget to train as clients; the others only evaluate."""
        return tuple(v for v in self.roster if self.readiness.get(v, READY).can_train)

    def reason_to_end(self, min_clients: int = 1) -> str | None:
        """Return why no further term is possible, or None if a server and enough clients are left.

        The clients of a term do not include its server.
        """
        servers, trainers = self.may_serve(), self.may_train()
        if not servers:
            return (
                f"no vendor may serve another term: each of {len(self.roster)} has served"
                f" {self.server_terms} terms or has no privacy budget left for it"
                if self.server_terms is not None
                else "no vendor has privacy budget left to serve"
            )
        # The best case over all possible servers: the server is not one of its clients.
        most = max(len([v for v in trainers if v != server]) for server in servers)
        if most < min_clients:
            return (
                f"{most} vendors have privacy budget left to train as clients, fewer than the"
                f" {min_clients} that are needed"
            )
        return None


def terms_served(history: Iterable[TermRecord]) -> Counter[str]:
    """Return the number of terms of each vendor as the server, including terms in which it failed.

    A server that failed may have trained on its records before it did, so that term counts.
    """
    return Counter(vendor for record in history for vendor in {record.server, *record.lost_servers})


@dataclass(frozen=True)
class EligibleFirst:
    """Another policy's ranking, with the vendors that may not serve moved to its end.

    These vendors stay in the ranking, which is an order of the whole roster, and can still complete
    a term that another vendor has proposed.  They come after vendors that are only absent.
    """

    policy: ElectionPolicy
    server_terms: int | None

    def rank(self, election: Election) -> Ranking:
        """Return the vendors that may serve, then the others, each in the policy's order."""
        ranking = self.policy.rank(election)
        may = set(eligibility(election, self.server_terms).may_serve())
        return (*(v for v in ranking if v in may), *(v for v in ranking if v not in may))


def eligibility(election: Election, server_terms: int | None) -> Eligibility:
    """Return the eligibility for the next term; the term whose ballots are counted counts too."""
    served = terms_served(election.history)
    if election.server is not None:
        served.update({election.server, *election.lost_servers})
    return Eligibility(election.roster, served, server_terms, election.readiness)


def reason_to_end(election: Election, server_terms: int | None, min_clients: int) -> str | None:
    """Return why no term can follow the term whose ballots are counted, or None if it can."""
    return eligibility(election, server_terms).reason_to_end(min_clients)
