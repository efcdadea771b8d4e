"""A vendor's side of a term: the work that its node does for each message.

The site obeys only messages that fit its own view (:mod:`strategies.protocol.admission`) and
answers with declared fields and model weights only (:mod:`srflm_flower.site.outgoing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from typing import Any, Literal

from flwr.app import Message, RecordDict

from clients.learner import Learner
from clients.models.model_store import ModelStore
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.first_model import FirstModel
from srflm_flower.site.agreement import Agreement
from srflm_flower.site.known_models import NeedsModels, alike, find_models
from srflm_flower.site.memory import NoMemory, SiteMemory
from srflm_flower.site.outgoing import check_outgoing
from srflm_flower.site.own_data.guard import guard_of
from srflm_flower.site.own_data.home_weights import HomeWeights
from srflm_flower.site.own_data.measuring import measure
from srflm_flower.site.own_data.own_training import OwnTraining, is_of, notes_of
from srflm_flower.site.own_data.personalisation import (
    Personalisation,
    personalisation_of,
    stored_models,
)
from srflm_flower.site.policy import SitePolicy, participant_of
from srflm_flower.site.released_so_far import released_at
from srflm_flower.site.secure_aggregation.secure_sum import secure_site
from srflm_flower.site.signing import signed_evaluation, signed_training
from srflm_flower.site.state import SiteState, UpdateNotes
from srflm_flower.site.tidying import tidy
from strategies.errors import LedgerError, MessageRefused, SrflmError, UpdateRejected
from strategies.protocol import messages as wire
from strategies.protocol.admission import check_names
from strategies.protocol.signatures import Keys, NoKeys
from strategies.protocol.yielding import YIELD, YieldAttempt, check_yield
from strategies.secure_aggregation.messages import SecureRequest
from strategies.settings import Role
from strategies.weights import Model, Weights

From = Literal["server", "server-of-any-term", "member"]
Handler = Callable[[Any, Message], RecordDict]


class Site:
    """One vendor's site.  ``find_learner`` reads the vendor's data and returns its learner.

    A simulated site has no ``policy``: it shares its personalised model, and needs no run order.
    """

    def __init__(
        self,
        vendor: str,
        federation: Federation,
        find_learner: Callable[[], Learner],
        first: FirstModel,
        state: SiteState,
        models: ModelStore,
        keys: Keys | None = None,
        policy: SitePolicy | None = None,
    ) -> None:
        self.vendor, self.federation, self._find_learner = vendor, federation, find_learner
        self.initial, self.state, self.models = first.shared, state, models
        self.home, self.first = HomeWeights(first.at_home, state), first.whole
        self._shares_best = policy is None or policy.shares_personalised
        own = state, models, self.initial, self.home, lambda: self.learner
        self.guard = guard_of(federation, policy, *own)
        self._agreement = Agreement(vendor, federation, self.initial, state, policy is None)
        self.keys = keys = keys or NoKeys()
        begin, name = self.initial.hash, federation.first_edition.federation
        self.participant = participant_of(vendor, federation, begin, state.ledger, keys, policy)
        self.memory = SiteMemory(vendor, name, state.ledger, keys) if policy else NoMemory()
        self._handlers: dict[str, tuple[type[wire.Request], From, Handler]] = {
            wire.OPEN: (wire.OpenAttempt, "server-of-any-term", self._open),
            wire.TRAIN: (wire.Train, "server", self._train),
            wire.RECALL: (wire.RecallUpdate, "server", self._recall),
            wire.FINETUNE: (wire.Train, "server", self._finetune),
            wire.EVALUATE: (wire.EvaluateModels, "server", self._evaluate),
            wire.ACCEPT: (wire.Accept, "server-of-any-term", self._accept),
            wire.COMMIT: (wire.Commit, "member", self._commit),
            wire.RECORDS: (wire.FetchRecords, "member", self._records),
            wire.MODEL: (wire.FetchModel, "member", self._model),
            wire.VOTES: (wire.TellVotes, "member", self._votes),
            wire.ORDER: (wire.OrderRun, "member", self._order),
            wire.SHARE: (wire.ShareBest, "server", self._share),
            YIELD: (YieldAttempt, "member", self._yield),
        }
        for kind, (noun, handler) in secure_site(
            vendor, federation, keys, state, self._agreement.check_sum, self._update_and_start
        ).items():
            self._handlers[kind] = (noun, "server", handler)

    @cached_property
    def learner(self) -> Learner:
        """The vendor's learner; the first use reads the vendor's data."""
        return self._find_learner()

    @cached_property
    def training(self) -> OwnTraining:
        """The work on the vendor's own data."""
        return OwnTraining(self.vendor, self.federation, self.state, self.learner, self.home)

    @cached_property
    def personalisation(self) -> Personalisation:
        """The search for the vendor's personalised model."""
        return personalisation_of(self.federation, self.state, self.learner, self.home, self.first)

    def answer(self, message: Message, sender: str | None = None) -> RecordDict:
        """Do the work that ``message`` asks for and return the reply's content.

        ``sender`` is the vendor whose SuperLink delivered the message, if that is known.  Raises
        :class:`strategies.errors.SrflmError` when the message is refused or its work fails.
        """
        kind, allowed, handler = self._handlers[message.metadata.message_type]
        request = wire.unpack(message, kind)
        if allowed == "member":
            self.participant.admit_member(request.envelope, sender)
            self.memory.hear(message.content, sender)
        else:
            any_term = allowed == "server-of-any-term"
            order = request.order if isinstance(request, wire.OpenAttempt) else None
            self.memory.require_newest(message.content, sender)
            self.participant.admit_server(request.envelope, sender, any_term, order)
        try:
            answer = handler(request, message)
        except NeedsModels as error:  # the server sends the message again, with these models
            answer = self._reply(status="needs-models", needs=error.needs)
        answer = self.memory.tell(answer, sender)  # after the work: it counts this vote, too
        # The personalised model alone has all weights: it is shared whole, or not at all.
        whole = message.metadata.message_type == wire.SHARE
        expected = self.initial.weights | (self.home.first if whole else {})
        return check_outgoing(answer, expected, self.federation, self.vendor)

    def log(self, text: str) -> None:
        """Append to the site's own log, if the disk allows it."""
        with suppress(SrflmError):  # a full disk must not hide the error that is being logged
            self.state.log(text)

    def highest_attempt(self) -> int:
        """Return the highest attempt at the next term that the site has granted."""
        return self.state.highest_attempt()

    def _update_and_start(
        self, asked: SecureRequest, message: Message
    ) -> tuple[Weights, Weights] | None:
        stored = self._stored_update(asked)
        start = self._find(message, asked.model).weights if stored else None
        return (self.home.shared(stored[0]), start) if stored and start else None

    def _stored_update(
        self, asked: wire.Train | SecureRequest
    ) -> tuple[Weights, UpdateNotes] | None:
        """Return the site's client update for this term, round, and start model, if it exists."""
        stored = self.state.update(asked.envelope.term, asked.round)
        return stored if stored is not None and is_of(asked, stored[1]) else None

    # ---- the phases --------------------------------------------------------------------------

    def _open(self, opening: wire.OpenAttempt, message: Message) -> RecordDict:
        return wire.pack(self.participant.open(opening))

    def _train(self, work: wire.Train, message: Message) -> RecordDict:
        """Train once per round and start model; every later request gets the stored update."""
        # Two servers of one term may ask at the same time; the second waits for the first.
        with self.state.training():
            stored = self.state.update(work.envelope.term, work.round)
            self._agreement.check_work(work, "client", stored[1] if stored else None)
            weights, notes = self._stored_update(work) or self._train_anew(
                work, self._alike(message, work.model).weights
            )
        # In secure aggregation the update itself leaves only masked.
        update = Model.of(self.home.shared(weights))
        secure = self.federation.aggregation.secure
        return self._worked(work, None if secure else update, notes, "client")

    def _train_anew(self, work: wire.Train, start: Weights) -> tuple[Weights, UpdateNotes]:
        trained = self.training.train(work, start, "client")
        notes = notes_of(work, trained)
        self.personalisation.consider_local(trained.weights, work.envelope.term)
        self.state.store_update(trained.weights, notes)
        return trained.weights, notes

    def _recall(self, recall: wire.RecallUpdate, message: Message) -> RecordDict:
        self._agreement.check_own(recall.envelope)
        stored = self.state.last_update()
        if stored is None and not recall.or_initial:
            return self._reply()
        if stored is None:
            return self._with_model(self.initial)
        weights, notes = stored
        # A vendor that replaced the server may have trained as a client in this term: count it.
        fresh = (notes.term, notes.round) == (recall.envelope.term, recall.round)
        notes = notes if fresh else notes.model_copy(update={"steps": 0})
        return self._worked(recall, Model.of(self.home.shared(weights)), notes, "client")

    def _finetune(self, work: wire.Train, message: Message) -> RecordDict:
        """Fine-tune once; a restarted server that asks again gets the same model."""
        self._agreement.check_own(work.envelope)
        self._agreement.check_work(work, "server", None)
        start = self._find(message, work.model)
        self.models.put(start)
        with self.state.training():
            stored = self.state.finetuned()
            if stored is None or not is_of(work, stored[1]):
                trained = self.training.train(work, start.weights, "server")
                self.personalisation.consider_fine_tuned(trained.weights, work.envelope.term)
                stored = trained.weights, notes_of(work, trained)
                self.state.store_finetuned(*stored)
        finetuned, notes = Model.of(self.home.shared(stored[0])), stored[1]
        self.models.put(finetuned)
        return self._worked(work, finetuned, notes, "server")

    def _evaluate(self, evaluation: wire.EvaluateModels, message: Message) -> RecordDict:
        check_names(evaluation, self.participant.view().ranking)
        self.training.check_told()
        told = self.state.answered.told(evaluation)
        if told is None:
            found = self._find_all(message, evaluation.models.values())
            models = alike(found, self.initial, self.home.first)
            told = measure(evaluation, models, self.learner, self.models, self.personalisation)
        # After the last term nobody reads the report on privacy.
        privacy = self.training.privacy(evaluation.envelope) if evaluation.select else None
        reply = self._done(metrics=told, privacy=privacy)
        if evaluation.select:
            reply = signed_evaluation(evaluation, reply, self.keys)
        return self._noted(evaluation, reply)

    def _accept(self, proposed: wire.Accept, message: Message) -> RecordDict:
        try:
            model = self._check_acceptable(proposed, message)
            self.models.put(model)
            return wire.pack(self.participant.accept(proposed))
        except (MessageRefused, LedgerError, UpdateRejected):
            self.participant.witness().note_refused(proposed.proposal)
            raise

    def _check_acceptable(self, proposed: wire.Accept, message: Message) -> Model:
        """Check a proposed record; return its model."""
        base = self.participant.check_acceptable(proposed)
        record = proposed.proposal.record
        model = self._find(message, record.model)
        # Another process may have committed it in the meantime.
        if base is not None and record.term > len(self.state.ledger):
            self._agreement.check_record(record, model, proposed.envelope.attempt)
            base.check_signed(record, self.keys)
            if self.guard is not None:
                self.guard.check(record, model)
        return model

    def _commit(self, commit: wire.Commit, message: Message) -> RecordDict:
        if commit.more:  # this site is behind: it needs no model before the last page
            return wire.pack(self.participant.commit(commit))

        def keep_model() -> None:
            newest = commit.records[-1].record
            if newest.term >= len(self.state.ledger):
                self.models.put(self._find(message, newest.model))

        reply = self.participant.commit(commit, keep_model)
        newest_two = self.state.ledger.records(reply.head_term - 1)
        self.personalisation.consider_global(stored_models(newest_two, self.models))
        kept = {record.model for record in newest_two}
        tidy(self.state, self.models, reply.head_term, kept, self._metric)
        return wire.pack(reply)

    def _records(self, wanted: wire.FetchRecords, message: Message) -> RecordDict:
        return wire.pack(self.participant.records(wanted))

    def _model(self, wanted: wire.FetchModel, message: Message) -> RecordDict:
        return self._with_model(self._find(message, wanted.model))

    def _votes(self, wanted: wire.TellVotes, message: Message) -> RecordDict:
        return wire.pack(self.participant.tell_votes())

    def _order(self, ordered: wire.OrderRun, message: Message) -> RecordDict:
        return wire.pack(self.participant.follow(ordered.order))

    def _share(self, share: wire.ShareBest, message: Message) -> RecordDict:
        if self.federation.personalised.fine_tuning.epochs:  # else no data and no model are read
            released, _ = released_at(self.federation, self.state, self.models)
            if released is not None:
                self.personalisation.fine_tune(self.home.complete(released), len(self.state.ledger))
        best, privacy = self.state.best(), self.federation.privacy
        # Exact validation metrics chose the model; unless they may leave, the choice may not.
        chosen_by_records = privacy.private and privacy.metrics != "exact"
        if best is None or best.noiseless or chosen_by_records or not self._shares_best:
            raise MessageRefused(
                "a request for the personalised model",
                "that this site has one and shares it",
                "nothing: personalised models stay at their sites unless a site shares them",
                MessageRefused.NOT_SHARED,
            )
        return self._with_model(Model.of(best.weights))

    def _yield(self, told: YieldAttempt, message: Message) -> RecordDict:
        # A member's message, as a server's would be a promise; but of the newest site only.
        self.memory.require_newest(message.content, told.envelope.server)
        check_yield(told, self.participant.view(), self.keys)
        self.state.ledger.keep_yielded(told.envelope.term, told.absence)
        return self._reply()

    @property
    def _metric(self) -> str:
        return self.federation.task.metric

    def _find(self, message: Message, name: str) -> Model:
        return self._find_all(message, [name])[name]

    def _alike(self, message: Message, name: str) -> Model:
        return alike(self._find_all(message, [name]), self.initial)[name]

    def _find_all(self, message: Message, names: Iterable[str]) -> dict[str, Model]:
        return find_models(message, names, {self.initial.hash: self.initial}, self.models)

    def _done(self, **fields: object) -> wire.Reply:
        return wire.Reply.model_validate({"vendor": self.vendor, "status": "done"} | fields)

    def _reply(self, **fields: object) -> RecordDict:
        return wire.pack(self._done(**fields))

    def _with_model(self, model: Model) -> RecordDict:
        return wire.with_models(self._reply(update=model.hash), [model])

    def _noted(self, asked: wire.Request, reply: wire.Reply, trained: bool = False) -> RecordDict:
        """Note what a record may quote of this answer, before it leaves."""
        self.state.answered.keep(asked, reply, trained)
        return wire.pack(reply)

    def _worked(
        self,
        asked: wire.Train | wire.RecallUpdate,
        update: Model | None,
        notes: UpdateNotes,
        role: Role,
    ) -> RecordDict:
        """Answer with the update, if it may leave, and a signed ballot."""
        name = update.hash if update is not None else ""
        reply = self._done(update=name, ballot=notes.ballot, steps=notes.steps)
        trained = role == "client" and isinstance(asked, wire.Train)  # not: recalled
        answer = self._noted(asked, signed_training(asked, reply, role, self.keys), trained)
        return wire.with_models(answer, [update] if update is not None else [])
