"""Private randomness, for the noise and the choice of records; nobody may know or repeat it.

It is AES-256 in counter mode: whoever sees noise exactly cannot compute the rest of it, as is
possible with an ordinary generator (PyTorch's and NumPy's are linear).
"""

# A seed that others know makes the noise known, and then nothing is private. So generators take
# their state from the operating system once per process; they are never seeded, logged, stored, or
# copied, and a forked process gets its own.

from __future__ import annotations

import functools
import math
import os
import threading
from typing import NoReturn, Protocol

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


class Randomness(Protocol):
    """A source of noise and of random choices."""

    def gaussian(self, like: torch.Tensor, deviation: float) -> torch.Tensor:
        """Return independent N(0, deviation²) in the shape of ``like``: float64, on the CPU."""
        ...

    def uniform(self, count: int) -> torch.Tensor:
        """Return ``count`` independent numbers, uniform in [0, 1): float64, on the CPU."""
        ...


def private_randomness() -> Randomness:
    """Return this process' private generator; the first call makes it."""
    with _LOCK:  # functools.cache may call a function twice when threads race
        return _of_this_process()


@functools.cache
def _of_this_process() -> Randomness:
    return SecureRandomness(os.urandom)


_LOCK = threading.Lock()


def _forget_after_fork() -> None:
    """Let a forked process draw a key of its own."""
    # With the parent's key both would draw equal noise, which a difference cancels.
    global _LOCK
    _LOCK = threading.Lock()  # another thread of the parent may have held the old one
    _of_this_process.cache_clear()


os.register_at_fork(after_in_child=_forget_after_fork)


class Entropy(Protocol):
    """A source of random bytes, such as :func:`os.urandom`."""

    def __call__(self, count: int, /) -> bytes: ...


BLOCK = 2**15
"""Numbers made at once, so that they stay in the processor's cache."""

TAIL = 2.0**-10
"""Probability of the tails, both together, in which a number is drawn with 53 bits more."""


class SecureRandomness:
    """AES-256-CTR with a key from ``entropy``; Gaussian by the inverse of the distribution."""

    def __init__(self, entropy: Entropy) -> None:
        self._stream = Cipher(algorithms.AES(entropy(32)), modes.CTR(bytes(16))).encryptor()
        self._one_at_a_time = threading.Lock()

    def gaussian(self, like: torch.Tensor, deviation: float) -> torch.Tensor:
        """Return independent N(0, deviation²) in the shape of ``like``: float64, on the CPU."""
        noise = torch.empty(like.numel(), dtype=torch.float64)
        for part in noise.split(BLOCK):
            torch.mul(self._normal(len(part)), deviation, out=part)
        return noise.view(like.shape)

    def uniform(self, count: int) -> torch.Tensor:
        """Return ``count`` independent numbers, uniform in [0, 1): float64, on the CPU."""
        return torch.from_numpy((self._words(count) >> 11) & (2**53 - 1)).double().mul_(2.0**-53)

    def _words(self, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return ``count`` independent numbers, uniform among all of int64."""
        with self._one_at_a_time:
            return np.frombuffer(self._stream.update(bytes(8 * count)), np.int64)

    def _normal(self, count: int) -> torch.Tensor:
        """Return ``count`` standard normal numbers, float64."""
        # An odd number of 53 bits and a sign: never ±1, symmetric, and exact as float64.
        shares = torch.from_numpy((self._words(count) >> 10) | 1).double().mul_(2.0**-53)
        normal = torch.erfinv(shares).mul_(math.sqrt(2.0))
        # Far out neighbouring shares give numbers that differ visibly, and a number that cannot
        # occur would tell of the sum below it.  So the probability gets further bits there.
        rare = (shares.abs() > 1 - TAIL).nonzero().flatten()
        if len(rare):
            beyond = 1 - shares[rare].abs()
            beyond += (2 * self.uniform(len(rare)) - 1 + 2.0**-53) * 2.0**-53
            normal[rare] = -torch.special.ndtri(beyond / 2) * shares[rare].sign()
        return normal

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        # A copy would repeat the noise.
        raise TypeError("expected private randomness to stay in its process; make another one")
