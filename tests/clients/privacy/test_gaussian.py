"""A released sum lies on a grid that follows from public numbers, whatever its last bits were."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from clients.privacy.gaussian import grid, release
from clients.privacy.gradients.optimizer import PrivateOptimizer
from clients.privacy.update_level import protect_update
from tests.support.learning.private_training import not_private_randomness

BATCH = 16


@pytest.mark.parametrize("deviation", [1.0, 0.7, 3e-5, 1e6, 0.5, math.nextafter(0.5, 0)])
def test_step_of_the_grid_is_a_power_of_two_and_fine(deviation: float) -> None:
    step = grid(deviation)
    assert math.frexp(step)[0] == 0.5
    assert deviation / 2**17 < step <= deviation / 2**16


@pytest.mark.parametrize("exact", [0.0, 1 / 3, 2.0**-40, -1e-9, 1e4 + 1 / 7])
def test_released_numbers_lie_on_the_grid(exact: float) -> None:
    sums = torch.full((10_000,), exact, dtype=torch.float64)
    found = release(sums, 0.9, not_private_randomness(1)) / grid(0.9)
    assert torch.equal(found, found.round())
    assert len(found.unique()) > 5000, "and they still vary"


def noisy_sum(summed: float) -> torch.Tensor:
    """Return the weights after one step from 0, in units of the grid; each sum is ``summed``."""
    weights = torch.nn.Parameter(torch.zeros(100_000))
    optimizer = PrivateOptimizer(
        torch.optim.SGD([weights], 1.0),
        noise_multiplier=10.0,
        clip=1.0,
        expected_batch_size=BATCH,
        loss_bound=3.0,
        loss_share=0.3,
        randomness=not_private_randomness(2),
    )
    weights.summed_grad = torch.full_like(weights, summed)
    optimizer.step()
    return weights.detach().double() * BATCH / grid(optimizer.deviation)


@pytest.mark.parametrize("summed", [0.0, 0.3, 2.0**-30])
def test_last_bits_of_a_single_step_tell_nothing(summed: float) -> None:
    """With noise rounded to float32 before, small sums had last bits that others had not."""
    found = noisy_sum(summed)
    assert torch.equal(found, found.round())


def test_loss_lies_on_the_grid_too() -> None:
    optimizer = PrivateOptimizer(
        torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0),
        noise_multiplier=10.0,
        clip=1.0,
        expected_batch_size=BATCH,
        loss_bound=3.0,
        loss_share=0.3,
        randomness=not_private_randomness(3),
    )
    optimizer._loss += 1 / 3
    optimizer.step()
    found = float(optimizer._noisy_losses) / grid(optimizer.deviation)
    assert found == round(found)


def test_update_with_noise_lies_on_the_grid() -> None:
    start = {"a": np.zeros((100, 100), np.float32), "b": np.zeros((), np.float32)}
    trained = {name: np.full_like(each, 1e-3 / 3) for name, each in start.items()}
    protected = protect_update(start, trained, 0.5, 2.0, not_private_randomness(4))
    for name, each in protected.items():
        found = each.astype(np.float64) / grid(1.0)
        assert each.shape == start[name].shape and np.array_equal(found, found.round())
