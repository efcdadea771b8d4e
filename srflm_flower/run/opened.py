"""Read the results of a run in Python: what happened, curves, figures, ε, and the models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from srflm_flower.federation.federation import Federation
from srflm_flower.results.outcome import elected_in, outcome_of
from srflm_flower.results.summary import RunSummary
from srflm_flower.run.folder import open_run_folder
from srflm_flower.run.ledger import Ledger
from srflm_flower.run.rows import Row, Rows
from strategies.errors import RunFolderError
from strategies.protocol.records import TermRecord

if TYPE_CHECKING:
    from clients.models.trained import TrainedModel

KINDS = ("averaged", "finetuned", "personalised")


class Run:
    """A run in a folder, finished or not.  Each of its tables is a list of dicts.

    Call ``.frame()`` on a table for a data frame of pandas.  Raises :class:`RunFolderError` for a
    folder that is no run's, and :class:`strategies.errors.LedgerError` for a damaged ledger.
    """

    def __init__(self, path: str | Path) -> None:
        self._folder = open_run_folder(Path(path))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}): {self.outcome}"

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._folder.path

    @cached_property
    def federation(self) -> Federation:
        """The federation, with all its settings."""
        return self._folder.federation()

    @property
    def records(self) -> Sequence[TermRecord]:
        """The committed term records as they are now, every link checked."""
        return Ledger(self._folder.ledger, self.federation.hash).records()

    @property
    def summary(self) -> RunSummary | None:
        """The summary, None of a run that has written none yet."""
        return self._folder.read_summary()

    @property
    def outcome(self) -> str:
        """How the run has really ended so far, in a sentence: ``19 of 20 terms; …``."""
        return outcome_of(self.federation, self.records).sentence

    # ---- tables ----------------------------------------------------------------------------------

    def terms(self) -> Rows:
        """Return a row for each term: who was elected, who served, who trained, who was absent."""
        records = self.records
        elected = elected_in(self.federation, records)
        return Rows(
            {
                "term": record.term,
                "round": record.round,
                "elected": elected[record.term],
                "server": record.server,
                "clients": list(record.clients),
                "absent": sorted({absence.vendor for absence in record.absences}),
                "learning_rate": record.learning_rate,
                "seconds": sum(cost.seconds for cost in record.cost.values()),
                "model": record.model,
            }
            for record in records
        )

    def curves(self, metric: str | None = None) -> Rows:
        """Return every figure on validation data: a row for each term, vendor, model, and metric.

        With ``metric``, only of this one, such as ``run.federation.task.metric``.
        """
        rows = Rows(row for record in self.records for row in _figures(record))
        return rows if metric is None else rows.where(metric=metric)

    def epsilon(self) -> Rows:
        """Return the ε that each vendor has spent by each term; empty without privacy."""
        return Rows(
            {"term": r.term, "vendor": vendor, "epsilon": each.epsilon, "delta": each.delta}
            for r in self.records
            for vendor, each in r.privacy.items()
        )

    def metrics(self) -> Rows:
        """Return the final figures on test data: a row for each vendor, model, and metric.

        Empty until the run has ended, and where they stay at the vendors.
        """
        summary = self.summary
        return Rows(
            {"vendor": vendor, "model": model, "metric": name, "value": value}
            for vendor, each in (summary.vendors.items() if summary is not None else ())
            for model in ("personalised", "released")
            for name, value in getattr(each, model).items()
        )

    # ---- models ----------------------------------------------------------------------------------

    @property
    def models(self) -> dict[str, Path]:
        """The model files by name: ``global``, and the vendors' personalised ones."""
        return {path.stem: path for path in sorted(self._folder.models.glob("*.safetensors"))}

    def model(self, name: str = "global") -> TrainedModel:
        """Return a model, ready for images; raises :class:`RunFolderError` for unknown names."""
        from clients.models.trained import load_trained  # torch takes seconds to import

        if name not in self.models:
            raise RunFolderError(
                f"no model {name!r} in {self.path}",
                ", ".join(self.models) or "a run with a committed term",
                "name one of these",
                RunFolderError.NOT_A_RUN,
            )
        return load_trained(self.models[name])


def _figures(record: TermRecord) -> Iterator[Row]:
    for vendor, told in record.metrics.items():
        for kind in KINDS:
            for name, value in getattr(told, kind).items():
                yield {
                    "term": record.term,
                    "vendor": vendor,
                    "model": kind,
                    "metric": name,
                    "value": value,
                }
