"""The noise has the right scale, is never the same twice, and cannot be known by others."""

from __future__ import annotations

import copy
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

from clients.privacy import noise as noise_module
from clients.privacy.gradients.optimizer import PrivateOptimizer
from clients.privacy.noise import Randomness, private_randomness
from tests.support.learning.private_training import not_private_randomness
from tests.support.waiting import PATIENCE_SECONDS

SIGMA, CLIP, SHARE, EXPECTED = 1.3, 0.7, 0.4, 10


class Weakened:
    """Noise that is a little too small."""

    def __init__(self, by: float) -> None:
        self.by, self.inner = by, not_private_randomness(1)

    def gaussian(self, like: torch.Tensor, deviation: float) -> torch.Tensor:
        return self.inner.gaussian(like, deviation * self.by)

    def uniform(self, count: int) -> torch.Tensor:
        return self.inner.uniform(count)


def released_noise(randomness: Randomness, steps: int, width: int) -> torch.Tensor:
    """Return the noise of ``steps`` empty batches in units of σC√(1+a²); the last is the loss's."""
    weights = torch.nn.Parameter(torch.zeros(width))
    optimizer = PrivateOptimizer(
        torch.optim.SGD([weights], 1.0),
        noise_multiplier=SIGMA,
        clip=CLIP,
        expected_batch_size=EXPECTED,
        loss_bound=3.0,
        loss_share=SHARE,
        randomness=randomness,
    )
    unit = SIGMA * CLIP * math.sqrt(1 + SHARE**2)
    rows, loss_before = [], 0.0
    for step in range(1, steps + 1):
        before = weights.detach().clone()
        optimizer.step()
        loss = optimizer.noisy_loss * optimizer.loss_scale * EXPECTED * step
        moved = (before - weights.detach()).double() * EXPECTED
        rows.append(torch.cat([moved, torch.tensor([loss - loss_before])]) / unit)
        loss_before = loss
    return torch.stack(rows)


def p_value(normal: torch.Tensor) -> float:
    """Return the two-sided p value of the sum of squares being χ²."""
    total, count = float(normal.double().square().sum()), normal.numel()
    return 2 * float(min(stats.chi2.cdf(total, count), stats.chi2.sf(total, count)))


def test_noise_of_empty_batches_has_exactly_the_promised_scale() -> None:
    noise = released_noise(not_private_randomness(7), 40, 10_000)
    assert p_value(noise[:, :-1]) > 1e-3
    assert abs(float(noise[:, :-1].mean())) < 5 / math.sqrt(noise.numel())
    assert stats.kstest(noise[:, :-1].flatten().numpy(), "norm").pvalue > 1e-3


def test_loss_coordinate_has_the_same_noise() -> None:
    noise = released_noise(not_private_randomness(8), 1500, 1)[:, -1]
    assert p_value(noise) > 1e-3
    assert stats.kstest(noise.numpy(), "norm").pvalue > 1e-3


def test_two_per_cent_too_little_is_noticed() -> None:
    assert p_value(released_noise(Weakened(0.98), 40, 10_000)) < 1e-6


def test_no_noise_on_the_loss_is_noticed() -> None:
    noise = released_noise(Weakened(1e-6), 4000, 1)[:, -1]
    assert p_value(noise) < 1e-6


def test_steps_and_coordinates_are_independent() -> None:
    noise = released_noise(not_private_randomness(9), 30, 20_000)[:, :-1].numpy()
    correlation = np.corrcoef(noise) - np.eye(len(noise))
    assert np.abs(correlation).max() < 5 / math.sqrt(noise.shape[1])
    neighbours = np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]
    assert abs(neighbours) < 5 / math.sqrt(noise.size)


def test_second_training_in_a_process_has_other_noise() -> None:
    one = released_noise(private_randomness(), 1, 5000)
    other = released_noise(private_randomness(), 1, 5000)
    assert abs(float(torch.corrcoef(torch.cat([one, other]))[0, 1])) < 0.08


def test_published_seeds_do_not_determine_it() -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(1)
        np.random.seed(1)
        draws.append(private_randomness().gaussian(torch.zeros(100), 1.0))
    assert not torch.equal(*draws)


def test_noise_does_not_advance_the_global_generator() -> None:
    before = torch.get_rng_state()
    private_randomness().gaussian(torch.zeros(100), 1.0)
    private_randomness().uniform(10)
    assert torch.equal(before, torch.get_rng_state())


def test_only_what_is_called_not_private_can_be_repeated() -> None:
    one, same = not_private_randomness(-3), not_private_randomness(-3)
    other = not_private_randomness(4)
    like = torch.zeros(7)
    first = one.gaussian(like, 2.0)
    assert torch.equal(first, same.gaussian(like, 2.0))
    assert not torch.equal(first, other.gaussian(like, 2.0))
    assert torch.equal(one.uniform(5), same.uniform(5))


def test_private_randomness_cannot_be_copied_or_stored() -> None:
    with pytest.raises(TypeError, match="stay in its process"):
        copy.deepcopy(private_randomness())


def test_forked_process_has_noise_of_its_own() -> None:
    program = """
import os, torch
from clients.privacy.noise import private_randomness
def draw(): return [private_randomness().gaussian(torch.zeros(1), 1.0).item() for _ in range(2)]
draw()
child = os.fork()
numbers = draw()
if child: os.waitpid(child, 0)  # two that print at once would mix their lines
print(*numbers, flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    numbers = done.stdout.split()
    assert len(numbers) == 4 and len(set(numbers)) == 4


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1001])
def test_any_shape_can_be_drawn(count: int) -> None:
    noise = private_randomness().gaussian(torch.zeros(count, 2), 1.0)
    assert noise.shape == (count, 2)
    assert noise.isfinite().all() and len(noise.unique()) == 2 * count


def test_uniform_numbers_are_uniform() -> None:
    numbers = not_private_randomness(11).uniform(20_000)
    assert numbers.dtype == torch.float64
    assert float(numbers.min()) >= 0 and float(numbers.max()) < 1
    assert stats.kstest(numbers.numpy(), "uniform").pvalue > 1e-3


def test_tails_that_are_drawn_with_more_bits_are_those_of_the_distribution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(noise_module, "TAIL", 0.5)
    like = torch.zeros(200_000, dtype=torch.float64)
    drawn = not_private_randomness(12).gaussian(like, 1.0)
    assert stats.kstest(drawn.numpy(), "norm").pvalue > 1e-3
    assert abs(float(drawn.mean())) < 5 / math.sqrt(len(drawn))


@pytest.mark.parametrize("word", [0, -1, 2**63 - 1, -(2**63)])
def test_no_draw_is_infinite(word: int, monkeypatch: pytest.MonkeyPatch) -> None:
    randomness = not_private_randomness(1)
    monkeypatch.setattr(randomness, "_words", lambda count: np.full(count, word, np.int64))
    drawn = randomness.gaussian(torch.zeros(3, dtype=torch.float64), 1.0)
    assert drawn.isfinite().all() and float(drawn.abs().max()) < 13


def test_product_has_no_generator_but_the_cryptographic_one() -> None:
    """Also none that can be seeded: tests make one by themselves."""
    assert isinstance(private_randomness(), noise_module.SecureRandomness)
    assert not [name for name in vars(noise_module) if "not_private" in name or "seed" in name]
