"""The privacy ledger: what is reserved counts as spent, whatever happens afterwards."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clients.privacy import ledger as ledger_module
from clients.privacy.anchor import read_anchor
from clients.privacy.ledger import PrivacyLedger, Refusal, Reservation
from clients.privacy.ledger_file import LedgerFile
from clients.privacy.ledger_rows import Use
from clients.privacy.manifest import Manifest
from clients.privacy.mechanism import Mechanism
from clients.privacy.policy import Budget
from clients.privacy.recovery import give_up
from srflm_flower.errors import PrivacyError, RunFolderError

ROOT = Path(__file__).parents[3]
DELTA = 1e-5
STEP = Mechanism(2.0, 0.05, 10)
AMPLE, TIGHT = Budget(50.0, DELTA), Budget(1.0, DELTA)


def manifest(*records: int) -> Manifest:
    return Manifest.of(hashlib.sha256(bytes([record])).hexdigest() for record in records)


ONE = manifest(*range(10))


@pytest.fixture
def ledger(tmp_path: Path) -> PrivacyLedger:
    return opened(tmp_path)


def opened(folder: Path, clock: Callable[[], float] = lambda: 1000.0) -> PrivacyLedger:
    """Return the ledger as another process sees it."""
    return PrivacyLedger(folder / "state" / "privacy.sqlite", folder / "identity" / "anchor", clock)


def use(dataset: str, mechanism: Mechanism = STEP, purpose: str = "client", round: int = 1) -> Use:
    return Use(dataset, purpose, mechanism, "f" * 64, round, round)  # type: ignore[arg-type]


def reserved(ledger: PrivacyLedger, dataset: str, budget: Budget = AMPLE) -> Reservation:
    found = ledger.reserve(use(dataset), budget)
    assert isinstance(found, Reservation)
    return found


def steps(ledger: PrivacyLedger, dataset: str) -> int:
    return sum(mechanism.steps for mechanism in ledger.history(dataset))


# ---- reserving and settling ----------------------------------------------------------------------


def test_new_site_has_spent_nothing_and_writes_nothing_to_say_so(
    ledger: PrivacyLedger, tmp_path: Path
) -> None:
    assert ledger.books().rows == ()
    assert ledger.spent(ONE.hash, DELTA) == 0
    assert list(tmp_path.iterdir()) == []


def test_reservation_counts_at_once_and_settling_gives_nothing_back(ledger: PrivacyLedger) -> None:
    name = ledger.enrol(ONE)
    first = reserved(ledger, name)
    assert ledger.history(name) == (STEP,)
    ledger.settle(first, steps=3)
    assert ledger.history(name) == (STEP,)
    assert ledger.books().unsettled == {}


def test_steps_beyond_the_reserved_ones_are_added(ledger: PrivacyLedger) -> None:
    name = ledger.enrol(ONE)
    first = reserved(ledger, name)
    ledger.settle(first, steps=14)
    ledger.settle(first, steps=99)
    assert steps(ledger, name) == 14, "the second settlement changes nothing"


def test_use_that_does_not_fit_is_refused_and_leaves_no_trace(ledger: PrivacyLedger) -> None:
    name = ledger.enrol(ONE)
    while isinstance(ledger.reserve(use(name), TIGHT), Reservation):
        assert ledger.spent(name, DELTA) <= TIGHT.epsilon
    rows = len(ledger.books().rows)
    refusal = ledger.reserve(use(name), TIGHT)
    assert isinstance(refusal, Refusal) and refusal.code == PrivacyError.BUDGET_SPENT
    assert "above 1" in refusal.reason
    assert not ledger.can_afford(name, [("client", STEP)], TIGHT)
    assert ledger.can_afford(name, [("client", STEP)] * 2, AMPLE)
    assert len(ledger.books().rows) == rows


def test_other_federation_and_other_run_use_the_same_budget(ledger: PrivacyLedger) -> None:
    name = ledger.enrol(ONE)
    before = ledger.spent(name, DELTA)
    for federation in ("a" * 64, "b" * 64, "a" * 64):
        ledger.reserve(replace(use(name), federation=federation), AMPLE)
        after = ledger.spent(name, DELTA)
        assert after > before
        before = after


def test_vendor_serves_no_more_rounds_of_a_federation_than_agreed(ledger: PrivacyLedger) -> None:
    name, budget = ledger.enrol(ONE), replace(AMPLE, server_uses=2)
    serving = use(name, purpose="server")
    found = [ledger.reserve(replace(serving, round=n), budget) for n in range(3)]
    assert [type(each) for each in found] == [Reservation, Reservation, Refusal]
    assert isinstance(ledger.reserve(use(name), budget), Reservation), "it may train as a client"
    other = replace(serving, federation="b" * 64)
    assert isinstance(ledger.reserve(other, budget), Reservation)


def test_training_on_all_records_in_every_step_is_refused(ledger: PrivacyLedger) -> None:
    name, whole = ledger.enrol(ONE), Mechanism(20.0, 1.0, 1)
    with pytest.raises(PrivacyError, match="sample rate of 1"):
        ledger.reserve(use(name, whole), AMPLE)
    assert isinstance(ledger.reserve(use(name, whole, "metrics"), AMPLE), Reservation)


def test_data_set_that_was_not_enrolled_has_no_budget(ledger: PrivacyLedger) -> None:
    for _ in range(2):
        with pytest.raises(PrivacyError, match="enrol"):
            ledger.reserve(use(ONE.hash), AMPLE)
        ledger.enrol(manifest(99))
    with pytest.raises(PrivacyError, match="without records"):
        Manifest.of([])


def test_clock_that_goes_back_changes_no_figure(tmp_path: Path) -> None:
    times = iter([50.0, 60.0, 10.0, 70.0])
    ledger = opened(tmp_path, lambda: next(times))
    name = ledger.enrol(ONE)
    for _ in range(3):
        reserved(ledger, name)
    assert ledger.books().clock_went_back == 1
    assert steps(ledger, name) == 30


# ---- data sets -----------------------------------------------------------------------------------


def test_data_sets_that_share_a_record_share_one_budget(ledger: PrivacyLedger) -> None:
    left, right, apart = (ledger.enrol(manifest(*numbers)) for numbers in ([1, 2], [3, 4], [5, 6]))
    reserved(ledger, left)
    assert steps(ledger, right) == 0
    bridge = ledger.enrol(manifest(2, 3))
    assert [steps(ledger, name) for name in (left, right, bridge, apart)] == [10, 10, 10, 0]
    reserved(ledger, right)
    assert [steps(ledger, name) for name in (left, right, bridge, apart)] == [20, 20, 20, 0]


def test_name_depends_on_the_records_only_and_enrolling_again_changes_nothing(
    ledger: PrivacyLedger,
) -> None:
    assert manifest(1, 2, 3) == manifest(3, 2, 1, 1)
    assert ledger.enrol(manifest(1, 2)) == ledger.enrol(manifest(2, 1)) == manifest(1, 2).hash
    assert len(ledger.books().rows) == 1


def test_file_does_not_tell_which_records_there_are(ledger: PrivacyLedger, tmp_path: Path) -> None:
    ledger.enrol(ONE)
    content = (tmp_path / "state" / "privacy.sqlite").read_bytes()
    for record in ONE.records:
        assert record.encode() not in content and bytes.fromhex(record)[:16] not in content


def test_images_used_one_by_one_are_not_used_by_patient_afterwards(ledger: PrivacyLedger) -> None:
    ledger.enrol(ONE)
    by_patient = replace(AMPLE, unit="patient")
    first = replace(use(ONE.hash), unit="patient")
    assert isinstance(ledger.reserve(first, by_patient), Reservation)
    assert [each.unit for each in ledger.books().uses(ONE.hash)] == ["patient"]
    reserved(ledger, ONE.hash)  # what protects a patient protects each image
    refusal = ledger.reserve(first, by_patient)
    assert isinstance(refusal, Refusal) and "one by one" in refusal.reason
    other = ledger.enrol(manifest(200, 201))
    assert isinstance(ledger.reserve(replace(first, dataset=other), by_patient), Reservation)


# ---- property: nothing makes it smaller ----------------------------------------------------------

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 3)),
        st.tuples(st.just("settle"), st.integers(0, 15)),
        st.tuples(st.just("enrol"), st.sets(st.integers(0, 7), min_size=1, max_size=3)),
        st.tuples(st.just("crash"), st.integers(0, 12)),
        st.tuples(st.just("roll back"), st.just(0)),
    ),
    max_size=8,
)


class Crash(BaseException):
    """The process ends here."""


def crash_after(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """Let the process end before its next write but so many: to the file, or to the anchor."""
    left = [writes]

    def counted(write: Callable[..., object]) -> Callable[..., object]:
        def writing(*arguments: object) -> object:
            if left[0] == 0:
                raise Crash
            left[0] -= 1
            return write(*arguments)

        return writing

    class Connection(sqlite3.Connection):
        def execute(self, *arguments: object) -> sqlite3.Cursor:  # type: ignore[override]
            statement = str(arguments[0])
            if statement.startswith(("BEGIN IMM", "INSERT", "COMMIT")):
                return counted(super().execute)(*arguments)  # type: ignore[return-value]
            return super().execute(*arguments)  # type: ignore[arg-type]

    def connect(file: LedgerFile) -> sqlite3.Connection:
        db = sqlite3.connect(file.path, isolation_level=None, factory=Connection)
        db.execute("PRAGMA synchronous = OFF")
        return db

    monkeypatch.setattr(LedgerFile, "_connect", connect)
    for name in ("write_anchor", "begin_anchor"):
        monkeypatch.setattr(ledger_module, name, counted(getattr(ledger_module, name)))


@given(EVENTS)
@example([("crash", 3), ("roll back", 0)])
@settings(max_examples=40, deadline=None)
def test_nothing_that_happens_makes_it_smaller(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, object]]
) -> None:
    folder = tmp_path_factory.mktemp("site")
    names = [opened(folder).enrol(manifest(n)) for n in range(4)]
    shutil.copytree(folder / "state", folder / "copy")
    known: dict[str, int] = {}
    last: Reservation | None = None
    for what, value in events:
        ledger = opened(folder)  # every event is a restart
        begun: list[Use] = []
        with pytest.MonkeyPatch.context() as patch:
            try:
                if what == "crash":
                    crash_after(patch, int(str(value)))
                    last = reserved(ledger, names[0])
                    begun.append(last.use)
                    ledger.settle(last)
                elif what == "reserve":
                    last = reserved(ledger, names[int(str(value))])
                    begun.append(last.use)
                elif what == "settle" and last is not None:
                    ledger.settle(last, int(str(value)))
                elif what == "enrol":
                    assert isinstance(value, set)
                    names.append(ledger.enrol(manifest(*value)))
                elif what == "roll back":
                    roll_back_is_noticed(folder)
            except Crash:
                pass
        now = {name: steps(opened(folder), name) for name in set(names)}
        assert all(now[name] >= before for name, before in known.items())
        for each in begun:  # it has returned: the work may have begun
            assert now[each.dataset] >= known.get(each.dataset, 0) + each.mechanism.steps
        known = now


def roll_back_is_noticed(folder: Path) -> None:
    """Restore the oldest copy of the state folder, then the newest again.

    A row that was written but not anchored had promised nothing: its use had not begun.
    """
    anchor = read_anchor(folder / "identity" / "anchor")
    assert anchor is not None
    (folder / "state").rename(folder / "newest")
    shutil.copytree(folder / "copy", folder / "state")
    if anchor.rows > 4:
        for act in (
            lambda ledger: ledger.books(),
            lambda ledger: ledger.enrol(manifest(77)),
            lambda ledger: ledger.reserve(use(manifest(0).hash), AMPLE),
        ):
            with pytest.raises(PrivacyError) as caught:
                act(opened(folder))
            assert caught.value.code == PrivacyError.LEDGER_ROLLED_BACK
    shutil.rmtree(folder / "state")
    (folder / "newest").rename(folder / "state")


@pytest.mark.parametrize("writes", range(14))
def test_crash_at_any_write_loses_nothing_that_was_promised(
    tmp_path: Path, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    with monkeypatch.context() as patch:
        crash_after(patch, writes)
        try:
            ledger = opened(tmp_path)
            name = ledger.enrol(ONE)
            done.append("enrolled")
            first = reserved(ledger, name)
            done.append("reserved")
            ledger.settle(first, steps=12)
            done.append("settled")
        except Crash:
            pass
    after = opened(tmp_path)
    assert steps(after, ONE.hash) >= {0: 0, 1: 0, 2: 10, 3: 12}[len(done)]
    name = after.enrol(ONE)
    before = steps(after, name)
    reserved(after, name)
    assert steps(opened(tmp_path), name) == before + 10, "it goes on"


# ---- several processes ---------------------------------------------------------------------------

PROCESS = """
import sys
from pathlib import Path
from clients.privacy.ledger import PrivacyLedger, Reservation
from clients.privacy.ledger_rows import Use
from clients.privacy.mechanism import Mechanism
from clients.privacy.policy import Budget
from tests.clients.privacy.test_ledger import manifest

