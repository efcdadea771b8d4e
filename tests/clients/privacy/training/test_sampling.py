"""Each record takes part by its own toss of a coin, at the agreed rate, in the agreed steps."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.training.sampling import poisson_batches
from strategies.errors import PrivacyError
from tests.support.learning.private_training import not_private_randomness


def drawn(units: int, rate: float, steps: int, seed: int = 1) -> list[torch.Tensor]:
    randomness = not_private_randomness(seed)
    return list(poisson_batches(units, Mechanism(1.0, rate, steps), randomness))


def test_as_many_batches_as_steps_and_no_record_twice_in_one() -> None:
    batches = drawn(50, 0.3, 40)
    assert len(batches) == 40
    assert all(len(batch.unique()) == len(batch) for batch in batches)
    assert all(0 <= int(i) < 50 for batch in batches for i in batch)


def test_sizes_are_binomial_and_records_are_drawn_alike() -> None:
    batches = drawn(60, 0.2, 2000)
    sizes = torch.tensor([len(batch) for batch in batches])
    assert stats.binomtest(int(sizes.sum()), 60 * 2000, 0.2).pvalue > 1e-3
    expected = 60 * 0.2 * 0.8
    assert 0.85 * expected < float(sizes.double().var()) < 1.15 * expected
    counts = torch.bincount(torch.cat(batches), minlength=60).numpy()
    assert stats.chisquare(counts).pvalue > 1e-3


def test_neighbouring_steps_are_independent() -> None:
    batches = drawn(40, 0.5, 2000)
    inside = torch.zeros(2000, 40)
    for step, batch in enumerate(batches):
        inside[step, batch] = 1.0
    pairs = torch.stack([inside[:-1].flatten(), inside[1:].flatten()])
    assert abs(float(torch.corrcoef(pairs)[0, 1])) < 5 / (2000 * 40) ** 0.5


def test_batches_may_be_empty_and_still_count() -> None:
    batches = drawn(3, 0.1, 30)
    assert len(batches) == 30 and any(len(batch) == 0 for batch in batches)
    assert [len(batch) for batch in drawn(0, 0.5, 4)] == [0, 0, 0, 0]


def test_rate_of_one_draws_everybody() -> None:
    assert [batch.tolist() for batch in drawn(4, 1.0, 2)] == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize(
    "mechanism",
    [
        Mechanism(1.0, 1.01, 1),
        Mechanism(1.0, 0.0, 1),
        Mechanism(1.0, 0.1, 0),
        Mechanism(0.0, 0.1, 1),
        Mechanism(1.0, float("nan"), 1),
    ],
)
def test_mechanism_that_is_none_is_refused(mechanism: Mechanism) -> None:
    with pytest.raises(PrivacyError) as refused:
        next(poisson_batches(5, mechanism, not_private_randomness(1)))
    assert refused.value.code == PrivacyError.MECHANISM
