"""The guard: a site signs no term whose model is much worse on its own validation data.

Every vendor is the server once in a while, so one poisoned or broken model would reach everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

from clients.learner import Learner
from clients.models.model_store import ModelStore
from srflm_flower.federation.federation import Federation
from srflm_flower.site.own_data.home_weights import HomeWeights
from srflm_flower.site.policy import SitePolicy
from srflm_flower.site.state import SiteState
from strategies.errors import DataError, MessageRefused
from strategies.protocol.records import Metrics, TermRecord
from strategies.weights import Model, Weights

COMPARED = 2
"""The newest committed models with which a proposed one is compared."""


def is_harmful(proposed: float | None, committed: Sequence[float], bound: float) -> bool:
    """Return whether a model is worse than the mean of ``committed`` ones by more than ``bound``.

    All are one metric of which more is better, in its own unit; None stands for an undefined one.
    """
    # Each model was fine-tuned by its server last, so it looks too good at that vendor, and the
    # next one, of another server, looks bad there though nothing is wrong.  Two models in a row
    # have two servers, so their mean halves that.  The rule was chosen on one seed of the phantom,
    # and on nothing else: there the last one alone refused many honest terms, and the worse of the
    # two, or the worst of a cycle, hardly any poisoned one.  The best model ever would refuse
    # honest ones after a lucky term; the first, with its random weights, counts in the first term
    # only.
    if not committed:
        return False
    return proposed is None or proposed < mean(committed) - bound


@dataclass(frozen=True)
class Guard:
    """The guard of one vendor's site.

    ``measure`` gives a model's metrics on the vendor's validation data, and keeps what it has
    measured; ``metric`` is the one that counts, ``bound`` is ``aggregation.guard``.
    """

    bound: float
    metric: str
    measure: Callable[[Weights], Metrics]
    state: SiteState
    models: ModelStore
    initial: Model

    def check(self, record: TermRecord, model: Model) -> None:
        """Check the model of a proposed record of the open term.

        Raises :class:`MessageRefused`; only its code leaves the site.
        """
        accepted = self.state.ledger.accepted(record.term)
        if accepted is not None and accepted.record.hash == record.hash:
            return  # a site that is asked again gives the vote that it has given
        try:
            committed = [self.measure(each.weights).get(self.metric) for each in self._newest()]
            value = self.measure(model.weights).get(self.metric)
        except DataError as error:  # without data it cannot judge, and votes as without a guard
            self.state.log(f"guard: {error}")
            return
        before = [each for each in committed if each is not None]
        if is_harmful(value, before, self.bound):
            raise MessageRefused(
                f"a model with {self.metric} {value} on this site's validation data",
                f"at least {mean(before) - self.bound:.6g}: the newest committed models have"
                f" {before}, and aggregation.guard is {self.bound:g}",
                "nothing, if the next vendor's model is better; else docs/how-to/guard.md",
                MessageRefused.HARMFUL,
            )

    def _newest(self) -> list[Model]:
        """Return the newest committed models, or the initial one before there are any."""
        ledger = self.state.ledger
        records = ledger.records(len(ledger) + 1 - COMPARED)
        # A site keeps the models of the last two records; one that was away may lack the older.
        found = [stored for each in records if (stored := self.models.find(each.model))]
        return found or [self.initial]


def guard_of(
    federation: Federation,
    policy: SitePolicy | None,
    state: SiteState,
    models: ModelStore,
    initial: Model,
    home: HomeWeights,
    learner: Callable[[], Learner],
) -> Guard | None:
    """Return a site's guard, or None if the federation has none or the site's ``policy`` none.

    A model is measured with the weights of ``home`` that stay at the site.  ``learner`` reads the
    vendor's data when it is first called.
    """
    bound = federation.aggregation.guard
    if bound is None or (policy is not None and not policy.guards):
        return None

    def measure(weights: Weights) -> Metrics:
        return learner().evaluate(home.complete(weights), "validation")

    return Guard(bound, federation.task.metric, measure, state, models, initial)
