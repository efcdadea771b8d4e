"""Make the record of a term: its outcome, the next ranking, and whether a next term is possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from strategies.election import Election, ElectionPolicy, Ranking, Readiness, among
from strategies.eligibility import reason_to_end
from strategies.protocol.records import Recovery, RosterChange, TermRecord
from strategies.term.attempt import Attempt
from strategies.term.plan import TermPlan
from strategies.weights import Model


def make_record(
    term: Attempt,
    plan: TermPlan,
    policy: ElectionPolicy,
    history: Sequence[TermRecord],
    last_round: int,
    models: Mapping[str, Model],
    change: RosterChange | None = None,
    recovery: Recovery | None = None,
) -> TermRecord:
    """Elect the next server, and return the term's record with the ranking that follows.

    The record's mappings are in the roster's order.

    With a ``change`` of the roster, the ranking for the next term is of the new roster.
    ``recovery`` is the one on which the term is built.
    """
    # A vendor that did not answer keeps the privacy report of the record before.
    roster, before = term.roster, history[-1].privacy if history else {}
    privacy = {v: each for v in roster if (each := term.privacy.get(v, before.get(v)))}
    made = TermRecord(
        **term.envelope.model_dump(),
        round=last_round,
        clients=term.clients,
        stale_server=term.stale_server,
        ballots={v: term.ballots[v] for v in roster if v in term.ballots},
        ranking=(),
        absences=tuple(term.absences),
        learning_rate=plan.learning_rate_in(last_round),
        steps={v: term.steps[v] for v in roster if v in term.steps},
        averaged_model=models["averaged"].hash,
        model=models["finetuned"].hash,
        metrics={v: term.metrics[v] for v in roster if v in term.metrics},
        privacy=privacy,
        cost=dict(term.meter.phases),
        parent=term.parent,
        roster_change=change,
        recovery=recovery,
        signed={v: term.signed[v] for v in roster if v in term.signed} or None,
    )
    ranking, ended = next_term(made, history, plan, policy)
    return made.model_copy(update={"ranking": ranking, "ended": ended})


def next_term(
    record: TermRecord, history: Sequence[TermRecord], plan: TermPlan, policy: ElectionPolicy
) -> tuple[Ranking, str]:
    """Return the ranking that ``record`` elects, and why no term can follow it ("" if one can).

    Every site computes both from the record, so a server cannot choose them.
    """
    election = Election(
        roster=plan.roster,
        # In the roster's order, which decides the rounding of sums.
        ballots={v: record.ballots[v] for v in plan.roster if v in record.ballots},
        history=history,
        server=record.server,
        term=record.term + 1,
        round=record.round + 1,
        lost_servers=record.lost_servers,
        readiness={v: Readiness(p.can_serve, p.can_train) for v, p in record.privacy.items()},
    )
    ranking, change = policy.rank(election), record.roster_change
    # A new roster decides the next term, so the ranking must be an order of it.
    ranking = among(change.edition.roster, ranking) if change is not None else ranking
    return ranking, reason_to_end(election, plan.server_terms, plan.min_clients) or ""
