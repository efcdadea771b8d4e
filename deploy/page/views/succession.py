"""Who serves next and why: the ranking in the ledger, with the numbers that lead to it.  Pure.

The ranking is the record's own, which every site has recomputed before it signed.  The scores and
the cycle beside it come from the code that elects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.page.config import PageConfig
from deploy.page.snapshot import Snapshot
from strategies.election import ranking_after, score
from strategies.protocol.records import TermRecord


@dataclass(frozen=True)
class Candidate:
    """A vendor's place in the succession.

    ``data_share`` is d, its share of the examples, ``loss_share`` is I, its share of the losses,
    ``score`` is d + λ·I; all None without a ballot in the last term, ``loss_share`` also where the
    losses have no positive sum.
    """

    place: int
    vendor: str
    data_share: float | None
    loss_share: float | None
    score: float | None
    served_in_cycle: bool
    terms_served: int
    may_serve: bool

    @property
    def present(self) -> bool:
        """Whether the vendor had a ballot in the last term."""
        return self.data_share is not None


@dataclass(frozen=True)
class Succession:
    """The succession in the open term, and the rule in a sentence.  ``ended`` says why none is."""

    candidates: tuple[Candidate, ...]
    why: str
    by_score: bool
    by_cycle: bool
    loss_weight: float
    ended: str = ""

    @property
    def first(self) -> str:
        """The vendor that is elected for the open term."""
        return self.candidates[0].vendor


def succession(config: PageConfig, seen: Snapshot) -> Succession:
    """Return the succession in the open term."""
    edition, last = seen.edition or config.first, seen.last
    ranking = ranking_after(last, config.first_ranking, edition.roster)
    shares = _shares(last, config.election.loss_weight)
    by_turn = seen.round + 1 <= config.election.by_turn_rounds
    policy = config.election.policy
    by_cycle = policy == "cycle" and not by_turn
    candidates = []
    for place, vendor in enumerate(ranking, start=1):
        data, loss, total = shares.get(vendor, (None, None, None))
        served = seen.terms_served.get(vendor, 0)
        candidates.append(
            Candidate(
                place,
                vendor,
                data,
                loss,
                total,
                vendor in seen.served,
                served,
                _may_serve(last, vendor, served, config.server_terms),
            )
        )
    by_score = policy in ("cycle", "score") and not by_turn and last is not None
    why = _why(config, seen, tuple(candidates), by_turn)
    ended = seen.terms[-1].ended if seen.terms else ""
    return Succession(
        tuple(candidates), why, by_score, by_cycle, config.election.loss_weight, ended
    )


Shares = tuple[float, float | None, float]


def _shares(last: TermRecord | None, loss_weight: float) -> Mapping[str, Shares]:
    """Return vendor → (share of the examples, share of the losses, score) of the last term."""
    if last is None or not last.ballots:
        return {}
    data, whole = score(last.ballots, 0.0), score(last.ballots, loss_weight)
    losses = sum(ballot.loss for ballot in last.ballots.values())
    return {
        vendor: (data[vendor], ballot.loss / losses if losses > 0 else None, whole[vendor])
        for vendor, ballot in last.ballots.items()
    }


def _may_serve(last: TermRecord | None, vendor: str, served: int, most: int | None) -> bool:
    told = last.privacy.get(vendor) if last is not None else None
    return (told is None or told.can_serve) and (most is None or served < most)


def _why(
    config: PageConfig, seen: Snapshot, candidates: tuple[Candidate, ...], by_turn: bool
) -> str:
    """Return the reason for the first of the ranking, in a sentence or two."""
    first, election = candidates[0], config.election
    if election.policy == "fixed":
        return f"{first.vendor} serves every term: the federation has a fixed server."
    if election.policy == "random":
        return f"The order is drawn at random from the federation's seed and the term {seen.term}."
    if election.policy == "round-robin":
        return "The vendors serve by turn, in the order of the roster."
    if by_turn:
        return (
            f"The vendors serve by turn, in the order of the roster, in the first"
            f" {election.by_turn_rounds} rounds; then the score decides."
        )
    if first.score is None:
        return f"{first.vendor} is first although it had no ballot in the last term."
    rivals = [each for each in candidates if each.present and each.may_serve]
    if election.policy == "score":
        return f"{first.vendor} has the highest score, {first.score:.3f}, in term {seen.term - 1}."
    left = [each.vendor for each in rivals if not each.served_in_cycle]
    if first.served_in_cycle:
        return (
            f"All that could serve have served in this cycle; of them {first.vendor} has the"
            f" highest score, {first.score:.3f}."
        )
    if not seen.served:
        return f"A new cycle begins, and {first.vendor} has the highest score, {first.score:.3f}."
    if len(left) == 1:
        return f"Only {first.vendor} has not served in this cycle yet."
    return (
        f"{len(left)} vendors have not served in this cycle; of them {first.vendor} has the highest"
        f" score, {first.score:.3f}."
    )
