"""How much a vendor's site remembers, signed by itself, and what its peers make of it.  Pure rules.

A vendor's votes must never be given twice.  A site that was restored from a copy has forgotten some
of them, and of two sites with one identity each forgets those of the other.  A site often cannot
see this for itself.  So every message of a site carries the number of its start and of the votes
that it has stored; peers keep the newest they have heard, and show it to the vendor whenever they
speak to it.  The signature is the vendor's own: no peer can invent a memory.
"""

from __future__ import annotations

from typing import Literal

from flwr.app import ConfigRecord, RecordDict
from pydantic import Field

from strategies.protocol.bounds import Count
from strategies.protocol.records import Noun, canonical_json
from strategies.protocol.signatures import Keys

NOUN = "noun"
"""The name of the record that holds a message's noun; memories travel in it, too."""
PARTS = OWN, YOURS = "memory:own", "memory:yours"


class Memory(Noun):
    """How much a vendor's site remembered when it signed this.

    ``start`` counts the starts of the site, ``run`` is a random name of the last one, and ``votes``
    counts the grants, acceptances and proposals that the site has stored so far.
    """

    vendor: str
    start: Count
    run: str = Field(max_length=64)
    votes: Count
    signature: str = Field(default="", max_length=128)


class Memories(Noun):
    """The memories in a message: the sender's own, and the newest of the recipient's it knows."""

    own: Memory | None = None
    yours: Memory | None = None


Lapse = Literal["votes", "newer-site"]
"""What a site learns from an own memory that it does not have: it has forgotten votes, or another
site of its vendor was started later."""


def lapse(own: Memory, shown: Memory) -> Lapse | None:
    """Return what the site with the memory ``own`` has missed, if it is shown ``shown``."""
    if shown.start > own.start or (shown.start == own.start and shown.run != own.run):
        return "newer-site"
    return "votes" if shown.votes > own.votes else None


def newest(heard: Memory | None, said: Memory) -> Memory | None:
    """Return the memory of a vendor to keep, or None if the site of ``said`` must not count.

    ``heard`` is the newest one heard before.
    """
    if heard is None:
        return said
    # Of two sites with one number the first that was heard counts.
    if said.start < heard.start or (said.start == heard.start and said.run != heard.run):
        return None
    # A site that has forgotten votes does not count until it was shown ``heard``, and knows.
    if said.start > heard.start:
        return said if said.votes >= heard.votes else None
    return said if said.votes > heard.votes else heard


def signed_memory(memory: Memory, federation: str, keys: Keys) -> Memory:
    """Return a signed copy; ``federation`` is the hash of the federation's first edition."""
    return memory.model_copy(update={"signature": keys.sign(_statement(memory, federation))})


def is_genuine(memory: Memory, federation: str, keys: Keys) -> bool:
    """Return whether the vendor has signed its memory, with the key that it has now."""
    return keys.verify(memory.vendor, _statement(memory, federation), memory.signature)


def _statement(memory: Memory, federation: str) -> bytes:
    plain = memory.model_dump(exclude={"signature"})
    return canonical_json({"says": "memory", "federation": federation} | plain)


# ---- in messages -----------------------------------------------------------------------------


def with_memories(content: RecordDict, memories: Memories) -> RecordDict:
    """Return a message's content with ``memories`` in place of any that it had."""
    told = {OWN: memories.own, YOURS: memories.yours}
    json = {name: each.model_dump_json() for name, each in told.items() if each is not None}
    # A record of their own would be one object more, with a request of its own on every hop.
    noun = content.config_records.get(NOUN, ConfigRecord())
    others = {name: value for name, value in noun.items() if name not in PARTS}
    return RecordDict({**content, NOUN: ConfigRecord({**others, **json})})


def memories_in(content: RecordDict) -> Memories:
    """Return the memories in a message's content; those that cannot be read are left out."""
    record = content.config_records.get(NOUN, ConfigRecord())
    found: dict[str, Memory] = {}
    for name in PARTS:
        try:
            found[name] = Memory.model_validate_json(str(record[name]))
        except (KeyError, ValueError):
            continue
    return Memories(own=found.get(OWN), yours=found.get(YOURS))
