"""Orders of two admins: who replaces whose is said, and no count is above its plan."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.operating.run_orders import about_replaced, require_no_cut
from deploy.operating.status import site_status
from strategies.errors import ConfigurationError
from strategies.protocol.records import RunOrder
from tests.support.quick_sites import quick_federation

HASH = "0" * 64


def order(number: int, rounds: int, vendor: str = "a") -> RunOrder:
    return RunOrder(number=number, federation=HASH, rounds=rounds, vendor=vendor)


@pytest.mark.parametrize(
    ("rounds", "change"),
    [(10, "3 rounds more"), (7, "the same end"), (6, "1 round fewer")],
)
def test_order_says_whose_it_replaces_and_what_changes(rounds: int, change: str) -> None:
    text = about_replaced(order(2, 7, "borealis"), order(3, rounds, "aster"), done=5)
    assert "replaces order 2 of borealis, which had 5 of 7 rounds done" in text
    assert change in text


def test_run_of_another_vendor_is_not_cut_by_a_new_order() -> None:
    with pytest.raises(ConfigurationError, match=r"order 2 of borealis goes on until round 32"):
        require_no_cut(order(2, 32, "borealis"), "aster", 3)
    require_no_cut(order(2, 32, "borealis"), "aster", 32)
    require_no_cut(order(2, 32, "borealis"), "borealis", 3)
    require_no_cut(None, "aster", 3)


def test_first_order_replaces_nothing() -> None:
    assert about_replaced(None, order(1, 7), done=0) == ""
    assert about_replaced(order(3, 7), order(3, 7), done=0) == ""


def test_never_more_rounds_than_planned(tmp_path: Path) -> None:
    """An order may name a round that is behind already, as two admins count from two heads."""
    with quick_federation(tmp_path, ("a", "b", "c")) as sites:
        sites.clear()
        sites.order("a", rounds=3)
        sites.run_to(3)
        sites.order("b", rounds=2, number=2)
        found = site_status(sites.site("a"))
        assert found.rounds == 3
        told = re.search(r"(\d+) of (\d+) terms", found.what_happened)
        assert told is not None and int(told[1]) <= int(told[2])
