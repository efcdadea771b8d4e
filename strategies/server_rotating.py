"""Server-rotating federated learning as a Flower strategy: one term after another over a Grid.

A term (docs/explanation/term.md) has the phases of strategies/phases.py: open, train, aggregate,
fine-tune, evaluate, commit.  The provisional server's fine-tuning is a message to the elected
vendor's *own node*, so the strategy never touches data, and simulation and deployment run the same
code.  When the server fails, the next vendor of the ranking attempts the term again; clients do not
repeat finished training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from logging import INFO
from types import MappingProxyType

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.common.logger import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result

from strategies.aggregation import Update, aggregate, joined
from strategies.election import ElectionPolicy, Ranking, first_ranking, ranking_after
from strategies.errors import UpdateRejected
from strategies.own_loop import OwnLoop
from strategies.protocol import messages as wire
from strategies.protocol.messages import Answer
from strategies.protocol.records import Absence, Proposal, RunOrder, TermRecord
from strategies.protocol.yielding import MENDED_BY_OPENING
from strategies.settings import AggregationSettings
from strategies.term.answers import checked_update, mean_metrics, signed_evaluations, signed_work
from strategies.term.attempt import Attempt, ServerLost, nobody_served
from strategies.term.committing import (
    acceptance_requests,
    certified,
    commit_requests,
    fetch_model,
    obliged,
    proven,
    require_accepted,
    signed_acceptances,
)
from strategies.term.conversation import Conversation, request, require_quorum
from strategies.term.exchange import CostMeter, Exchange, Peers
from strategies.term.opening import AttemptTaken, Behind, ahead_of_server, new_attempt, open_term
from strategies.term.plan import Observer, TermJournal, TermPlan, silent
from strategies.term.record_of_term import make_record
from strategies.term.requests import evaluation_requests, training_requests, work
from strategies.term.secure_averaging import secure_mean
from strategies.weights import Model, Weights, from_arrays, to_arrays


class ServerRotating(OwnLoop):
    """Elect a provisional server each term, average, let it fine-tune, evaluate, commit, hand over.

    :meth:`start` has the signature and the result of any Flower strategy.  A term has more phases
    than Flower's rounds, so it runs a loop of its own.

    ``order`` is the run order to follow, if any.  ``everyone`` (vendor → node) is set if it is
    known who can be reached; a vendor that is not in it cannot.  ``peers`` are those behind nodes.
    ``clock`` and ``sleep`` are parameters so that tests need not wait.
    """

    def __init__(
        self,
        plan: TermPlan,
        election: ElectionPolicy,
        aggregation: AggregationSettings,
        journal: TermJournal,
        observer: Observer = silent,
        order: RunOrder | None = None,
        everyone: Mapping[str, int] = MappingProxyType({}),
        peers: Peers | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.plan, self.election, self.aggregation = plan, election, aggregation
        self.journal, self.observer, self.order = journal, observer, order
        self._everyone, self._clock, self._sleep = dict(everyone), clock, sleep
        self._peers = peers or Peers()
        self._patience = plan.work_deadline
        self._next_opening = plan.of_first_opening()

    # ---- the loop ----------------------------------------------------------------------------

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = math.inf,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run terms until ``num_rounds`` SRFLM rounds are committed, continuing from the journal.

        ``timeout`` (in seconds) shortens the plan's deadline for work.  Raises ValueError if
        ``initial_arrays`` are not the model with which the journal begins, or for a configuration
        of training or evaluation, which the federation has agreed already.  Raises
        :class:`FederationStopped` when the federation cannot go on; all committed terms are kept.
        """
        if Model.of(from_arrays(initial_arrays)).hash != self.journal.genesis():
            raise ValueError("initial_arrays are not the model that the journal begins with")
        if train_config or evaluate_config:
            raise ValueError("the agreed plan decides how vendors train and evaluate")
        self._patience = min(timeout, self.plan.work_deadline)
        self.summary()
        result = Result()
        while self.rounds_done() < num_rounds and self.can_go_on():
            record = self.run_term(grid)
            result.arrays = to_arrays(self.journal.model(record.model).weights)
            result.evaluate_metrics_clientapp[record.round] = mean_metrics(record.metrics)
            metrics = evaluate_fn(record.round, result.arrays) if evaluate_fn else None
            if metrics is not None:
                result.evaluate_metrics_serverapp[record.round] = metrics
        return result

    def rounds_done(self) -> int:
        """Return the number of SRFLM rounds that are committed."""
        records = self.journal.records()
        return records[-1].round if records else 0

    def can_go_on(self) -> bool:
        """Return whether a next term is possible; if not, tell the observer the reason."""
        records = self.journal.records()
        reason = records[-1].ended if records else ""
        if reason:
            self.observer("ended", reason=reason)
        return not reason

    def next_ranking(self) -> Ranking:
        """Return the ranking for the next term: its elected server first."""
        records, roster = self.journal.records(), self.plan.roster
        head = records[-1] if records else None
        return ranking_after(head, first_ranking(self.election, roster), roster)

    def run_term(self, grid: Grid) -> TermRecord:
        """Run one term to its commit, trying one server after another, and return its record.

        This is for one process that plays every server, as in a simulation.  Raises
        :class:`FederationStopped` when no quorum can be reached, or when every vendor has failed
        as server; :class:`LedgerError` when a site has committed terms that the journal lacks.
        """
        stored = self.journal.proposal()
        # After a crash, continue under the attempt of the stored proposal.
        attempt = stored[0] if stored is not None else 0
        lost: list[Absence] = []
        while len(lost) < len(self.plan.roster):
            try:
                return self.serve(grid, attempt, lost)
            except AttemptTaken as taken:
                attempt = taken.attempt
            except Behind as error:
                raise ahead_of_server(error) from error
            except ServerLost as error:
                lost.append(error.absence)
                attempt += 1
                self.observer("server-lost", **error.absence.model_dump())
        raise nobody_served(len(self.journal.records()) + 1, lost)

    def serve(self, grid: Grid, attempt: int, lost: Sequence[Absence] = ()) -> TermRecord:
        """Run one attempt at the next term to its commit; ``lost`` are the servers that failed.

        An earlier proposal is made again: the journal's own under this attempt, else the one that
        the votes oblige this server to make, else the journal's last.  Raises the errors of
        :meth:`run_term`, and :class:`AttemptTaken`, :class:`Behind`, and :class:`ServerLost`.
        """
        stored = self.journal.proposal()
        if stored is not None:
            self._everyone = {}  # the term was begun before: ask every node how far it is
        term = self._open(grid, attempt, needs_server=stored is None)
        term.absences[:0] = lost
        if stored is not None and stored[0] == attempt:
            return self._commit(term, stored[1])  # never two proposals under one attempt
        guarded = self.aggregation.guard is not None
        proposal, models = obliged(term, guarded), list[Model]()
        is_own = proposal is None
        if proposal is not None:
            model = fetch_model(self._conversation(term), proposal.record.model, self.plan)
            models = [model]
        # Free, it proposes a record of its own only: the proof of another's is not at hand.  Where
        # sites may have refused it, it makes another, as other clients may have come.
        elif stored is not None and stored[1].record.server == term.server and not guarded:
            proposal = stored[1]
        else:
            if term.server not in term.node_of:  # the last absence: ``lost`` may have one, too
                raise ServerLost([a for a in term.absences if a.vendor == term.server][-1])
            proposal, models = self._work(term, grid)
        proposal = proven(term, proposal, is_own)
        return self._commit(term, self.journal.propose(attempt, proposal, models))

    def _work(self, term: Attempt, grid: Grid) -> tuple[Proposal, list[Model]]:
        """Run phases 2 to 4; return the signed proposal and its models."""
        model = averaged = term.start
        last_round = term.first_round + self.plan.rounds_per_term - 1
        for round_number in range(term.first_round, last_round + 1):
            averaged = self._train(term, round_number, model, grid)
            finetuned = self._finetune(term, round_number, averaged)
            model = self._model_of_round(term, averaged, finetuned)
        models = {"averaged": averaged, "finetuned": model}
        evaluated = models if self.plan.evaluate_averaged else {"finetuned": model}
        replies = self._ask(term, evaluation_requests(term, evaluated), "evaluate", models.values())
        named = {name: model.hash for name, model in evaluated.items()}
        for answer in signed_evaluations(term, replies, named).values():
            term.note_evaluation(answer.reply, averaged="averaged" in named)
        history = self.journal.records()
        change = self.journal.roster_change(term.approvals.values())
        agreed = self.plan, self.election, history, last_round, models
        record = make_record(term, *agreed, change, self.journal.recovery(term.envelope.term))
        return self.journal.sign(record), list(models.values())

    # ---- open -------------------------------------------------------------------------------

    def converse(self, grid: Grid) -> Conversation:
        """Open the next term without running it, to ask the vendors after the last term."""
        attempt = 0
        while True:
            try:
                return self._conversation(self._open(grid, attempt, needs_server=False))
            except AttemptTaken as taken:
                attempt = taken.attempt

    def _open(self, grid: Grid, attempt: int, needs_server: bool) -> Attempt:
        waits = self._clock, self._sleep, self.plan.first_poll
        exchange = Exchange(grid, CostMeter(), *waits, self._peers, self.observer)
        ranking = self.next_ranking()
        term = new_attempt(self.plan, self.journal, ranking, attempt, exchange)
        if needs_server:
            self.observer("term-opened", **term.envelope.model_dump(exclude={"federation"}))
        everyone, self._everyone = self._everyone, {}
        # Attempt 0 needs no votes, so with every node known the opening can be skipped.
        if everyone and attempt == 0:
            term.node_of = everyone
            term.note_missing()
        else:
            plan, self._next_opening = self._next_opening, self.plan
            open_term(term, self._conversation(term), grid, plan, self.journal, self.order)
        return term

    # ---- train ------------------------------------------------------------------------------

    def _train(self, term: Attempt, round_number: int, model: Model, grid: Grid) -> Model:
        requests = training_requests(term, self.plan, self.aggregation, round_number, model)
        answers = self._ask(term, requests, "train", [model])
        # The opening was skipped and a site's view differs: open the term and ask once more.
        if not term.was_asked and any(a.code in MENDED_BY_OPENING for a in term.absences):
            open_term(term, self._conversation(term), grid, self.plan, self.journal, self.order)
            return self._train(term, round_number, model, grid)
        require_quorum(
            self.plan.roster,
            self.plan.quorum,
            term.reachable(),
            "answered in training",
            term.envelope.term,
        )
        answers = signed_work(term, answers, round_number)
        if self.aggregation.secure:
            talk, agreed = self._conversation(term), (self.plan, self.aggregation)
            return Model.of(secure_mean(talk, *agreed, round_number, model, answers))
        return Model.of(self._average(term, answers, round_number))

    def _average(self, term: Attempt, answers: Mapping[str, Answer], round_number: int) -> Weights:
        """Average the usable updates and note the others as absent.

        Raises :class:`FederationStopped` for fewer clients than ``min_clients``.
        """
        updates: dict[str, Update] = {}
        for vendor in self.plan.roster:  # in this order: it decides the rounding of the sum
            answer = answers.get(vendor)
            if answer is None or not answer.reply.update:
                continue
            reply = answer.reply
            try:
                weights = checked_update(answer, term.start.weights).weights
            except UpdateRejected as error:
                term.note_absence(vendor, "train", error.code)
                self.observer("update-dropped", vendor=vendor, code=error.code)
                continue
            updates[vendor] = Update(weights, reply.ballot.examples if reply.ballot else 1)
            if reply.steps:  # a recalled update may be of an earlier term: no work in this one
                term.note_work(reply, round_number, "client")
        term.clients = tuple(vendor for vendor in updates if vendor != term.server)
        term.stale_server = term.server in updates
        if len(term.clients) < self.aggregation.min_clients:
            raise term.too_few_clients(self.aggregation.min_clients)
        return aggregate(updates, self.aggregation)

    # ---- fine-tune --------------------------------------------------------------------------

    def _finetune(self, term: Attempt, round_number: int, averaged: Model) -> Model:
        """Let the provisional server's own node fine-tune the average on its own data."""
        finetuning = work(term, self.plan, term.server, round_number, averaged, "server")
        message = request(finetuning, wire.FINETUNE, term.node_of[term.server], [averaged])
        answers = self._ask(term, [message], "finetune")
        answers = signed_work(term, answers, round_number, "server")
        if term.server not in answers:
            # The conversation has just noted this absence.
            raise ServerLost(term.absences[-1])
        answer = answers[term.server]
        try:
            finetuned = checked_update(answer, averaged.weights)
        except UpdateRejected as error:
            raise ServerLost(term.note_absence(term.server, "finetune", error.code)) from error
        term.note_work(answer.reply, round_number, "server")
        return finetuned

    def _model_of_round(self, term: Attempt, averaged: Model, finetuned: Model) -> Model:
        """Return the fine-tuned model, or the mean of the clients' models that it has joined."""
        if self.aggregation.fine_tuned == "replaces":
            return finetuned
        clients = [term.examples_of(vendor) for vendor in term.clients]
        server = term.examples_of(term.server)
        weighted = self.aggregation.rule == "weighted-mean"
        by = clients, server, weighted, self.plan.lengths
        return Model.of(joined(averaged.weights, finetuned.weights, *by))

    # ---- commit -----------------------------------------------------------------------------

    def _commit(self, term: Attempt, proposal: Proposal) -> TermRecord:
        """Ask all vendors to accept the stored proposal; commit with a quorum, and tell all."""
        answers = self._ask(term, acceptance_requests(term, proposal), "commit")
        answers = signed_acceptances(term, proposal, answers)
        require_accepted(term, len(answers))
        committed = certified(term, proposal, answers)
        self.journal.commit(committed)  # durable here before any site learns of it
        record = committed.record
        self.observer("term-committed", record=record.model_dump(mode="json"))
        # Told with the acceptances, and to all with the commit: within a term every site knows.
        self.journal.hear_evidence(e for a in answers.values() for e in a.reply.evidence)
        commits = commit_requests(term, committed, self.journal.evidence())
        told = self._ask(term, commits, "commit")
        # Every site has the record, so the next term can skip its opening.
        self._everyone = term.node_of if len(told) == len(self.plan.roster) else {}
        return record

    def _ask(
        self, term: Attempt, requests: Iterable[Message], phase: str, at_hand: Iterable[Model] = ()
    ) -> dict[str, Answer]:
        decided = phase == "commit"
        return self._conversation(term).ask(requests, phase, self._patience, at_hand, decided)

    def _conversation(self, term: Attempt) -> Conversation:
        return Conversation(term, self.journal.model, self.observer)

    def summary(self) -> None:
        """Log the strategy's settings."""
        log(INFO, "Server-rotating: %s; aggregation: %s", self.election, self.aggregation.rule)
