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

from clients.privacy.gradients.optimizer import PrivateOptimizer
from clients.privacy.noise import (
    Kind,
    Randomness,
    fully_seeded,
    not_private_randomness,
    private_randomness,
)
from tests.support.waiting import PATIENCE_SECONDS

KINDS: tuple[Kind, ...] = ("system", "secure")
SIGMA, CLIP, SHARE, EXPECTED = 1.3, 0.7, 0.4, 10


class Weakened:
    """Noise that is a little too small."""

    def __init__(self, by: float) -> None:
        self.by, self.inner = by, not_private_randomness("system", 1)

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


@pytest.mark.parametrize("kind", KINDS)
def test_noise_of_empty_batches_has_exactly_the_promised_scale(kind: Kind) -> None:
    noise = released_noise(not_private_randomness(kind, 7), 40, 10_000)
    assert p_value(noise[:, :-1]) > 1e-3
    assert abs(float(noise[:, :-1].mean())) < 5 / math.sqrt(noise.numel())
    assert stats.kstest(noise[:, :-1].flatten().numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_loss_coordinate_has_the_same_noise(kind: Kind) -> None:
    noise = released_noise(not_private_randomness(kind, 8), 1500, 1)[:, -1]
    assert p_value(noise) > 1e-3
    assert stats.kstest(noise.numpy(), "norm").pvalue > 1e-3


def test_two_per_cent_too_little_is_noticed() -> None:
    assert p_value(released_noise(Weakened(0.98), 40, 10_000)) < 1e-6


def test_no_noise_on_the_loss_is_noticed() -> None:
    noise = released_noise(Weakened(1e-6), 4000, 1)[:, -1]
    assert p_value(noise) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_steps_and_coordinates_are_independent(kind: Kind) -> None:
    noise = released_noise(not_private_randomness(kind, 9), 30, 20_000)[:, :-1].numpy()
    correlation = np.corrcoef(noise) - np.eye(len(noise))
    assert np.abs(correlation).max() < 5 / math.sqrt(noise.shape[1])
    neighbours = np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]
    assert abs(neighbours) < 5 / math.sqrt(noise.size)


@pytest.mark.parametrize("kind", KINDS)
def test_second_training_in_a_process_has_other_noise(kind: Kind) -> None:
    one = released_noise(private_randomness(kind), 1, 5000)
    other = released_noise(private_randomness(kind), 1, 5000)
    assert abs(float(torch.corrcoef(torch.cat([one, other]))[0, 1])) < 0.08


@pytest.mark.parametrize("kind", KINDS)
def test_published_seeds_do_not_determine_it(kind: Kind) -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(1)
        np.random.seed(1)
        draws.append(private_randomness(kind).gaussian(torch.zeros(100), 1.0))
    assert not torch.equal(*draws)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_does_not_advance_the_global_generator(kind: Kind) -> None:
    before = torch.get_rng_state()
    private_randomness(kind).gaussian(torch.zeros(100), 1.0)
    private_randomness(kind).uniform(10)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_called_not_private_can_be_repeated(kind: Kind) -> None:
    one, same = not_private_randomness(kind, -3), not_private_randomness(kind, -3)
    other = not_private_randomness(kind, 4)
    like = torch.zeros(7)
    first = one.gaussian(like, 2.0)
    assert torch.equal(first, same.gaussian(like, 2.0))
    assert not torch.equal(first, other.gaussian(like, 2.0))
    assert torch.equal(one.uniform(5), same.uniform(5))


@pytest.mark.parametrize("kind", KINDS)
def test_private_randomness_cannot_be_copied_or_stored(kind: Kind) -> None:
    with pytest.raises(TypeError, match="stay in its process"):
        copy.deepcopy(private_randomness(kind))


def test_forked_process_has_noise_of_its_own() -> None:
    program = """
import os, torch
from clients.privacy.noise import private_randomness
def draw(): return [private_randomness(k).gaussian(torch.zeros(1), 1.0).item() for k in KINDS]
KINDS = "system", "secure"
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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 1001])
def test_any_shape_can_be_drawn(kind: Kind, count: int) -> None:
    noise = private_randomness(kind).gaussian(torch.zeros(count, 2), 1.0)
    assert noise.shape == (count, 2)
    assert noise.isfinite().all() and len(noise.unique()) == 2 * count


@pytest.mark.parametrize("kind", KINDS)
def test_uniform_numbers_are_uniform(kind: Kind) -> None:
    numbers = not_private_randomness(kind, 11).uniform(20_000)
    assert numbers.dtype == torch.float64
    assert float(numbers.min()) >= 0 and float(numbers.max()) < 1
    assert stats.kstest(numbers.numpy(), "uniform").pvalue > 1e-3


def test_whole_state_of_the_generator_is_random() -> None:
    """NumPy's Mersenne twister with the same 624 words gives the same numbers."""
    words = np.random.default_rng(0).integers(0, 2**32, 624, dtype=np.uint32)
    generator = fully_seeded(lambda count: words.tobytes()[:count])
    ours = torch.empty(2000, dtype=torch.int32).random_(generator=generator)
    theirs = np.random.MT19937()
    theirs.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": 624}}
    raw = np.asarray(theirs.random_raw(2000), dtype=np.uint64)
    assert np.array_equal(ours.numpy(), (raw % 2**31).astype(np.int32))


def test_a_seed_of_the_generator_would_be_32_bits() -> None:
    """The reason for the above: should PyTorch mend it, ``fully_seeded`` can go."""
    one = torch.rand(4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(one, torch.rand(4, generator=torch.Generator().manual_seed(1 + 2**32)))
