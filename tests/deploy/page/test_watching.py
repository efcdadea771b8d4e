"""What a watcher sees in a site's files, while other programs write them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from clients.files.rotation import rename
from deploy.page import log_following
from deploy.page.contacts import Contacts
from deploy.page.ledger_glance import LedgerGlance
from deploy.page.log_following import FollowedLog
from deploy.page.starting import page_config
from deploy.page.watching import AT_ONCE, Watcher
from deploy.site.diagnosis import keep_diagnosis
from deploy.site.layout import Layout
from strategies.errors import LedgerError
from tests.deploy.page.watched import Federation, WatchedSite, diagnosis
from tests.support.quick_sites import quick_federation

ROSTER = ("a", "b", "c")


@pytest.fixture
def site(tmp_path: Path) -> WatchedSite:
    return WatchedSite(tmp_path / "site", Federation(ROSTER))


# ---- logs ----------------------------------------------------------------------------------------


def lines(*numbers: int) -> str:
    return "".join(json.dumps({"n": number}) + "\n" for number in numbers)


def numbers(log: FollowedLog) -> list[int]:
    return [event["n"] for event in log.events]


def test_log_is_followed_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = FollowedLog(path)
    assert [*log.look()] == []
    path.write_text(lines(1, 2) + '{"n": 3')  # the last one is being written
    assert [event["n"] for event in log.look()] == [1, 2]
    with path.open("a") as file:
        file.write("}\n" + lines(4))
    assert [event["n"] for event in log.look()] == [3, 4]
    assert [*log.look()] == [] and numbers(log) == [1, 2, 3, 4]


def test_other_log_and_one_that_was_cut_are_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(lines(1, 2, 3))
    log = FollowedLog(path)
    log.catch_up()
    path.write_text(lines(7))
    log.catch_up()
    assert numbers(log) == [7]
    path.replace(tmp_path / "elsewhere")
    path.write_text(lines(8, 9, 10, 11))
    log.catch_up()
    assert numbers(log) == [8, 9, 10, 11]
    path.unlink()
    log.catch_up()
    assert numbers(log) == []


def test_log_that_was_rotated_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(lines(1, 2))
    log = FollowedLog(path)
    log.catch_up()
    with path.open("a") as file:
        file.write(lines(3))
    rename(path)
    path.write_text(lines(4))
    assert [event["n"] for event in log.look()] == [3, 4]
    assert numbers(log) == [1, 2, 3, 4], "nothing that was known is forgotten"


def test_only_the_end_of_a_long_log_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_following, "FIRST_BYTES", 100)
    path = tmp_path / "log.jsonl"
    path.write_text(lines(*range(10, 60)))
    log = FollowedLog(path, kept=5)
    log.catch_up()
    assert numbers(log) == [55, 56, 57, 58, 59]


def test_contacts_count_what_leaves_the_site(tmp_path: Path) -> None:
    def write(way: str, **call: object) -> None:
        with (tmp_path / f"{way}.jsonl").open("a") as file:
            file.write(json.dumps({"t": "2026-11-30T01:00:00+00:00", "st": 200} | call) + "\n")

    write("out", to="b", **{"in": 999})
    contacts = Contacts(tmp_path)
    contacts.look()
    assert contacts.outgoing == 0, "a counter begins with its program"
    write("out", to="b", **{"in": 100, "out": 5})
    write("in", key_owner="c", **{"in": 7, "out": 40})
    contacts.look()
    assert contacts.outgoing == 140
    assert contacts.peers(())["c"].good > 0
    for way in ("in", "out"):
        write(way, to="b", key_owner="b", **{"in": 1000, "out": 1000})
        rename(tmp_path / f"{way}.jsonl")
        write(way, to="b", key_owner="b", **{"in": 2000, "out": 2000})
    contacts.look()
    assert contacts.outgoing == 140 + 6000, "what was written before and after a rotation"
    write("out", to="b", st=502, t="2026-11-30T01:00:09+00:00", **{"in": 1, "out": 0})
    contacts.look()
    peer = contacts.peers([{"vendor": "b", "time": 5.0}])["b"]
    assert peer.failed > peer.good and peer.heard == 5.0


# ---- the ledger ----------------------------------------------------------------------------------


def test_glance_reads_what_the_site_has_written(tmp_path: Path) -> None:
    """The glance knows the tables of another room: a real site's ledger, looked at with both."""
    with quick_federation(tmp_path, ROSTER) as sites:
        for vendor in sites.roster:
            sites.site(vendor).begin()
        sites.order("a", rounds=3)
        sites.run_to(3)
        site = sites.site("b")
        ledger, layout = site.state.ledger, Layout.of(site.settings)
        glance = LedgerGlance(layout.state / "ledger.sqlite")
        records = list(ledger.committed())
        assert len(records) >= 3
        assert glance.committed(1, 100) == records
        assert glance.head() == (len(records), records[-1].record.hash)
        assert glance.hash_of(2) == records[1].record.hash
        assert glance.order() == ledger.order()
        term = len(ledger) + 1
        assert glance.attempt(term) == ledger.votes(term).granted

        seen = Watcher(page_config(site, layout, 8000)).look_at_all()
        assert seen.invalid is None and len(seen.terms) == len(records)
        assert seen.terms[-1].signers == tuple(records[-1].certificate.acceptances)
        # What has left the site, with names that are declared.
        left = [event for event in seen.audit if event["type"] == "train.local"]
        assert left and all(event["sent"] > 0 for event in left)
        config = page_config(site, layout, 8000)
        named = {name for event in seen.audit for name in event.get("fields", ())}
        assert {"vendor", "ballot", "weights"} <= named <= config.fields.keys()


