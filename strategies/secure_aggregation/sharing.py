"""Split secrets by Shamir's scheme, and encrypt the shares that clients send to each other.

Shamir, "How to share a secret" (CACM 1979), over GF(2¹²⁸), from pycryptodome.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping

from Crypto.Protocol.SecretSharing import Shamir
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

SECRET_BYTES = 32
_BLOCK = 16
_NONCE = 12
# Bounds the work when many shares are wrong: the number of choices grows exponentially.
_MAX_TRIES = 1000


class NotRecovered(ValueError):
    """No combination of the available shares gives the secret."""


def split(secret: bytes, threshold: int, count: int) -> list[bytes]:
    """Return ``count`` shares of ``secret`` (32 bytes); any ``threshold`` shares recover it.

    The share at position n has index n + 1.  Fewer shares reveal nothing about the secret.
    """
    # The library shares 16 bytes at a time: the secret is two blocks, each shared by itself.
    blocks = [secret[at : at + _BLOCK] for at in range(0, SECRET_BYTES, _BLOCK)]
    shared = [Shamir.split(threshold, count, block, ssss=False) for block in blocks]
    return [b"".join(share for _, share in of_one) for of_one in zip(*shared, strict=True)]


def recover(
    shares: Mapping[int, bytes], threshold: int, is_right: Callable[[bytes], bool]
) -> bytes:
    """Return the secret of ``shares`` (index from 1 → share) for which ``is_right`` is true.

    Tries combinations of ``threshold`` shares, so that a few wrong shares do no harm.  Raises
    :class:`NotRecovered` if the first 1000 combinations do not give the secret.
    """
    usable = {index: share for index, share in shares.items() if len(share) == SECRET_BYTES}
    choices = itertools.combinations(sorted(usable), threshold)
    for chosen in itertools.islice(choices, _MAX_TRIES):
        secret = _combined({index: usable[index] for index in chosen})
        if is_right(secret):
            return secret
    raise NotRecovered(f"{len(usable)} shares, {threshold} needed")


def _combined(shares: Mapping[int, bytes]) -> bytes:
    blocks = [
        Shamir.combine([(index, s[at : at + _BLOCK]) for index, s in shares.items()], ssss=False)
        for at in range(0, SECRET_BYTES, _BLOCK)
    ]
    return b"".join(blocks)


def seal(plain: bytes, key: bytes, about: bytes) -> str:
    """Encrypt ``plain`` with ChaCha20-Poly1305, bound to ``about``; return it in hexadecimal."""
    nonce = secrets.token_bytes(_NONCE)
    return (nonce + ChaCha20Poly1305(key).encrypt(nonce, plain, about)).hex()


def unseal(sealed: str, key: bytes, about: bytes) -> bytes:
    """Return the plain bytes of ``sealed``; raises ValueError if ``key`` or ``about`` differs."""
    try:
        data = bytes.fromhex(sealed)
        return ChaCha20Poly1305(key).decrypt(data[:_NONCE], data[_NONCE:], about)
    except InvalidTag as error:
        raise ValueError("a share that was changed, or is meant for another") from error
