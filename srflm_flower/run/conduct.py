"""Conduct a run over a Grid: all terms, then the results.  Simulation and tests share this code."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from flwr.serverapp import Grid

from clients.files.durable import write_durably
from clients.models.model_file import ModelFile, read_model_file
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.first_model import first_model
from srflm_flower.privacy.own_data import is_own_data
from srflm_flower.report import write_cases, write_report
from srflm_flower.report.pictures import NO_PICTURES, Pictures
from srflm_flower.results.advice import Advice
from srflm_flower.results.summary import RunSummary, summarise
from srflm_flower.run.advice import advice_of_run
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.journal import run_journal
from srflm_flower.run.pictures import pictures_of_run
from srflm_flower.site.journal import SiteJournal
from strategies.errors import FederationStopped, SrflmError
from strategies.server_rotating import ServerRotating
from strategies.term.closing import Closing, close_run
from strategies.term.plan import Observer, StepPlan, silent
from strategies.weights import Model, to_arrays

MAX_VENDORS_IN_MATRIX = 12
"""The vendor × vendor matrix needs every model at every vendor, so larger runs have none."""


@dataclass(frozen=True)
class ConductedRun:
    """A run in a folder, ready to be conducted or resumed."""

    folder: RunFolder
    federation: Federation
    observer: Observer = silent
    steps: StepPlan | None = None

    def conduct(self, grid: Grid) -> RunSummary:
        """Run the remaining terms, then write models, summary, and report.

        If the federation cannot go on, the summary says so, and the :class:`SrflmError` is raised
        again.  Committed terms stay in the folder, and the run can be resumed.  Raises
        :class:`LedgerError` without a summary if the folder's ledgers contradict each other.
        """
        started = time.monotonic()
        federation = self.federation
        # Every site makes the same initial model from the same seed.
        first = first_model(federation)
        initial = first.shared
        journal = run_journal(self.folder, federation, initial, first.at_home)
        # All nodes are there, and a busy machine may need minutes to start their processes.
        patience = federation.run.work_deadline
        strategy = ServerRotating(
            replace(federation.term_plan(self.steps), first_answer_deadline=patience),
            federation.election_policy(),
            federation.aggregation,
            journal,
            self.observer,
        )
        try:
            self._check_size(grid)
            strategy.start(grid, to_arrays(initial.weights), federation.run.rounds)
            closing, released = self._close(strategy, grid)
        except SrflmError as error:
            stopped = (error.code, error.found)
            # A run that stopped early still gets a report of its committed terms.
            self._finish(journal, started, Closing({}, {}, {}), stopped)
            raise
        plan, personalised = self.folder.data_plan(), closing.personalised
        pictures = pictures_of_run(federation, plan, released, personalised)
        advice = advice_of_run(self.folder, federation, released, personalised)
        return self._finish(journal, started, closing, None, pictures, advice)

    def _check_size(self, grid: Grid) -> None:
        nodes, vendors = len(list(grid.get_node_ids())), len(self.federation.roster)
        if nodes < vendors:
            raise FederationStopped(
                f"{nodes} SuperNodes for the {vendors} vendors of {self.federation.name!r}",
                "at least one for each vendor",
                f'add --federation-config "num-supernodes={vendors}" to flwr run,'
                " or use `srflm simulate`, which does it for you",
                FederationStopped.WRONG_SIZE,
            )

    def _close(self, strategy: ServerRotating, grid: Grid) -> tuple[Closing, Model | None]:
        """Gather the results and write the model files; return the released model besides."""
        self.observer("closing")
        released = measured = None
        if self.folder.global_model.exists():
            file = read_model_file(self.folder.global_model)
            released = Model.of(file.weights)
            # Each site measures it with its own normalisation, if it has one.
            shared = strategy.journal.model(strategy.journal.genesis()).weights
            measured = Model.of({name: file.weights[name] for name in shared})
        closing = close_run(
            strategy.converse(grid),
            grid,
            self.federation.run.work_deadline,
            measured,
            cross=len(self.federation.roster) <= MAX_VENDORS_IN_MATRIX,
        )
        missing = [v for v in self.federation.roster if v not in closing.personalised]
        if missing:
            self.observer("not-shared", vendors=missing)
        for vendor, model in closing.personalised.items():
            notes = {"vendor": vendor, **self.federation.model_notes()}
            ModelFile(
                self.federation.network_settings, self.federation.task, model.weights, notes
            ).write(self.folder.models / f"{vendor}.safetensors")
        return closing, released

    def _finish(
        self,
        journal: SiteJournal,
        started: float,
        closing: Closing,
        stopped: tuple[str, str] | None,
        pictures: Pictures = NO_PICTURES,
        advice: Mapping[str, Advice] = MappingProxyType({}),
    ) -> RunSummary:
        seconds = time.monotonic() - started
        records = journal.records()
        found = closing.test, closing.cross, stopped, advice
        summary = summarise(self.federation, records, seconds, *found)
        # A report may be handed on; pictures of somebody's own patients must not, and privacy's
        # promise would not hold with them.
        apart = is_own_data(self.federation) or self.federation.privacy.private
        if apart and pictures.cases:
            write_cases(self.folder.cases, self.federation, pictures)
            pictures = Pictures(apart=True)
        write_report(self.folder.report, self.federation, records, summary, pictures)
        write_durably(self.folder.summary, summary.model_dump_json(indent=2).encode())
        self.observer("finished", status=summary.status, what_happened=summary.what_happened)
        return summary
