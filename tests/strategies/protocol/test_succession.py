"""When it is a vendor's turn to serve."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.protocol.quorum import NONE_SEEN, owner
from strategies.protocol.records import Absence, PhaseCost, TermRecord
from strategies.protocol.succession import (
    MAX_LONGER,
    MIN_COMMIT_SECONDS,
    MIN_OPEN_SECONDS,
    RECENT_TERMS,
    Seen,
    Timeouts,
    Turn,
    Yielded,
    learnt_timeouts,
    newly_heard,
    next_turn,
)
from tests.support.records import make_record

RANKING = ("b", "c", "a")
TIMEOUTS = Timeouts(open=5.0, commit=20.0)
SECONDS = st.floats(1.0, 1e4)

rankings = st.integers(1, 9).flatmap(lambda n: st.permutations("abcdefghi"[:n]))
seen = st.builds(Seen, st.integers(NONE_SEEN, 50), st.floats(0, 1e6))
timeouts = st.builds(Timeouts, SECONDS, SECONDS)


def test_elected_vendor_serves_at_once_and_the_others_stand_in_one_after_another() -> None:
    nothing = Seen(NONE_SEEN, 100.0)
    turns = [next_turn(vendor, RANKING, nothing, TIMEOUTS) for vendor in RANKING]
    assert turns == [Turn(0, 100.0), Turn(1, 105.0), Turn(2, 110.0)]


def test_term_that_was_opened_is_left_to_its_server_until_the_time_out() -> None:
    opened = Seen(0, 100.0)
    assert next_turn("b", RANKING, opened, TIMEOUTS) == Turn(0, 100.0), "it goes on"
    assert next_turn("c", RANKING, opened, TIMEOUTS) == Turn(1, 120.0)
    assert next_turn("a", RANKING, opened, TIMEOUTS) == Turn(2, 125.0)


def test_vendor_that_was_outvoted_comes_again_after_all_others() -> None:
    assert next_turn("b", RANKING, Seen(1, 100.0), TIMEOUTS) == Turn(3, 125.0)


def test_nobody_waits_for_a_server_that_no_site_obeys() -> None:
    nothing, opened = Seen(NONE_SEEN, 100.0), Seen(0, 100.0)
    assert next_turn("c", RANKING, nothing, TIMEOUTS, {"b"}) == Turn(1, 100.0)
    assert next_turn("a", RANKING, nothing, TIMEOUTS, {"b"}) == Turn(2, 105.0)
    assert next_turn("a", RANKING, nothing, TIMEOUTS, {"c"}) == Turn(2, 105.0)
    assert next_turn("c", RANKING, opened, TIMEOUTS, {"b"}) == Turn(1, 100.0)


@given(rankings, timeouts, st.floats(0, MAX_LONGER))
def test_term_that_takes_longer_than_the_time_out_ends_in_some_attempt(
    ranking: list[str], limits: Timeouts, times: float
) -> None:
    takes, attempt = times * limits.commit, len(ranking) * math.ceil(times)
    turns = [next_turn(vendor, ranking, Seen(attempt, 0.0), limits) for vendor in ranking]
    assert all(turn.due >= takes for turn in turns if turn.attempt > attempt)


@given(rankings, seen, timeouts)
def test_of_all_vendors_with_one_view_exactly_one_is_due_first(
    ranking: list[str], view: Seen, limits: Timeouts
) -> None:
    turns = [next_turn(vendor, ranking, view, limits) for vendor in ranking]
    assert len({turn.attempt for turn in turns}) == len(ranking)
    assert len({turn.due for turn in turns}) == len(ranking)
    in_time = sorted(turns, key=lambda turn: turn.due)
    assert in_time == sorted(turns, key=lambda turn: turn.attempt), "the lower attempt comes first"


@given(rankings, seen, timeouts)
def test_every_turn_is_of_an_attempt_of_ones_own_and_not_before_its_time(
    ranking: list[str], view: Seen, limits: Timeouts
) -> None:
    for vendor in ranking:
        turn = next_turn(vendor, ranking, view, limits)
        assert owner(turn.attempt, ranking) == vendor
        assert turn.attempt >= max(view.attempt, 0)
        if turn.attempt > max(view.attempt, 0):
            waits = limits.commit if view.attempt > NONE_SEEN else limits.open
            assert turn.due >= view.since + waits - 1e-6
        else:
            assert turn.due == view.since


@given(rankings, st.integers(0, 50), st.floats(0, 1e6), timeouts)
def test_own_open_attempt_is_continued_at_once(
    ranking: list[str], attempt: int, since: float, limits: Timeouts
) -> None:
    vendor = owner(attempt, ranking)
    assert next_turn(vendor, ranking, Seen(attempt, since), limits) == Turn(attempt, since)


@given(rankings, seen, timeouts)
def test_later_sight_never_makes_a_turn_earlier(
    ranking: list[str], view: Seen, limits: Timeouts
) -> None:
    for vendor in ranking:
        turn = next_turn(vendor, ranking, view, limits)
        later = next_turn(vendor, ranking, Seen(view.attempt, view.since + 1), limits)
        assert later.attempt == turn.attempt
        assert later.due >= turn.due


# ---- attempts that are yielded -------------------------------------------------------------------

told = st.builds(Yielded, st.integers(0, 50), st.floats(0, 1e6))


def test_next_vendor_stands_in_as_soon_as_it_hears_that_the_server_yields() -> None:
    opened, yielded = Seen(0, 100.0), {"b": Yielded(0, 107.0)}
    turns = [next_turn(vendor, RANKING, opened, TIMEOUTS, (), yielded) for vendor in "ca"]
    assert turns == [Turn(1, 107.0), Turn(2, 112.0)], "the others keep their time-outs"
    assert next_turn("b", RANKING, opened, TIMEOUTS, (), yielded) == Turn(3, 122.0)


def test_vendor_that_yields_before_anybody_has_seen_its_attempt_is_not_waited_for() -> None:
    nothing, yielded = Seen(NONE_SEEN, 100.0), {"b": Yielded(0, 102.0)}
    assert next_turn("c", RANKING, nothing, TIMEOUTS, (), yielded) == Turn(1, 102.0)
    assert next_turn("b", RANKING, nothing, TIMEOUTS, (), yielded).attempt == 3


def test_vendor_that_hears_too_late_that_another_yields_keeps_its_time_out() -> None:
    opened, yielded = Seen(0, 100.0), {"b": Yielded(0, 500.0)}
    assert next_turn("c", RANKING, opened, TIMEOUTS, (), yielded) == Turn(1, 120.0)


def test_vendor_that_has_not_yielded_comes_before_all_that_have() -> None:
    opened = Seen(4, 100.0)
    yielded = {"b": Yielded(3, 90.0), "c": Yielded(4, 101.0)}
    assert next_turn("a", RANKING, opened, TIMEOUTS, (), yielded) == Turn(5, 101.0)
    again = Seen(3, 100.0)
    yielded = {"b": Yielded(3, 101.0), "c": Yielded(1, 50.0), "a": Yielded(2, 60.0)}
    mended = {vendor: yielded[vendor] for vendor in "bc"}
    assert next_turn("a", RANKING, again, TIMEOUTS, (), mended) == Turn(5, 101.0)


def test_vendors_that_have_all_yielded_try_again_one_after_another() -> None:
    opened = Seen(2, 100.0)
    yielded = {"b": Yielded(0, 80.0), "c": Yielded(1, 90.0), "a": Yielded(2, 101.0)}
    turns = [next_turn(vendor, RANKING, opened, TIMEOUTS, (), yielded) for vendor in RANKING]
    assert turns == [Turn(3, 106.0), Turn(4, 111.0), Turn(5, 116.0)]
    goes_on = Seen(3, 106.0)
    assert next_turn("b", RANKING, goes_on, TIMEOUTS, (), yielded) == Turn(3, 106.0)
    assert next_turn("c", RANKING, goes_on, TIMEOUTS, (), yielded).due > 106.0 + TIMEOUTS.commit


@given(rankings, seen, timeouts, st.dictionaries(st.sampled_from("abcdefghi"), told))
def test_who_yields_delays_nobody_else_and_does_not_repeat_what_it_has_yielded(
    ranking: list[str], view: Seen, limits: Timeouts, yielded: dict[str, Yielded]
) -> None:
    turns = {v: next_turn(v, ranking, view, limits, (), yielded) for v in ranking}
    assert len({turn.attempt for turn in turns.values()}) == len(ranking)
    for vendor, turn in turns.items():
        assert owner(turn.attempt, ranking) == vendor
        assert turn.due >= view.since
        if vendor in yielded:
            assert turn.attempt > yielded[vendor].attempt
            continue
        plain = next_turn(vendor, ranking, view, limits)
        assert turn.attempt == plain.attempt
        assert turn.due <= plain.due + 1e-6


def test_what_was_heard_before_keeps_its_time() -> None:
    def lost(vendor: str, attempt: int) -> Absence:
        return Absence(vendor=vendor, phase="finetune", code="SRFLM-D1", attempt=attempt)

    first = newly_heard([lost("b", 0)], {}, 5.0)
    assert first == {"b": Yielded(0, 5.0)}
    both = newly_heard([lost("b", 0), lost("c", 1)], first, 6.0)
    assert both == {"b": Yielded(0, 5.0), "c": Yielded(1, 6.0)}
    assert newly_heard([lost("b", 3)], both, 7.0) == {"b": Yielded(3, 7.0)}


# ---- time-outs -------------------------------------------------------------------------------


def took(term: int, **seconds: float) -> TermRecord:
    cost = {phase: PhaseCost(seconds=each) for phase, each in seconds.items()}
    return make_record(term, cost=cost)


def test_first_time_outs_hold_until_there_is_a_term_to_learn_from() -> None:
    assert learnt_timeouts([], 60.0, 600.0) == Timeouts(60.0, 600.0)


def test_time_outs_are_three_times_what_recent_terms_took() -> None:
    slow = took(1, open=10.0, train=30.0)
    assert learnt_timeouts([slow], 60.0, 600.0) == Timeouts(30.0, 120.0)
    usual = [took(term, open=3.0, train=9.0) for term in (2, 3)]
    assert learnt_timeouts([slow, *usual], 60.0, 600.0) == Timeouts(9.0, 36.0), "the median"
    later = [slow, *(took(term, open=3.0, train=9.0) for term in range(2, 2 + RECENT_TERMS))]
    assert learnt_timeouts(later, 60.0, 600.0) == Timeouts(9.0, 36.0), "old terms are forgotten"


def test_time_outs_are_never_too_short() -> None:
    hasty = [took(1, open=0.01, train=0.01)]
    assert learnt_timeouts(hasty, 60.0, 600.0) == Timeouts(MIN_OPEN_SECONDS, MIN_COMMIT_SECONDS)


def test_terms_without_an_opening_teach_nothing_about_it() -> None:
    assert learnt_timeouts([took(1, train=10.0)], 60.0, 600.0).open == 60.0


@pytest.mark.parametrize("records", [[], [took(1, open=10.0)]])
def test_time_outs_that_the_site_wants_hold(records: list[TermRecord]) -> None:
    assert learnt_timeouts(records, 60.0, 600.0, 1.0, 2.0) == Timeouts(1.0, 2.0)
