"""Rules of server election."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.election import (
    Cycle,
    Election,
    ElectionPolicy,
    Fixed,
    Random,
    RoundRobin,
    Score,
    election_policy,
    first_ranking,
    ranking_after,
    score,
    served_in_cycle,
)
from strategies.protocol.records import Ballot, TermRecord
from strategies.settings import ElectionSettings
from tests.support.records import make_ballots, make_record

ROSTER = ("a", "b", "c", "d")
POLICIES: list[ElectionPolicy] = [
    Cycle(0.5, 0),
    Cycle(0.5, 5),
    Score(0.5, 0),
    Score(0.5, 5),
    RoundRobin(),
    Random(65),
    Fixed("c"),
]

ballots = st.builds(
    Ballot,
    examples=st.integers(1, 10**6),
    loss=st.floats(-1e300, 1e300, allow_nan=False),
)


def election(
    given_ballots: Mapping[str, Ballot],
    term: int = 9,
    history: Sequence[TermRecord] = (),
    server: str | None = None,
    roster: tuple[str, ...] = ROSTER,
) -> Election:
    return Election(roster, given_ballots, history, server, term, term)


def servers_of(
    policy: ElectionPolicy, roster: tuple[str, ...], terms: Sequence[Mapping[str, Ballot]]
) -> list[str]:
    """Play terms in each of which exactly those with a ballot are present; return the servers."""
    ranking, history, servers = first_ranking(policy, roster), [], []
    for term, present in enumerate(terms, start=1):
        server = next(vendor for vendor in ranking if vendor in present)
        ranking = policy.rank(Election(roster, present, tuple(history), server, term + 1, term + 1))
        history.append(make_record(term, server=server, ballots=present, ranking=ranking))
        servers.append(server)
    return servers


# ---- the paper's score ---------------------------------------------------------------------------


def test_score_is_share_of_examples_plus_weighted_share_of_loss() -> None:
    votes = {"a": Ballot(examples=30, loss=0.5), "b": Ballot(examples=10, loss=1.5)}
    assert score(votes, 0.5) == pytest.approx({"a": 0.75 + 0.5 * 0.25, "b": 0.25 + 0.5 * 0.75})


@given(
    votes=st.dictionaries(
        st.sampled_from(ROSTER),
        st.builds(Ballot, examples=st.integers(1, 9999), loss=st.floats(1e-6, 100)),
        min_size=1,
    ),
    weight=st.floats(0, 10),
)
def test_scores_of_all_vendors_sum_to_one_plus_lambda(
    votes: dict[str, Ballot], weight: float
) -> None:
    assert sum(score(votes, weight).values()) == pytest.approx(1 + weight)


def test_losses_that_sum_to_zero_say_nothing() -> None:
    assert score(make_ballots(a=0.0, b=0.0), 0.5) == {"a": 0.5, "b": 0.5}


def test_score_serves_by_turn_for_k_rounds_and_then_by_score() -> None:
    policy = Score(loss_weight=0.5, by_turn_rounds=5)
    votes = make_ballots(a=0.1, b=0.9, c=0.5, d=0.2)
    first = [policy.rank(election(votes, term))[0] for term in range(1, 6)]
    assert first == ["a", "b", "c", "d", "a"]
    assert policy.rank(election(votes, 6)) == ("b", "c", "d", "a")


def test_score_elects_the_same_lossy_vendor_for_ever() -> None:
    terms = [make_ballots(a=0.1, b=0.9, c=0.5, d=0.2)] * 12
    assert servers_of(Score(0.5, 5), ROSTER, terms)[5:] == ["b"] * 7


def test_ties_are_broken_by_the_order_of_the_roster() -> None:
    votes = make_ballots(d=0.5, c=0.5, b=0.5, a=0.5)
    assert Score(0.5, 0).rank(election(votes)) == ROSTER


def test_lambda_of_zero_leaves_only_the_examples() -> None:
    votes = {v: Ballot(examples=n, loss=9.0 - n) for n, v in enumerate(ROSTER, start=1)}
    assert Score(0.0, 0).rank(election(votes)) == ("d", "c", "b", "a")


# ---- the cycle -----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(data=st.data(), vendors=st.integers(2, 6), by_turn=st.integers(0, 9))
def test_without_absences_every_vendor_serves_exactly_once_a_cycle(
    data: st.DataObject, vendors: int, by_turn: int
) -> None:
    roster = tuple("abcdef"[:vendors])
    terms = [{v: data.draw(ballots) for v in roster} for _ in range(3 * vendors)]
    servers = servers_of(Cycle(0.5, by_turn), roster, terms)
    for start in range(0, len(servers), vendors):
        assert sorted(servers[start : start + vendors]) == sorted(roster)


def test_cycle_takes_the_highest_score_of_those_yet_to_serve() -> None:
    terms = [make_ballots(a=0.1, b=0.9, c=0.5, d=0.2)] * 8
    assert "".join(servers_of(Cycle(0.5, 0), ROSTER, terms)) == "abcdbcda"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_vendor_that_is_always_present_serves_within_as_many_terms_as_there_are_vendors(
    data: st.DataObject,
) -> None:
    steady = data.draw(st.sampled_from(ROSTER))
    presences = st.sets(st.sampled_from(ROSTER)).map(lambda some: some | {steady})
    terms = [
        {v: data.draw(ballots) for v in sorted(present)}
        for present in data.draw(st.lists(presences, min_size=4, max_size=4))
    ]
    assert steady in servers_of(Cycle(0.5, 0), ROSTER, terms)


@pytest.mark.parametrize("seed", range(8))
def test_with_random_absences_nobody_is_skipped_for_ever(seed: int) -> None:
    rng = random.Random(seed)
    terms = []
    for _ in range(80):
        present = [v for v in ROSTER if rng.random() < 0.7] or ["a"]
        terms.append({v: Ballot(examples=10, loss=rng.random() ** 4) for v in present})
    servers = servers_of(Cycle(0.5, 5), ROSTER, terms)
    for vendor in ROSTER:
        turns = [-1, *(t for t, server in enumerate(servers) if server == vendor), len(servers)]
        assert max(later - one for one, later in itertools.pairwise(turns)) <= 25


def test_cycle_ends_when_all_present_have_served() -> None:
    history = [make_record(1, server="a", ballots=make_ballots(a=1, b=1, c=1))]
    assert served_in_cycle(election(make_ballots(a=1, b=1, c=1), 3, history, "b")) == {"a", "b"}
    assert served_in_cycle(election(make_ballots(a=1, b=1), 3, history, "b")) == frozenset()


# ---- all policies --------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@settings(max_examples=40, deadline=None)
@given(
    votes=st.dictionaries(st.sampled_from(ROSTER), ballots),
    term=st.integers(1, 50),
    served=st.lists(st.sampled_from(ROSTER), max_size=8),
)
def test_ranking_is_a_permutation_of_the_roster_with_the_absent_last(
    policy: ElectionPolicy, votes: dict[str, Ballot], term: int, served: list[str]
) -> None:
    history = [
        make_record(t, server=server, ballots=make_ballots(a=1, b=1, c=1, d=1))
        for t, server in enumerate(served, start=1)
    ]
    ranking = policy.rank(election(votes, term, history, served[-1] if served else None))
    assert sorted(ranking) == sorted(ROSTER)
    if not isinstance(policy, Fixed):
        assert set(ranking[: len(votes)]) == votes.keys()


def test_fixed_server_stays_first_even_when_absent() -> None:
    assert Fixed("c").rank(election(make_ballots(a=1))) == ("c", "a", "b", "d")


def test_round_robin_follows_the_roster() -> None:
    votes = make_ballots(a=1, b=9, c=1, d=1)
    assert [RoundRobin().rank(election(votes, t))[0] for t in range(1, 7)] == list("abcdab")


def test_random_order_is_reproducible_and_differs_by_seed_and_term() -> None:
    votes = make_ballots(**dict.fromkeys("abcdefgh", 1.0))
    roster = tuple("abcdefgh")

    def order(seed: int, term: int) -> tuple[str, ...]:
        return Random(seed).rank(election(votes, term, roster=roster))

    assert order(1, 1) == order(1, 1)
    assert len({order(seed, term) for seed in (1, 2) for term in (1, 2, 3)}) == 6


def test_random_order_serves_all_alike_in_the_long_run() -> None:
    votes = make_ballots(a=1, b=1, c=1, d=1)
    first = [Random(7).rank(election(votes, term))[0] for term in range(1, 2001)]
    assert all(400 < first.count(vendor) < 600 for vendor in ROSTER)


@pytest.mark.parametrize("policy", [p for p in POLICIES if not isinstance(p, Random | Fixed)])
def test_first_server_is_the_first_of_the_roster(policy: ElectionPolicy) -> None:
    assert first_ranking(policy, ROSTER) == ROSTER


def test_first_ranking_of_the_other_policies_is_theirs() -> None:
    assert first_ranking(Fixed("c"), ROSTER)[0] == "c"
    assert first_ranking(Random(3), ROSTER) == first_ranking(Random(3), list(ROSTER))


@pytest.mark.parametrize(
    ("head", "roster", "expected"),
    [
        (None, "abc", "cab"),  # term 1: the order before any ballot
        ("bca", "abc", "bca"),
        ("bca", "abcd", "bcad"),  # a newcomer stands in last
        ("bca", "ac", "ca"),  # without a member that a recovery has left behind
        (None, "ab", "ab"),
        ("bca", "de", "de"),  # nobody stays: the roster's own order
    ],
)
def test_ranking_after_a_record_is_its_own_among_those_who_decide(
    head: str | None, roster: str, expected: str
) -> None:
    record = make_record(ranking=tuple(head)) if head is not None else None
    assert ranking_after(record, "cab", roster) == tuple(expected)


@pytest.mark.parametrize(
    ("changes", "policy"),
    [
        ({}, Cycle(0.5, 5)),
        ({"policy": "score", "loss-weight": 2, "by-turn-rounds": 0}, Score(2.0, 0)),
        ({"policy": "round-robin"}, RoundRobin()),
        ({"policy": "random"}, Random(65)),
        ({"policy": "fixed", "server": "b"}, Fixed("b")),
    ],
)
def test_settings_name_the_policy(changes: dict[str, object], policy: ElectionPolicy) -> None:
    assert election_policy(ElectionSettings.model_validate(changes), seed=65) == policy
