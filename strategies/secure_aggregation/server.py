"""The server's arithmetic: remove the masks from the sum of the masked updates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from strategies.protocol.secure_nouns import Context, KeyCard, list_digest
from strategies.secure_aggregation.keys import (
    commitment_to,
    pair_mask_key,
    public_of,
    self_mask_key,
)
from strategies.secure_aggregation.masking import Sign, add_mask, pair_sign
from strategies.secure_aggregation.quantising import Residues
from strategies.secure_aggregation.sharing import recover


@dataclass(frozen=True)
class Unmasking:
    """The server's inputs for unmasking the sum of one aggregation.

    ``cards`` is the list of keys; ``sharers`` and ``survivors`` are the sets that the clients have
    confirmed.  ``released`` has the opened shares (hexadecimal): sender → owner of the secret →
    share.
    """

    context: Context
    threshold: int
    cards: tuple[KeyCard, ...]
    sharers: frozenset[str]
    survivors: frozenset[str]
    released: Mapping[str, Mapping[str, str]]

    def total(self, masked: Mapping[str, Residues]) -> Residues:
        """Return the sum of the survivors' quantised updates.

        ``masked`` has their masked updates.  Raises
        :class:`strategies.secure_aggregation.sharing.NotRecovered` if the shares do not recover
        every secret.
        """
        # All keys first: with a missing secret nothing is added up.
        keys = self._keys_of_masks()
        total = np.zeros_like(masked[next(iter(sorted(self.survivors)))])
        for vendor in sorted(self.survivors):
            np.add(total, masked[vendor], out=total)
        for key, sign in keys:
            add_mask(total, key, sign)
        return total

    def _keys_of_masks(self) -> list[tuple[bytes, Sign]]:
        """Return the keys of all masks left in the sum, with the signs that remove them."""
        listing = sorted(self.cards, key=lambda card: card.vendor)
        listed = list_digest(self.context, self.cards)
        card_of = {card.vendor: card for card in listing}
        index_of = {card.vendor: at for at, card in enumerate(listing, start=1)}
        keys: list[tuple[bytes, Sign]] = []
        for vendor in sorted(self.sharers):
            secret = self._secret(card_of[vendor], index_of)
            if vendor in self.survivors:
                keys.append((self_mask_key(secret, listed, vendor), -1))
                continue
            # A lost client's pairwise masks do not cancel: take them off each survivor's update.
            for other in sorted(self.survivors):
                key = pair_mask_key(secret, card_of[other].mask_key, listed, vendor, other)
                keys.append((key, pair_sign(vendor, other)))  # the opposite of the survivor's sign
        return keys

    def _secret(self, card: KeyCard, index_of: Mapping[str, int]) -> bytes:
        """Return a survivor's seed, or a lost client's private mask key."""
        survived = card.vendor in self.survivors

        def is_right(secret: bytes) -> bool:
            if survived:
                return commitment_to(secret, self.context, card.vendor) == card.commitment
            return public_of(secret) == card.mask_key

        shares = {
            index_of[sender]: bytes.fromhex(of[card.vendor])
            for sender, of in self.released.items()
            if card.vendor in of
        }
        return recover(shares, self.threshold, is_right)
