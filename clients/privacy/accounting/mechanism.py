"""The Poisson-subsampled Gaussian mechanism, in which every release of private data is cast."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Mechanism:
    """The Poisson-subsampled Gaussian mechanism, ``steps`` times.

    ``noise_multiplier`` is σ, the noise's standard deviation over the sensitivity; ``sample_rate``
    is q, the probability with which each record takes part in a step (1: all of them).
    Neighbouring data sets differ by one record, added or removed.
    """

    noise_multiplier: float
    sample_rate: float
    steps: int
