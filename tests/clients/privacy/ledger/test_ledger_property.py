"""Nothing that happens makes what was spent smaller: crashes, restarts, copies, other processes."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clients.privacy.accounting.accounting import within
from clients.privacy.ledger import ledger as ledger_module
from clients.privacy.ledger.anchor import read_anchor
from clients.privacy.ledger.file import LedgerFile
from clients.privacy.ledger.ledger import Reservation
from clients.privacy.ledger.rows import Use
from strategies.errors import PrivacyError
from tests.support.privacy_ledger import (
    AMPLE,
    DELTA,
    ONE,
    STEP,
    TIGHT,
    manifest,
    opened,
    reserved,
    steps,
    use,
)
from tests.support.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[4]


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
from clients.privacy.ledger.ledger import PrivacyLedger, Reservation
from clients.privacy.ledger.rows import Use
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.ledger.policy import Budget
from tests.support.privacy_ledger import manifest

folder, federation = Path(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
ledger = PrivacyLedger(
    folder / "state" / "privacy.sqlite",
    folder / "identity" / "anchor",
    witness=folder / federation / "privacy.anchor",
)
name = ledger.enrol(manifest(*range(10)))
use = Use(name, "client", Mechanism(2.0, 0.05, 10), federation, 1, 1)
print(sum(isinstance(ledger.reserve(use, Budget(1.0, 1e-5)), Reservation) for _ in range(6)))
"""


@pytest.mark.parametrize("federations", [("one", "one"), ("one", "two")])
def test_processes_that_reserve_at_once_cannot_overspend(
    tmp_path: Path, federations: tuple[str, str]
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path), federation],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for federation in federations
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    granted = [int(process.communicate(timeout=PATIENCE_SECONDS)[0]) for process in processes]
    ledger = opened(tmp_path)
    assert steps(ledger, ONE.hash) == 10 * sum(granted)
    assert 0.5 < ledger.spent(ONE.hash, DELTA) <= 1.0
    history = (*ledger.history(ONE.hash), STEP)
    assert not within(history, TIGHT.delta, TIGHT.epsilon) or sum(granted) == 12
