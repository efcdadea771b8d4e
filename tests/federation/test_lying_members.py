"""Lies of a member over the wire on real sites: of its server, and of the node of its site.

Each is refused and noted, and an honest round commits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from deploy.operating.status import site_status
from deploy.site.deployed_site import DeployedSite
from srflm_flower.site.evidence.signed_votes import not_obeyed
from strategies.errors import MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.records import Certificate, Committed, Proposal, TermRecord
from strategies.protocol.signatures import acceptance_statement, sign_proposal
from tests.support.attacks.false_models import false_model
from tests.support.attacks.rogue import (
    Rogue,
    audited,
    elected_rogue,
    head_of,
    next_record,
    rogue_at,
    training,
    unharmed,
)
from tests.support.sites import Sites, layout_of, programs_of, run_rounds, running_sites
from tests.support.tiny import tiny_federation
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    # The supervisors, which outlive whoever has started them.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
P = MessageRefused


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """Three sites that have committed a round."""
    folder = tmp_path_factory.mktemp("liars")
    federation = tiny_federation(
        folder, ("a", "b", "c"), run__answer_deadline=600, run__work_deadline=3600
    )
    with running_sites(folder / "sites", federation) as running:
        run_rounds(running, 1)
        yield running


# ---- false records, models, and amounts --------------------------------------------------------


def test_forged_records_are_neither_accepted_nor_committed(sites: Sites) -> None:
    """No majority has signed them, nor those in whose names they are."""
    with elected_rogue(sites) as (rogue, head):
        own, victim = rogue.site.vendor, rogue.peers[0]
        keys = rogue.site.keys
        record = next_record(head, own)
        unsigned = Proposal(record=record, signature="00" * 64)
        rogue.is_refused(
            P.SIGNATURE, wire.Accept(envelope=rogue.envelope(), proposal=unsigned), wire.ACCEPT
        )
        in_anothers_name = sign_proposal(next_record(head, victim), keys)
        proposed = wire.Accept(envelope=rogue.envelope(), proposal=in_anothers_name)
        rogue.is_refused(P.SERVER, proposed, wire.ACCEPT)
        acceptances = {
            vendor: keys.sign(acceptance_statement(vendor, record, 0)) for vendor in sites
        }
        signature = sign_proposal(record, keys).signature
        certificate = Certificate(attempt=0, proposal=signature, acceptances=acceptances)
        rogue.is_refused(P.SIGNATURE, commit(rogue, record, certificate), wire.COMMIT)


def commit(rogue: Rogue, record: TermRecord, certificate: Certificate) -> wire.Commit:
    committed = Committed(record=record, certificate=certificate)
    return wire.Commit(envelope=rogue.envelope(), records=(committed,))


def test_altered_record_with_its_true_certificate(sites: Sites) -> None:
    with elected_rogue(sites) as (rogue, head):
        (true,) = rogue.site.state.ledger.committed(head.term)
        for changes in ({"term": head.term + 1, "parent": head.hash}, {"model": "0" * 64}):
            altered = head.model_copy(update=changes)
            rogue.is_refused(P.SIGNATURE, commit(rogue, altered, true.certificate), wire.COMMIT)
        replies = rogue.ask(commit(rogue, head, true.certificate), wire.COMMIT)
        assert {r.status for r in replies.values()} == {"done"}, "the true one again is harmless"


def test_old_term_replayed_by_its_own_server(sites: Sites) -> None:
    head = head_of(sites)
    with unharmed(sites), rogue_at(sites, head.server) as rogue:
        old = rogue.envelope(term=head.term, attempt=head.attempt)
        rogue.is_refused(P.TERM, training(old, head), wire.TRAIN)
        record = head.model_copy(update={"learning_rate": 1.0})
        proposal = sign_proposal(record, rogue.site.keys)
        rogue.is_refused(P.TERM, wire.Accept(envelope=old, proposal=proposal), wire.ACCEPT)


# ---- a site whose worker lies ------------------------------------------------------------------


@contextmanager
def corrupted(site: DeployedSite, lie: str) -> Iterator[None]:
    """Let a site's worker import ``tests.support.attacks.<lie>``, for its server and its node."""
    path = layout_of(site).config("worker")
    honest = path.read_bytes()
    config = json.loads(honest)
    config["preload"].append(f"tests.support.attacks.{lie}")
    path.write_text(json.dumps(config))
    restart_worker(site)
    try:
        yield
    finally:
        path.write_bytes(honest)
        restart_worker(site)


