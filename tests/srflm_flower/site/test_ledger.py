"""The site's ledger: all or nothing, whoever writes at the same time and whatever the disk does."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from srflm_flower.site.lapses import ALL_TERMS, FORGETFUL, Start
from srflm_flower.site.ledger import TermLedger
from strategies.errors import LedgerError, RunFolderError
from strategies.protocol.quorum import Accepted, Votes, accept, grant
from strategies.protocol.records import Proposal, RunOrder
from tests.support.records import FEDERATION, make_chain, make_committed, make_record
from tests.support.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[3]


@pytest.fixture
def ledger(tmp_path: Path) -> TermLedger:
    return TermLedger(tmp_path / "ledger.sqlite", FEDERATION)


def again(ledger: TermLedger) -> TermLedger:
    """Return the ledger as another process sees it."""
    return TermLedger(ledger._path, FEDERATION)


def proposal(term: int = 1, **fields: object) -> Proposal:
    return Proposal(record=make_record(term, **fields), signature="s")


def order(number: int, rounds: int = 3) -> RunOrder:
    return RunOrder(number=number, federation=FEDERATION, rounds=rounds, vendor="a")


def voted(ledger: TermLedger, votes: Votes, accepted: Proposal | None = None) -> None:
    with ledger.deciding() as db:
        ledger.keep_votes(db, votes, accepted)


def test_new_ledger_is_empty_and_remembers_all(ledger: TermLedger) -> None:
    assert (len(ledger), ledger.last(), ledger.records()) == (0, None, [])
    assert ledger.votes(1) == Votes(1)
    assert (ledger.accepted(1), ledger.proposal(1), ledger.order()) == (None, None, None)
    assert not ledger.is_forgetful()


def test_records_are_kept_in_order_and_appended_once(ledger: TermLedger) -> None:
    chain = make_chain(3)
    assert [ledger.append(make_committed(record)) for record in chain] == [True] * 3
    assert ledger.append(make_committed(chain[1])) is False
    assert list(again(ledger).records()) == chain
    assert list(again(ledger).records(2)) == chain[1:]
    assert [each.record.term for each in ledger.committed(1, most=2)] == [1, 2]
    assert (len(ledger), ledger.last()) == (3, chain[-1])


def test_record_that_does_not_follow_is_not_appended(ledger: TermLedger) -> None:
    first, second, third = make_chain(3)
    ledger.append(make_committed(first))
    other = make_record(1, learning_rate=9.0)
    backwards = make_record(2, first.hash, round=1)
    for record in (third, other, backwards, make_record(2, first.hash, federation="x")):
        with pytest.raises(LedgerError):
            ledger.append(make_committed(record))
    assert ledger.records() == [first]
    assert ledger.append(make_committed(second))


def test_votes_survive_and_end_with_their_term(ledger: TermLedger) -> None:
    (first,) = make_chain(1)
    mine = Proposal(record=first)
    voted(ledger, accept(Votes(1), 0, first.hash), mine)
    voted(ledger, grant(ledger.votes(1), 4))
    assert again(ledger).votes(1) == Votes(1, 4, Accepted(0, first.hash))
    assert again(ledger).accepted(1) == mine
    voted(ledger, grant(Votes(2), 2))
    ledger.propose(0, mine)
    ledger.append(make_committed(first))
    assert (ledger.votes(1), ledger.accepted(1), ledger.proposal(1)) == (Votes(1), None, None)
    assert ledger.votes(2).granted == 2, "promises of later terms are kept"


def test_record_accepted_later_replaces_the_one_before(ledger: TermLedger) -> None:
    one, two = proposal(), proposal(learning_rate=9.0)
    voted(ledger, accept(Votes(1), 0, one.record.hash), one)
    voted(ledger, accept(ledger.votes(1), 3, two.record.hash), two)
    assert ledger.votes(1) == Votes(1, 3, Accepted(3, two.record.hash))
    assert ledger.accepted(1) == two


def test_first_proposal_of_an_attempt_wins(ledger: TermLedger) -> None:
    one, two = proposal(), proposal(learning_rate=9.0)
    assert ledger.propose(0, one) == one
    assert again(ledger).propose(0, two) == one
    assert ledger.propose(3, two) == two
    assert ledger.proposal(1) == (3, two)
    assert ledger.proposal(2) is None


def test_order_with_the_highest_number_holds(ledger: TermLedger) -> None:
    assert ledger.keep_order(order(2)) == order(2)
    assert ledger.keep_order(order(1)) == order(2)
    assert ledger.keep_order(order(2, rounds=9)) == order(2), "the first one of a number holds"
    assert ledger.keep_order(order(3)) == again(ledger).order() == order(3)


def test_order_is_open_until_its_rounds_are_committed(ledger: TermLedger) -> None:
    assert (ledger.rounds(), ledger.open_order()) == (0, None)
    ledger.keep_order(order(1, rounds=2))
    for done, record in enumerate(make_chain(2)):
        assert (ledger.rounds(), ledger.open_order()) == (done, order(1, rounds=2))
        ledger.append(make_committed(record))
    assert (ledger.rounds(), ledger.open_order()) == (2, None)
    ledger.keep_order(order(2, rounds=3))
    assert again(ledger).open_order() == order(2, rounds=3)


def test_forgetful_site_remembers_after_the_term_that_it_is_told(ledger: TermLedger) -> None:
    ledger.set_fact(FORGETFUL, ALL_TERMS)
    assert again(ledger).is_forgetful()
    assert all(again(ledger).votes(term).forgetful for term in (1, 2, 99))
    ledger.remember(2)
    assert not ledger.is_forgetful()
    assert [again(ledger).votes(term).forgetful for term in (1, 2, 3)] == [True, True, False]
    ledger.set_fact(FORGETFUL, ALL_TERMS)
    assert again(ledger).votes(3).forgetful, "it has lost its state again"


def test_nothing_of_a_decision_that_fails_is_kept(ledger: TermLedger) -> None:
    voted(ledger, grant(Votes(1), 1))
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error), ledger.deciding() as db:
            ledger.keep_votes(db, grant(Votes(1), 7))
            raise error
    assert again(ledger).votes(1).granted == 1


def test_decision_is_not_seen_before_it_is_made(ledger: TermLedger) -> None:
    other = again(ledger)
    assert other.votes(1) == Votes(1)
    with ledger.deciding() as db:
        ledger.keep_votes(db, grant(Votes(1), 7))
        assert other.votes(1) == Votes(1)
    assert again(ledger).votes(1).granted == 7


# ---- several processes -----------------------------------------------------------------------

PROCESS = """
import sys
from pathlib import Path
from strategies.protocol.quorum import grant
from strategies.protocol.records import Proposal
from srflm_flower.site.lapses import ALL_TERMS, FORGETFUL, Start
from srflm_flower.site.ledger import TermLedger
from tests.support.records import FEDERATION, make_record

