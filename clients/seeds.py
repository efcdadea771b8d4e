"""Derive seeds from their purpose alone: equal at every site, and after a restart."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *words: object) -> int:
    """Return a seed in 0…2⁶³−1: the first 8 bytes of SHA-256("srflm:seed:word:…"), halved."""
    # The formula is part of the method's description: others can draw the same numbers with it.
    text = ":".join(["srflm", str(seed), *map(str, words)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
