"""Pictures, privacy, messages, and health on the page, from plain snapshots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.page.history import History
from deploy.page.snapshot import PeerSeen, Snapshot
from deploy.page.views.budget import budget
from deploy.page.views.curves import MOST_PANELS, MOST_POINTS, curves
from deploy.page.views.health import health, peer
from deploy.page.views.ledger import ledger_page
from deploy.page.views.live import live
from deploy.page.views.matrix import matrix
from deploy.page.views.messages import outgoing, refused
from deploy.page.views.ring import ring
from deploy.page.watching import Watcher
from deploy.site.diagnosis import Line, Severity
from tests.deploy.page.seen import ROSTER, opened, seen_at, term
from tests.deploy.page.watched import NOW, Federation, WatchedSite, diagnosis

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
    levels: tuple[Severity, ...] = ("ok", "warning", "error", "ok")
    lines = [Line(code=level, severity=level, finding="") for level in levels]
    found = health(config, replace(seen, doctor=diagnosis(*lines)))
    assert [line.severity for line in found.doctor] == ["error", "warning", "ok", "ok"]
    assert found.doctor_counts == {"ok": 2, "warning": 1, "error": 1}
