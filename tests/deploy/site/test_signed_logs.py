"""Each acceptance of a site names length and end of its message log, and its peers hold that."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deploy.cli import app
from deploy.site.verification import verify_site
from srflm_flower.site.ledger import MESSAGE_LOG
from strategies.errors import LedgerError, MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.equivocation import SignedVote, contradict
from strategies.protocol.quorum import Accepted
from strategies.protocol.records import Certificate, Committed, LogAnchor
from strategies.protocol.signatures import acceptance_statement
from tests.support.quick_sites import QuickFederation, quick_federation
from tests.support.stage import ask, staged

VENDORS = ("a", "b", "c")
NAMED = "c: its message log is not the one for which it has signed"


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[QuickFederation]:
    """Return sites with two committed terms."""
    with quick_federation(tmp_path, VENDORS) as sites:
        sites.clear()
        sites.order("a", rounds=9)
        sites.run_to(2)
        yield sites


def verified(sites: QuickFederation, *vendors: str) -> Result:
    """Run ``srflm verify`` over the folders of these vendors."""
    return CliRunner().invoke(app, ["verify", *(str(sites.folders[v]) for v in vendors)])


def log_of(sites: QuickFederation, vendor: str) -> Path:
    return sites.site(vendor).settings.state / "audit.jsonl"


def replace_log(sites: QuickFederation, lines: list[bytes]) -> None:
    """Give ``c`` another log, as its own operator can: with its anchor in the ledger."""
    site = sites.new_process("c")
    log_of(sites, "c").unlink()
    with sqlite3.connect(site.settings.state / "ledger.sqlite") as db:
        db.execute("DELETE FROM meta WHERE key = ?", (MESSAGE_LOG,))
    db.close()
    log_of(sites, "c").write_bytes(b"".join(lines))
    site.audit.note(vendor="b", type="query.votes", outcome="done")
    assert verify_site(site).audited == len(lines) + 1, "the folder is valid in itself"


def lines_of(sites: QuickFederation, vendor: str) -> list[bytes]:
    return log_of(sites, vendor).read_bytes().splitlines(keepends=True)


def certificate(sites: QuickFederation, vendor: str, term: int) -> Certificate:
    return sites.committed(vendor)[term - 1].certificate


def test_every_peer_holds_the_signed_log_of_every_site(sites: QuickFederation) -> None:
    for holder in VENDORS:
        found = verify_site(sites.site(holder)).logs
        assert {(each.vendor, each.term) for each in found} == {
            (vendor, term) for vendor in VENDORS for term in (1, 2)
        }
    signed = certificate(sites, "a", 2).logs["c"]
    assert 0 < signed.lines < len(lines_of(sites, "c"))
    told = verified(sites, *VENDORS)
    assert told.exit_code == 0 and "message log" not in told.output


@pytest.mark.parametrize("how", ["cut", "deleted", "written anew", "last signed line changed"])
def test_log_that_its_own_operator_has_changed_is_named(sites: QuickFederation, how: str) -> None:
    lines = lines_of(sites, "c")
    signed = certificate(sites, "a", 2).logs["c"].lines
    replace_log(
        sites, {"cut": lines[:2], "last signed line changed": lines[: signed - 1]}.get(how, [])
    )
    if how != "cut" and how != "deleted":  # with a chain of its own, and longer than before
        for line in range(len(lines)):
            sites.site("c").audit.note(vendor="a", type="query.open", term=line, outcome="done")
    told = verified(sites, *VENDORS)
    assert NAMED in told.output
    assert isinstance(told.exception, LedgerError) and "message log of c" in str(told.exception)


def test_lines_after_the_last_acceptance_are_the_operators_word(sites: QuickFederation) -> None:
    lines = lines_of(sites, "c")
    replace_log(sites, lines[: certificate(sites, "a", 2).logs["c"].lines])
    assert verified(sites, *VENDORS).exit_code == 0


def test_ledger_of_one_peer_is_enough(sites: QuickFederation) -> None:
    replace_log(sites, [])
    state = sites.site("c").settings.state
    with sqlite3.connect(state / "ledger.sqlite") as db:  # the two others are enough for a record
        for term in (1, 2):
            own = certificate(sites, "c", term)
            plain = own.model_dump()
            for each in ("acceptances", "logs"):
                plain[each].pop("c")
            text = Certificate.model_validate(plain).model_dump_json()
            db.execute("UPDATE records SET certificate = ? WHERE term = ?", (text, term))
    db.close()
    alone = verified(sites, "c")
    assert alone.exit_code == 0 and NAMED not in alone.output
    both = verified(sites, "b", "c")
    assert both.exit_code != 0 and NAMED in both.output


def test_site_that_goes_on_with_another_log_is_named_for_ever(sites: QuickFederation) -> None:
    replace_log(sites, [])
    sites.run_to(4)
    told = verified(sites, *VENDORS)
    assert told.exit_code == 0, "a site whose state was lost has no other way to go on"
    assert f"{NAMED} in terms 1 to 2" in told.output


def test_folder_that_was_copied_earlier_than_the_others_is_no_error(
    sites: QuickFederation,
) -> None:
    sites.disconnect()
    before = {
        path: path.read_bytes()
        for path in sites.site("c").settings.state.iterdir()
        if path.is_file()
    }
    sites.run_to(3)
    sites.disconnect()
    for path, content in before.items():
        path.write_bytes(content)
    sites.new_process("c")
    told = verified(sites, *VENDORS)
    assert told.exit_code == 0
    assert "behind: c" in told.output and f"{NAMED} in term 3" in told.output


def test_record_without_signed_logs_is_of_an_older_version(sites: QuickFederation) -> None:
    """It has valid signatures and is verified as before; nothing can be said about the logs."""
    keys = {vendor: sites.site(vendor).keys for vendor in VENDORS}
    for holder in VENDORS:
        with sqlite3.connect(sites.site(holder).settings.state / "ledger.sqlite") as db:
            for term, each in enumerate(sites.committed(holder), start=1):
                record, attempt = each.record, each.certificate.attempt
                old = {
                    "attempt": attempt,
                    "proposal": each.certificate.proposal,
                    "acceptances": {
                        v: keys[v].sign(acceptance_statement(v, record, attempt)) for v in VENDORS
                    },
                }
                text = Certificate.model_validate(old).model_dump_json(exclude={"logs"})
                db.execute("UPDATE records SET certificate = ? WHERE term = ?", (text, term))
        db.close()
        sites.new_process(holder)
    assert verified(sites, *VENDORS).exit_code == 0
    assert not verify_site(sites.site("a")).logs
    sites.run_to(3)
    assert {each.term for each in verify_site(sites.site("a")).logs} == {3}


def test_log_that_a_server_puts_into_a_certificate_is_refused(
    sites: QuickFederation,
) -> None:
    record, known = sites.records("a")[1], certificate(sites, "a", 2)
    false = LogAnchor(lines=77, head="7" * 64)
    lying = known.model_copy(update={"logs": {**known.logs, "c": false}})
    with sqlite3.connect(sites.site("a").settings.state / "ledger.sqlite") as db:
        row = lying.model_dump_json(), record.term
        db.execute("UPDATE records SET certificate = ? WHERE term = ?", row)
    db.close()
    with pytest.raises(MessageRefused, match="'c' has not signed"):
        verify_site(sites.site("a"))
    twice = known.model_copy(update={"logs": dict.fromkeys(VENDORS, false)})
    commit = wire.Commit(
        envelope=wire.Envelope(
            federation=sites.site("b").federation.hash, term=2, attempt=0, server="a"
        ),
        records=(Committed(record=record, certificate=twice),),
    )
    with pytest.raises(MessageRefused, match="has not signed"):
        sites.site("b").site.participant.commit(commit)


def test_acceptance_that_is_asked_for_again_is_the_same_vote(tmp_path: Path) -> None:
    """The log has grown in the meantime, so the signature is another one."""
    with staged(tmp_path) as stage:
        replies = []
        for _ in range(2):
            replies.append(ask(stage, stage.second, wire.ACCEPT, stage.record.server))
        before, after = (each.log for each in replies)
        assert before is not None and after is not None
        assert after.lines == before.lines + 1
        keys = stage.sites.site(stage.site).keys
        for reply in replies:
            said = acceptance_statement(stage.site, stage.record, 1, reply.log)
            assert keys.verify(stage.site, said, reply.signature)
        vote = SignedVote(stage.site, None, Accepted(1, stage.record.hash))
        assert not contradict(vote, vote)
