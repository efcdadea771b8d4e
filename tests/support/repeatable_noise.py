"""The private generator with a key that anybody can repeat: the product has no way to seed it."""

from __future__ import annotations

import hashlib

from clients.privacy.noise import SecureRandomness


def not_private_randomness(seed: int) -> SecureRandomness:
    """Return a generator that draws the same for the same seed.  It protects nothing."""
    return SecureRandomness(hashlib.shake_256(seed.to_bytes(16, "big", signed=True)).digest)
