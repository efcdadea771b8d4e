"""``srflm verify`` recomputes what a majority has signed: signatures of figures, and elections."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.site.verification import verify_site
from strategies.errors import LedgerError, MessageRefused
from strategies.protocol.records import Ballot, Certificate, TermRecord
from strategies.protocol.signatures import acceptance_statement, sign_proposal
from tests.support.quick_sites import QuickFederation, lost, quick_federation

VENDORS = ("a", "b", "c")


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[QuickFederation]:
    """Return sites with one committed term."""
    with quick_federation(tmp_path, VENDORS) as sites:
        sites.clear()
        sites.order("a", rounds=9)
        sites.run_to(1)
        yield sites


def put(sites: QuickFederation, record: TermRecord) -> None:
    """Put a record that all have signed in the place of the one in ``a``'s ledger."""
    keys = {vendor: sites.site(vendor).keys for vendor in VENDORS}
    certificate = Certificate(
        attempt=record.attempt,
        proposal=sign_proposal(record, keys[record.server]).signature,
        acceptances={
            v: keys[v].sign(acceptance_statement(v, record, record.attempt)) for v in VENDORS
        },
    )
    with sqlite3.connect(sites.site("a").settings.state / "ledger.sqlite") as db:
        row = record.hash, record.model_dump_json(), certificate.model_dump_json(), record.term
        db.execute("UPDATE records SET hash = ?, record = ?, certificate = ? WHERE term = ?", row)
    db.close()


def test_honest_ledger_is_elected_in_every_term(sites: QuickFederation) -> None:
    sites.run_to(3)
    for vendor in VENDORS:
        assert verify_site(sites.site(vendor)).elected == 3


def test_ballot_that_a_majority_has_invented_for_another_is_found(sites: QuickFederation) -> None:
    record = sites.records("a")[0]
    ballots = {**record.ballots, "c": Ballot(examples=10, loss=77.0)}
    put(sites, record.model_copy(update={"ballots": ballots}))
    with pytest.raises(MessageRefused, match="ballot of 'c'"):
        verify_site(sites.site("a"))


def test_election_that_a_majority_has_invented_is_found(sites: QuickFederation) -> None:
    record = sites.records("a")[0]
    put(sites, record.model_copy(update={"ranking": record.ranking[::-1]}))
    with pytest.raises(LedgerError, match="its ballots do not give"):
        verify_site(sites.site("a"))


def test_record_of_an_older_version_is_told_from_a_signed_one(sites: QuickFederation) -> None:
    put(sites, sites.records("a")[0].model_copy(update={"signed": None}))
    found = verify_site(sites.site("a"))
    assert (len(found.hashes), found.elected) == (1, 0)


def test_vendor_whose_answer_was_lost_helps_a_stand_in_to_complete_the_term(
    sites: QuickFederation,
) -> None:
    """It refuses the server that left it out, but a record that another has accepted may count."""
    server, stand_in, client = sites.records("a")[0].ranking
    train = lost("train.local", to=(client,), reply_only=True)
    told = lost("query.commit")
    sites.fault = lambda by, to, message, deliver: train(
        by, to, message, lambda m: told(by, to, m, deliver)
    )
    accept = lost("query.accept", to=(server,), reply_only=True)
    both = sites.fault
    sites.fault = lambda by, to, message, deliver: accept(
        by, to, message, lambda m: both(by, to, m, deliver)
    )
    assert sites.perform(server, attempt=0).result != "committed"
    assert sites.site(client).state.ledger.accepted(2) is None, "it has refused"
    accepted = sites.site(stand_in).state.ledger.accepted(2)
    assert accepted is not None and client not in accepted.record.ballots
    sites.fault = lambda by, to, message, deliver: deliver(message)
    sites.down = {server}
    assert sites.perform(stand_in, attempt=1).result == "committed"
    assert sites.records(client)[1].hash == accepted.record.hash
