"""Who may serve: below the cap, with budget left; all sites find the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.election import Cycle, Election, Fixed, Random, Readiness, RoundRobin, Score
from strategies.eligibility import Eligibility, EligibleFirst, reason_to_end, terms_served
from strategies.protocol.records import Absence, TermRecord
from tests.support.records import make_ballots, make_record

ROSTER = ("a", "b", "c", "d")
BALLOTS = make_ballots(a=4.0, b=3.0, c=2.0, d=1.0)
POLICIES = [Cycle(0.5, 0), Score(0.5, 2), RoundRobin(), Random(65), Fixed("c")]


def history(*servers: str) -> list[TermRecord]:
    return [make_record(n, server=server) for n, server in enumerate(servers, start=1)]


def election(servers: str, readiness: dict[str, Readiness] | None = None) -> Election:
    """Return the election in the last of these terms."""
    before, last = history(*servers[:-1]), servers[-1]
    term = len(servers) + 1
    return Election(ROSTER, BALLOTS, before, last, term, term, readiness=readiness or {})


def test_server_that_failed_has_had_its_turn() -> None:
    lost = Absence(vendor="d", phase="finetune", code="x", attempt=0)
    records = [*history("a", "b"), make_record(3, server="a", attempt=1, absences=(lost,))]
    assert terms_served(records) == {"a": 2, "b": 1, "d": 1}


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
@given(servers=st.text("abcd", min_size=1, max_size=12), most=st.integers(1, 4))
def test_those_at_the_cap_come_last_and_the_order_is_otherwise_the_policys(
    policy: Cycle, servers: str, most: int
) -> None:
    held = election(servers)
    ranking, plain = EligibleFirst(policy, most).rank(held), policy.rank(held)
    assert sorted(ranking) == sorted(ROSTER), "an order of the whole roster"
    free = [v for v in plain if servers.count(v) < most]
    assert list(ranking[: len(free)]) == free
    assert list(ranking[len(free) :]) == [v for v in plain if v not in free]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
@pytest.mark.parametrize("most", [1, 2, 3])
def test_nobody_ever_serves_more_often_than_the_cap(policy: Cycle, most: int) -> None:
    capped, servers = EligibleFirst(policy, most), "a"
    while reason_to_end(election(servers), most, 1) is None:
        servers += capped.rank(election(servers))[0]
    assert all(servers.count(vendor) == most for vendor in ROSTER)


def test_vendor_without_budget_to_serve_is_not_elected() -> None:
    held = election("b", {"a": Readiness(can_serve=False)})
    assert Score(0.5, 0).rank(held)[0] == "a"
    assert EligibleFirst(Score(0.5, 0), None).rank(held) == ("b", "c", "d", "a")


def test_vendor_that_cannot_train_is_left_out_as_a_client() -> None:
    eligibility = Eligibility(ROSTER, {}, None, {"b": Readiness(can_train=False)})
    assert eligibility.may_train() == ("a", "c", "d")
    assert eligibility.may_serve() == ROSTER


def test_run_ends_when_nobody_may_serve() -> None:
    reason = reason_to_end(election("abcd"), 1, 1)
    assert reason is not None and "no vendor may serve another term" in reason
    spent = dict.fromkeys(ROSTER, Readiness(can_serve=False))
    assert "no vendor has privacy budget left" in str(
        Eligibility(ROSTER, {}, None, spent).reason_to_end()
    )
    assert reason_to_end(election("abc"), 1, 1) is None


def test_run_ends_when_too_few_may_train() -> None:
    spent = {v: Readiness(can_train=False) for v in "bcd"}
    eligibility = Eligibility(ROSTER, {}, None, spent)
    assert eligibility.reason_to_end(1) is None, "b serves, a trains"
    assert "1 vendors have privacy budget left" in str(eligibility.reason_to_end(2))
