"""Draw the records, or patients, of each step by Poisson sampling."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.noise import Randomness
from strategies.errors import PrivacyError


def poisson_batches(
    units: int, mechanism: Mechanism, randomness: Randomness
) -> Iterator[torch.Tensor]:
    """Yield for each step the indices drawn from 0…units−1, int64, possibly an empty tensor.

    Each unit takes part with probability ``mechanism.sample_rate``, independently of all others and
    of earlier steps. Raises :class:`PrivacyError` for an invalid mechanism.
    """
    # Rate and number of steps come from the mechanism, not from a data loader: the accountant must
    # count exactly these. Shuffled batches of fixed size would not have the accounted ε.
    if not 0 < mechanism.sample_rate <= 1 or mechanism.steps < 1 or mechanism.noise_multiplier <= 0:
        raise PrivacyError(
            f"{mechanism}",
            "a sample rate in (0, 1], noise above 0, and at least one step",
            "correct the [privacy] table: a batch must not be larger than the vendor's size",
            PrivacyError.MECHANISM,
        )
    for _ in range(mechanism.steps):
        # Also yielded when empty: an empty batch is a step like any other, with noise.
        drawn = randomness.uniform(units) < mechanism.sample_rate
        yield drawn.nonzero().flatten()
