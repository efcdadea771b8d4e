"""What the parts of the page say, from plain snapshots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.page.config import PageConfig
from deploy.page.history import History, Term
from deploy.page.snapshot import DoctorLine, DoctorSeen, PeerSeen, Snapshot
from deploy.page.views.budget import budget
from deploy.page.views.curves import MOST_PANELS, MOST_POINTS, curves
from deploy.page.views.health import health, peer
from deploy.page.views.ledger import ledger_page
from deploy.page.views.live import live
from deploy.page.views.matrix import matrix
from deploy.page.views.messages import outgoing, refused
from deploy.page.views.ring import ring
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
from tests.deploy.page.watched import NOW, SECONDS, Federation, WatchedSite
from tests.support.records import make_record

ROSTER = ("a", "b", "c", "d")


def seen_at(folder: Path, terms: int, **fields: Any) -> tuple[PageConfig, Snapshot]:
    """Return the configuration and the snapshot of a site with so many terms."""
    federation = Federation(ROSTER, private=bool(fields.pop("private", False)))
    federation.add(terms, **fields)
    config = WatchedSite(folder / "site", federation).config()
    return config, replace(Watcher(config, lambda: NOW).look_at_all(), up=True)


def term(number: int, **fields: Any) -> Term:
    """Return a term with metrics of ``a`` alone."""
    plain: dict[str, Any] = {
        "term": number,
        "round": number,
        "attempt": 0,
        "server": "a",
        "present": ROSTER,
        "clients": ("b",),
        "lost": (),
        "absences": (),
        "hash": "0" * 64,
        "model": "",
        "values": {"a": {"averaged": 0.5, "finetuned": 0.6}},
        "seconds": {},
        "sent": 0,
        "received": 0,
        "signers": ROSTER,
        "ended": "",
    }
    return Term(**(plain | fields))


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


def opened(seen: Snapshot, *events: dict[str, Any], **fields: Any) -> Snapshot:
    """Return a snapshot in which attempt 0 at the open term is granted."""
    whole = {"term": seen.term, "attempt": 0, "outcome": "done"}
    audit = tuple(whole | each for each in events)
    return replace(seen, **({"attempt": 0, "rounds_ordered": 100, "audit": audit} | fields))


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


# ---- pictures ------------------------------------------------------------------------------------


def test_ring_has_every_vendor_once_and_marks_the_server(tmp_path: Path) -> None:
    config, seen = seen_at(tmp_path, 6)
    down = PeerSeen(good=NOW - 20, failed=NOW - 5)
    now = live(config, opened(seen, peers={"b": down}))
    found = ring(replace(seen, peers={"b": down}), ROSTER, now, "a")
    assert [place.vendor for place in found.places] == list(ROSTER)
    assert found.server.vendor == now.server and found.server.part == "serves"
    assert {p.vendor for p in found.places if p.part == "unreachable"} == {"b"} - {now.server}
    assert len({(place.x, place.y) for place in found.places}) == len(ROSTER)


@given(st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True), max_size=400))
def test_curves_stay_in_their_picture(values: list[float | None]) -> None:
    terms = [
        term(n, values={"a": {"averaged": v}} if v is not None else {})
        for n, v in enumerate(values, start=1)
    ]
    found = curves(terms, ROSTER, "a", "Accuracy")
    finite = [v for v in values if v is not None and math.isfinite(v)]
    assert (found is None) == (not finite)
    if found is None:
        return
    points = [p for panel in found.panels for line in panel.lines for p in _points(line)]
    assert len(points) <= MOST_POINTS
    for x, y in points:
        assert -1 <= x <= found.width + 1
        assert math.isnan(y) or -1 <= y <= found.height + 1


def _points(line: Any) -> list[tuple[float, float]]:
    pairs = [pair.split(",") for part in line.parts for pair in part.split()]
    return [*((float(x), float(y)) for x, y in pairs), *line.dots]


def test_last_term_is_drawn_and_the_own_vendor_comes_first() -> None:
    values = {vendor: {"averaged": 0.5} for vendor in ROSTER}
    terms = [term(n, values=values) for n in range(1, 1001)]
    found = curves(terms, ROSTER, "c", "Accuracy")
    assert found is not None and (found.first, found.last) == (1, 1000)
    assert [panel.vendor for panel in found.panels] == ["c", "a", "b", "d"]
    last = found.panels[0].lines[0].parts[0].split()[-1]
    assert float(last.split(",")[0]) == pytest.approx(found.right, abs=0.2)


def test_many_vendors_are_counted_and_not_drawn() -> None:
    roster = [f"v{n}" for n in range(MOST_PANELS + 5)]
    values = {vendor: {"averaged": 0.5} for vendor in roster}
    found = curves([term(1, values=values)], roster, "v0", "Accuracy")
    assert found is not None and (len(found.panels), found.left_out) == (MOST_PANELS, 5)


def test_matrix_has_the_last_model_of_each_server() -> None:
    def of(server: str, *values: float) -> dict[str, Any]:
        pairs = zip(ROSTER, values, strict=False)
        return {"server": server, "values": {v: {"finetuned": x} for v, x in pairs}}

    terms = [
        term(1, **of("a", 0.1, 0.1)),
        term(2, **of("b", 0.2, 0.9)),
        term(3, **of("a", 0.7, 0.3)),
    ]
    found = matrix(terms, ROSTER)
    assert found is not None
    assert [(row.server, row.term) for row in found.rows] == [("a", 3), ("b", 2)]
    assert [cell.text for cell in found.rows[0].cells] == ["0.700", "0.300", "–", "–"]
    assert [cell.own for cell in found.rows[1].cells] == [False, True, False, False]
    assert (found.rows[1].cells[1].shade, found.rows[1].cells[0].shade) == (5, 1)
    assert matrix(terms[:1], ROSTER) is None, "one server alone makes no matrix"


# ---- privacy, messages, health -------------------------------------------------------------------


def test_budget_left_is_by_the_own_limit_at_home(tmp_path: Path) -> None:
    config, seen = seen_at(tmp_path, 4, private=True)
    found = budget(config, seen)
    assert found is not None
    own, other = found.rows[0], found.rows[1]
    assert (own.limit, other.limit) == (6.0, 8.0)
    assert own.left == pytest.approx(6.0 - 0.8) and other.left == pytest.approx(8.0 - 1.1)
    assert own.rounds_trained + own.terms_served == 4
    assert budget(config.model_copy(update={"privacy": None}), seen) is None


def test_what_left_is_of_the_newest_term_and_says_what_protects(tmp_path: Path) -> None:
    config, seen = seen_at(tmp_path, 4)
    sent = {"type": "train.local", "vendor": "b", "outcome": "done", "time": NOW, "sent": 10}
    audit = (
        {**sent, "term": 4},
        {**sent, "term": 5, "fields": ["ballot", "unheard-of"]},
        {**sent, "term": 5, "outcome": "SRFLM-P1"},
        {**sent, "term": 5, "sent": 30},
    )
    found = outgoing(config, replace(seen, audit=audit))
    assert (found.term, found.count, found.bytes) == (5, 2, 40)
    assert [field.protection for field in found.answers[1].fields] == ["DP-SGD's noise", ""]
    assert found.as_server == (1, 20_000_000)


def test_refused_messages_say_what_their_code_means(tmp_path: Path) -> None:
    _, seen = seen_at(tmp_path, 1)
    audit = ({"time": 5.0, "vendor": None, "type": "query.open", "outcome": "SRFLM-P1"},)
    refusals = ({"time": 9.0, "event": "bundle-refused", "peer": "c"},)
    first, second = refused(replace(seen, audit=audit, refusals=refusals))
    assert (first.by, first.meaning) == ("c", "c sent another app bundle: refused")
    assert (second.by, second.code) == ("unknown", "SRFLM-P1") and second.meaning.endswith(".")


@pytest.mark.parametrize(
    ("found", "standing"),
    [
        (PeerSeen(), "unknown"),
        (PeerSeen(heard=NOW - 5), "reachable"),
        (PeerSeen(good=NOW - 500), "reachable"),
        (PeerSeen(heard=NOW - 5, failed=NOW - 1), "unreachable"),
        (PeerSeen(good=NOW - 1, failed=NOW - 3), "reachable"),
        (PeerSeen(heard=NOW - 5, failed=NOW - 300), "reachable"),
        (PeerSeen(heard=NOW - 5000), "unknown"),
    ],
)
def test_peer_stands_as_the_last_calls_say(found: PeerSeen, standing: str) -> None:
    seen = Snapshot(NOW, "", up=True, since=NOW - 1000, peers={"b": found})
    assert peer("b", seen).standing == standing
    assert peer("b", replace(seen, up=False)).standing == "unknown"


def test_records_that_are_not_valid_are_shown_as_such(tmp_path: Path) -> None:
    config, seen = seen_at(tmp_path, 3)
    assert ledger_page(seen, 1, "Accuracy").valid
    forged = Federation(ROSTER)  # other keys
    forged.add(5)
    history = History(config.first, "accuracy")
    for each in forged.committed:
        history.add(each)
    found = replace(seen, terms=tuple(history.terms), terms_known=5, invalid=history.invalid)
    page = ledger_page(found, 1, "Accuracy")
    assert not page.valid and "term 1 is not valid" in page.verdict
    assert "not valid" in _texts(page.table.rows[0])[-2]


def test_record_that_was_changed_is_found(tmp_path: Path) -> None:
    federation = Federation(ROSTER)
    federation.add(6)
    changed = federation.committed[3].record.model_copy(update={"server": "b"})
    federation.committed[3] = federation.committed[3].model_copy(update={"record": changed})
    seen = Watcher(WatchedSite(tmp_path / "site", federation).config()).look_at_all()
    assert seen.invalid == 4
    assert [bool(each.problem) for each in seen.terms] == [False] * 3 + [True, True, False]


def _texts(row: Sequence[Any]) -> list[str]:
    return [cell if isinstance(cell, str) else cell.text for cell in row]


def test_health_has_the_worst_of_doctor_first(tmp_path: Path) -> None:
    config, seen = seen_at(tmp_path, 1)
    lines = tuple(DoctorLine(level, level, "", "") for level in ("ok", "warning", "error", "ok"))
    found = health(config, replace(seen, doctor=DoctorSeen(NOW, lines)))
    assert [line.level for line in found.doctor] == ["error", "warning", "ok", "ok"]
    assert found.doctor_counts == {"ok": 2, "warning": 1, "error": 1}
