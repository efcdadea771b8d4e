"""Rules of restoration, against figures computed anew with NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.tasks.restoration import Restoration
from clients.tasks.task import Cases
from strategies.errors import DataError
from tests.support.learning.tasks import restoration

PLAIN = Restoration(restoration())
HU = Restoration(restoration(width=400.0))


def images(seed: int, *shape: int) -> torch.Tensor:
    """Return images in [−1, 1]."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def cases_of(before: torch.Tensor, after: torch.Tensor) -> Cases:
    return Cases(before, after, torch.ones(len(after), after.ndim - 2))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), noise=st.floats(0.001, 1.0))
def test_figures_equal_an_independent_computation(seed: int, noise: float) -> None:
    truth, before = images(seed, 3, 1, 12, 13), images(seed + 1, 3, 1, 12, 13)
    found = truth + noise * images(seed + 2, 3, 1, 12, 13)
    metrics = HU.summary(HU.scores(found, cases_of(before, truth), True))
    window = [
        (each.numpy().astype(np.float64).clip(-1, 1) + 1) / 2 for each in (found, truth, before)
    ]
    squares = ((window[0] - window[1]) ** 2).mean(axis=(1, 2, 3))
    psnr = np.minimum(-10 * np.log10(squares), 60)
    input_psnr = -10 * np.log10(((window[2] - window[1]) ** 2).mean(axis=(1, 2, 3)))
    assert metrics["psnr"] == pytest.approx(psnr.mean())
    assert metrics["gain"] == pytest.approx((psnr - input_psnr).mean())
    assert metrics["rmse"] == pytest.approx(400 * np.sqrt(squares).mean())
    assert metrics["bias"] == pytest.approx(400 * (window[0] - window[1]).mean(), abs=1e-6)
    assert metrics["loss"] == pytest.approx(float((found - truth).abs().mean()), rel=1e-5)


def test_perfect_restoration_has_sixty_decibels_and_a_similarity_of_one() -> None:
    truth = images(0, 2, 1, 16, 16)
    scores = PLAIN.scores(truth, cases_of(images(1, 2, 1, 16, 16), truth), True)
    metrics = PLAIN.summary(scores)
    assert (metrics["psnr"], metrics["rmse"], metrics["bias"]) == (60, 0, 0)
    assert metrics["ssim"] == pytest.approx(1)
    assert PLAIN.shares(scores).tolist() == [1, 1]


def test_restoration_that_changes_nothing_gains_nothing() -> None:
    truth, before = images(0, 2, 1, 16, 16), images(1, 2, 1, 16, 16)
    assert PLAIN.summary(PLAIN.scores(before, cases_of(before, truth), True))["gain"] == 0


def test_values_outside_the_window_count_as_its_ends() -> None:
    truth = torch.full((1, 1, 16, 16), 1.0)
    scores = PLAIN.scores(truth + 5, cases_of(truth, truth), True)
    assert PLAIN.summary(scores)["psnr"] == 60


@pytest.mark.parametrize("metric", ["psnr", "ssim"])
def test_share_is_the_chosen_score_in_its_range(metric: str) -> None:
    task = Restoration(restoration(metric=metric))
    truth = images(0, 5, 1, 16, 16)
    scores = task.scores(truth + 0.1 * images(1, 5, 1, 16, 16), cases_of(truth, truth), True)
    low, high = task.settings.metrics[metric].bound
    mean = low + (high - low) * float(task.shares(scores).mean())
    assert mean == pytest.approx(task.summary(scores)[metric])


def test_similarity_that_noise_releases_is_never_below_zero() -> None:
    task = Restoration(restoration(metric="ssim"))
    truth = images(0, 1, 1, 16, 16)
    scores = task.scores(-truth, cases_of(truth, truth), True)
    assert task.summary(scores)["ssim"] < 0
    assert task.shares(scores).tolist() == [0]


@pytest.mark.parametrize("loss", ["l1", "mse", "l1-ssim"])
@pytest.mark.parametrize("shape", [(3, 1, 16, 16), (2, 1, 12, 12, 12)], ids=["2d", "3d"])
def test_loss_is_one_number_a_record_and_least_for_the_truth(
    loss: str, shape: tuple[int, ...]
) -> None:
    task = Restoration(restoration(loss=loss))
    truth = images(0, *shape)
    worse = (truth + 0.2 * images(1, *shape)).requires_grad_()
    losses = task.loss(worse, truth)
    assert losses.shape == shape[:1]
    (slope,) = torch.autograd.grad(losses.sum(), worse)
    assert slope.isfinite().all() and slope.abs().max() > 0
    assert (task.loss(truth, truth) < losses).all()
    assert losses[:1].tolist() == pytest.approx(task.loss(worse[:1], truth[:1]).tolist())


def test_result_is_in_the_window() -> None:
    found = PLAIN.result(torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]).view(1, 1, 1, 5))
    assert found.tolist() == [[[0, 0, 0.5, 1, 1]]]


def test_pair_of_two_sizes_is_refused() -> None:
    cases = cases_of(torch.zeros(2, 1, 16, 16), torch.zeros(2, 1, 16, 17))
    with pytest.raises(DataError) as caught:
        PLAIN.check(cases, "vendor 'a' has train")
    assert caught.value.code == DataError.SHAPE
    assert "(2, 1, 16, 17)" in caught.value.found and "(2, 1, 16, 16)" in caught.value.expected


def test_image_smaller_than_the_window_of_similarity_is_refused() -> None:
    small = torch.zeros(2, 1, 16, 10)
    with pytest.raises(DataError, match="at least 11 pixels a side"):
        PLAIN.check(cases_of(small, small), "vendor 'a' has train")


def test_range_of_decibels_is_that_of_the_declared_bound() -> None:
    assert PLAIN.settings.metrics["psnr"].bound == (0.0, 60.0)
    assert math.isclose(PLAIN.settings.metrics["rmse"].bound[1], 1.0)
