"""A server that cannot do its own part: the next vendor stands in at once, and nobody stops."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flwr.app import Error, Message
from rich.console import Console

from clients.learner import Trained
from clients.training import Work
from deploy.cli.status import show_status
from deploy.operating.status import site_status
from deploy.serving import term_server
from srflm_flower.client_app import answer_at
from srflm_flower.run.memory_grid import Deliver
from strategies.errors import (
    INTERNAL_ERROR,
    NO_REPLY,
    DataError,
    FederationStopped,
    MessageRefused,
)
from strategies.protocol import messages as wire
from strategies.protocol.records import Absence
from strategies.protocol.yielding import YIELD, YieldAttempt, signed_yield
from strategies.term.conversation import request
from strategies.weights import Weights
from tests.support.deployed import TIMEOUTS, pass_on
from tests.support.quick_sites import (
    InstantLearner,
    QuickFederation,
    content_of,
    kind_of,
    lost,
    quick_federation,
)

NAMES = ("a", "b", "c", "d")
PATH = "/srv/hospital/ct-of-ms-miller"


class BreakableFederation(QuickFederation):
    """Sites of which some cannot read their data, or not fine-tune, until they are mended."""

    blind: frozenset[str] = frozenset()
    overburdened: frozenset[str] = frozenset()

    def learner(self, *args: Any) -> InstantLearner:
        """Return the vendor's learner; raises :class:`DataError` where the data are not found."""
        plain = super().learner(*args)
        if plain.vendor in self.blind:
            raise DataError(f"no folder {PATH}", "the vendor's images", "correct `data`")
        return BreakableLearner(plain.vendor, plain.trained, plain.number, sites=self)


@dataclass(frozen=True, kw_only=True)
class BreakableLearner(InstantLearner):
    """A learner that cannot fine-tune where its site is overburdened."""

    sites: BreakableFederation

    def train(self, weights: Weights, work: Work, role: str, *more: Any, **named: Any) -> Trained:
        """Train as a client; as the server, too, where the site is not overburdened."""
        if role == "server" and self.vendor in self.sites.overburdened:
            raise MemoryError(PATH)
        return super().train(weights, work, role, *more, **named)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BreakableFederation]:
    folder = tmp_path_factory.mktemp("sites")
    with quick_federation(folder, NAMES, BreakableFederation) as federation:
        assert isinstance(federation, BreakableFederation)
        yield federation


@pytest.fixture
def sites(kept: BreakableFederation, monkeypatch: pytest.MonkeyPatch) -> BreakableFederation:
    """Return four sites; ``a`` is elected for term 1, and cannot read its data."""
    monkeypatch.setattr(term_server, "ORDER_PATIENCE", 0.02)
    kept.clear()
    kept.blind, kept.overburdened = frozenset("a"), frozenset()
    assert kept.order("b", rounds=3).result == "ordered"
    return kept


def yielded(sites: QuickFederation, at: str) -> list[tuple[str, int]]:
    found = sites.site(at).state.ledger.yielded(sites.head(at) + 1)
    return [(each.vendor, each.attempt) for each in found]


def attempts(sites: QuickFederation, vendor: str) -> list[str]:
    return [outcome.result for name, outcome in sites.outcomes[1:] if name == vendor]


@pytest.mark.parametrize("knows", [False, True])
def test_next_vendor_commits_the_term_in_one_turn(sites: BreakableFederation, knows: bool) -> None:
    sites.launchers_know_nodes = knows
    assert sites.turn() == "a"
    assert [yielded(sites, vendor) for vendor in NAMES] == [[("a", 0)]] * 4
    heard = sites.now
    assert sites.turn() == "b"
    assert sites.now == heard + 1.0, "it has waited for nothing"
    assert [(name, outcome.result) for name, outcome in sites.outcomes[1:]] == [
        ("a", "yielded"),
        ("b", "committed"),
    ]
    assert {sites.head(vendor) for vendor in NAMES} == {1}
    assert [yielded(sites, vendor) for vendor in NAMES] == [[]] * 4
    (committed,) = sites.committed("a")
    record = committed.record
    assert (record.server, record.attempt, record.lost_servers) == ("b", 1, ("a",))
    (absence,) = [each for each in record.absences if each.attempt == 0]
    assert (absence.phase, absence.code) == ("finetune", DataError.MISSING)
    assert "a" in committed.certificate.acceptances, "it still votes"
    sites.blind = frozenset()
    sites.complete()


