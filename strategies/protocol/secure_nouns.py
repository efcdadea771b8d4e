"""What an aggregation is about, and the keys with which a client enters it."""

from __future__ import annotations

import hashlib
from functools import cached_property

from pydantic import Field

from strategies.protocol.records import Noun, canonical_json, majority

HEX_32_BYTES = r"^[0-9a-f]{64}$"

MIN_CLIENTS = 3
"""With two, each learns the other's update from the mean."""


class Context(Noun):
    """One aggregation: all that is signed or encrypted in it is bound to its digest.

    ``model`` is what the updates start from.  ``session`` is chosen by the server at random: after
    a crash it begins a new one, in which everybody has new keys.
    """

    federation: str
    term: int
    attempt: int
    server: str
    round: int
    model: str
    session: str

    @cached_property
    def digest(self) -> str:
        """The SHA-256 (hex) of the context."""
        return hashlib.sha256(canonical_json(self.model_dump())).hexdigest()


class KeyCard(Noun):
    """A client's public keys for one aggregation (hexadecimal), signed with its Ed25519 key.

    ``share_key`` encrypts shares for it, ``mask_key`` agrees on pairwise masks; ``commitment``
    fixes the seed of its self-mask.
    """

    vendor: str
    share_key: str = Field(pattern=HEX_32_BYTES)
    mask_key: str = Field(pattern=HEX_32_BYTES)
    commitment: str = Field(pattern=HEX_32_BYTES)
    signature: str = ""


def threshold_of(vendors: int, min_clients: int = 1) -> int:
    """Return how many clients must take part to the end: a majority of all but the server.

    ``min_clients`` may ask for more; then fewer may be lost, and more must collude with a server
    to break the sum up.
    """
    return max(majority(vendors - 1), min_clients)


def list_digest(context: Context, cards: tuple[KeyCard, ...]) -> str:
    """Return the SHA-256 (hex) of a list of keys in its context; the order does not count."""
    listed = [card.model_dump() for card in sorted(cards, key=lambda card: card.vendor)]
    return hashlib.sha256(canonical_json({"context": context.digest, "keys": listed})).hexdigest()