number, path = int(sys.argv[1]), Path(sys.argv[2])
sys.stdin.readline()
ledger = TermLedger(path, FEDERATION)
mine = Proposal(record=make_record(1, learning_rate=float(number)))
print(ledger.propose(0, mine).record.hash)
for _ in range(20):
    with ledger.deciding() as db:
        votes = ledger.votes_in(db, 1)
        ledger.keep_votes(db, grant(votes, votes.granted + 1))
"""


def test_processes_that_decide_at_once_see_each_others_decisions(tmp_path: Path) -> None:
    path = tmp_path / "site" / "ledger.sqlite"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(number), str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in processes:  # all open the file, which does not exist, at the same time
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = {process.communicate(timeout=PATIENCE_SECONDS)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(told) == 1, "all were told the same proposal"
    assert TermLedger(path, FEDERATION).votes(1).granted == 4 * 20 - 1


# ---- files that cannot be used -----------------------------------------------------------------


def test_damaged_file_is_no_ledger(ledger: TermLedger) -> None:
    ledger.append(make_committed(make_chain(1)[0]))
    for content in (b"no database" * 1000, b"SQLite format 3\x00" + os.urandom(4000)):
        ledger._path.write_bytes(content)
        with pytest.raises(LedgerError, match="damaged"):
            again(ledger).last()
        assert ledger._path.read_bytes() == content


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [("schema-version", "2", "schema version 2"), ("federation", "e" * 64, "another federation")],
)
def test_ledger_of_another_version_or_federation_is_refused(
    ledger: TermLedger, key: str, value: str, found: str
) -> None:
    ledger.append(make_committed(make_chain(1)[0]))
    ledger.set_fact(key, value)
    with pytest.raises(LedgerError, match=found):
        again(ledger).votes(1)
    with pytest.raises(LedgerError, match=found):
        again(ledger).append(make_committed(make_chain(2)[1]))


def test_full_disk_leaves_what_was_there(
    ledger: TermLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = make_chain(40)
    ledger.append(make_committed(chain[0]))
    voted(ledger, grant(Votes(2), 1))
    connect = TermLedger._connect

    def on_a_full_disk(ledger: TermLedger) -> sqlite3.Connection:
        db = connect(ledger)
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
        return db

    with monkeypatch.context() as patch:
        patch.setattr(TermLedger, "_connect", on_a_full_disk)
        kept = 1
        with pytest.raises(RunFolderError) as caught:
            for record in chain[1:]:
                ledger.append(make_committed(record))
                kept += 1
        assert caught.value.code == RunFolderError.NOT_WRITABLE
        big = proposal(kept + 2, steps={str(each): 1 for each in range(2000)})
        with pytest.raises(RunFolderError):
            voted(ledger, accept(Votes(kept + 2), 1, big.record.hash), big)
    assert list(again(ledger).records()) == chain[:kept]
    assert again(ledger).votes(kept + 2) == Votes(kept + 2)
    assert ledger.append(make_committed(chain[kept])), "it goes on when there is space again"


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderError) as caught:
        TermLedger(tmp_path / "file" / "ledger.sqlite", FEDERATION).last()
    assert caught.value.code == RunFolderError.NOT_WRITABLE


def test_ledger_of_a_site_that_was_never_started_follows_the_federation_file(
    tmp_path: Path,
) -> None:
    """It is made when the site joins; before the first start the operator may correct the file."""
    path, starts = tmp_path / "ledger.sqlite", tmp_path / "starts"
    TermLedger(path, FEDERATION, starts).found({})
    changed = TermLedger(path, "0" * 64, starts)
    assert len(changed) == 0
    starts.write_text("1")
    changed.begin(Start(1, "run", "here"), forgetful=False, restored=False)
    with pytest.raises(LedgerError, match="another federation"):
        len(TermLedger(path, FEDERATION, starts))
