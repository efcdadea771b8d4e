"""Vendors that lie: no fork in byzantine mode, in majority mode none without evidence."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from random import Random

import pytest

from strategies.protocol.equivocation import SignedVote, contradict, liars
from strategies.protocol.quorum import Accepted
from strategies.protocol.records import Quorum, quorum_size
from tests.support.quorum.lying import try_liars
from tests.support.quorum.search import explore
from tests.support.quorum.world import Rules, World

SCHEDULES = 5_000


def accepted(attempt: int, record: str) -> SignedVote:
    return SignedVote("a", None, Accepted(attempt, record))


def granted(attempt: int, told: Accepted | None = None) -> SignedVote:
    return SignedVote("a", attempt, told)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (accepted(1, "x"), accepted(1, "y")),
        (accepted(1, "x"), granted(2)),
        (accepted(1, "x"), granted(2, Accepted(0, "x"))),
        (accepted(1, "x"), granted(2, Accepted(1, "y"))),
        (accepted(2, "x"), granted(2, Accepted(2, "y"))),
        (granted(3, Accepted(1, "x")), granted(3)),
        (granted(3, Accepted(1, "x")), granted(4)),
    ],
)
def test_votes_that_one_site_cannot_have_given(one: SignedVote, other: SignedVote) -> None:
    assert contradict(one, other)
    assert contradict(other, one)
    assert liars([other, granted(0), one]) == {"a"}
    assert not contradict(one, SignedVote("b", other.granted, other.accepted))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (accepted(1, "x"), accepted(1, "x")),
        (accepted(1, "x"), accepted(2, "y")),
        (accepted(1, "x"), granted(1)),  # accepted after the grant
        (granted(2), granted(2, Accepted(2, "x"))),  # the grant was asked for again
        (accepted(1, "x"), granted(2, Accepted(1, "x"))),
        (accepted(3, "x"), granted(2)),
        (granted(2), granted(3)),
    ],
)
def test_votes_of_an_honest_site(one: SignedVote, other: SignedVote) -> None:
    assert not contradict(one, other)
    assert not contradict(other, one)


def test_liars_in_a_few_schedules() -> None:
    for decides in ("majority", "byzantine"):
        found = try_liars(Rules(), 60, Random(14), decides)
        assert not found.broken, found


@pytest.mark.slow
def test_two_sites_of_one_vendor_that_never_meet_cannot_fork_without_evidence() -> None:
    found = try_liars(Rules(), 1_000, Random(14), "majority", twice=True)
    assert not found.broken, found
    assert found.forked, "it was tried"
    found = try_liars(Rules(), 500, Random(14), "byzantine", twice=True)
    assert not found.broken, found


def each_site_counts(voters: Collection[str], roster: Collection[str], of: Quorum) -> bool:
    return len(list(voters)) >= quorum_size(len(roster), of)


def test_random_schedules_find_that_two_sites_of_one_vendor_count_twice() -> None:
    rules = Rules(has_quorum=each_site_counts)
    found = try_liars(rules, 1000, Random(14), "byzantine", twice=True)
    print(found)
    assert found.broken


@pytest.mark.slow
@pytest.mark.parametrize("liar", range(3))
def test_one_liar_of_three_cannot_fork_without_evidence(liar: int) -> None:
    found = explore(World(3, liars=frozenset({liar})), attempts=2)
    assert not found.broken, found
    assert found.tried > 500, "all of it has been explored"


@pytest.mark.slow
@pytest.mark.parametrize("liar", range(4))
def test_one_liar_of_four_cannot_fork(liar: int) -> None:
    found = explore(World(4, quorum="byzantine", liars=frozenset({liar})), attempts=2)
    assert not found.broken, found


@pytest.mark.slow
@pytest.mark.parametrize("decides", ["majority", "byzantine"])
def test_no_random_schedule_with_liars_breaks_the_rules(decides: Quorum) -> None:
    found = try_liars(Rules(), SCHEDULES, Random(14), decides)
    assert not found.broken, found
    assert found.tried == SCHEDULES


def one_short(voters: Collection[str], roster: Collection[str], of: Quorum) -> bool:
    return len(set(voters) & set(roster)) >= quorum_size(len(roster), of) - 1


def any_of_two(grants: Iterable[Accepted | None]) -> Accepted | None:
    named = (each for each in grants if each)
    return max(named, key=lambda each: (each.attempt, each.record), default=None)


BROKEN: dict[str, tuple[Rules, Quorum]] = {
    "one less than a byzantine quorum is enough": (Rules(has_quorum=one_short), "byzantine"),
    "one of two records under one attempt is proposed": (
        Rules(must_propose=any_of_two),
        "byzantine",
    ),
    "a record needs no grants": (Rules(checks_proofs=False), "byzantine"),
    "the grants are not kept with the record": (Rules(keeps_proofs=False), "majority"),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_random_schedules_find_the_flaw(rule: str) -> None:
    rules, decides = BROKEN[rule]
    found = try_liars(rules, 1000, Random(14), decides)
    print(f"{rule}: {found}")
    assert found.broken
