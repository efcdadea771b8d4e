"""Masks: key streams of AES-256 in counter mode, added to or subtracted from a vector mod 2³²."""

from __future__ import annotations

from typing import Literal

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from strategies.secure_aggregation.quantising import Residues

# Values per step: 1 MiB of key stream at a time, whatever the size of the model.
_CHUNK = 1 << 18
_ZEROS = bytes(4 * _CHUNK)
_START = bytes(16)

Sign = Literal[1, -1]


def add_mask(values: Residues, key: bytes, sign: Sign = 1) -> None:
    """Add the mask of ``key`` (32 bytes) to ``values`` in place, or subtract it (``sign`` −1)."""
    # Each key makes only one mask, so the counter may start at zero for all.
    stream = Cipher(algorithms.AES(key), modes.CTR(_START)).encryptor()
    block = bytearray(len(_ZEROS) + 15)  # update_into requires a block less a byte more
    zeros = memoryview(_ZEROS)
    for begin in range(0, len(values), _CHUNK):
        part = values[begin : begin + _CHUNK]
        stream.update_into(zeros[: 4 * len(part)], block)
        # Little-endian at every site, so that pairwise masks cancel.
        mask = np.frombuffer(block, "<u4", len(part))
        if sign == 1:
            np.add(part, mask, out=part)
        else:
            np.subtract(part, mask, out=part)


def pair_sign(own: str, other: str) -> Sign:
    """Return the sign with which ``own`` adds the mask that it shares with ``other``.

    The two clients have opposite signs, so that the mask cancels in the sum.
    """
    return 1 if own < other else -1
