"""The choice of a vendor's personalised model, on its own validation data, without reading luck.

The best of dozens of models on a few dozen images is mostly the luckiest one.  So the newest model
that was trained at home stays, unless another one is *clearly* better: by more than a number of
standard errors of the paired difference (the one-standard-error rule of Breiman et al., CART, 1984,
section 3.4.3, with the newest in the place of the simplest).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from strategies.protocol.records import Metrics


@dataclass(frozen=True)
class Candidate:
    """A model as it was measured on a vendor's validation data.

    ``scores`` are those of each patient (or record), in [0, 1], more is better; in the same order
    for every model, and empty in files of older versions.  ``at_home`` tells whether the vendor
    itself has trained it.
    """

    metrics: Metrics
    scores: tuple[float, ...] = ()
    at_home: bool = False


def is_better(candidate: Metrics, kept: Metrics, metric: str) -> bool:
    """Return whether ``candidate`` is better by ``metric``, or by loss if neither has the metric.

    Of equal models the kept one stays.  A model with the metric beats a model without it.
    """
    ours, theirs = candidate.get(metric), kept.get(metric)
    if ours is not None and theirs is not None:
        return ours > theirs
    if ours is None and theirs is None:
        return candidate.get("loss", math.inf) < kept.get("loss", math.inf)
    return theirs is None


def clearly_better(one: Sequence[float], other: Sequence[float], errors: float) -> bool:
    """Return whether scores are higher by more than ``errors`` standard errors of the difference.

    The scores are those of the same patients.  Of fewer than two nothing is clear.
    """
    if len(one) != len(other) or len(one) < 2:
        return False
    differences = [ours - theirs for ours, theirs in zip(one, other, strict=True)]
    mean = fmean(differences)
    return mean > 0 and mean > errors * stdev(differences) / math.sqrt(len(differences))


def replaces(new: Candidate, kept: Candidate, best: Candidate, metric: str, errors: float) -> bool:
    """Return whether ``new`` takes the place of the ``kept`` model.

    ``best`` is the best one so far by ``metric``, with ``new`` considered: a slow decline by
    steps that are each unclear is clear beside it.  With ``errors`` = 0 the best model is kept.
    """
    if not errors or not (new.scores and kept.scores and best.scores):
        return is_better(new.metrics, kept.metrics, metric)
    if clearly_better(best.scores, new.scores, errors):
        return False
    if clearly_better(best.scores, kept.scores, errors):
        return True
    if new.at_home or not kept.at_home:
        return new.at_home or is_better(new.metrics, kept.metrics, metric)
    return clearly_better(new.scores, kept.scores, errors)