def test_vendor_that_yields_trains_as_a_client_if_it_can(sites: BreakableFederation) -> None:
    sites.blind, sites.overburdened = frozenset(), frozenset("a")
    sites.turn()
    sites.turn()
    (record,) = sites.records("b")
    assert attempts(sites, "a") == ["yielded"]
    assert (record.server, record.clients) == ("b", ("a", "c", "d"))
    assert {each.code for each in record.absences} == {INTERNAL_ERROR}


def test_others_keep_their_time_outs(sites: BreakableFederation) -> None:
    sites.turn()
    sites.down = {"b"}
    heard = sites.now
    assert sites.turn() == "c"
    assert sites.now == heard + TIMEOUTS.open + 1.0


@pytest.mark.parametrize("how", ["lost", "unknown there"])
def test_site_that_does_not_hear_it_waits_and_holds_nobody_up(
    sites: BreakableFederation, how: str
) -> None:
    """A site of an older version has no function for the message: Flower answers with an error."""

    def unknown(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        if kind_of(message) == YIELD and site == "b":
            return Message(Error(code=2, reason="No query function"), reply_to=message)
        return deliver(message)

    before = content_of(sites.site("b"))["votes"]
    sites.fault = unknown if how != "lost" else lost(YIELD, to=("b",))
    sites.turn()
    assert attempts(sites, "a") == ["yielded"]
    assert yielded(sites, "b") == []
    assert content_of(sites.site("b"))["votes"] != before, "it took part as usual"
    heard = sites.now
    assert sites.turn() == "c"
    assert sites.now <= heard + TIMEOUTS.open + 1.0
    assert {sites.head(vendor) for vendor in NAMES} == {1}


def test_message_that_reaches_nobody_leaves_the_time_outs(sites: BreakableFederation) -> None:
    sites.fault = lost(YIELD)
    sites.turn()
    sites.fault, since = pass_on, sites.now
    sites.turn()
    assert sites.now >= since + TIMEOUTS.commit
    assert attempts(sites, "a").count("yielded") == len(attempts(sites, "a"))
    assert sites.site("a").state.ledger.votes(1).granted > 0, "not the same attempt again"
    sites.complete()


def test_server_without_a_quorum_does_not_yield(sites: BreakableFederation) -> None:
    sites.down = {"c", "d"}
    outcome = sites.perform("a")
    assert (outcome.result, outcome.code) == ("failed", FederationStopped.NO_QUORUM)
    assert yielded(sites, "a") == yielded(sites, "b") == []


def test_server_that_is_lost_again_is_lost_in_the_later_attempt(sites: BreakableFederation) -> None:
    sites.perform("a")

    def no_answer(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        return deliver(message) if (site, kind_of(message)) != ("a", wire.OPEN) else None

    sites.fault = no_answer
    outcome = sites.perform("a", attempt=4)
    assert (outcome.result, outcome.code) == ("failed", NO_REPLY), "its node may not be connected"
    assert yielded(sites, "b") == [("a", 0)]


# ---- all of them -----------------------------------------------------------------------------


@pytest.mark.parametrize("mended", NAMES)
def test_federation_of_which_all_fail_comes_back_when_one_is_mended(
    sites: BreakableFederation, mended: str
) -> None:
    sites.blind, sites.overburdened = frozenset(), frozenset(NAMES)
    assert [sites.turn() for _ in NAMES] == list(NAMES)
    at_once = sites.now
    assert at_once == len(NAMES), "each has served as soon as the one before has yielded"
    assert sites.turn() == "a", "after all the others"
    assert sites.now > at_once + TIMEOUTS.open, "not without a pause"
    sites.overburdened -= {mended}
    for _ in NAMES:
        sites.turn()
    record = sites.records("a")[0]
    # When it is mended, a has just failed a second time.
    assert (record.server, record.attempt) == (mended, {"a": 8, "b": 5, "c": 6, "d": 7}[mended])
    sites.overburdened = frozenset()
    sites.complete()


def test_vendor_that_is_started_again_tries_its_attempt_again(sites: BreakableFederation) -> None:
    sites.fault = lost(YIELD)  # else another one has served by then
    sites.turn()
    assert yielded(sites, "a") == [("a", 0)]
    sites.blind = frozenset()
    sites.restart("a")
    assert yielded(sites, "a") == []
    assert sites.turn() == "a"
    assert sites.records("a")[0].attempt == 0


def test_start_of_another_site_does_not_forget_who_yields(sites: BreakableFederation) -> None:
    sites.turn()
    sites.restart("b")
    assert yielded(sites, "b") == [("a", 0)]


# ---- lies ------------------------------------------------------------------------------------


def told_by(
    sites: QuickFederation, by: str, server: str, attempt: int, term: int = 1
) -> YieldAttempt:
    """Return a message in which ``by`` signs that ``server`` yields."""
    envelope = wire.Envelope(
        federation=sites.site(by).federation.hash, term=term, attempt=attempt, server=server
    )
    failed = Absence(vendor=server, phase="finetune", code=DataError.MISSING, attempt=attempt)
    return signed_yield(envelope, failed, sites.site(by).keys)


@pytest.mark.parametrize(
    ("by", "server", "attempt", "term", "sender", "code"),
    [
        ("d", "a", 0, 1, "d", MessageRefused.SERVER),
        ("d", "a", 0, 1, "a", MessageRefused.SIGNATURE),
        ("d", "d", 0, 1, "d", MessageRefused.SERVER),
        ("d", "d", 1, 1, "d", MessageRefused.SERVER),
        ("a", "a", 0, 2, "a", MessageRefused.TERM),
        ("a", "a", 4, 1, "d", MessageRefused.SERVER),
    ],
)
def test_nobody_makes_another_vendor_yield(
    sites: BreakableFederation,
    by: str,
    server: str,
    attempt: int,
    term: int,
    sender: str,
    code: str,
) -> None:
    site = sites.site("b")
    before = content_of(site)
    message = request(told_by(sites, by, server, attempt, term), YIELD, 2)
    reply = wire.unpack(answer_at(lambda: site, message, sender), wire.Reply)
    assert (reply.status, reply.code) == ("failed", code)
    assert content_of(site) == before


def test_message_of_an_old_term_or_a_lower_attempt_is_refused(sites: BreakableFederation) -> None:
    sites.fault = lost(YIELD)
    sites.turn()
    old = request(told_by(sites, "a", "a", 0), YIELD, 2)
    sites.fault = lost(wire.COMMIT, to=("d",))
    sites.perform("b", attempt=1)
    for vendor, code in (("c", MessageRefused.TERM), ("d", MessageRefused.ATTEMPT)):
        answer = answer_at(lambda vendor=vendor: sites.site(vendor), old, "a")  # type: ignore[misc]
        assert wire.unpack(answer, wire.Reply).code == code
        assert yielded(sites, vendor) == []


def test_who_yields_changes_no_promise_and_fills_no_disk(sites: BreakableFederation) -> None:
    site = sites.site("b")
    before = content_of(site)
    for attempt in (3, 7, 4 * 10**12 + 3, 11):
        message = request(told_by(sites, "d", "d", attempt), YIELD, 2)
        assert wire.unpack(answer_at(lambda: site, message, "d"), wire.Reply).status == "done"
    after = content_of(site)
    assert yielded(sites, "b") == [("d", 4 * 10**12 + 3)]
    assert {name for name in after if after[name] != before[name]} == {"yielded"}
    sites.turn()
    assert sites.turn() == "b"
    assert sites.records("b")[0].lost_servers == ("a",), "of later attempts nothing is said"


# ---- what the operators see ------------------------------------------------------------------


def shown(sites: QuickFederation, vendor: str) -> list[str]:
    console = Console(width=400, record=True, file=io.StringIO())
    show_status(site_status(sites.site(vendor)), console)
    return [line for line in console.export_text().splitlines() if "yield" in line]


def test_status_says_so_in_one_line_here_and_there(sites: BreakableFederation) -> None:
    sites.turn()
    (here,), (there,) = shown(sites, "a"), shown(sites, "c")
    for line in (here, there):
        assert "attempt 0" in line and DataError.MISSING in line
        assert PATH not in line
    assert "site.log" in here
    assert "a, attempt 0" in there
    log = (sites.folders["a"] / "state" / "site.log").read_text(encoding="utf-8")
    assert PATH in log, "at home the operator finds the path"
    for vendor in "bcd":
        for path in sites.folders[vendor].rglob("*"):
            assert not path.is_file() or PATH.encode() not in path.read_bytes()
    sites.turn()
    assert shown(sites, "a") == shown(sites, "c") == []
