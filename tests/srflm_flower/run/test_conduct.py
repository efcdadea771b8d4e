"""A run's folder under failures of the disk and of processes."""

from __future__ import annotations

import errno
import itertools
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from clients.files import durable
from clients.models import model_file
from clients.models.model_file import read_model_file
from srflm_flower.federation.loading import with_changes
from srflm_flower.results.release import released
from srflm_flower.run import ledger
from srflm_flower.run.folder import RunFolder
from srflm_flower.site.ledger import TermLedger
from strategies.errors import RunFolderError, SrflmError
from tests.support.faults import Crash
from tests.support.tiny import VENDORS, conduct, new_run, records_of, tiny_federation


def run_in(folder: Path, name: str = "run", **changes: object) -> RunFolder:
    return new_run(tiny_federation(folder, **changes), folder / name)


def test_released_model_is_the_best_by_validation(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    summary = conduct(run)
    best = released(records_of(run), "accuracy")
    assert best is not None
    assert read_model_file(run.global_model).hash == best.model
    assert (summary.released_term, summary.released_kind) == (best.term, best.kind)


def test_summary_has_the_vendor_by_vendor_matrix(tmp_path: Path) -> None:
    summary = conduct(run_in(tmp_path))
    assert set(summary.cross) == set(VENDORS)
    assert all(set(row) == set(VENDORS) for row in summary.cross.values())


def test_state_does_not_grow_with_the_rounds(tmp_path: Path) -> None:
    def models_kept(rounds: int) -> int:
        run = run_in(tmp_path, f"run-{rounds}", run__rounds=rounds)
        conduct(run)
        return len(list((run.path / "state").rglob("*.safetensors")))

    assert models_kept(8) <= models_kept(4)


@pytest.mark.parametrize(("where", "terms"), [("ledger.jsonl", 1), ("global.safetensors", 0)])
def test_full_disk_stops_the_run_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, terms: int
) -> None:
    """The *server's* disk is full after some terms; the sites have disks of their own."""
    run = run_in(tmp_path)
    writes = 0

    def full(write):
        def writing(path: Path, data: bytes) -> None:
            nonlocal writes
            if path.name == where and "sites" not in path.parts:
                writes += 1
                if writes > terms:
                    raise durable.not_writable(path, OSError(errno.ENOSPC, "No space left"))
            write(path, data)

        return writing

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "append_durably", full(durable.append_durably))
        patched.setattr(model_file, "write_durably", full(durable.write_durably))
        with pytest.raises(RunFolderError, match="No space left") as error:
            conduct(run)
    assert "free space" in error.value.mend
    assert len(records_of(run)) == terms
    assert json.loads(run.summary.read_text())["status"] == "stopped"
    assert conduct(run).status == "completed"
    assert [record.term for record in records_of(run)] == [1, 2, 3]


@pytest.mark.parametrize("writes", range(3))
def test_full_disk_of_the_server_s_ledger_stops_the_run_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Its writes in a term are the proposal and the record."""
    run = run_in(tmp_path, run__rounds=2)
    deciding, seen = TermLedger.deciding, 0

    def full(ledger: TermLedger) -> AbstractContextManager[sqlite3.Connection]:
        nonlocal seen
        seen += ledger._path == run.server_ledger
        if seen > writes:
            raise durable.not_writable(ledger._path, OSError(errno.ENOSPC, "No space left"))
        return deciding(ledger)

    with monkeypatch.context() as patched:
        patched.setattr(TermLedger, "deciding", full)
        with pytest.raises(RunFolderError, match="No space left"):
            conduct(run)
    assert json.loads(run.summary.read_text())["status"] == "stopped"
    assert conduct(run).status == "completed"
    assert [record.term for record in records_of(run)] == [1, 2]


def test_file_size_limit_of_the_system_is_reported_as_a_full_disk(tmp_path: Path) -> None:
    """A real failure of the operating system's, not a patched function."""
    script = (
        "import resource, signal, sys; from pathlib import Path;"
        "from clients.files.durable import write_durably\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "path = Path('model'); write_durably(path, b'old')\n"
        "try:\n    write_durably(path, b'x' * 5000)\n"
        "except Exception as error: print(error)\n"
        "print(path.read_bytes(), sorted(each.name for each in Path('.').iterdir()))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "SRFLM-R2" in result.stdout and "File too large" in result.stdout
    assert "b'old' ['model']" in result.stdout


def test_site_whose_disk_is_full_is_absent_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_in(tmp_path)
    connect = TermLedger._connect

    def full(ledger: TermLedger) -> sqlite3.Connection:
        if "c" in ledger._path.parts:
            raise sqlite3.OperationalError("database or disk is full")
        return connect(ledger)

    monkeypatch.setattr(TermLedger, "_connect", full)
    assert conduct(run).status == "completed"
    assert len(records_of(run)) == 3
    monkeypatch.undo()
    assert records_of(run, "c") == []


@pytest.mark.slow
def test_crash_at_any_write_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the process at the n-th rename or append, before or after it, and resume."""
    unbroken = run_in(tmp_path, "unbroken", run__rounds=2)
    conduct(unbroken)
    expected = read_model_file(unbroken.global_model).hash
    replace = Path.replace
    finished = False
    for count in itertools.count(0, 5):
        run = run_in(tmp_path, f"run-{count}", run__rounds=2)
        seen = 0

        def crashing(self: Path, target: Path, crash_at: int = count) -> Path:
            nonlocal seen
            seen += 1
            if seen == crash_at + 1 and crash_at % 2:
                raise Crash
            moved = replace(self, target)
            if seen == crash_at + 1:
                raise Crash
            return moved

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", crashing)
            try:
                conduct(run)
                finished = True
            except Crash:
                pass
        if finished:
            break
        conduct(run)
        assert [r.server for r in records_of(run)] == [r.server for r in records_of(unbroken)]
        assert read_model_file(run.global_model).hash == expected
    assert count > 20


def test_ledger_of_another_federation_is_refused(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    conduct(run)
    other = with_changes(run.federation(), seed=7, run__rounds=4)
    run.federation_file.write_text(other.to_toml(), encoding="utf-8")
    with pytest.raises(SrflmError, match="another federation"):
        conduct(run)


def test_text_of_a_site_s_error_stays_at_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise ValueError("cannot read /archive/patient-4711.dcm")

    monkeypatch.setattr("clients.learner.train", failing)
    run = run_in(tmp_path)
    with pytest.raises(SrflmError):
        conduct(run)
    outside = [run.summary, run.events, run.report, run.ledger]
    assert all(b"4711" not in path.read_bytes() for path in outside if path.exists())
    assert "4711" in (run.site("b") / "site.log").read_text()


def test_folder_in_use_is_refused_and_names_the_process(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    with run.locked(), pytest.raises(RunFolderError, match=str(os.getpid())), run.locked():
        pass