folder = Path(sys.argv[1])
sys.stdin.readline()
ledger = PrivacyLedger(folder / "state" / "privacy.sqlite", folder / "identity" / "anchor")
name = ledger.enrol(manifest(*range(10)))
use = Use(name, "client", Mechanism(2.0, 0.05, 10), "f" * 64, 1, 1)
print(sum(isinstance(ledger.reserve(use, Budget(1.0, 1e-5)), Reservation) for _ in range(6)))
"""


def test_processes_that_reserve_at_once_cannot_overspend(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    granted = [int(process.communicate(timeout=120)[0]) for process in processes]
    ledger = opened(tmp_path)
    assert steps(ledger, ONE.hash) == 10 * sum(granted)
    assert 0.5 < ledger.spent(ONE.hash, DELTA) <= 1.0
    assert not ledger.can_afford(ONE.hash, [("client", STEP)], TIGHT) or sum(granted) == 12


# ---- files that cannot be used -------------------------------------------------------------------


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
        give_up(tmp_path / "state/privacy.sqlite", tmp_path / "identity/anchor", [ONE], "test")


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
    kept = give_up(tmp_path / "state/privacy.sqlite", tmp_path / "identity/anchor", [ONE], "test")
    assert (kept is not None) == (mishap in (spoil, lose_anchor))
    again = opened(tmp_path)
    assert again.spent(name, DELTA) == float("inf")
    part = again.enrol(manifest(9, 10))
    for gone in (name, part):
        assert isinstance(again.reserve(use(gone), Budget(1e9, DELTA)), Refusal)
        assert not again.can_afford(gone, [], Budget(1e9, DELTA))
    reserved(again, again.enrol(manifest(20, 21)))


def test_nothing_is_given_up_without_naming_it(tmp_path: Path) -> None:
    with pytest.raises(PrivacyError, match="no data set"):
        give_up(tmp_path / "state/privacy.sqlite", tmp_path / "identity/anchor", [], "test")
