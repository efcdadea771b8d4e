"""A forgetful site votes again only once sites that remember have told it enough."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from deploy.serving.term_server import _remember
from strategies.errors import FederationStopped
from strategies.protocol.messages import VotesTold

ROSTER = ("a", "b", "c", "d", "e")


def site(edition: int, remembered: list[int]) -> Any:
    """Return as much of a site as is asked."""
    protocol = SimpleNamespace(quorum="majority")
    return SimpleNamespace(
        federation=SimpleNamespace(roster=ROSTER, edition=edition, protocol=protocol),
        state=SimpleNamespace(ledger=SimpleNamespace(remember=remembered.append)),
    )


def told(term: int, edition: int, forgetful: bool = False) -> VotesTold:
    return VotesTold(term=term, accepted=False, forgetful=forgetful, edition=edition)


def test_one_that_remembers_must_know_the_edition_in_force() -> None:
    """Three that are behind do not know of its first term; a forgetful one may know its file."""
    behind, remembered = {v: told(4, 1) for v in "abc"}, list[int]()
    with pytest.raises(FederationStopped, match="knows this edition"):
        _remember(site(2, remembered), behind)
    with pytest.raises(FederationStopped, match="knows this edition"):
        _remember(site(2, remembered), {**behind, "d": told(5, 2, forgetful=True)})
    assert remembered == []
    _remember(site(2, remembered), {**behind, "d": told(5, 2)})
    assert remembered == [5]
