"""Rules of the votes: at most one outcome a term, whatever crashes, is lost, or comes late."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.protocol.quorum import (
    NONE_SEEN,
    Accepted,
    Refusal,
    TwoRecords,
    Votes,
    accept,
    grant,
    has_quorum,
    must_propose,
    own_attempt,
    owner,
    refusal,
    without_tie,
)
from strategies.protocol.records import Quorum
from tests.support.quorum.search import Found, explore, replay, try_schedules
from tests.support.quorum.states import Step
from tests.support.quorum.votes import Message
from tests.support.quorum.world import Rules, World, silent_through

SCHEDULES = 10_000
RANKING = ("b", "c", "a")
FRESH = Votes(term=3)
VOTED = Votes(term=3, granted=4, accepted=Accepted(2, "x"))


def test_attempts_belong_to_the_vendors_in_turn() -> None:
    assert [owner(attempt, RANKING) for attempt in range(5)] == ["b", "c", "a", "b", "c"]


@given(st.integers(1, 9), st.integers(0, 50), st.data())
def test_own_attempt_is_the_lowest_from_there_on_that_belongs_to_the_vendor(
    vendors: int, at_least: int, data: st.DataObject
) -> None:
    ranking = data.draw(st.permutations("abcdefghi"[:vendors]))
    vendor = data.draw(st.sampled_from(ranking))
    attempt = own_attempt(vendor, ranking, at_least)
    assert attempt >= at_least
    assert owner(attempt, ranking) == vendor
    assert all(owner(lower, ranking) != vendor for lower in range(at_least, attempt))


def test_fresh_site_obeys_any_attempt() -> None:
    assert FRESH.granted == NONE_SEEN
    assert refusal(FRESH, 0) is None
    assert refusal(FRESH, 0, "x") is None


@pytest.mark.parametrize(
    ("votes", "attempt", "record", "reason"),
    [
        (VOTED, 3, None, "outvoted"),
        (VOTED, 3, "x", "outvoted"),
        (VOTED, 4, None, None),
        (VOTED, 4, "x", None),
        (VOTED, 4, "y", None),
        (VOTED, 5, None, None),
        (accept(VOTED, 4, "x"), 4, "x", None),
        (accept(VOTED, 4, "x"), 4, "y", "two-outcomes"),
        (accept(VOTED, 4, "x"), 4, None, None),
        (replace(VOTED, forgetful=True), 9, None, "forgetful"),
        (replace(FRESH, forgetful=True), 0, "x", "forgetful"),
    ],
)
def test_site_refuses_what_it_has_promised_to_refuse(
    votes: Votes, attempt: int, record: str | None, reason: Refusal | None
) -> None:
    assert refusal(votes, attempt, record) == reason
    if reason:
        with pytest.raises(ValueError, match=reason):
            accept(votes, attempt, record) if record else grant(votes, attempt)


def test_grant_keeps_what_was_accepted() -> None:
    assert grant(VOTED, 6) == replace(VOTED, granted=6)


def test_acceptance_is_a_promise_too() -> None:
    assert accept(VOTED, 6, "y") == Votes(3, granted=6, accepted=Accepted(6, "y"))


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["", "x", "y"]))))
def test_promises_only_rise_and_the_accepted_attempt_never_exceeds_them(
    requests: list[tuple[int, str]],
) -> None:
    votes = FRESH
    for attempt, record in requests:
        if refusal(votes, attempt, record or None):
            continue
        before = votes
        votes = accept(votes, attempt, record) if record else grant(votes, attempt)
        assert votes.granted == attempt >= before.granted
        assert votes.accepted is None or votes.accepted.attempt <= votes.granted
        assert votes.accepted or not before.accepted
        again = accept(votes, attempt, record) if record else grant(votes, attempt)
        assert again == votes


def test_server_proposes_what_was_accepted_last_and_is_free_if_nothing_was() -> None:
    assert must_propose([None, Accepted(1, "x"), Accepted(4, "y"), Accepted(2, "z")]) == Accepted(
        4, "y"
    )
    assert must_propose([None, None]) is None
    assert must_propose([]) is None


def test_two_records_accepted_under_one_attempt_oblige_to_neither() -> None:
    told = {"a": Accepted(4, "y"), "b": Accepted(4, "x"), "c": None, "d": Accepted(4, "x")}
    with pytest.raises(TwoRecords):
        must_propose(told.values())
    assert without_tie(told) == {"b", "c", "d"}
    assert without_tie({"a": None, "b": Accepted(1, "x")}) == {"a", "b"}
    below = [Accepted(1, "x"), Accepted(1, "y"), Accepted(2, "z")]
    assert must_propose(below) == Accepted(2, "z"), "those below count no more"


@pytest.mark.parametrize(
    ("voters", "roster", "enough"),
    [
        ("ab", "abc", True),
        ("a", "abc", False),
        ("ab", "abcd", False),
        ("abc", "abcd", True),
        ("aaa", "abc", False),
        ("axyz", "abc", False),
        ("", "abc", False),
        ("a", "a", True),
    ],
)
def test_majority_is_of_the_roster_and_nobody_counts_twice(
    voters: str, roster: str, enough: bool
) -> None:
    assert has_quorum(list(voters), list(roster), "majority") is enough


# Everything that three sites can do.  Loss, delay, duplication, and partition are always included.
BOUNDS = {
    "two attempts and a crash": {"attempts": 2, "crashes": 1},
    "two attempts and a lost disk": {"attempts": 2, "losses": 1},
    "three attempts": {"attempts": 3},
}


@pytest.mark.slow
@pytest.mark.parametrize("bounds", BOUNDS)
def test_no_schedule_of_three_sites_breaks_the_rules(bounds: str) -> None:
    found = explore(World(3), **BOUNDS[bounds])
    assert not found.broken, found
    assert found.tried > 10_000, "all of it has been explored"


@pytest.mark.slow
def test_no_random_schedule_breaks_the_rules_and_each_can_be_finished() -> None:
    found = try_schedules(Rules(), 2 * SCHEDULES, Random(14))
    assert not found.broken, found
    assert found.tried == 2 * SCHEDULES
    assert found.waited < found.tried / 10, "most have come to a commit"


def without_fence(votes: Votes, attempt: int, record: str | None) -> Refusal | None:
    return "forgetful" if votes.forgetful else None


def grant_anything(votes: Votes, attempt: int) -> Votes:
    return replace(votes, granted=max(attempt, votes.granted))


def accept_anything(votes: Votes, attempt: int, record: str) -> Votes:
    return replace(grant_anything(votes, attempt), accepted=Accepted(attempt, record))


def one_short_of_majority(voters: Collection[str], roster: Collection[str], of: Quorum) -> bool:
    return len(set(voters) & set(roster)) >= len(roster) // 2


BROKEN = {
    "a site accepts any attempt": Rules(without_fence, grant_anything, accept_anything),
    "a grant is not durable": Rules(stores_grants=False),
    "one less than a majority is enough": Rules(has_quorum=one_short_of_majority),
    "an accepted record is not proposed again": Rules(must_propose=lambda grants: None),
    "any accepted record is proposed again": Rules(
        must_propose=lambda grants: next((each for each in grants if each), None)
    ),
    "a proposal is not durable": Rules(stores_proposals=False),
    "a site that has lost its disk votes": Rules(knows_its_loss=False),
    "acceptances under several attempts are added": Rules(counts_one_attempt=False),
}


def asks_nobody(heard: Mapping[str, Votes], roster: Collection[str], of: Quorum) -> int | None:
    return 0


# Copies are put back in random schedules only: there are too many to try every one.
BROKEN_BY_COPIES = {
    "a site that was put back from a copy votes": Rules(knows_its_copy=False),
    "a site that has lost its disk asks nobody": Rules(silent_through=asks_nobody),
}


def first_found(rules: Rules) -> Found:
    """Return what the explorations above find."""
    found = (explore(World(3, rules), **bounds) for bounds in BOUNDS.values())
    return next((each for each in found if each.broken), Found(0))


@pytest.mark.slow
@pytest.mark.parametrize("rule", BROKEN)
def test_exploration_finds_the_flaw(rule: str) -> None:
    found = first_found(BROKEN[rule])
    print(f"{rule}: {found}")
    assert found.broken
    assert replay(World(3, BROKEN[rule]), found.trace) == found.broken
    assert replay(World(3), found.trace) is None, "the true rules prevent it"


@pytest.mark.slow
@pytest.mark.parametrize("rule", [*BROKEN, *BROKEN_BY_COPIES])
def test_random_schedules_find_the_flaw_too(rule: str) -> None:
    found = try_schedules((BROKEN | BROKEN_BY_COPIES)[rule], SCHEDULES, Random(14))
    print(f"{rule}: {found}")
    assert found.broken


@pytest.mark.slow
def test_random_schedules_find_a_rule_that_is_safe_but_gets_stuck() -> None:
    def never_twice(votes: Votes, attempt: int, record: str | None) -> Refusal | None:
        return "outvoted" if attempt == votes.granted else refusal(votes, attempt, record)

    found = try_schedules(Rules(refusal=never_twice), 100, Random(14))
    assert (found.broken or "").startswith("stuck")


def silent_in_the_open_term(
    heard: Mapping[str, Votes], roster: Collection[str], of: Quorum
) -> int | None:
    """What seems enough, but is not."""
    terms = [votes.term for votes in heard.values()]
    return max(terms) if has_quorum(heard, roster, of) else None


def test_site_that_has_lost_its_disk_may_have_voted_in_a_term_that_no_other_has_opened() -> None:
    """Alone ``b`` knows that term 1 is committed; it votes in term 2 and loses its disk."""
    a, b, c = range(3)
    opened, first = Message("open", 1, 1), Message("accept", 1, 1, "b1")
    known, second = Message("committed", 1, record="b1"), Message("accept", 2, 0, "b1>b0")
    anew = Message("accept", 2, 0, "b1>b0'")
    grants = tuple(Message("granted", 1, 1, site=site) for site in (a, b))
    acceptances = tuple(Message("accepted", 1, 1, "b1", site) for site in (a, b))
    schedule = [
        Step("start", b, attempt=1),
        *(Step("deliver", site, (opened,)) for site in (a, b)),
        Step("propose", b, grants),
        *(Step("deliver", site, (first,)) for site in (a, b)),
        Step("commit", b, acceptances),
        Step("start", b, attempt=0),
        Step("propose", b),
        Step("deliver", b, (second,)),
        Step("lose_disk", b),
        *(Step("sync", b, peer=peer) for peer in (a, c)),
        *(Step("deliver", site, (known,)) for site in (a, b, c)),
        Step("deliver", c, (second,)),
        Step("start", b, attempt=0),
        Step("propose", b),
        *(Step("deliver", site, (anew,)) for site in (a, b)),
    ]
    broken = replay(World(3, Rules(silent_through=silent_in_the_open_term)), schedule)
    assert broken == "b1>b0, committed in term 2, is lost"
    assert replay(World(3), schedule) is None


def silent_until_two_terms_after_any_that_it_meets(
    heard: Mapping[str, Votes], roster: Collection[str], of: Quorum
) -> int | None:
    """What seems enough, but is not: the server that is met may be far behind."""
    return max(votes.term for votes in heard.values()) + 1


def test_one_server_that_is_far_behind_does_not_tell_which_term_is_open() -> None:
    """``a`` slept in term 1; ``b`` has voted in term 3, loses its disk, and meets ``a``."""
    a, b, c = range(3)
    records = ("b1", "b1>b0", "b1>b0>c0")
    known = [Message("committed", term, record=records[term - 1]) for term in (1, 2)]
    vote, forked = Message("open", 3, 1), Message("accept", 3, 1, "b1>b0>a1")
    schedule = [
        Step("start", b, attempt=1),
        *(Step("deliver", site, (Message("open", 1, 1),)) for site in (b, c)),
        Step("propose", b, tuple(Message("granted", 1, 1, site=site) for site in (b, c))),
    ]
    for term, (server, attempt, record) in enumerate(
        zip((b, b, c), (1, 0, 0), records, strict=True), 1
    ):
        accepted = tuple(Message("accepted", term, attempt, record, site) for site in (b, c))
        if attempt == 0:
            schedule += [Step("start", server, attempt=0), Step("propose", server)]
        request = Message("accept", term, attempt, record)
        schedule += [Step("deliver", site, (request,)) for site in (b, c)]
        if term < 3:
            schedule += [Step("commit", b, accepted), Step("deliver", c, (known[term - 1],))]
    schedule += [
        Step("lose_disk", b),
        Step("sync", b, peer=a),
        *(Step("deliver", site, (each,)) for each in known for site in (a, b)),
        Step("start", a, attempt=1),
        *(Step("deliver", site, (vote,)) for site in (a, b)),
        Step("propose", a, tuple(Message("granted", 3, 1, site=site) for site in (a, b))),
        *(Step("deliver", site, (forked,)) for site in (a, b)),
    ]
    rules = Rules(silent_through=silent_until_two_terms_after_any_that_it_meets)
    assert replay(World(3, rules), schedule) == "b1>b0>c0, committed in term 3, is lost"
    assert replay(World(3), schedule) is None


def test_site_that_has_lost_its_disk_asks_a_majority_of_which_it_is_none() -> None:
    heard = {"a": Votes(4), "c": Votes(5), "d": Votes(5, accepted=Accepted(0, "x"))}
    assert silent_through({"a": heard["a"], "c": heard["c"]}, "abcde", "majority") is None
    assert silent_through(heard, "abcde", "majority") == 6
    assert (
        silent_through({**heard, "d": Votes(4, accepted=Accepted(0, "x"))}, "abcde", "majority")
        == 5
    )
