"""The journal of a run's server: nothing is lost or counted twice, wherever its process dies."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.files import durable
from clients.models.model_file import read_model_file
from clients.models.moving_average import AverageFile, advanced
from srflm_flower.federation.federation import Federation
from srflm_flower.results.release import released
from srflm_flower.run import ledger as exported
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.journal import run_journal
from srflm_flower.site.ledger import TermLedger
from strategies.errors import LedgerError
from strategies.protocol.records import Proposal, TermRecord
from strategies.weights import Model, Weights, hash_weights
from tests.support.faults import Crash
from tests.support.records import make_committed, make_metrics, make_record
from tests.support.tiny import conduct, new_run, records_of, tiny_federation

INITIAL = {"w": np.zeros(2, np.float32)}
ACCURACIES = {1: (0.5, 0.6), 2: (0.1, 0.2), 3: (0.9, 0.7)}
"""Term → those of its two models: the second term's are not released."""


def averaged_in(term: int) -> Weights:
    return {"w": np.full(2, term, np.float32)}


def model_of(term: int) -> Weights:
    return {"w": np.full(2, term + 0.5, np.float32)}


@dataclass
class Server:
    """A server without sites: it makes up records, and a majority accepts all of them."""

    folder: RunFolder
    federation: Federation
    made: Iterator[int] = field(default_factory=itertools.count)
    proposed: dict[int, Proposal] = field(default_factory=dict)

    def serve(self, terms: int) -> None:
        """Serve until this many terms are committed, as a new process does."""
        with self.folder.locked():
            journal = run_journal(self.folder, self.federation, INITIAL)
            while (term := len(journal.records()) + 1) <= terms:
                stored = journal.proposal()
                if stored is None:
                    assert term not in self.proposed, "a proposal was lost"
                    models = [Model.of(w) for w in (averaged_in(term), model_of(term))]
                    proposal = journal.sign(self.record(journal.records()))
                    stored = 0, journal.propose(0, proposal, models)
                    self.proposed[term] = proposal
                journal.commit(make_committed(stored[1].record, "a", "b", "c"))

    def record(self, records: Any) -> TermRecord:
        """Return a record for the next term, unlike any other."""
        term = len(records) + 1
        return make_record(
            term,
            records[-1].hash if records else self.federation.hash,
            federation=self.federation.hash,
            steps={"a": next(self.made)},
            averaged_model=hash_weights(averaged_in(term)),
            model=hash_weights(model_of(term)),
            metrics={"a": make_metrics(*ACCURACIES[term])},
        )

    def committed(self) -> list[TermRecord]:
        return list(TermLedger(self.folder.server_ledger, self.federation.hash).records())

    def average(self) -> AverageFile:
        settings = self.federation.network_settings, self.federation.task
        return AverageFile(self.folder.server / "average.safetensors", *settings)


def server_in(folder: Path, name: str = "run", **changes: object) -> Server:
    federation = tiny_federation(folder, **changes)
    return Server(new_run(federation, folder / name), federation)


