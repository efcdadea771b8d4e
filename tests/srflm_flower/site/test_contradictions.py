"""Sites compare their histories; two committed records of one term are kept, with who signed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.operating.status import site_status
from srflm_flower.site.evidence.contradictions import Contradiction, contradictions
from strategies.protocol.records import Certificate, Committed
from strategies.protocol.signatures import acceptance_statement, record_statement
from tests.support.quick_sites import QuickFederation, quick_federation


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFederation]:
    with quick_federation(tmp_path_factory.mktemp("three"), ("a", "b", "c")) as federation:
        yield federation


def forked(sites: QuickFederation, vendor: str, signers: str) -> Committed:
    """Give ``vendor`` another record of its last term, signed by the sites of ``signers``."""
    head = sites.committed(vendor)[-1]
    record = head.record.model_copy(update={"learning_rate": 0.123})
    proposal = sites.site(record.server).keys.sign(record_statement(record))
    acceptances = {
        signer: sites.site(signer).keys.sign(acceptance_statement(signer, record, 0))
        for signer in signers
    }
    certificate = Certificate(attempt=0, proposal=proposal, acceptances=acceptances)
    with sites.site(vendor).state.ledger.deciding() as db:
        db.execute(
            "UPDATE records SET hash = ?, record = ?, certificate = ? WHERE term = ?",
            (record.hash, record.model_dump_json(), certificate.model_dump_json(), record.term),
        )
    return Committed(record=record, certificate=certificate)


def found_at(sites: QuickFederation, vendor: str) -> list[Contradiction]:
    """Return the contradictions that a site has found."""
    return contradictions(sites.site(vendor).state.ledger)


def begun(sites: QuickFederation) -> QuickFederation:
    """Return the sites with two terms that all have."""
    sites.clear()
    assert sites.order("b", rounds=9).result == "ordered"
    sites.run_to(2)
    for vendor in sites.roster:
        assert sites.ask_others(vendor).result == "synced"
        assert found_at(sites, vendor) == []
    return sites


def test_every_site_finds_another_history_by_asking(sites: QuickFederation) -> None:
    other = forked(begun(sites), "c", "bc")
    for vendor in sites.roster:
        sites.ask_others(vendor)
    assert [each.other for each in found_at(sites, "a")] == [other]
    assert [each.other for each in found_at(sites, "b")] == [other]
    assert [each.own for each in found_at(sites, "c")] == [other]
    (found,) = found_at(sites, "a")
    assert set(found.signed_both) == {"b", "c"} & set(found.own.certificate.acceptances)
    (said,) = site_status(sites.site("a")).contradictions
    assert "term 2 has two committed records" in said
    assert "b, c" in said


def test_what_no_majority_has_signed_is_no_contradiction(sites: QuickFederation) -> None:
    """Else a single liar could raise the alarm at all sites."""
    forked(begun(sites), "c", "c")
    for vendor in "ab":
        sites.ask_others(vendor)
        assert found_at(sites, vendor) == []
