"""Who serves next and why, and what goes on now, from plain snapshots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.page.history import History
from deploy.page.views.live import live
from deploy.page.views.succession import succession
from deploy.page.watching import Watcher
from strategies.election import (
    Election,
    cycle_after,
    election_policy,
    score,
    served_in_cycle,
)
from strategies.protocol.records import Ballot
from strategies.settings import ElectionSettings
from tests.deploy.page.seen import ROSTER, opened, seen_at
from tests.deploy.page.watched import NOW, SECONDS, Federation, WatchedSite
from tests.support.records import make_record

# ---- who serves next, and why --------------------------------------------------------------------


def test_ranking_and_scores_are_those_of_the_election(tmp_path: Path) -> None:
    config, seen = seen_at(tmp_path, 11)
    assert seen.last is not None
    found = succession(config, seen)
    assert tuple(each.vendor for each in found.candidates) == seen.last.ranking
    scores = score(seen.last.ballots, config.election.loss_weight)
    assert {each.vendor: each.score for each in found.candidates} == scores
    for each in found.candidates:
        assert each.data_share is not None and each.loss_share is not None
        assert each.score == pytest.approx(each.data_share + 0.5 * each.loss_share)
    assert sum(each.data_share or 0 for each in found.candidates) == pytest.approx(1)


@given(
    st.lists(st.tuples(st.sampled_from(ROSTER), st.sets(st.sampled_from(ROSTER), min_size=1)),
             max_size=20)
)  # fmt: skip
def test_cycle_is_followed_term_by_term_as_the_election_counts_it(
    course: list[tuple[str, set[str]]],
) -> None:
    """The page keeps no old records: it folds them, with the election's own rule."""
    history = History(Federation(ROSTER).edition, "accuracy")
    records = []
    for number, (server, present) in enumerate(course, start=1):
        ballots = {vendor: Ballot(examples=1, loss=1.0) for vendor in present}
        record = make_record(number, server=server, ballots=ballots)
        records.append(record)
        history.served = _folded(history.served, record)
    whole = Election(ROSTER, {}, records, None, len(records) + 1, len(records) + 1)
    assert history.served == served_in_cycle(whole)


def _folded(served: frozenset[str], record: Any) -> frozenset[str]:
    return cycle_after(served, {record.server, *record.lost_servers}, record.ballots.keys())


def test_watched_ledger_follows_the_cycle(tmp_path: Path) -> None:
    federation = Federation(ROSTER)
    site = WatchedSite(tmp_path / "site", federation)
    watcher = Watcher(site.config())
    for _ in range(11):
        federation.add(1)
        site.commit()
        records = [each.record for each in federation.committed]
        whole = Election(ROSTER, {}, records, None, len(records) + 1, len(records) + 1)
        assert watcher.look().served == served_in_cycle(whole)


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        (0, "The vendors serve by turn, in the order of the roster, in the first 4 rounds"),
        (3, "The vendors serve by turn"),
        (4, "A new cycle begins, and d has the highest score"),
        (5, "3 vendors have not served in this cycle; of them c has the highest score"),
        (7, "Only a has not served in this cycle yet."),
    ],
)
def test_reason_is_the_one_of_the_election(tmp_path: Path, terms: int, why: str) -> None:
    config, seen = seen_at(tmp_path, terms)
    assert succession(config, seen).why.startswith(why)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (ElectionSettings(policy="fixed", server="a"), "serves every term"),
        (ElectionSettings(policy="random"), "drawn at random"),
        (ElectionSettings(policy="round-robin"), "by turn, in the order of the roster"),
        (ElectionSettings(policy="score", by_turn_rounds=0), "highest score"),
    ],
)
def test_every_policy_has_a_reason(tmp_path: Path, settings: ElectionSettings, why: str) -> None:
    config, seen = seen_at(tmp_path, 5)
    assert election_policy(settings, 0) is not None
    assert why in succession(config.model_copy(update={"election": settings}), seen).why


