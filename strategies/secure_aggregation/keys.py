"""Keys of one aggregation: key agreement, derivation, commitments, and signed statements.

Key agreement is X25519 (RFC 7748), derivation HKDF with SHA-256 (RFC 5869).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from strategies.protocol.records import canonical_json
from strategies.protocol.secure_nouns import Context, KeyCard


def public_of(private: bytes) -> str:
    """Return the public X25519 key (hexadecimal) of a private one (32 bytes)."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw().hex()


def share_encryption_key(
    private: bytes, public: str, listed: str, sender: str, recipient: str
) -> bytes:
    """Return the key for shares from ``sender`` to ``recipient``, from one's private key.

    Either vendor's private key with the other's public key gives the same result.

    Raises ValueError for a public key of low order.
    """
    return _derived(_agreed(private, public), "shares", listed, sender, recipient)


def pair_mask_key(private: bytes, public: str, listed: str, one: str, other: str) -> bytes:
    """Return the key of the mask between two clients, from the private key of one of them.

    Either client's private key with the other's public key gives the same result.

    Raises ValueError for a public key of low order.
    """
    return _derived(_agreed(private, public), "pair", listed, *sorted((one, other)))


def self_mask_key(seed: bytes, listed: str, vendor: str) -> bytes:
    """Return the key of a client's self-mask."""
    return _derived(seed, "self", listed, vendor)


def commitment_to(seed: bytes, context: Context, vendor: str) -> str:
    """Return a commitment to ``seed`` (32 random bytes), which fixes it without revealing it."""
    about = canonical_json({"says": "seed", "context": context.digest, "vendor": vendor})
    return hashlib.sha256(about + seed).hexdigest()


def card_statement(context: Context, card: KeyCard) -> bytes:
    """Return the statement that a client signs about its public keys."""
    plain = card.model_dump(exclude={"signature"})
    return canonical_json({"says": "secure-keys", "context": context.digest} | plain)


def survivors_statement(
    vendor: str, context: Context, listed: str, sharers: Collection[str], survivors: Collection[str]
) -> bytes:
    """Return the statement that a client signs before it helps to unmask.

    ``sharers`` are the clients whose shares this client has received, ``survivors`` the clients
    whose masked updates the server has received.
    """
    plain = {
        "says": "secure-survivors",
        "vendor": vendor,
        "context": context.digest,
        "keys": listed,
        "sharers": sorted(sharers),
        "survivors": sorted(survivors),
    }
    return canonical_json(plain)


def _agreed(private: bytes, public: str) -> bytes:
    peer = X25519PublicKey.from_public_bytes(bytes.fromhex(public))
    return X25519PrivateKey.from_private_bytes(private).exchange(peer)


def _derived(secret: bytes, purpose: str, listed: str, *names: str) -> bytes:
    # Purpose, list of keys, and names: no derived key has two uses or two aggregations.
    info = canonical_json({"for": purpose, "keys": listed, "names": list(names)})
    salt = b"srflm-flower secure aggregation 1"
    return HKDF(SHA256(), 32, salt, info).derive(secret)
