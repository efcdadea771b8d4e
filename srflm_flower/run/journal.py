"""The journal of a simulated run's server, and what each commit writes into the run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from clients.models.model_file import ModelFile, read_model_file
from clients.models.model_store import ModelStore
from clients.models.moving_average import AverageFile
from srflm_flower.federation.federation import Federation
from srflm_flower.results.release import Release, averaged_through, better_of, released
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.ledger import Ledger
from srflm_flower.run.normalisation import NOTE, mean_at_home
from srflm_flower.site.journal import SiteJournal
from srflm_flower.site.ledger import TermLedger
from strategies.protocol.records import TermRecord
from strategies.protocol.signatures import NoKeys
from strategies.weights import Model, Weights


def run_journal(
    folder: RunFolder, federation: Federation, initial: Model, at_home: Weights | None = None
) -> SiteJournal:
    """Return the journal of the run's server; ``ledger.jsonl`` is brought up to date with it.

    ``at_home`` are the first values of the weights that sites keep to themselves, if any.

    Raises :class:`LedgerError` if ``ledger.jsonl`` contradicts the server's own ledger.
    """
    exported = Ledger(folder.ledger, federation.hash)
    ledger = TermLedger(folder.server_ledger, federation.hash)
    committed = ledger.records()
    exported.catch_up(committed)
    models = ModelStore(folder.server_store)
    best = released(committed, federation.task.metric)
    results = _Results(folder, federation, models, exported, best, at_home or {})
    return SiteJournal(
        ledger, models, initial, federation.as_edition, NoKeys(), results.brought_up_to
    )


@dataclass
class _Results:
    """The results in a run's folder, brought up to date at each commit."""

    folder: RunFolder
    federation: Federation
    models: ModelStore
    exported: Ledger
    best: Release | None
    at_home: Weights

    @contextmanager
    def brought_up_to(self, record: TermRecord) -> Iterator[None]:
        """Release the best global model so far; once the record counts, export it.

        With a moving average, the average is released instead of the best model.
        """
        # The model comes before its record: after a crash in between, the stored proposal is
        # committed once more.  The export comes after it: a crash loses no line, as a run that is
        # resumed appends what is missing.
        if self.federation.aggregation.moving_average:
            self._release_average(record)
        else:
            self._release_best(record)
        yield
        self.exported.append(record)
        self.models.keep_only({each.model for each in self.exported.records()[-2:]})

    def _release_best(self, record: TermRecord) -> None:
        self.best = better_of(self.best, [record], self.federation.task.metric)
        if self.best is None or self.best.term != record.term:
            return
        path = self.folder.global_model
        if path.exists() and read_model_file(path).hash == self.best.model:  # before a crash
            return
        self._write_global(self.best, self.models.get(self.best.model).weights)

    def _release_average(self, record: TermRecord) -> None:
        """Advance the moving average by the record's model, and release it."""
        file = AverageFile(
            self.folder.server / "average.safetensors",
            self.federation.network_settings,
            self.federation.task,
        )
        model = self.models.get(record.model)
        # A term that the average has is skipped, so a repeat after a crash counts no model twice.
        file.take_in([(record.term, model.weights)], self.federation.aggregation.moving_average)
        average = file.read()
        if average is not None:
            self._write_global(averaged_through(average.term), average.weights)

    def _write_global(self, release: Release, weights: Weights) -> None:
        notes = {"term": release.term, "kind": release.kind, **self.federation.model_notes()}
        at_home = mean_at_home(self.folder, self.federation, self.at_home)
        if at_home:
            notes["normalisation"] = NOTE
        whole = {**at_home, **weights}
        file = ModelFile(self.federation.network_settings, self.federation.task, whole, notes)
        file.write(self.folder.global_model)
