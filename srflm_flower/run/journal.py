"""The journal of a run in its folder: ledger, proposal, and the models they name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clients.files.durable import write_durably
from clients.models.model_file import ModelFile, read_model_file
from clients.models.model_store import ModelStore
from clients.models.moving_average import AverageFile
from srflm_flower.federation.federation import Federation
from srflm_flower.results.release import Release, averaged_through, released
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.ledger import Ledger
from strategies.protocol.records import (
    Approval,
    Certificate,
    Committed,
    Noun,
    Proposal,
    TermRecord,
    canonical_json,
)
from strategies.weights import Model, Weights


class _Stored(Noun):
    """The content of the proposal's file."""

    attempt: int
    proposal: Proposal


class RunJournal:
    """Implements :class:`strategies.term.plan.TermJournal` on disk, in a :class:`RunFolder`."""

    def __init__(self, folder: RunFolder, federation: Federation, initial: Model) -> None:
        self._folder, self._federation = folder, federation
        self._ledger = Ledger(folder.ledger, federation.hash)
        self._store = ModelStore(folder.server_store)
        self._average = AverageFile(
            folder.server / "average.safetensors", federation.network_settings, federation.task
        )
        self._initial = initial
        self._at_hand: dict[str, Model] = {}

    def records(self) -> Sequence[TermRecord]:
        """Return all committed records, oldest first."""
        return self._ledger.records()

    def genesis(self) -> str:
        """Return the hash of the initial model."""
        return self._initial.hash

    def model(self, name: str) -> Model:
        """Return the head's model, the initial one, or one of the proposal's, by hash."""
        if name == self._initial.hash:
            return self._initial
        return self._at_hand.get(name) or self._store.get(name)

    def committed(self, first: int) -> Sequence[Committed]:
        """Return the records from term ``first`` on, with empty signatures as in a simulation."""
        accepted = dict.fromkeys(self._federation.roster, "")
        return [
            Committed(
                record=record,
                certificate=Certificate(attempt=record.attempt, acceptances=accepted),
            )
            for record in self.records()[first - 1 :]
        ]

    def roster_change(self, approvals: Iterable[Approval]) -> None:
        """Return None: in a simulation the roster never changes."""

    def sign(self, record: TermRecord) -> Proposal:
        """Return the record without a signature: a simulation needs none."""
        return Proposal(record=record)

    def proposal(self) -> tuple[int, Proposal] | None:
        """Return the last proposal of the open term with its attempt, if there is one."""
        if not self._folder.proposal.exists():
            return None
        stored = _Stored.model_validate_json(self._folder.proposal.read_bytes())
        # A crash between the append of a record and this file's removal leaves an old proposal.
        if stored.proposal.record.term != len(self.records()) + 1:
            return None
        return stored.attempt, stored.proposal

    def propose(self, attempt: int, proposal: Proposal, models: Iterable[Model]) -> Proposal:
        """Store a proposal and its models durably; the folder's lock excludes other writers."""
        # Models first: a stored proposal must be able to be committed after a crash.
        for model in models:
            self._store.put(model)
            self._at_hand[model.hash] = model
        stored = _Stored(attempt=attempt, proposal=proposal)
        write_durably(self._folder.proposal, canonical_json(stored.model_dump(mode="json")))
        return proposal

    def commit(self, committed: Committed) -> None:
        """Release the best global model so far, append the record, and drop the proposal.

        With a moving average, the average is released instead of the best model.
        """
        # The model is written before its record, and the proposal is dropped last: after a crash in
        # between, the stored proposal is committed once more.
        record = committed.record
        if self._federation.aggregation.moving_average:
            self._release_average(record)
        else:
            self._release([*self.records(), record])
        self._ledger.append(record)
        self._folder.proposal.unlink(missing_ok=True)
        self._at_hand = {record.model: self.model(record.model)}
        self._store.keep_only({each.model for each in self.records()[-2:]})

    def _release(self, records: Sequence[TermRecord]) -> None:
        best = released(records, self._federation.task.metric)
        if best is None or best.term != records[-1].term:
            return
        path = self._folder.global_model
        if path.exists() and read_model_file(path).hash == best.model:  # written before a crash
            return
        self._write_global(best, self.model(best.model).weights)

    def _release_average(self, record: TermRecord) -> None:
        """Advance the moving average by the record's model, and release it."""
        decay, model = self._federation.aggregation.moving_average, self.model(record.model)
        # A term that the average has is skipped, so a repeat after a crash counts no model twice.
        self._average.take_in([(record.term, model.weights)], decay)
        average = self._average.read()
        if average is not None:
            self._write_global(averaged_through(average.term), average.weights)

    def _write_global(self, release: Release, weights: Weights) -> None:
        notes = {"term": release.term, "kind": release.kind, **self._federation.model_notes()}
        file = ModelFile(self._federation.network_settings, self._federation.task, weights, notes)
        file.write(self._folder.global_model)
