"""Dirac canaries: made-up records for audits, each with a weight of the network to itself.

Canary i is a one-hot image with gradient e_i · 50 or more, clipped to e_i · C. If the canary is in,
weight i moves by C plus noise, otherwise by noise alone. The losses of the first canaries are
powers of two, all below Λ, so that a sum of losses without noise reveals which of them were in.

A canary that is out is replaced by a blank record, with neither gradient nor loss: the number of
records must not reveal how many are in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from clients.data.vendor_data import Split, VendorData
from clients.privacy.audit.one_run import Coins, Scores

# Norm of a canary's gradient at the start: far above every sensible C, so that clipping matters.
GAIN = 50.0

# The lowest loss is 2^12: more than log 2 summed over all canaries without a loss of their own.
FIRST_BIT = 12

# Number of canaries with a loss of their own: their sum fits into a double's 53 bits.
LOSS_CANARIES = 48

# A double's sum of losses may be too small by this much.
ROUNDING = 2**10

LOSS_BOUND = 2.0 ** (FIRST_BIT + LOSS_CANARIES)
MAX_CANARIES = 2**FIRST_BIT
BLANK = -100.0  # margin at which loss and gradient vanish: log(1 + e^-200) is 0 in floats
CLASSES = 2


class DiracNetwork(nn.Module):
    """Logits (−z, z) with z = gain · w · x + margin; the margin is the image's last pixel.

    Input (batch, 1, canaries + 1), output (batch, 2).  All weights begin at 0.
    """

    def __init__(self, canaries: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(canaries))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        flat = images.flatten(1)
        z = GAIN * (flat[:, :-1] @ self.weight) + flat[:, -1]
        return torch.stack([-z, z], dim=1)


@dataclass(frozen=True)
class Canaries:
    """Which canaries are in: bool, shape (m,)."""

    included: Coins

    @staticmethod
    def toss(count: int, rng: np.random.Generator) -> Canaries:
        """Toss a fair coin for each of ``count`` canaries."""
        if not LOSS_CANARIES <= count <= MAX_CANARIES:
            raise ValueError(f"expected {LOSS_CANARIES} to {MAX_CANARIES} canaries: {count}")
        return Canaries(rng.random(count) < 0.5)

    def data(self) -> VendorData:
        """Return a vendor's data with the canaries as its training records."""
        count = len(self.included)
        images = torch.zeros((count, 1, count + 1))
        where = torch.from_numpy(np.flatnonzero(self.included))
        images[where, 0, where] = 1.0
        images[:, 0, -1] = torch.where(
            torch.from_numpy(self.included), torch.from_numpy(_margins(count)), BLANK
        )
        return VendorData(Split(images, _zeros(count)), _others(count), _others(count))


def data_without_canaries(count: int) -> VendorData:
    """Return the data of a vendor that only takes part: blank records."""
    return Canaries(np.zeros(count, dtype=bool)).data()


def _margins(count: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return for each canary half of its loss, which is log(1 + e^(2 · margin)) = 2 · margin."""
    margins = np.zeros(count, dtype=np.float32)
    margins[:LOSS_CANARIES] = 2.0 ** (FIRST_BIT + np.arange(LOSS_CANARIES)) / 2
    return margins


def _others(count: int) -> Split:
    return Split(torch.zeros((CLASSES, 1, count + 1)), torch.arange(CLASSES))


def _zeros(count: int) -> torch.Tensor:
    return torch.zeros(count, dtype=torch.int64)


def bits_of_loss(sum_of_losses: float) -> Scores:
    """Return 1 for each canary with a loss of its own whose power of two is in the sum, else 0."""
    # A noisy sum out of range is read modulo the largest power, which is as good as any guess.
    finite = np.isfinite(sum_of_losses)
    whole = (int(sum_of_losses) + ROUNDING) >> FIRST_BIT if finite else 0
    return np.array([(whole >> bit) & 1 for bit in range(LOSS_CANARIES)], dtype=np.float64)