def test_vendor_without_budget_may_not_serve(tmp_path: Path) -> None:
    config, seen = seen_at(tmp_path, 6, private=True)
    may = {each.vendor: each.may_serve for each in succession(config, seen).candidates}
    assert may == {"a": True, "b": True, "c": False, "d": True}
    capped = config.model_copy(update={"server_terms": 2})
    served = {each.vendor: each for each in succession(capped, seen).candidates}
    assert [v for v, each in served.items() if each.terms_served >= 2 and each.may_serve] == []


def test_absent_vendor_has_no_score(tmp_path: Path) -> None:
    ballots = {v: Ballot(examples=10, loss=1.0) for v in ("a", "b", "c")}
    config, seen = seen_at(tmp_path, 6, ballots=ballots, ranking=("b", "a", "c", "d"))
    last = succession(config, seen).candidates[-1]
    assert (last.vendor, last.present, last.score) == ("d", False, None)


# ---- the open term -------------------------------------------------------------------------------


def test_phase_and_time_left_follow_from_past_terms(tmp_path: Path) -> None:
    config, seen = seen_at(tmp_path, 6)
    messages = [{"type": "query.open", "time": NOW - 12}, {"type": "train.local", "time": NOW - 10}]
    now = live(config, opened(seen, *messages))
    assert now.phase is not None and (now.phase.name, now.since) == ("train", NOW - 10)
    rest = SECONDS["finetune"] + SECONDS["evaluate"] + SECONDS["commit"]
    assert now.left == pytest.approx(SECONDS["train"] - 10 + rest)
    assert [step.standing for step in now.steps] == ["done", "now", *["to come"] * 3]
    assert "aggregate" not in {step.name for step in now.steps}, "no term had this phase"


def test_phase_that_takes_longer_than_usual_has_no_negative_time_left(tmp_path: Path) -> None:
    config, seen = seen_at(tmp_path, 6)
    now = live(config, opened(seen, {"type": "query.commit", "time": NOW - 500}))
    assert now.left == 0


def test_messages_of_other_terms_and_refused_ones_are_no_phase(tmp_path: Path) -> None:
    config, seen = seen_at(tmp_path, 6)
    strange = (
        {"type": "train.local", "time": NOW, "term": 3},
        {"type": "train.local", "time": NOW, "attempt": 2},
        {"type": "train.local", "time": NOW, "outcome": "SRFLM-P1"},
        {"type": "query.votes", "time": NOW},
    )
    now = live(config, opened(seen, *strange))
    assert now.opened and now.phase is None


def test_training_is_seen_while_it_goes_on(tmp_path: Path) -> None:
    """The message log has a message only when it is answered."""
    config, seen = seen_at(tmp_path, 6)
    assert live(config, seen).server != config.vendor
    found = live(config, opened(seen, training_since=NOW - 7))
    assert found.phase is not None and found.trains
    assert (found.phase.name, found.since) == ("train", NOW - 7)
    own = config.model_copy(update={"vendor": found.server})
    serving = live(own, opened(seen, training_since=NOW - 7))
    assert serving.own and serving.phase is not None and serving.phase.name == "finetune"


def test_server_counts_the_answers_of_the_open_term(tmp_path: Path) -> None:
    config, seen = seen_at(tmp_path, 6)
    own = config.model_copy(update={"vendor": live(config, seen).server})
    events = (
        {"event": "reply", "phase": "train", "vendor": "a"},  # of the term before
        {"event": "term-opened", "term": seen.term},
        {"event": "reply", "phase": "train", "vendor": "b"},
        {"event": "reply", "phase": "train", "vendor": "b"},
        {"event": "reply", "phase": "evaluate", "vendor": "c"},
    )
    found = live(own, opened(seen, {"type": "train.local", "time": NOW}, events=events))
    assert found.own and found.answered == ("b",)


def test_stand_in_is_told_from_the_elected_vendor(tmp_path: Path) -> None:
    config, seen = seen_at(tmp_path, 6)
    found = live(config, opened(seen, attempt=1))
    assert found.stands_in and found.server != found.elected
    assert not live(config, replace(seen, rounds_ordered=6)).running, "all rounds are committed"
