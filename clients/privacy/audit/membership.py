"""Guess whether a model was trained on a record: membership inference with shadow models.

The likelihood-ratio attack (LiRA) of Carlini et al., "Membership Inference Attacks From First
Principles", IEEE S&P 2022. Every model is attacked with all the others as its shadows. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

# An attack is judged at this rate of false positives: a few records known for certain are worse
# than many guessed at.
LOW_RATE = 0.01

Numbers = NDArray[np.float64]
Members = NDArray[np.bool_]


@dataclass(frozen=True)
class Advantage:
    """The success of an attack. Mere guessing has ``auc`` 0.5 and ``true_positives`` 0.01.

    ``true_positives`` is a rate, at a rate of false positives of at most :data:`LOW_RATE`.
    """

    auc: float
    true_positives: float


def draw_halves(models: int, records: int, rng: np.random.Generator) -> Members:
    """Return the records for each model's training: bool, (models, records).

    Every record is in exactly half of the models.
    """
    if models < 4 or models % 2:
        raise ValueError(f"expected an even number of models, 4 or more: {models}")
    return np.argsort(rng.random((models, records)), axis=0) < models // 2


def likelihood_ratios(confidence: Numbers, trained_on: Members) -> Numbers:
    """Return log p(confidence | in) − log p(confidence | out), both arguments (models, records).

    The Gaussians for "in" and "out" are fitted to the other models.
    """
    ratios = np.zeros_like(confidence)
    for target in range(len(confidence)):
        others = np.arange(len(confidence)) != target
        with_it, without = (
            _mean_of(confidence[others], trained_on[others] == side) for side in (True, False)
        )
        centre = np.where(trained_on[others], with_it, without)
        # One variance for all records, as the authors advise for few shadows.
        variance = float(((confidence[others] - centre) ** 2).mean()) + 1e-12
        ratios[target] = (
            (confidence[target] - without) ** 2 - (confidence[target] - with_it) ** 2
        ) / (2 * variance)
    return ratios


def _mean_of(values: Numbers, chosen: Members) -> Numbers:
    return np.asarray((values * chosen).sum(axis=0) / chosen.sum(axis=0), dtype=np.float64)


def advantage(scores: Numbers, members: Members) -> Advantage:
    """Return AUC, and the rate of true positives at a low rate of false ones."""
    scores, members = scores.ravel(), members.ravel()
    inside, outside = int(members.sum()), int((~members).sum())
    ranks = rankdata(scores)[members].sum()  # AUC by the Mann-Whitney statistic
    auc = (ranks - inside * (inside + 1) / 2) / (inside * outside)
    most = int(LOW_RATE * outside)
    threshold = np.sort(scores[~members])[::-1][most]
    return Advantage(float(auc), float((scores[members] > threshold).mean()))
