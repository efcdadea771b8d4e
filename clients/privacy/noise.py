"""Private randomness, for the noise and the choice of records; nobody may know or repeat it.

There are two kinds. ``system`` is PyTorch's generator: fast but not cryptographic, so that exactly
known noise predicts all later noise. ``secure`` is AES-256 in counter mode with Gaussians by Box
and Muller in double precision.
"""

# A seed that others know makes the noise known, and then nothing is private. So generators take
# their state from the operating system once per process; they are never seeded, logged, stored, or
# copied, and a forked process gets its own.

from __future__ import annotations

import functools
import hashlib
import math
import os
import threading
from typing import Literal, NoReturn, Protocol

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Kind = Literal["system", "secure"]


class Randomness(Protocol):
    """A source of noise and of random choices."""

    def gaussian(self, like: torch.Tensor, deviation: float) -> torch.Tensor:
        """Return independent N(0, deviation²) in the shape, type, and place of ``like``."""
        ...

    def uniform(self, count: int) -> torch.Tensor:
        """Return ``count`` independent numbers, uniform in [0, 1): float64, on the CPU."""
        ...


def private_randomness(kind: Kind) -> Randomness:
    """Return this process' private generator of a kind; the first call makes it."""
    with _LOCK:  # functools.cache may call a function twice when threads race
        return _of_this_process(kind)


def not_private_randomness(kind: Kind, not_private_seed: int) -> Randomness:
    """Return a repeatable generator for tests; data behind its noise is NOT PRIVATE."""
    return _make(kind, hashlib.shake_256(not_private_seed.to_bytes(16, "big", signed=True)).digest)


@functools.cache
def _of_this_process(kind: Kind) -> Randomness:
    return _make(kind, os.urandom)


def _make(kind: Kind, entropy: _Entropy) -> Randomness:
    return SystemRandomness(entropy) if kind == "system" else SecureRandomness(entropy)


_LOCK = threading.Lock()


def _forget_after_fork() -> None:
    """Let a forked process draw a state of its own."""
    # With the parent's state both would draw equal noise, which a difference cancels.
    global _LOCK
    _LOCK = threading.Lock()  # another thread of the parent may have held the old one
    _of_this_process.cache_clear()


os.register_at_fork(after_in_child=_forget_after_fork)


class _Entropy(Protocol):
    def __call__(self, count: int, /) -> bytes: ...


class _NeverCopied:
    """Refuses to be copied or stored, because a copy would repeat the noise."""

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("expected private randomness to stay in its process; make another one")


class SystemRandomness(_NeverCopied):
    """PyTorch's own generators, one for each kind of device."""

    def __init__(self, entropy: _Entropy) -> None:
        self._entropy = entropy
        self._cpu = fully_seeded(entropy)
        self._others: dict[torch.device, torch.Generator] = {}

    def gaussian(self, like: torch.Tensor, deviation: float) -> torch.Tensor:
        """Return independent N(0, deviation²) in the shape, type, and place of ``like``."""
        generator = self._generator(like.device)
        noise = torch.empty(like.shape, dtype=like.dtype, device=like.device)
        return noise.normal_(0.0, deviation, generator=generator)

    def uniform(self, count: int) -> torch.Tensor:
        """Return ``count`` independent numbers, uniform in [0, 1): float64, on the CPU."""
        return torch.rand(count, dtype=torch.float64, generator=self._cpu)

    def _generator(self, device: torch.device) -> torch.Generator:
        if device.type == "cpu":
            return self._cpu
        if device not in self._others:
            seed = int.from_bytes(self._entropy(8), "big") >> 1
            self._others[device] = torch.Generator(device).manual_seed(seed)
        return self._others[device]


STATE_WORDS = 624  # of the Mersenne twister MT19937
STATE_BEGINS = 24  # byte of a CPU generator's state at which these words begin


def fully_seeded(entropy: _Entropy) -> torch.Generator:
    """Return a CPU generator with all 19 937 bits of its state random.

    Raises :class:`RuntimeError` if this version of PyTorch stores the state in an unknown layout.
    """
    # manual_seed would use 32 bits on the CPU, and an attacker can try all 2^32 seeds.
    generator = torch.Generator().manual_seed(5)
    state = generator.get_state()
    words = state.numpy()[STATE_BEGINS : STATE_BEGINS + 8 * STATE_WORDS].view(np.uint64)
    # The first two words for the seed 5, by Knuth's recurrence, confirm the layout.
    if words[0] != 5 or words[1] != (1812433253 * 5 + 1) % 2**32:
        raise RuntimeError('unknown state of torch.Generator; set privacy.random = "secure"')
    words[:] = np.frombuffer(entropy(4 * STATE_WORDS), np.uint32)
    generator.set_state(state)
    return generator


CHUNK = 2**18  # numbers made at once: bounds the memory of double precision

# The last bits of a single float Gaussian can reveal the value under the noise; the sum of four
# cannot (Holohan & Braghin, 2021).
SUMMANDS = 4


class SecureRandomness(_NeverCopied):
    """AES-256-CTR with a key from the operating system."""

    def __init__(self, entropy: _Entropy) -> None:
        self._stream = Cipher(algorithms.AES(entropy(32)), modes.CTR(bytes(16))).encryptor()
        self._one_at_a_time = threading.Lock()

    def gaussian(self, like: torch.Tensor, deviation: float) -> torch.Tensor:
        """Return independent N(0, deviation²) in the shape, type, and place of ``like``."""
        noise = torch.empty(like.numel(), dtype=like.dtype)
        for part in noise.split(CHUNK):
            total = sum((self._normal(len(part)) for _ in range(SUMMANDS)), torch.zeros(()))
            part.copy_(total * (deviation / math.sqrt(SUMMANDS)))
        return noise.view(like.shape).to(like.device)

    def uniform(self, count: int) -> torch.Tensor:
        """Return ``count`` independent numbers, uniform in [0, 1): float64, on the CPU."""
        with self._one_at_a_time:
            data = self._stream.update(bytes(8 * count))  # encrypted zeros are the key stream
        whole = np.frombuffer(data, np.uint64) >> np.uint64(11)  # 53 bits, as many as a double has
        return torch.from_numpy(whole.astype(np.float64) * 2.0**-53)

    def _normal(self, count: int) -> torch.Tensor:
        """Return ``count`` standard normal numbers, float64 (Box & Muller, 1958)."""
        half = (count + 1) // 2
        radius = (-2.0 * torch.log(1.0 - self.uniform(half))).sqrt()  # 1 − u is never 0
        angle = 2.0 * math.pi * self.uniform(half)
        return torch.cat([radius * angle.cos(), radius * angle.sin()])[:count]
