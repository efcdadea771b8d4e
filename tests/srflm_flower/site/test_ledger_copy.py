"""A copy of a ledger is one moment of it, though the site writes on, and has no vote in it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from srflm_flower.site.lapses import PUT_BACK, RECOVERING
from srflm_flower.site.ledger import TermLedger
from srflm_flower.site.ledger_copy import LedgerCopy, copy_ledger
from srflm_flower.site.recovering import SIGNED

COPIES, TERMS = 12, 400
FEDERATION = "f" * 64


def ledger_in(folder: Path) -> TermLedger:
    ledger = TermLedger(folder / "ledger.sqlite", FEDERATION)
    ledger.found({})
    return ledger


def append(ledger: TermLedger, term: int) -> None:
    """Write what belongs together, in one transaction, as a commit and the next vote do."""
    record = f'{{"model": "m{term}", "averaged_model": "a{term}"}}'
    with ledger.deciding() as db:
        db.execute("INSERT INTO records VALUES (?, ?, ?, '')", (term, f"h{term}", record))
        db.execute("INSERT INTO orders VALUES (?, '')", (term,))
        db.execute("DELETE FROM votes")
        db.execute("INSERT INTO votes VALUES (?, 3, 2, 'accepted')", (term + 1,))


def restored(copy: LedgerCopy, folder: Path) -> TermLedger:
    folder.mkdir(parents=True)
    (folder / "ledger.sqlite").write_bytes(copy.data)
    return ledger_in(folder)


def test_copies_that_are_taken_while_a_writer_writes(tmp_path: Path) -> None:
    ledger, written = ledger_in(tmp_path / "own"), threading.Event()

    def write() -> None:
        writer = ledger_in(tmp_path / "own")
        for term in range(1, TERMS + 1):
            append(writer, term)
            written.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert written.wait(30)
    copies = [copy_ledger(ledger)]
    # A busy machine may not let the writer write between the first copies.
    while len(copies) < COPIES or (thread.is_alive() and copies[-1].term == copies[0].term):
        copies.append(copy_ledger(ledger))
    thread.join()
    assert copies[0].term < TERMS, "the writer was done before the first copy"
    assert copies[0].term < copies[-1].term
    for number, copy in enumerate(copies):
        folder = tmp_path / str(number)
        assert len(restored(copy, folder)) == copy.term
        with closing(sqlite3.connect(folder / "ledger.sqlite")) as db:
            terms, orders = (
                [row[0] for row in db.execute(f"SELECT {key} FROM {table} ORDER BY 1")]
                for key, table in (("term", "records"), ("number", "orders"))
            )
            assert terms == orders == list(range(1, copy.term + 1))
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert db.execute("SELECT count(*) FROM votes").fetchone() == (0,)
        assert copy.head == f"h{copy.term}"
        assert {f"m{copy.term}", f"a{copy.term}", "m1"} <= copy.models


def test_copy_says_that_it_is_one_and_keeps_promises_of_silence(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path / "own")
    kept = {RECOVERING: "5", f"{SIGNED}4:000000": "{}", "left-behind": "{}"}
    lost = {"boots": "7", "run": "abc", "place": "1:2", "votes-given": "9", "approval": "{}"}
    for key, value in (kept | lost).items():
        ledger.set_fact(key, value)
    copy = restored(copy_ledger(ledger), tmp_path / "new")
    assert {key: copy.fact(key) for key in kept} == kept
    assert [copy.fact(key) for key in lost] == ["0", None, None, None, None]
    assert copy.is_forgetful() and copy.fact(PUT_BACK) == "yes"
    assert copy.votes(1).forgetful
