"""The released model, trained on at home after the last term; the result never leaves its site.

Where privacy protects what leaves, this training needs no noise and spends no ε: its result is seen
by nobody else.  So it must never be handed on as if it were private.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clients.learner import Learner
from clients.training import Work
from srflm_flower.federation.personalised import FineTuningSettings
from srflm_flower.site.own_data.at_home import at_home
from strategies.errors import TrainingDiverged
from strategies.weights import Weights

ORIGIN = "fine-tuned-at-home"
"""Name of these models among those from which a vendor's personalised model is chosen."""


@dataclass(frozen=True)
class FineTuning:
    """The training of one vendor after the last term."""

    settings: FineTuningSettings
    learner: Learner

    @property
    def epochs(self) -> tuple[Work, ...]:
        """The agreed pieces of work: one for each epoch, as each may be one too many."""
        numbers = range(1, self.settings.epochs + 1)
        return tuple(Work(self.settings.rate_in(number), 1) for number in numbers)

    def models_from(self, start: Weights, pieces: Sequence[Work]) -> Iterator[Weights]:
        """Train ``start`` on, and yield the model after each of the ``pieces``.

        The result depends on the arguments and the seed only.  Training that diverges ends here:
        the models before it are good.
        """
        learner = at_home(self.learner, self.settings, ORIGIN)
        weights = start
        for number, work in enumerate(pieces, 1):
            try:
                weights = learner.train(weights, work, "client", number).weights
            except TrainingDiverged:
                return
            yield weights
