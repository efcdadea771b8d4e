"""Poisson sampling: which records, or patients, take part in a step."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.noise import Randomness
from strategies.errors import PrivacyError


def poisson_batches(
    units: int, mechanism: Mechanism, randomness: Randomness
) -> Iterator[torch.Tensor]:
    """Yield for each step the indices drawn from 0…units−1, int64; there may be none.

    Each takes part with the mechanism's probability, whatever the others do and whatever was drawn
    before.  Rate and number of steps are the mechanism's, so that what is done is what is counted;
    an empty batch is a step like any other.  Raises :class:`PrivacyError`.
    """
    if not 0 < mechanism.sample_rate <= 1 or mechanism.steps < 1 or mechanism.noise_multiplier <= 0:
        raise PrivacyError(
            f"{mechanism}",
            "a sample rate in (0, 1], noise above 0, and at least one step",
            "correct the [privacy] table: a batch must not be larger than the vendor's size",
            PrivacyError.MECHANISM,
        )
    for _ in range(mechanism.steps):
        drawn = randomness.uniform(units) < mechanism.sample_rate
        yield drawn.nonzero().flatten()
