"""Vendors whose signatures contradict each other: found, kept, told, named, and not obeyed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from deploy.operating.status import site_status
from deploy.site.deployed_site import DeployedSite
from deploy.site.site_on_disk import site_on_disk
from deploy.site.verification import verify_site
from srflm_flower.site.evidence.signed_votes import (
    evidence,
    hear_evidence,
    look_for_evidence,
    not_obeyed,
    note_in,
)
from strategies.errors import MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.equivocation import check_evidence, find_evidence
from strategies.protocol.evidence_nouns import Acceptance, ClientWork, Evidence, Said
from strategies.protocol.records import Ballot, Grant, LogAnchor, SignedWork, TermRecord
from strategies.protocol.signatures import acceptance_statement, sign_grant, sign_proposal
from strategies.protocol.signed_answers import work_statement
from tests.support.quick_sites import QuickFederation, keep_accepts, quick_federation
from tests.support.stage import Stage, ask, staged


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("stage")) as found:
        yield found


@pytest.fixture
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFederation]:
    with quick_federation(tmp_path_factory.mktemp("five"), tuple("abcde")) as federation:
        federation.clear()
        assert federation.order("b", rounds=9).result == "ordered"
        federation.run_to(1)
        yield federation


def signed_pairs(site: DeployedSite, record: TermRecord) -> dict[str, tuple[Said, Said]]:
    """Return for each kind two signatures of the site's vendor that contradict each other."""
    keys, vendor = site.keys, site.vendor
    federation, term = record.federation, record.term
    own = record.model_copy(update={"server": vendor})
    second = own.model_copy(update={"learning_rate": 0.5})

    def made(what: TermRecord) -> Said:
        return Said(record=sign_proposal(what, keys))

    def accepted(what: TermRecord, attempt: int) -> Said:
        signature = keys.sign(acceptance_statement(vendor, what, attempt))
        return Said(acceptance=Acceptance(record=what, attempt=attempt, signature=signature))

    def granted(attempt: int, before: int = -1, named: str = "") -> Said:
        plain = Grant(vendor=vendor, attempt=attempt, accepted_attempt=before, accepted=named)
        return Said(grant=sign_grant(federation, term, plain, keys))

    def trained(loss: float) -> Said:
        envelope = wire.Envelope(federation=federation, term=term, attempt=1, server=record.server)
        ballot = Ballot(examples=3, loss=loss)
        signature = keys.sign(work_statement(envelope, vendor, 2, "client", ballot, 7))
        told = SignedWork(round=2, role="client", ballot=ballot, steps=7, signature=signature)
        return Said(ballot=ClientWork(attempt=1, server=record.server, told=told))

    return {
        "two records": (made(own), made(second)),
        "two acceptances": (accepted(own, 3), accepted(second, 3)),
        "two grants": (granted(3, 1, own.hash), granted(4)),
        "a grant that forgets an acceptance": (accepted(own, 1), granted(2)),
        "two ballots": (trained(0.5), trained(0.25)),
    }


PAIRS = (
    "two records",
    "two acceptances",
    "two grants",
    "a grant that forgets an acceptance",
    "two ballots",
)


def pairs_of(stage: Stage) -> dict[str, tuple[Said, Said]]:
    return signed_pairs(stage.sites.site(stage.site), stage.record)


def found(stage: Stage, pair: tuple[Said, Said]) -> Evidence | None:
    record = stage.record
    keys = stage.sites.site(stage.site).keys
    return next(iter(find_evidence(stage.site, record.federation, record.term, pair, keys)), None)


def found_of(sites: QuickFederation, vendor: str, kind: str = "two records") -> Evidence:
    """Return evidence against a vendor in the last committed term."""
    record, site = sites.records("a")[-1], sites.site(vendor)
    pair = signed_pairs(site, record)[kind]
    (evidence,) = find_evidence(vendor, record.federation, record.term, pair, site.keys)
    return evidence


def tell(site: DeployedSite, *told: Evidence) -> None:
    hear_evidence(site.state.ledger, told, site.federation.as_edition, site.keys)


