"""Server election: pure functions from ballots and history to a ranking.

A policy returns a **ranking** of the whole roster: the first vendor is elected, the others replace
it in this order if it fails.  Vendors without a ballot (absent in the term) always come last.  The
score and the turn-taking of the first rounds are those of the SRFLM paper and its public demo
(Wang et al., Communications Engineering 4:148, 2025); see docs/explanation/method.md, step 5.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol

from strategies.errors import ConfigurationError
from strategies.extensions import ELECTIONS, load_entry
from strategies.protocol.records import Ballot, TermRecord
from strategies.settings import ElectionSettings

Ranking = tuple[str, ...]


@dataclass(frozen=True)
class Readiness:
    """A vendor's report on its own budget: whether it can afford a term in each role."""

    can_serve: bool = True
    can_train: bool = True


@dataclass(frozen=True)
class Election:
    """The inputs of a policy: the roster in its agreed order, this term's ballots, the history.

    ``history`` has the records of all committed terms, oldest first, without the term whose ballots
    are counted.  ``server`` was the server of that term, and ``lost_servers`` are the vendors that
    were elected before ``server`` in that term and failed.  ``term`` is the term for which the
    election is held and ``round`` its first round, both counted from 1.  ``readiness`` has the
    vendors' reports on their budgets.
    """

    roster: tuple[str, ...]
    ballots: Mapping[str, Ballot]
    history: Sequence[TermRecord]
    server: str | None
    term: int
    round: int
    lost_servers: tuple[str, ...] = ()
    readiness: Mapping[str, Readiness] = field(default_factory=dict)


class ElectionPolicy(Protocol):
    """A rule that ranks the roster for the next term."""

    def rank(self, election: Election) -> Ranking:
        """Return every vendor of the roster once, the elected one first."""
        ...


def score(ballots: Mapping[str, Ballot], loss_weight: float) -> dict[str, float]:
    """Return g_v = d_v + λ·I_v with d_v = n_v / Σn and I_v = L_v / Σ L, per vendor with a ballot.

    If the sum of the losses is zero or negative, I_v is 0 for every vendor.
    """
    examples = sum(ballot.examples for ballot in ballots.values())
    losses = sum(ballot.loss for ballot in ballots.values())
    return {
        vendor: ballot.examples / examples
        + loss_weight * (ballot.loss / losses if losses > 0 else 0.0)
        for vendor, ballot in ballots.items()
    }


def by_turn(roster: Sequence[str], position: int) -> Ranking:
    """Rotate the roster so that the vendor at ``position`` (counted from 0, wrapping) is first."""
    start = position % len(roster)
    return (*roster[start:], *roster[:start])


def absent_last(ranking: Sequence[str], present: Mapping[str, Ballot]) -> Ranking:
    """Move vendors without a ballot to the end, keeping the order otherwise."""
    return (*(v for v in ranking if v in present), *(v for v in ranking if v not in present))


def among(roster: Sequence[str], ranking: Sequence[str]) -> Ranking:
    """Return ``ranking`` for another roster: without vendors that left, newcomers at the end."""
    stay = [vendor for vendor in ranking if vendor in roster]
    return (*stay, *(vendor for vendor in roster if vendor not in stay))


def ranking_after(head: TermRecord | None, first: Sequence[str], roster: Sequence[str]) -> Ranking:
    """Return the ranking in the term after ``head``, which ``roster`` decides.

    ``first`` is the ranking in term 1, for a ``head`` of None (:func:`first_ranking`).
    """
    # After a recovery the head ranks vendors that are lost.
    return among(roster, head.ranking if head is not None else first)


@dataclass(frozen=True)
class Score:
    """The paper's rule: by turn for K rounds, then the highest score (ties: roster order)."""

    loss_weight: float
    by_turn_rounds: int

    def rank(self, election: Election) -> Ranking:
        """Return the roster by descending score."""
        if election.round <= self.by_turn_rounds or not election.ballots:
            return absent_last(by_turn(election.roster, election.term - 1), election.ballots)
        scores = score(election.ballots, self.loss_weight)
        # Both lists start in roster order and sorting is stable, so ties stay in that order.
        present = [vendor for vendor in election.roster if vendor in scores]
        return absent_last(
            sorted(present, key=lambda vendor: -scores[vendor])
            + [vendor for vendor in election.roster if vendor not in scores],
            election.ballots,
        )