@dataclass
class Dying:
    """A process that dies before its n-th step (from 0); a step may also be half done."""

    dies_at: int
    steps: int = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps > self.dies_at:
            raise Crash

    def before(self, do: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*arguments: Any, **named: Any) -> Any:
            self.step()
            return do(*arguments, **named)

        return stepping

    def torn(self, path: Path, line: bytes) -> None:
        """Append a line in two steps."""
        self.step()
        with path.open("ab") as file:
            file.write(line[:9])
        self.step()
        os.truncate(path, path.stat().st_size - 9)
        durable.append_durably(path, line)

    @contextmanager
    def within(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Die at a rename, a deletion, a line, or a transaction; none of them waits for a disk."""
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", self.before(Path.replace))
            patch.setattr(Path, "unlink", self.before(Path.unlink))
            patch.setattr(exported, "append_durably", self.torn)
            patch.setattr(TermLedger, "deciding", self.before(TermLedger.deciding))
            yield


@pytest.mark.parametrize("decay", [None, 0.5], ids=["best", "average"])
def test_process_that_dies_at_any_step_loses_nothing_and_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decay: float | None
) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    changes = {"aggregation__moving_average": decay} if decay else {}
    for count in itertools.count():
        server, dying = server_in(tmp_path, f"run-{count}", **changes), Dying(count)
        try:
            with dying.within(monkeypatch):
                server.serve(2)
        except Crash:
            kept = server.committed()
            server.serve(3)
        else:
            break
        records = server.committed()
        assert records[: len(kept)] == kept
        assert records == [server.proposed[term].record for term in (1, 2, 3)]
        assert records_of(server.folder) == records
        stored = {path.stem for path in server.folder.server_store.iterdir()}
        assert stored == {records[1].model, records[2].model}
        check_release(server, records, decay)
    assert count >= 15


def check_release(server: Server, records: list[TermRecord], decay: float | None) -> None:
    found = read_model_file(server.folder.global_model)
    if decay is None:
        best = released(records, "accuracy")
        assert best is not None and best.term == 3
        assert (found.hash, found.notes["term"]) == (best.model, 3)
        return
    expected = None
    for term in (1, 2, 3):
        expected = advanced(expected, model_of(term), term, decay)
    assert expected is not None
    average = server.average().read()
    assert average is not None and (average.models, average.term) == (3, 3)
    assert hash_weights(average.weights) == hash_weights(expected.weights) == found.hash


def test_model_is_released_before_its_record_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = server_in(tmp_path)

    def dies(*_: object) -> bool:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(TermLedger, "append", dies)
        with pytest.raises(Crash):
            server.serve(1)
    assert read_model_file(server.folder.global_model).hash == server.proposed[1].record.model
    assert server.committed() == records_of(server.folder) == []
    server.serve(1)
    assert server.committed() == records_of(server.folder) == [server.proposed[1].record]


def test_certificate_names_those_who_have_accepted(tmp_path: Path) -> None:
    server = server_in(tmp_path)
    server.serve(2)
    journal = run_journal(server.folder, server.federation, INITIAL)
    assert [set(each.certificate.acceptances) for each in journal.page(2)] == [{*"abc"}]


# ---- ledger.jsonl and the server's own ledger ------------------------------------------------


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_lines_that_are_missing_are_written_again(tmp_path: Path, lines: int) -> None:
    server = server_in(tmp_path)
    server.serve(3)
    written = server.folder.ledger.read_bytes()
    server.folder.ledger.write_bytes(b"".join(written.splitlines(keepends=True)[:lines]))
    run_journal(server.folder, server.federation, INITIAL)
    assert server.folder.ledger.read_bytes() == written


def test_ledger_that_was_deleted_is_written_again_when_the_run_is_resumed(tmp_path: Path) -> None:
    run = new_run(tiny_federation(tmp_path, run__rounds=1), tmp_path / "run")
    conduct(run)
    written = run.ledger.read_bytes()
    run.ledger.unlink()
    assert conduct(run).status == "completed"
    assert run.ledger.read_bytes() == written


def test_ledger_that_was_changed_is_refused_and_can_be_moved_away(tmp_path: Path) -> None:
    server = server_in(tmp_path)
    server.serve(2)
    written = server.folder.ledger.read_bytes()
    first, last = written.splitlines(keepends=True)
    changed = first + last.replace(b'"examples":10', b'"examples":11')
    server.folder.ledger.write_bytes(changed)
    with pytest.raises(LedgerError, match="not in the server's own ledger, which has 2") as caught:
        server.serve(3)
    assert "move the file away" in caught.value.mend
    assert server.folder.ledger.read_bytes() == changed
    server.folder.ledger.unlink()
    server.serve(2)
    assert server.folder.ledger.read_bytes() == written


def test_run_of_an_older_version_is_refused(tmp_path: Path) -> None:
    """It kept its ledger in ledger.jsonl only, and its proposals in another file."""
    server = server_in(tmp_path)
    server.serve(2)
    server.folder.server_ledger.unlink()
    for _ in range(2):
        with pytest.raises(LedgerError, match="has 2 term records") as caught:
            server.serve(3)
        assert "the version that began it" in caught.value.mend
    assert len(records_of(server.folder)) == 2