@pytest.mark.parametrize("kind", PAIRS)
def test_two_signatures_of_one_vendor_are_evidence_for_anybody(stage: Stage, kind: str) -> None:
    evidence = found(stage, pairs_of(stage)[kind])
    assert evidence is not None
    told = Evidence.model_validate_json(evidence.model_dump_json())
    for vendor in stage.sites.roster:
        check_evidence(told, stage.sites.site(vendor).keys)
    assert stage.site in str(told)


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("lie", ["vendor", "term", "federation", "same", "signature"])
def test_nobody_can_invent_evidence_against_another(stage: Stage, kind: str, lie: str) -> None:
    one, other = pairs_of(stage)[kind]
    true = found(stage, (one, other))
    assert true is not None
    liar = stage.record.server
    changes: dict[str, dict[str, object]] = {
        "vendor": {"vendor": liar},
        "term": {"term": true.term + 1},
        "federation": {"federation": "0" * 64},
        "same": {"other": one},
        "signature": {"one": _forged(one)},
    }
    false = true.model_copy(update=changes[lie])
    with pytest.raises(MessageRefused):
        check_evidence(false, stage.sites.site(liar).keys)


def _forged(said: Said) -> Said:
    plain = said.model_dump(exclude_none=True)
    inner = plain[said.kind]
    place = inner["told"] if said.kind == "ballot" else inner
    place["signature"] = "00" * 64
    return Said.model_validate(plain)


def test_what_an_honest_site_signs_is_no_evidence(stage: Stage) -> None:
    pairs = pairs_of(stage)
    of_record, acceptance = pairs["two records"][0], pairs["two acceptances"][0]
    assert found(stage, (of_record, acceptance)) is None
    assert found(stage, (acceptance, acceptance)) is None
    assert found(stage, (pairs["two ballots"][0], acceptance)) is None


def test_two_ballots_do_not_hide_two_votes(stage: Stage) -> None:
    pairs = pairs_of(stage)
    said = (*pairs["two ballots"], *pairs["two grants"], *pairs["two records"])
    keys, record = stage.sites.site(stage.site).keys, stage.record
    of_ballots, of_votes = find_evidence(stage.site, record.federation, record.term, said, keys)
    assert (of_ballots.is_of_votes, of_votes.is_of_votes) == (False, True)


# ---- a federation whose server makes two records -----------------------------------------------


def test_server_that_makes_two_records_is_named_by_all_and_obeyed_by_none(
    sites: QuickFederation,
) -> None:
    liar, *honest = sites.records("a")[0].ranking
    sites.liars = True
    asked: list[wire.Accept] = []
    sites.fault = keep_accepts(asked)
    sites.perform(liar, attempt=0)  # nobody gets its record
    true, model = asked[0], sites.site(liar).models.get(asked[0].proposal.record.model)
    record = true.proposal.record.model_copy(update={"cost": {}})
    proposal = sign_proposal(record, sites.site(liar).keys)
    false = true.model_copy(update={"proposal": proposal})
    # Each of the two is good, and one site accepts each.
    stage = Stage(sites, true, false, model, honest[0])
    assert ask(stage, true, wire.ACCEPT, liar).signature
    assert ask(dataclasses.replace(stage, site=honest[1]), false, wire.ACCEPT, liar).signature
    sites.fault = lambda server, site, message, deliver: deliver(message)
    federation = sites.site(liar).federation.hash
    assert not any(not_obeyed(sites.site(v).state.ledger, federation) for v in honest)
    # The server that stands in sees both, and its commit tells all.
    sites.down = {liar}
    sites.run_to(2)
    sites.down = set()
    sites.agree()
    for vendor in honest:
        ledger = sites.site(vendor).state.ledger
        assert not_obeyed(ledger, federation) == {liar}, vendor
        (said,) = site_status(sites.site(vendor)).evidence
        assert f"{liar} has signed two records in term 2" in said
    # Whatever it asks as a server is refused now, and the terms go on without it.
    envelope = true.envelope.model_copy(update={"term": 3})
    ledger = sites.site(honest[0]).state.ledger
    attempt = ledger.last().ranking.index(liar)
    opening = wire.OpenAttempt(
        envelope=envelope.model_copy(update={"attempt": attempt}),
        parent=ledger.last().hash,
        model=ledger.last().model,
    )
    with pytest.raises(MessageRefused) as caught:
        ask(stage, opening, wire.OPEN, liar)
    assert caught.value.code == MessageRefused.LIAR
    assert ledger.votes(3).granted == -1, "it has promised nothing"
    sites.run_to(4)
    assert liar not in {each.server for each in sites.records(honest[0])[2:]}
    sites.agree()


