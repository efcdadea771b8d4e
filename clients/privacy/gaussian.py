"""The Gaussian mechanism as numbers of a computer allow it: noise, then rounding to a fixed grid.

All that leaves a site with noise on it passes here: sums of gradients and losses, whole updates,
and counts of right answers.
"""

from __future__ import annotations

import math

import torch

from clients.privacy.noise import Randomness

GRID_BITS = 16


def grid(deviation: float) -> float:
    """Return the step of the grid: the power of two at or below deviation · 2⁻¹⁶."""
    _, exponent = math.frexp(deviation)
    return math.ldexp(1.0, exponent - 1 - GRID_BITS)


def release(exact: torch.Tensor, deviation: float, randomness: Randomness) -> torch.Tensor:
    """Return exact + N(0, deviation²), each number rounded to the grid: float64, on the CPU.

    ``deviation`` is above 0, and public.
    """
    # Numbers of a computer lie closer together near zero, and a sum's last bits say how close its
    # parts were to it.  So the noise is added in double precision, and rounding to a grid that
    # depends on public numbers only removes the bits that tell.  A narrower type can follow: it is
    # made of the rounded number alone.
    total = exact.detach().cpu().double()
    step = grid(deviation)
    return (randomness.gaussian(total, deviation) + total).div_(step).round_().mul_(step)
