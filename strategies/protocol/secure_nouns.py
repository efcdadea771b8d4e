"""The context of a secure aggregation, and the public keys with which a client enters it."""

from __future__ import annotations

import hashlib
from functools import cached_property

from pydantic import Field

from strategies.protocol.bounds import Count, Ordinal
from strategies.protocol.records import Noun, canonical_json, majority

HEX_32_BYTES = r"^[0-9a-f]{64}$"

MIN_CLIENTS = 3
"""With two clients, each learns the other's update from the mean."""


class Context(Noun):
    """One aggregation; every signature and ciphertext in it is bound to the context's digest.

    ``model`` is the model from which the updates start.  The server chooses ``session`` at random:
    after a crash it begins a new session, for which every client makes new keys.
    """

    federation: str
    term: Ordinal
    attempt: Count
    server: str
    round: Ordinal
    model: str
    session: str

    @cached_property
    def digest(self) -> str:
        """The SHA-256 (hex) of the context."""
        return hashlib.sha256(canonical_json(self.model_dump())).hexdigest()


class KeyCard(Noun):
    """A client's public keys for one aggregation (hexadecimal), signed with its Ed25519 key.

    ``share_key`` is for encrypting shares to the client, ``mask_key`` for agreeing on pairwise
    masks; ``commitment`` fixes the seed of the client's self-mask.
    """

    vendor: str
    share_key: str = Field(pattern=HEX_32_BYTES)
    mask_key: str = Field(pattern=HEX_32_BYTES)
    commitment: str = Field(pattern=HEX_32_BYTES)
    signature: str = ""


def threshold_of(vendors: int, min_clients: int = 1) -> int:
    """Return the number of clients that must take part to the end: a majority without the server.

    ``min_clients`` may raise it; then fewer clients may be lost, and more of them must collude with
    a server to separate the sum.
    """
    return max(majority(vendors - 1), min_clients)


def list_digest(context: Context, cards: tuple[KeyCard, ...]) -> str:
    """Return the SHA-256 (hex) of a list of keys in its context, whatever the list's order."""
    # Sorted, so that all sites compute the same digest.
    listed = [card.model_dump() for card in sorted(cards, key=lambda card: card.vendor)]
    return hashlib.sha256(canonical_json({"context": context.digest, "keys": listed})).hexdigest()
