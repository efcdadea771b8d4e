"""A model that a vendor trains alone: it gets nothing from others, and never leaves its site.

Where privacy protects what leaves, this model needs no noise and spends no ε: its updates are seen
by nobody else.  So it must never be handed on as if it were private.
"""

from __future__ import annotations

from dataclasses import dataclass

from clients.learner import Learner
from clients.training import Work
from srflm_flower.federation.personalised import OwnModelSettings
from srflm_flower.site.own_data.at_home import at_home
from srflm_flower.site.state import SiteState
from strategies.weights import Weights

ORIGIN = "own"
"""Name of this model among those from which a vendor's personalised model is chosen."""


@dataclass(frozen=True)
class OwnModel:
    """The training of one vendor's own model, a piece in each term; ``first`` are its weights.

    ``noiseless`` tells that the federation is private, so that only this model has no noise.
    """

    settings: OwnModelSettings
    first: Weights
    state: SiteState
    learner: Learner
    rounds_per_term: int
    noiseless: bool

    def train_in(self, term: int) -> Weights | None:
        """Train for the rounds of ``term``, or return the model that has been trained for them.

        None if nothing is asked, or for an older term.  The result is on disk when this returns.  A
        term that the site misses is not made up for.
        """
        if not self.settings.epochs:
            return None
        kept = self.state.own_model()
        if kept is not None and kept[1] >= term:
            # Of the same term once more: a crash may have come before it was tried.
            return kept[0] if kept[1] == term else None
        weights = self.first if kept is None else kept[0]
        learner = at_home(self.learner, self.settings, ORIGIN)
        last = term * self.rounds_per_term
        for number in range(last - self.rounds_per_term + 1, last + 1):
            work = Work(self.settings.rate_in(number), self.settings.epochs)
            weights = learner.train(weights, work, "client", number).weights
        self.state.keep_own_model(weights, term, self.noiseless)
        return weights
