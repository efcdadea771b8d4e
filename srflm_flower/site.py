"""A vendor's side of a term: what its node does for each message.

The site obeys only messages that fit its own view (:mod:`srflm_flower.fencing`), keeps what must
last on its own disk, and answers with nothing but the reply's declared fields and model weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flwr.app import Message, RecordDict

from clients.learner import Learner
from clients.training import Work
from srflm_flower import messages as wire
from srflm_flower.errors import MessageRefused
from srflm_flower.federation import Federation
from srflm_flower.fencing import View, check_envelope
from srflm_flower.model_store import ModelStore
from srflm_flower.records import Ballot
from srflm_flower.site_state import Best, SiteState, UpdateNotes
from srflm_flower.weights import Weights, from_arrays, hash_weights, to_arrays
from strategies.election import Ranking, election_policy, first_ranking


class NeedsModels(Exception):
    """The site lacks models that it is asked to work on; the server sends the message again."""

    def __init__(self, needs: Iterable[str]) -> None:
        self.needs = tuple(needs)
        super().__init__(f"needs {len(self.needs)} model(s)")


class Site:
    """One vendor's site.

    ``shares_best`` is the site's own policy on sending its personalised model.
    """

    def __init__(
        self,
        vendor: str,
        federation: Federation,
        learner: Learner,
        initial: Weights,
        state: SiteState,
        models: ModelStore,
        shares_best: bool,
    ) -> None:
        self.vendor, self.federation, self.learner = vendor, federation, learner
        self.initial, self.state, self.models = initial, state, models
        self.shares_best = shares_best
        self._initial_hash = hash_weights(initial)
        self._federation_hash = federation.hash

    def answer(self, message: Message) -> RecordDict:
        """Do what ``message`` asks and return the reply's content.

        Raises :class:`srflm_flower.errors.SrflmError` when it is refused or fails.
        """
        handlers: dict[str, Callable[[Message], RecordDict]] = {
            wire.OPEN: self._open,
            wire.TRAIN: self._train,
            wire.RECALL: self._recall,
            wire.FINETUNE: self._finetune,
            wire.EVALUATE: self._evaluate,
            wire.COMMIT: self._commit,
            wire.SHARE: self._share,
        }
        try:
            return handlers[message.metadata.message_type](message)
        except NeedsModels as error:
            return self._reply(status="needs-models", needs=error.needs)

    # ---- the site's view ---------------------------------------------------------------------

    def view(self) -> View:
        """Return what this site knows about the federation."""
        last = self.state.ledger.last()
        head_term = last.term if last is not None else 0
        return View(
            federation=self._federation_hash,
            head_term=head_term,
            ranking=last.ranking if last is not None else self._first_ranking(),
            attempt=self.state.attempt(head_term + 1),
        )

    def _first_ranking(self) -> Ranking:
        policy = election_policy(self.federation.election, self.federation.seed)
        return first_ranking(policy, self.federation.roster)

    def _admit(self, envelope: wire.Envelope, any_term: bool = False) -> View:
        view = self.view()
        check_envelope(envelope, view, any_term)
        if envelope.term == view.head_term + 1:
            self.state.note_attempt(envelope.term, envelope.attempt)
        return view

    # ---- the phases --------------------------------------------------------------------------

    def _open(self, message: Message) -> RecordDict:
        opening = wire.unpack(message, wire.OpenTerm)
        view = self._admit(opening.envelope, any_term=True)
        if opening.envelope.term == view.head_term + 1:
            last = self.state.ledger.last()
            parent = last.hash if last is not None else self._federation_hash
            model = last.model if last is not None else self._initial_hash
            if (opening.parent, opening.model) != (parent, model):
                raise MessageRefused(
                    "a term on top of another record or model",
                    "the head of this site's ledger",
                    "compare the sites' ledgers; all must start from the same seed",
                    MessageRefused.PARENT,
                )
        return self._reply(head_term=view.head_term)

    def _train(self, message: Message) -> RecordDict:
        work = wire.unpack(message, wire.Train)
        self._admit(work.envelope)
        stored = self.state.update(work.envelope.term, work.round)
        if stored is None or stored[1].start != work.model:
            stored = self._train_anew(work, self._weights(message, work.model))
        weights, notes = stored
        return self._update_reply(weights, notes.ballot, notes.steps)

    def _train_anew(self, work: wire.Train, start: Weights) -> tuple[Weights, UpdateNotes]:
        trained = self.learner.train(start, _work(work), "client", work.round)
        notes = UpdateNotes(
            term=work.envelope.term,
            round=work.round,
            start=work.model,
            ballot=Ballot(examples=trained.examples, loss=trained.loss),
            steps=trained.steps,
        )
        self._consider(trained.weights, work.envelope.term, "local")
        self.state.store_update(trained.weights, notes)
        return trained.weights, notes

    def _recall(self, message: Message) -> RecordDict:
        recall = wire.unpack(message, wire.RecallUpdate)
        self._admit(recall.envelope)
        stored = self.state.last_update()
        if stored is None and not recall.or_initial:
            return self._reply()
        if stored is None:
            return self._update_reply(self.initial, None, 0)
        weights, notes = stored
        # A vendor that stands in may have trained as a client in this very term: that counts.
        fresh = (notes.term, notes.round) == (recall.envelope.term, recall.round)
        return self._update_reply(weights, notes.ballot, notes.steps if fresh else 0)

    def _finetune(self, message: Message) -> RecordDict:
        work = wire.unpack(message, wire.Train)
        self._admit(work.envelope)
        start = self._weights(message, work.model)
        self.models.put(start, work.model)
        trained = self.learner.train(start, _work(work), "server", work.round)
        self.models.put(trained.weights)
        ballot = Ballot(examples=trained.examples, loss=trained.loss)
        return self._update_reply(trained.weights, ballot, trained.steps)

    def _evaluate(self, message: Message) -> RecordDict:
        evaluation = wire.unpack(message, wire.EvaluateModels)
        self._admit(evaluation.envelope)
        models = self._all_weights(message, evaluation.models.values())
        term, metrics = evaluation.envelope.term, {}
        for name, model in evaluation.models.items():
            weights = models[model]
            metrics[name] = self.learner.evaluate(weights, evaluation.split)
            if evaluation.select:
                self.models.put(weights, model)
                self.state.keep_if_better(Best(weights, metrics[name], term, name), self._metric)
        best = self.state.best()
        if best is not None:
            chosen_on = evaluation.split == "validation"
            metrics["personalised"] = (
                best.metrics if chosen_on else self.learner.evaluate(best.weights, evaluation.split)
            )
        for each in metrics.values():
            each["examples"] = float(len(self.learner.data.split(evaluation.split)))
        return self._reply(metrics=metrics)

    def _commit(self, message: Message) -> RecordDict:
        commit = wire.unpack(message, wire.Commit)
        self._admit(commit.envelope, any_term=True)
        model = commit.records[-1].model
        self.models.put(self._weights(message, model), model)
        for record in commit.records:
            self.state.ledger.append(record)
        self.state.forget_updates()
        recent = self.state.ledger.records()
        self.models.keep_only({record.model for record in recent})
        return self._reply(head_term=recent[-1].term)

    def _share(self, message: Message) -> RecordDict:
        share = wire.unpack(message, wire.ShareBest)
        self._admit(share.envelope)
        best = self.state.best()
        if best is None or not self.shares_best:
            raise MessageRefused(
                "a request for the personalised model",
                "that this site has one and shares it",
                "nothing: personalised models stay at their sites unless a site shares them",
                MessageRefused.NOT_SHARED,
            )
        return self._update_reply(best.weights, None, 0)

    # ------------------------------------------------------------------------------------------

    @property
    def _metric(self) -> str:
        return self.federation.task.metric

    def _consider(self, weights: Weights, term: int, origin: str) -> None:
        metrics = self.learner.evaluate(weights, "validation")
        self.state.keep_if_better(Best(weights, metrics, term, origin), self._metric)

    def _weights(self, message: Message, model: str) -> Weights:
        return self._all_weights(message, [model])[model]

    def _all_weights(self, message: Message, names: Iterable[str]) -> dict[str, Weights]:
        """Return models by hash: the initial one, those in the message, those on disk.

        Raises :class:`NeedsModels` for those that are nowhere, :class:`MessageRefused` for one
        whose content has another hash than the message claims.
        """
        found, needs = {}, []
        sent = wire.models_in(message)
        for name in dict.fromkeys(names):
            if name in sent:
                found[name] = from_arrays(sent[name])
                if hash_weights(found[name]) != name:
                    raise MessageRefused(
                        "a model whose content has another hash",
                        f"the model {name[:12]}…",
                        "look for a fault between the sites",
                        MessageRefused.MODEL,
                    )
            elif name == self._initial_hash:
                found[name] = self.initial
            elif (stored := self.models.find(name)) is not None:
                found[name] = stored
            else:
                needs.append(name)
        if needs:
            raise NeedsModels(needs)
        return found

    def _reply(self, **fields: object) -> RecordDict:
        return wire.pack(
            wire.Reply.model_validate({"vendor": self.vendor, "status": "done"} | fields)
        )

    def _update_reply(self, weights: Weights, ballot: Ballot | None, steps: int) -> RecordDict:
        arrays, name = to_arrays(weights), hash_weights(weights)
        reply = wire.Reply(
            vendor=self.vendor, status="done", update=name, ballot=ballot, steps=steps
        )
        return wire.pack(reply, {name: arrays})


def _work(work: wire.Train) -> Work:
    return Work(work.learning_rate, work.epochs, work.steps)