def test_refused_record_and_a_later_one_are_two_all_the_same(stage: Stage) -> None:
    server, site = stage.record.server, stage.sites.site(stage.site)
    for loss in (0.5, 0.25):
        false = stage.signed(server, learning_rate=loss)
        with pytest.raises(MessageRefused):
            ask(stage, false, wire.ACCEPT, server)
    assert not_obeyed(site.state.ledger, site.federation.hash) == {server}


def test_slander_is_not_kept(stage: Stage) -> None:
    site, victim = stage.sites.site(stage.site), stage.site
    for kind, (one, other) in pairs_of(stage).items():
        good = found(stage, (one, other))
        assert good is not None
        tell(site, good.model_copy(update={"other": one}), good.model_copy(update={"vendor": "x"}))
        assert not [e for e in evidence(site.state.ledger) if e.vendor == victim], kind


def test_no_vote_is_hidden_behind_forged_ones_or_other_signatures(sites: QuickFederation) -> None:
    """The list is short, so that nobody fills a disk: only what is genuine comes on it, once."""
    victim, site, record = sites.site("d"), sites.site("b"), sites.records("a")[-1]
    edition, pairs = site.federation.as_edition, signed_pairs(victim, record)
    made, (accepted, granted) = pairs["two records"][0], pairs["a grant that forgets an acceptance"]
    assert accepted.acceptance is not None and granted.grant is not None
    own, forged = accepted.acceptance.record, granted.grant.model_copy(update={"signature": "00"})
    told = [Said(grant=forged.model_copy(update={"accepted": str(n)})) for n in range(20)]
    for n in range(20):
        log = LogAnchor(lines=n, head="0" * 64)
        signature = victim.keys.sign(acceptance_statement("d", own, 1, log))
        again = Acceptance(record=own, attempt=1, signature=signature, log=log)
        told.append(Said(acceptance=again))
    told += [made, accepted, granted]
    with site.state.ledger.deciding() as db:
        note_in(db, edition, record.term, [("d", each) for each in told], site.keys)
    look_for_evidence(site.state.ledger, edition, record.term, site.keys)
    assert not_obeyed(site.state.ledger, edition.federation) == {"d"}


def test_evidence_reaches_a_site_that_asks(sites: QuickFederation) -> None:
    tell(sites.site("b"), found_of(sites, "d"))
    for vendor in sites.roster:
        assert sites.ask_others(vendor).result == "synced"
        assert [e.vendor for e in evidence(sites.site(vendor).state.ledger)] == ["d"]


def test_two_ballots_are_named_but_stop_no_server(sites: QuickFederation) -> None:
    """A site that has lost its disk trains once more: that does no harm to any record."""
    site = sites.site("b")
    tell(site, found_of(sites, "d", "two ballots"))
    (said,) = site_status(site).evidence
    assert "two ballots" in said and "lost its state" in said
    assert not not_obeyed(site.state.ledger, site.federation.hash)


def test_evidence_ends_with_the_edition(sites: QuickFederation) -> None:
    site, against = sites.site("b"), found_of(sites, "d")
    tell(site, against)
    assert not_obeyed(site.state.ledger, site.federation.hash) == {"d"}
    (kept,) = verify_site(site_on_disk(sites.folders["b"])).evidence
    assert kept == against, "anybody can check it on a copy of the site's folder"
    later = site.federation.as_edition.model_copy(update={"federation": "1" * 64})
    hear_evidence(site.state.ledger, [against], later, site.keys)
    assert not not_obeyed(site.state.ledger, later.federation)
