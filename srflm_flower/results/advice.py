"""Which model a vendor should use, with an interval over the patients of its own test data.  Pure.

The personalised model, chosen on validation data, is the advice, unless another one is better on
test data by more than the 95 % interval of the paired difference leaves open.  The interval is a
bootstrap over patients (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13), as
images of one patient are alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

Name = Literal["personalised", "released", "own"]
"""``own`` is the model that the vendor trains alone, where there is one."""

RESAMPLES = 2000
IN_WORDS: Mapping[Name, str] = {
    "personalised": "its personalised model",
    "released": "the released global model",
    "own": "the model that it has trained alone",
}


class Difference(BaseModel):
    """Mean score of the personalised model less another's, with its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    mean: float
    low: float
    high: float


class Advice(BaseModel):
    """The model that a vendor should use; ``against`` has the others (name → difference)."""

    model_config = ConfigDict(frozen=True)

    use: Name
    patients: int
    against: dict[Name, Difference] = {}


def advise(scores: Mapping[Name, Sequence[float]]) -> Advice:
    """Return the advice that follows from the models' scores of the same test patients.

    Scores are in [0, 1], more is better.  ``personalised`` must be among the models.  Of fewer than
    two patients, the advice is the personalised model without an interval.
    """
    own = np.asarray(scores["personalised"], np.float64)
    if len(own) < 2:
        return Advice(use="personalised", patients=len(own))
    against: dict[Name, Difference] = {
        name: interval(own - np.asarray(other, np.float64))
        for name, other in scores.items()
        if name != "personalised"
    }
    worse: dict[Name, float] = {name: each.mean for name, each in against.items() if each.high < 0}
    use: Name = min(worse, key=lambda name: worse[name]) if worse else "personalised"
    return Advice(use=use, patients=len(own), against=against)


def interval(differences: np.ndarray) -> Difference:
    """Return the mean of differences (patients,) and its 95 % bootstrap interval."""
    mean = float(differences.mean())
    if np.ptp(differences) == 0:  # every resample is the same
        return Difference(mean=mean, low=mean, high=mean)
    from scipy.stats import bootstrap  # slow to import

    # The same data must give the same advice whenever it is asked for.
    rng = np.random.default_rng(0)
    result = bootstrap((differences,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=rng)
    found = result.confidence_interval
    return Difference(mean=mean, low=float(found.low), high=float(found.high))


def advice_line(vendor: str, advice: Advice) -> str:
    """Return the advice as a sentence for people."""
    units = "1 test patient" if advice.patients == 1 else f"{advice.patients} test patients"
    parts = [
        f"{_signed(each.mean)} [{_signed(each.low)}, {_signed(each.high)}] against"
        f" {IN_WORDS[name].removeprefix('its ')}"
        for name, each in advice.against.items()
    ]
    compared = (
        f": its personalised model is {'; '.join(parts)}, on {units}"
        if parts
        else (f"; {units} are too few to compare models")
    )
    return f"{vendor} should use {IN_WORDS[advice.use]}{compared}."


def _signed(value: float) -> str:
    return f"{value:+.3f}" if math.isfinite(value) else "–"
