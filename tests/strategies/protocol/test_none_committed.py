"""Where sites refuse records that harm, a server may leave out a record that none has committed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from random import Random

import pytest

from strategies.protocol.quorum import Accepted, none_committed
from strategies.protocol.records import Quorum
from tests.support.quorum.lying import try_liars
from tests.support.quorum.search import explore, try_schedules
from tests.support.quorum.world import Rules, World

GUARDED = Rules(none_committed=none_committed)


def told(grants: str) -> dict[str, Accepted | None]:
    """Return grants by name: in capitals those that name a record as accepted."""
    return {each.lower(): Accepted(0, "x") if each.isupper() else None for each in grants}


@pytest.mark.parametrize(
    ("grants", "roster", "quorum", "free"),
    [
        ("abc", "abc", "majority", True),
        ("ab", "abc", "majority", True),
        ("Abc", "abc", "majority", True),
        ("Ab", "abc", "majority", False),  # c can have accepted it, too
        ("ABc", "abc", "majority", False),
        ("Abc", "abcd", "majority", True),  # with d they would be two of the three that decide
        ("ABc", "abcd", "majority", False),
        ("ABcd", "abcd", "majority", True),
        ("ABCd", "abcd", "majority", False),
        ("Abcd", "abcd", "byzantine", True),
        ("Abc", "abcd", "byzantine", False),  # d, and one that lies and tells of nothing
        ("ABcd", "abcd", "byzantine", False),
        ("Xabc", "abc", "majority", True),  # a stranger's word counts for nothing
        ("", "abc", "majority", False),
    ],
)
def test_grants_show_that_no_quorum_can_have_accepted_a_record(
    grants: str, roster: str, quorum: Quorum, free: bool
) -> None:
    assert none_committed(told(grants), tuple(roster), quorum) is free


def test_guarded_servers_in_a_few_schedules() -> None:
    found = try_schedules(GUARDED, 200, Random(14))
    assert not found.broken, found
    for decides in ("majority", "byzantine"):
        found = try_liars(GUARDED, 60, Random(14), decides)
        assert not found.broken, found


@pytest.mark.slow
def test_no_schedule_of_three_guarded_sites_breaks_the_rules() -> None:
    found = explore(World(3, GUARDED), attempts=2, crashes=1)
    assert not found.broken, found
    assert found.tried > 10_000, "all of it has been explored"


@pytest.mark.slow
@pytest.mark.parametrize("decides", ["majority", "byzantine"])
def test_no_random_schedule_of_guarded_sites_with_liars_breaks_the_rules(decides: Quorum) -> None:
    found = try_liars(GUARDED, 3_000, Random(14), decides)
    assert not found.broken, found


@pytest.mark.parametrize("heard", ["silent", "named"])
@pytest.mark.slow
def test_random_schedules_find_a_server_that_is_free_too_early(heard: str) -> None:
    """Both those that have not been heard and those that name a record can have accepted it."""

    def too_early(told: Mapping[str, Accepted | None], roster: Collection[str], of: Quorum) -> bool:
        if heard == "silent":  # the silent are left out
            return none_committed(told, [each for each in roster if each in told], of)
        return none_committed(dict.fromkeys(told), roster, of)

    found = try_schedules(Rules(none_committed=too_early), 10_000, Random(14))
    assert found.broken
