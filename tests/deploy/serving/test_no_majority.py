"""A majority that is away, however long: once it is back, the next term commits."""

from __future__ import annotations

import pytest

from deploy.serving import term_server
from strategies.errors import FederationStopped, MessageRefused
from strategies.protocol.admission import ATTEMPTS_A_MESSAGE
from strategies.protocol.messages import Envelope
from strategies.protocol.quorum import NONE_SEEN, grant, owner
from tests.support.quick_sites import QuickFederation

NAMES = ("a", "b", "c", "d")
TURNS = 5000


@pytest.fixture
def sites(kept: QuickFederation, monkeypatch: pytest.MonkeyPatch) -> QuickFederation:
    """Return four sites; ``b`` has ordered three rounds."""
    monkeypatch.setattr(term_server, "ORDER_PATIENCE", 0.02)
    kept.clear()
    assert kept.order("b", rounds=3).result == "ordered"
    return kept


def granted(sites: QuickFederation) -> list[int]:
    return [sites.site(vendor).state.ledger.votes(1).granted for vendor in NAMES]


@pytest.mark.parametrize(
    ("away", "turns"),
    [
        *(("cd", 200), ("ab", 50), ("ad", 50)),
        pytest.param("cd", TURNS, marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def test_half_of_the_sites_may_be_away_for_thousands_of_turns(
    sites: QuickFederation, away: str, turns: int
) -> None:
    sites.down = set(away)
    for _ in range(turns):
        sites.turn()
    assert {outcome.code for _, outcome in sites.outcomes[1:]} == {FederationStopped.NO_QUORUM}
    assert max(granted(sites)) <= 0, "attempts do not grow while nobody could decide"
    sites.down = set()
    sites.run_to(1, most=2)
    sites.complete(3)


@pytest.mark.parametrize("behind", ["c", "cd"])
def test_promises_that_half_of_the_sites_gave_long_ago_do_not_keep_the_others_out(
    sites: QuickFederation, behind: str
) -> None:
    """As sites of an earlier version would be found after a day without a majority."""
    for vendor in set(NAMES) - set(behind):
        ledger = sites.site(vendor).state.ledger
        with ledger.deciding() as db:
            ledger.keep_votes(db, grant(ledger.votes_in(db, 1), TURNS))
    sites.run_to(1, most=2)
    sites.complete(3)


def test_site_comes_nearer_to_a_huge_attempt_with_every_message(sites: QuickFederation) -> None:
    site = sites.site("c")
    view = site.site.participant.view()
    huge = 2 * ATTEMPTS_A_MESSAGE + 5
    asked = Envelope(
        federation=view.federation, term=1, attempt=huge, server=owner(huge, view.ranking)
    )
    for promise in (ATTEMPTS_A_MESSAGE, 2 * ATTEMPTS_A_MESSAGE):
        with pytest.raises(MessageRefused) as refused:
            site.site.participant.admit_server(asked, None, any_term=True)
        assert refused.value.code == MessageRefused.ATTEMPT
        assert granted(sites) == [NONE_SEEN, NONE_SEEN, promise, NONE_SEEN]
    site.site.participant.admit_server(asked, None, any_term=True)
    assert granted(sites)[2] == huge
    sites.complete(3)