def test_glance_changes_nothing_and_makes_nothing(site: WatchedSite, tmp_path: Path) -> None:
    glance = LedgerGlance(site.ledger)
    with pytest.raises(LedgerError), glance._reading() as db:
        db.execute("DELETE FROM orders")
    missing = LedgerGlance(tmp_path / "nothing.sqlite")
    with pytest.raises(LedgerError):
        missing.head()
    assert not missing.path.exists()


def test_long_ledger_is_read_in_several_looks(site: WatchedSite) -> None:
    site.federation.add(AT_ONCE + 5)
    site.commit()
    site.grant(0)
    watcher = Watcher(site.config())
    first = watcher.look()
    assert (len(first.terms), first.terms_known) == (AT_ONCE, AT_ONCE + 5)
    assert first.attempt == -1, "the open term is not known yet"
    assert len(watcher.look().terms) == AT_ONCE + 5
    assert watcher.seen.attempt == 0


def test_new_terms_are_read_and_old_ones_are_not_read_again(site: WatchedSite) -> None:
    watcher = Watcher(site.config())
    for count in (1, 2, 3):
        site.federation.add(1)
        site.commit()
        seen = watcher.look()
        assert [term.term for term in seen.terms] == list(range(1, count + 1))
    before = seen.terms[0]
    assert watcher.look().terms[0] is before


def test_ledger_that_was_put_back_is_read_anew(site: WatchedSite, tmp_path: Path) -> None:
    site.federation.add(4)
    site.commit()
    watcher = Watcher(site.config())
    watcher.look_at_all()
    other = Federation(ROSTER)
    other.add(2)
    replaced = WatchedSite(tmp_path / "other", other)
    for path in site.ledger.parent.glob("ledger.sqlite*"):
        path.unlink()
    replaced.ledger.replace(site.ledger)
    seen = watcher.look_at_all()
    assert len(seen.terms) == 2 and seen.invalid == 1, "other keys have signed it"


def test_version_changes_with_what_is_shown_and_not_with_the_time(site: WatchedSite) -> None:
    times = iter(range(1_000, 2_000))
    watcher = Watcher(site.config(), lambda: float(next(times)))
    first = watcher.look().version
    assert watcher.look().version == first
    seen = {first}
    for change in (
        lambda: (site.federation.add(1), site.commit()),
        lambda: site.grant(0),
        lambda: site.note("train.local"),
        lambda: site.append("logs/launcher.jsonl", {"time": 1, "event": "failed", "problem": "x"}),
        lambda: keep_diagnosis(site.folder / "state", diagnosis()),
    ):
        change()
        seen.add(watcher.look().version)
    with site.up():
        seen.add(watcher.look().version)
    assert len(seen) == 7


def test_site_is_up_only_while_its_lock_is_held(site: WatchedSite) -> None:
    watcher = Watcher(site.config())
    with site.up(worker=os.getpid(), edge=2**22 + 1):
        seen = watcher.look()
        assert seen.up and {each.name: each.runs for each in seen.programs}["worker"]
    table = '{"supervisor": 1, "programs": {}, "restarts": {}, "since": 1}'
    (site.folder / "run" / "up.json").write_text(table)
    assert not watcher.look().up, "a kill has left the notes"