@dataclass(frozen=True)
class Cycle:
    """The score decides *within a cycle* in which every vendor that is present serves once."""

    loss_weight: float
    by_turn_rounds: int

    def rank(self, election: Election) -> Ranking:
        """Return the vendors that have not served in this cycle, then the others, each by score."""
        ranking = Score(self.loss_weight, self.by_turn_rounds).rank(election)
        if election.round <= self.by_turn_rounds:
            return ranking
        served = served_in_cycle(election)
        return absent_last(
            [vendor for vendor in ranking if vendor not in served]
            + [vendor for vendor in ranking if vendor in served],
            election.ballots,
        )


def served_in_cycle(election: Election) -> frozenset[str]:
    """Return the vendors that have served in the current cycle, after the election's term.

    A cycle ends when every vendor present in its last term has served in it.  A vendor that was
    elected and failed counts as having served.
    """
    terms = [
        ({record.server, *record.lost_servers}, set(record.ballots)) for record in election.history
    ]
    if election.server is not None:
        terms.append(({election.server, *election.lost_servers}, set(election.ballots)))
    served: frozenset[str] = frozenset()
    for servers, present in terms:
        served = cycle_after(served, servers, present)
    return served


def cycle_after(served: Set[str], servers: Set[str], present: Set[str]) -> frozenset[str]:
    """Return the vendors that have served in the cycle once another term is over.

    ``served`` are those before the term, ``servers`` its server and those that were elected in it
    and failed, ``present`` the vendors with a ballot in it.
    """
    now = frozenset(served | servers)
    return frozenset() if now >= present else now


@dataclass(frozen=True)
class RoundRobin:
    """Let vendors serve in the order of the roster, whatever their ballots say."""

    def rank(self, election: Election) -> Ranking:
        """Return the roster, starting with the vendor whose turn it is."""
        return absent_last(by_turn(election.roster, election.term - 1), election.ballots)


@dataclass(frozen=True)
class Random:
    """A permutation drawn from the federation's seed and the term: public and reproducible."""

    seed: int

    def rank(self, election: Election) -> Ranking:
        """Return the roster shuffled for this term."""
        shuffled = list(election.roster)
        # A string seed gives the same shuffle in every process and on every machine.
        random.Random(f"srflm-election:{self.seed}:{election.term}").shuffle(shuffled)
        return absent_last(shuffled, election.ballots)


@dataclass(frozen=True)
class Fixed:
    """Let one vendor always serve: a conventional federation, as a baseline."""

    server: str

    def rank(self, election: Election) -> Ranking:
        """Return the fixed server, then the roster."""
        # Not absent_last: the fixed server stays first even without a ballot.
        return (self.server, *(v for v in election.roster if v != self.server))


@dataclass(frozen=True)
class ByEntry:
    """A policy of another distribution; its ranking must have every vendor of the roster once."""

    name: str
    policy: ElectionPolicy

    def rank(self, election: Election) -> Ranking:
        """Return the policy's ranking; raises :class:`ConfigurationError` if it is none."""
        ranking = tuple(self.policy.rank(election))
        if sorted(ranking) != sorted(election.roster):
            raise ConfigurationError(
                f"the election policy {self.name!r}, whose ranking does not name each vendor once",
                f"{', '.join(election.roster)}, in any order",
                "ask who has written it, or choose another election.policy",
            )
        return ranking


def election_policy(settings: ElectionSettings, seed: int) -> ElectionPolicy:
    """Return the policy that ``settings`` name."""
    match settings.policy:
        case "cycle":
            return Cycle(settings.loss_weight, settings.by_turn_rounds)
        case "score":
            return Score(settings.loss_weight, settings.by_turn_rounds)
        case "round-robin":
            return RoundRobin()
        case "random":
            return Random(seed)
        case "fixed":
            assert settings.server is not None  # ElectionSettings checks it
            return Fixed(settings.server)
        case "entry":
            assert settings.entry is not None  # ElectionSettings checks it
            make = load_entry(ELECTIONS, settings.entry)
            return ByEntry(settings.entry.name, make(seed, **settings.entry.options))


def first_ranking(policy: ElectionPolicy, roster: Sequence[str]) -> Ranking:
    """Return the ranking for term 1, before any vendor has sent a ballot."""
    # Equal ballots count every vendor as present and leave the order to the policy.
    ballots = {vendor: Ballot(examples=1, loss=0.0) for vendor in roster}
    return policy.rank(Election(tuple(roster), ballots, (), None, term=1, round=1))
