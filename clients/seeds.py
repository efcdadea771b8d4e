"""Seeds that depend on nothing but what they are for: the same after a restart, at every site."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *words: object) -> int:
    """Return a seed in 0…2⁶³−1: the first 8 bytes of SHA-256("srflm:seed:word:…"), halved.

    Written out so that an independent re-computation can draw the same numbers.
    """
    text = ":".join(["srflm", str(seed), *map(str, words)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
