"""Privacy ledgers that cannot be used, and the way out."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.privacy.ledger.ledger import PrivacyLedger, Refusal
from clients.privacy.ledger.policy import Budget
from clients.privacy.ledger.recovery import give_up
from strategies.errors import PrivacyError, RunFolderError
from tests.support.privacy_ledger import (
    DELTA,
    ONE,
    manifest,
    opened,
    place,
    reserved,
    use,
)

ROOT = Path(__file__).parents[4]


def refused(folder: Path, code: str) -> PrivacyError:
    """Return the error with which both reading and writing are refused."""
    with pytest.raises(PrivacyError) as reading:
        opened(folder).books()
    with pytest.raises(PrivacyError) as writing:
        opened(folder).enrol(manifest(55))
    assert reading.value.code == writing.value.code == code
    return reading.value


def test_site_that_has_trained_and_lacks_its_ledger_is_refused(
    ledger: PrivacyLedger, tmp_path: Path
) -> None:
    reserved(ledger, ledger.enrol(ONE))
    shutil.rmtree(tmp_path / "state")
    assert "srflm privacy retire" in refused(tmp_path, PrivacyError.LEDGER_MISSING).mend


def test_ledger_without_its_anchor_is_refused(ledger: PrivacyLedger, tmp_path: Path) -> None:
    ledger.enrol(ONE)
    (tmp_path / "identity" / "anchor").unlink()
    refused(tmp_path, PrivacyError.LEDGER_ROLLED_BACK)


@pytest.mark.parametrize("content", [b"", b"{", b'{"schema_version": 1, "key": "x"}'])
def test_damaged_anchor_is_refused(ledger: PrivacyLedger, tmp_path: Path, content: bytes) -> None:
    ledger.enrol(ONE)
    (tmp_path / "identity" / "anchor").write_bytes(content)
    refused(tmp_path, PrivacyError.LEDGER_DAMAGED)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE rows SET text = replace(text, '\"steps\":10', '\"steps\":1') WHERE number = 2",
        "UPDATE rows SET hash = '' WHERE number = 1",
        "DELETE FROM rows WHERE number = 2",
        "UPDATE rows SET number = 9 WHERE number = 3",
        "DROP TABLE rows",
    ],
)
def test_row_that_was_tampered_with_is_noticed(
    ledger: PrivacyLedger, tmp_path: Path, change: str
) -> None:
    name = ledger.enrol(ONE)
    for _ in range(2):
        reserved(ledger, name)
    with sqlite3.connect(tmp_path / "state" / "privacy.sqlite") as db:
        with pytest.raises(sqlite3.IntegrityError):
            db.execute("UPDATE rows SET text = ''")  # the file itself is append-only
        db.execute("DROP TRIGGER rows_stay")
        db.execute("DROP TRIGGER rows_remain")
        db.execute(change)
    db.close()
    refused(tmp_path, PrivacyError.LEDGER_DAMAGED)


def test_last_row_that_was_cut_off_is_noticed(ledger: PrivacyLedger, tmp_path: Path) -> None:
    reserved(ledger, ledger.enrol(ONE))
    with sqlite3.connect(tmp_path / "state" / "privacy.sqlite") as db:
        db.execute("DROP TRIGGER rows_remain")
        db.execute("DELETE FROM rows WHERE number = 2")
    db.close()
    refused(tmp_path, PrivacyError.LEDGER_ROLLED_BACK)


def test_records_that_were_tampered_with_are_noticed(ledger: PrivacyLedger, tmp_path: Path) -> None:
    ledger.enrol(ONE)
    with sqlite3.connect(tmp_path / "state" / "privacy.sqlite") as db:
        db.execute("UPDATE records SET keyed = x'00'")
    db.close()
    with pytest.raises(PrivacyError, match="not those written"):
        ledger.enrol(manifest(3))


def test_file_that_is_no_database_is_refused_and_left_as_it_is(
    ledger: PrivacyLedger, tmp_path: Path
) -> None:
    ledger.enrol(ONE)
    path = tmp_path / "state" / "privacy.sqlite"
    path.write_bytes(b"no database" * 1000)
    refused(tmp_path, PrivacyError.LEDGER_DAMAGED)
    assert path.read_bytes() == b"no database" * 1000


def test_ledger_of_another_site_is_refused(ledger: PrivacyLedger, tmp_path: Path) -> None:
    ledger.enrol(ONE)
    other = opened(tmp_path / "other")
    other.enrol(ONE)
    shutil.copy(tmp_path / "other/state/privacy.sqlite", tmp_path / "state/privacy.sqlite")
    refused(tmp_path, PrivacyError.LEDGER_DAMAGED)


def test_ledger_of_another_schema_version_is_refused(ledger: PrivacyLedger, tmp_path: Path) -> None:
    ledger.enrol(ONE)
    with sqlite3.connect(tmp_path / "state" / "privacy.sqlite") as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    assert "schema version 7" in refused(tmp_path, PrivacyError.LEDGER_VERSION).found
    with pytest.raises(PrivacyError, match="schema version 7"):
        give_up(place(tmp_path), [ONE], "test")


def test_anchor_of_another_schema_version_is_refused(ledger: PrivacyLedger, tmp_path: Path) -> None:
    ledger.enrol(ONE)
    anchor = tmp_path / "identity" / "anchor"
    anchor.write_text(anchor.read_text().replace('"schema_version":1', '"schema_version":2'))
    refused(tmp_path, PrivacyError.LEDGER_VERSION)


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(RunFolderError):
        opened(tmp_path).enrol(ONE)


# ---- the way out ---------------------------------------------------------------------------------


def lose(folder: Path) -> None:
    shutil.rmtree(folder / "state")


def roll_back(folder: Path) -> None:
    shutil.rmtree(folder / "state")
    shutil.copytree(folder / "copy", folder / "state")


def spoil(folder: Path) -> None:
    (folder / "state" / "privacy.sqlite").write_bytes(b"no database" * 1000)


def lose_anchor(folder: Path) -> None:
    (folder / "identity" / "anchor").unlink()


@pytest.mark.parametrize("mishap", [lose, roll_back, spoil, lose_anchor])
def test_data_whose_past_is_not_known_is_given_up_and_new_data_is_not(
    tmp_path: Path, mishap: Callable[[Path], None]
) -> None:
    ledger = opened(tmp_path)
    name = ledger.enrol(ONE)
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    reserved(ledger, name)
    mishap(tmp_path)
    kept = give_up(place(tmp_path), [ONE], "test")
    assert (kept is not None) == (mishap in (spoil, lose_anchor))
    again = opened(tmp_path)
    assert again.spent(name, DELTA) == float("inf")
    part = again.enrol(manifest(9, 10))
    for gone in (name, part):
        assert isinstance(again.reserve(use(gone), Budget(1e9, DELTA)), Refusal)
        assert again.books().retired(gone)
    reserved(again, again.enrol(manifest(20, 21)))


def test_nothing_is_given_up_without_naming_it(tmp_path: Path) -> None:
    with pytest.raises(PrivacyError, match="no data set"):
        give_up(place(tmp_path), [], "test")