def restart_worker(site: DeployedSite) -> None:
    log = layout_of(site).logs / "worker.jsonl"

    def starts() -> int:
        return log.read_text().count('"worker-ready"')

    before = starts()
    psutil.Process(programs_of(site)["worker"]).kill()
    wait_until(lambda: starts() > before, "no new worker")


def test_answer_in_anothers_name_counts_for_nobody(sites: Sites) -> None:
    server, victim, liar = head_of(sites).ranking
    events = layout_of(sites[server]).logs / "events.jsonl"
    with corrupted(sites[liar], "false_name"):
        run_rounds(sites, 1)
        record = head_of(sites)
    assert (record.server, record.clients) == (server, (victim,))
    assert victim in record.ballots and liar not in record.ballots
    told = [json.loads(line) for line in events.read_text().splitlines()]
    assert (liar, victim) in [(e["node"], e["says"]) for e in told if e["event"] == "false-name"]
    run_rounds(sites, 1)
    assert set(head_of(sites).ballots) == set(sites), "all are believed again"


@pytest.mark.parametrize("lie", ["false_ballot", "false_end"])
def test_record_in_which_a_working_server_lies_is_signed_by_nobody(sites: Sites, lie: str) -> None:
    """It trains, averages, and fine-tunes honestly."""
    liar, *others = head_of(sites).ranking
    before = {vendor: len(audited(sites[vendor])) for vendor in others}
    with corrupted(sites[liar], lie):
        run_rounds(sites, 1)
        record = head_of(sites)
        for vendor in others:
            noted = audited(sites[vendor])[before[vendor] :]
            codes = {code for who, kind, code in noted if (who, kind) == (liar, wire.ACCEPT)}
            # A vendor sees its own ballot; the others see that its signature is missing.  When the
            # liar asks again, they may obey another one already.
            assert codes & {P.RECORD, P.SIGNATURE} and codes <= {P.RECORD, P.SIGNATURE, P.ATTEMPT}
    assert record.server in others and record.attempt > 0
    assert record.ended == "" and all(each.examples < 10**6 for each in record.ballots.values())
    run_rounds(sites, 1)


# ---- the last test -----------------------------------------------------------------------------


def test_false_model_is_refused_and_a_second_record_is_evidence(sites: Sites) -> None:
    """From then on the others obey that vendor's server no more."""
    with elected_rogue(sites, but=("said",)) as (rogue, head):
        weights = rogue.site.models.get(head.model).weights
        false = false_model({n: 1 + array for n, array in weights.items()}, "1" * 64)
        rogue.is_refused(P.PLAN, training(rogue.envelope(), head, false.hash), wire.TRAIN, [false])
        proposal = sign_proposal(
            next_record(head, rogue.site.vendor, model=false.hash), rogue.site.keys
        )
        proposed = wire.Accept(envelope=rogue.envelope(), proposal=proposal)
        rogue.is_refused(P.MODEL, proposed, wire.ACCEPT, [false])
    # The same vendor's true server has made another record under the same attempt.
    liar = head.ranking[0]
    federation = sites[liar].federation.hash
    ledgers = [site.state.ledger for site in sites.values()]
    wait_until(lambda: all(not_obeyed(each, federation) == {liar} for each in ledgers), "no word")
    told = f"{liar} has signed two records in term {head.term + 1}"
    assert all(told in site_status(site).evidence[0] for site in sites.values())
    run_rounds(sites, 1)
    assert head_of(sites).server != liar
