"""A site tells its peers how much it remembers, and hears how much they remember of it."""

from __future__ import annotations

from functools import lru_cache

from flwr.app import RecordDict

from srflm_flower.site.ledger import TermLedger
from strategies.errors import MessageRefused
from strategies.protocol.memory import (
    Memories,
    Memory,
    is_genuine,
    lapse,
    memories_in,
    signed_memory,
    with_memories,
)
from strategies.protocol.signatures import Keys


class SiteMemory:
    """Puts memories into a site's messages, both as a client and as the server, and reads them.

    ``federation`` is the hash of the federation's first edition.
    """

    def __init__(self, vendor: str, federation: str, ledger: TermLedger, keys: Keys) -> None:
        self._vendor, self._federation = vendor, federation
        self._ledger, self._keys = ledger, keys
        # Few votes lie between two messages: most messages carry the same signature.
        self._signed = lru_cache(maxsize=8)(lambda own: signed_memory(own, federation, keys))

    def tell(self, content: RecordDict, peer: str | None) -> RecordDict:
        """Return ``content`` with this site's memory, and what it knows of the ``peer``'s."""
        own, heard = self._ledger.memories(self._vendor, peer or "")
        return with_memories(content, Memories(own=self._signed(own), yours=heard))

    def hear(self, content: RecordDict, peer: str | None) -> bool:
        """Note the memories in a message of ``peer``.

        Returns False if nothing of the message may count: a newer site of that vendor is known, or
        its site has forgotten votes and does not know it yet.
        """
        told = memories_in(content)
        said, shown = told.own, told.yours
        # Nearly every message tells nothing new: one look at the ledger, before any signature.
        own, heard = self._ledger.memories(self._vendor, peer or "")
        missed = shown is not None and lapse(own, shown) is not None
        if shown is not None and missed and self._is_by(shown, self._vendor):
            self._ledger.check(shown)
        if said is None or peer in (None, self._vendor) or not self._is_by(said, str(peer)):
            return True
        # Nearly every message: read only, so that messages do not wait for each other.
        if heard == said:
            return True
        # A vendor that has left and joined again has new keys, and counts its starts anew.
        outdated = heard is not None and not self._is_by(heard, said.vendor)
        return self._ledger.keep_heard(said, heard if outdated else None)

    def require_newest(self, content: RecordDict, peer: str | None) -> None:
        """Note the memories in a message of ``peer``.

        Raises :class:`MessageRefused` if a newer site of that vendor is known.
        """
        if not self.hear(content, peer):
            raise MessageRefused(
                f"a message of a site of {peer!r} that is not the newest one, or has lost votes",
                "the site of that vendor which was started last, with all its votes",
                "nothing, if it was restored: it asks the others; else switch one of the two off",
                MessageRefused.SUPERSEDED,
            )

    def _is_by(self, memory: Memory, vendor: str) -> bool:
        return memory.vendor == vendor and is_genuine(memory, self._federation, self._keys)


class NoMemory:
    """The memory of a simulated site, which tells and hears nothing."""

    # A simulation is one process of one user: nothing can be restored or run twice.

    def tell(self, content: RecordDict, peer: str | None) -> RecordDict:
        """Return ``content``."""
        return content

    def hear(self, content: RecordDict, peer: str | None) -> bool:
        """Return True."""
        return True

    def require_newest(self, content: RecordDict, peer: str | None) -> None:
        """Do nothing."""
