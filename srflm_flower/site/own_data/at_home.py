"""Training whose result stays at the vendor's site, with settings and an order of its own."""

from __future__ import annotations

from dataclasses import replace

from clients.learner import Learner
from clients.seeds import derive_seed
from srflm_flower.federation.personalised import HomeTrainingSettings


def at_home(learner: Learner, settings: HomeTrainingSettings, origin: str) -> Learner:
    """Return the vendor's learner for a model that never leaves; ``origin`` is its name.

    It adds no noise and spends no ε, in a private federation either.
    """
    return replace(
        learner,
        settings=settings.training(),
        seed=derive_seed(learner.seed, origin),
        # Never with the spender: that adds noise, which a model that stays does not need.
        spender=None,
    )
