"""The search for a vendor's personalised model among candidates, on its own validation data.

Candidates are the models that the vendor receives or trains and, where moving averages are kept,
the average of the committed global models and the average of its local models.  Nothing here sends
anything: the site decides whether the chosen model or its metrics may leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from clients.evaluation import Evaluated
from clients.learner import Learner
from clients.models.model_store import ModelStore
from clients.training import Work
from srflm_flower.federation.federation import Federation
from srflm_flower.results.choosing import Candidate
from srflm_flower.site.own_data import fine_tuning, own_model
from srflm_flower.site.own_data.fine_tuning import FineTuning
from srflm_flower.site.own_data.home_weights import HomeWeights
from srflm_flower.site.own_data.own_model import OwnModel
from srflm_flower.site.state import Best, SiteState
from strategies.protocol.records import Metrics, TermRecord
from strategies.weights import Weights, hash_weights

WITHOUT_NOISE: Final = frozenset({own_model.ORIGIN, fine_tuning.ORIGIN})
"""Origins of the models of a private federation that never leave their site."""


@dataclass(frozen=True)
class Personalisation:
    """The personalised model of one vendor.

    The ``learner`` measures on the vendor's validation data; ``metric`` and ``errors`` decide which
    model stays (:mod:`srflm_flower.results.choosing`).  ``decay`` is that of the moving averages;
    with 0 no average is kept.  ``alone`` is the model that the vendor trains alone, and ``after``
    the training after the last term; in a ``private`` federation only these need no noise.
    ``joins`` says that the model of a term is not the one that its server has fine-tuned, but an
    average which that one has joined.
    """

    state: SiteState
    learner: Learner
    metric: str
    errors: float
    decay: float
    home: HomeWeights
    alone: OwnModel
    after: FineTuning
    private: bool
    joins: bool = False

    @property
    def training_counts(self) -> bool:
        """Whether models of the federation's own training count as trained at home.

        Noise makes them second to those that the vendor trains without noise, where there are any.
        """
        without_noise = self.alone.settings.epochs or self.after.settings.epochs
        return not (self.private and without_noise)

    def consider(self, weights: Weights, term: int, origin: str, at_home: bool = False) -> Metrics:
        """Try ``weights``, trained ``at_home`` or not, and return their metrics."""
        weights = self.home.complete(weights)
        evaluated = self.learner.measure(weights, "validation")
        self.try_measured(weights, evaluated, term, origin, at_home)
        return evaluated.metrics

    def try_measured(
        self, weights: Weights, evaluated: Evaluated, term: int, origin: str, at_home: bool
    ) -> None:
        """Keep ``weights``, which have been measured on the validation data, if they are chosen."""
        scores = self.learner.patient_scores(evaluated, "validation")
        measured = Candidate(evaluated.metrics, scores, at_home)
        noiseless = self.private and origin in WITHOUT_NOISE
        candidate = Best(weights, measured, term, origin, noiseless)
        self.state.keep_if_chosen(candidate, self.metric, self.errors)

    def consider_local(self, weights: Weights, term: int) -> None:
        """Try the model trained on the vendor's own data, and the moving average of such models."""
        self.consider(weights, term, "local", at_home=self.training_counts)
        if not self.decay:
            return
        average = self.state.local_average.take_in([(term, weights)], self.decay)
        if average is not None and average.models > 1:  # the average of one model is that model
            self.consider(average.weights, average.term, "local-average")

    def consider_fine_tuned(self, weights: Weights, term: int) -> None:
        """Try the model that this vendor has fine-tuned, if the term's model is another one."""
        if self.joins:
            self.consider_local(weights, term)

    def train_alone(self, term: int) -> None:
        """Train the vendor's own model on, and try it."""
        weights = self.alone.train_in(term)
        if weights is not None:
            # Without privacy a model that has learnt from all vendors has more data behind it.
            self.consider(weights, term, own_model.ORIGIN, at_home=self.private)

    def fine_tune(self, released: Weights, term: int, pieces: Sequence[Work] | None = None) -> None:
        """Train the ``released`` model on at home, once, and try the model after each piece.

        ``pieces`` are the agreed epochs if nothing else is said.
        """
        agreed = self.after.epochs if pieces is None else pieces
        start = hash_weights(released)
        if not agreed:
            return
        with self.state.training():  # an export may run beside the site's own process
            if self.state.fine_tuned_from() == start:
                return
            for weights in self.after.models_from(released, agreed):
                self.consider(weights, term, fine_tuning.ORIGIN, at_home=True)
            self.state.note_fine_tuned(start)  # last: after a crash all of it is tried again

    def consider_global(self, models: Iterable[tuple[int, Weights | None]]) -> None:
        """Take global models with their terms into the moving average, and try the average."""
        if not self.decay:
            return
        average = self.state.average.take_in(models, self.decay)
        if average is not None:
            self.consider(average.weights, average.term, "average")


def stored_models(
    records: Iterable[TermRecord], store: ModelStore
) -> Iterable[tuple[int, Weights | None]]:
    """Return (term, committed model) for each record; None for a model that is not stored."""
    found = ((record.term, store.find(record.model)) for record in records)
    return ((term, model.weights if model is not None else None) for term, model in found)


def personalisation_of(
    federation: Federation, state: SiteState, learner: Learner, home: HomeWeights, first: Weights
) -> Personalisation:
    """Return the search as the federation has agreed on it; ``first`` are the first weights."""
    own, private = federation.personalised.own, federation.privacy.private
    tuning = federation.personalised.fine_tuning
    return Personalisation(
        state,
        learner,
        federation.task.metric,
        federation.personalised.standard_errors,
        federation.aggregation.moving_average,
        home,
        OwnModel(own, first, state, learner, federation.rounds_per_term, private),
        FineTuning(tuning, learner),
        private,
        federation.aggregation.fine_tuned == "joins",
    )
