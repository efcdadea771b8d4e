"""Rules of clipping, of records that are not finite, and of the loss that rides along."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from clients.privacy.gradients.optimizer import ROUNDING, PrivateOptimizer, record_norms
from tests.support.learning.private_training import WithoutNoise

WIDTH = 5


def make_optimizer(clip: float = 1.0, expected: int = 1) -> PrivateOptimizer:
    parameters = [nn.Parameter(torch.zeros(WIDTH)), nn.Parameter(torch.zeros(2, 1))]
    return PrivateOptimizer(
        torch.optim.SGD(parameters, 1.0),
        noise_multiplier=1e-6,  # the grid of what is released is as fine, and hides no difference
        clip=clip,
        expected_batch_size=expected,
        loss_bound=2.0,
        loss_share=0.5,
        randomness=WithoutNoise(),
    )


def step(optimizer: PrivateOptimizer, rows: torch.Tensor, losses: torch.Tensor) -> torch.Tensor:
    """Return minus the movement by one step on rows (B, 7)."""
    optimizer.accumulate([rows[:, :WIDTH], rows[:, WIDTH:].unsqueeze(2)], losses)
    optimizer.step()
    return -torch.cat([p.detach().flatten() for p in optimizer.params])


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    scale=st.floats(1e-6, 1e6),
    clip=st.floats(0.01, 10),
    records=st.integers(1, 6),
)
def test_sum_is_that_of_the_clipped_gradients(
    seed: int, scale: float, clip: float, records: int
) -> None:
    rows = torch.randn(records, 7, generator=torch.Generator().manual_seed(seed)) * scale
    norms = rows.double().norm(dim=1, keepdim=True)
    expected = (rows.double() * (clip / ROUNDING / norms).clamp(max=1)).sum(0)
    found = step(make_optimizer(clip), rows, torch.zeros(records)).double()
    assert float((found - expected).norm()) <= 1e-5 * clip * records


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("records", [1, 3])
def test_gradient_that_is_not_finite_counts_as_zero(broken: float, records: int) -> None:
    rows = torch.ones(records, 7)
    rows[0, 2] = broken
    found = step(make_optimizer(10.0), rows, torch.zeros(records))
    assert torch.allclose(found, torch.ones(7) * (records - 1))


@pytest.mark.parametrize(
    ("loss", "counted"),
    [(0.7, 0.7), (5.0, 2.0), (-1.0, 0.0), (math.nan, 2.0), (math.inf, 2.0), (-math.inf, 0.0)],
)
def test_loss_is_clipped_to_its_bound(loss: float, counted: float) -> None:
    optimizer = make_optimizer()
    step(optimizer, torch.zeros(1, 7), torch.tensor([loss]))
    assert optimizer.noisy_loss == pytest.approx(counted)


@given(expected=st.integers(1, 50), losses=st.lists(st.floats(0, 2, width=32), max_size=8))
def test_loss_is_a_mean_over_the_expected_batch(expected: int, losses: list[float]) -> None:
    optimizer = make_optimizer(expected=expected)
    step(optimizer, torch.zeros(len(losses), 7), torch.tensor(losses))
    assert optimizer.noisy_loss == pytest.approx(sum(losses) / expected, abs=1e-6)


def test_gradients_are_divided_by_the_expected_batch_and_not_by_the_drawn_one() -> None:
    rows = torch.ones(3, 7) * 0.1
    found = step(make_optimizer(expected=4), rows, torch.zeros(3))
    assert torch.allclose(found, torch.full((7,), 0.3 / 4))


def test_nothing_is_released_twice() -> None:
    optimizer = make_optimizer()
    first = step(optimizer, torch.ones(2, 7) * 0.1, torch.zeros(2))
    optimizer.step()
    assert torch.equal(-torch.cat([p.detach().flatten() for p in optimizer.params]), first)


def test_momentum_sees_the_noisy_gradient_only() -> None:
    optimizer = make_optimizer()
    step(optimizer, torch.ones(1, 7) * 100, torch.zeros(1))
    assert all(float(p.grad.norm()) <= 1.0 for p in optimizer.params)


def test_norms_of_long_rows_are_exact_enough() -> None:
    row = torch.randn(1, 3_000_000, generator=torch.Generator().manual_seed(0))
    exact = row.double().norm(dim=1)
    assert float((record_norms([row]) - exact).abs() / exact) < (ROUNDING - 1) / 100


def test_parameters_are_left_clean() -> None:
    optimizer = make_optimizer()
    step(optimizer, torch.ones(1, 7), torch.zeros(1))
    optimizer.close()
    for parameter in optimizer.params:
        assert parameter.grad is None and not hasattr(parameter, "summed_grad")
