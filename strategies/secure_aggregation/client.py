"""A client's part in an aggregation, as pure functions of its notes.

Once noted, the list of keys, the set of sharers, and the set of survivors never change.  So a
client never reveals its shares of both secrets of one peer, whatever the server requests.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from pydantic import Field

from strategies.errors import MessageRefused
from strategies.protocol.records import Noun
from strategies.protocol.secure_nouns import (
    HEX_32_BYTES,
    Context,
    KeyCard,
    list_digest,
    threshold_of,
)
from strategies.protocol.signatures import Keys
from strategies.secure_aggregation.keys import (
    card_statement,
    commitment_to,
    pair_mask_key,
    public_of,
    self_mask_key,
    share_encryption_key,
    survivors_statement,
)
from strategies.secure_aggregation.masking import add_mask, pair_sign
from strategies.secure_aggregation.quantising import Residues
from strategies.secure_aggregation.sharing import SECRET_BYTES, seal, split, unseal


class Secrets(Noun):
    """A client's notes on one aggregation; secrets and shares are hexadecimal.

    ``listed`` is the digest of ``cards``.  ``sealed`` has the client's own shares by recipient;
    ``seeds`` and ``mask_keys`` have the shares that it has received, by the owner of the secret.
    ``masked`` is the SHA-256 of the quantised update that it has masked; ``released`` says that it
    has helped to unmask.
    """

    context: Context
    share_private: str = Field(pattern=HEX_32_BYTES)
    mask_private: str = Field(pattern=HEX_32_BYTES)
    seed: str = Field(pattern=HEX_32_BYTES)
    cards: tuple[KeyCard, ...] = ()
    listed: str = ""
    sealed: dict[str, str] = Field(default_factory=dict)
    seeds: dict[str, str] = Field(default_factory=dict)
    mask_keys: dict[str, str] = Field(default_factory=dict)
    masked: str = ""
    survivors: tuple[str, ...] = ()
    released: bool = False

    @property
    def sharers(self) -> tuple[str, ...]:
        """The clients whose shares this client has received."""
        return tuple(sorted(self.seeds))


def begin(context: Context) -> Secrets:
    """Return the notes of a client at the start of an aggregation, with new secrets."""
    share_private, mask_private, seed = (secrets.token_bytes(SECRET_BYTES).hex() for _ in range(3))
    return Secrets(
        context=context, share_private=share_private, mask_private=mask_private, seed=seed
    )


@dataclass(frozen=True)
class Client:
    """One vendor in an aggregation; ``fewest`` is the smallest number of updates in a sum.

    All methods raise :class:`MessageRefused` for a request that an honest server never makes.
    """

    vendor: str
    roster: tuple[str, ...]
    keys: Keys
    fewest: int = 1

    @property
    def threshold(self) -> int:
        """The number of clients that must take part to the end."""
        return threshold_of(len(self.roster), self.fewest)

    # ---- keys --------------------------------------------------------------------------------

    def card(self, notes: Secrets) -> KeyCard:
        """Return the client's public keys, signed."""
        card = KeyCard(
            vendor=self.vendor,
            share_key=public_of(bytes.fromhex(notes.share_private)),
            mask_key=public_of(bytes.fromhex(notes.mask_private)),
            commitment=commitment_to(bytes.fromhex(notes.seed), notes.context, self.vendor),
        )
        signature = self.keys.sign(card_statement(notes.context, card))
        return card.model_copy(update={"signature": signature})

    # ---- shares ------------------------------------------------------------------------------

    def share(self, notes: Secrets, cards: Iterable[KeyCard]) -> Secrets:
        """Check the list of keys, and note the secrets' shares for the clients on it."""
        listing = tuple(sorted(cards, key=lambda card: card.vendor))
        listed = list_digest(notes.context, listing)
        # A repeated request gets the same notes; a different list is refused.
        if notes.listed:
            if notes.listed != listed:
                _refuse("a second list of keys in one aggregation", "the first one")
            return notes
        self._check_list(notes, listing)
        shares = zip(
            split(bytes.fromhex(notes.seed), self.threshold, len(listing)),
            split(bytes.fromhex(notes.mask_private), self.threshold, len(listing)),
            strict=True,
        )
        private = bytes.fromhex(notes.share_private)
        sealed = {}
        for card, (seed, mask_key) in zip(listing, shares, strict=True):
            names = self.vendor, card.vendor
            try:
                key = share_encryption_key(private, card.share_key, listed, *names)
            except ValueError:  # such a key would make the agreed secret predictable
                _refuse(f"a key of {card.vendor!r} of low order", "a random X25519 key")
            sealed[card.vendor] = seal(seed + mask_key, key, _about(listed, *names))
        return notes.model_copy(update={"cards": listing, "listed": listed, "sealed": sealed})

    def _check_list(self, notes: Secrets, cards: tuple[KeyCard, ...]) -> None:
        names = [card.vendor for card in cards]
        # The server must not hold shares: it would need fewer clients to unmask.
        allowed = set(self.roster) - {notes.context.server}
        if len(set(names)) != len(names) or not set(names) <= allowed:
            _refuse("a list with a stranger, the server, or one client twice", "clients, once each")
        self._check_enough(len(names))
        # Ed25519 is deterministic: signing again gives the card that this client has sent.
        if self.card(notes) not in cards:
            _refuse("a list without this site's own keys", "the keys that it has sent")
        for card in cards:
            if not self.keys.verify(
                card.vendor, card_statement(notes.context, card), card.signature
            ):
                raise MessageRefused(
                    f"keys that {card.vendor!r} has not signed for this aggregation",
                    "keys signed for this term, attempt, round, model, and server",
                    "look into the server that sent them",
                    MessageRefused.SIGNATURE,
                )

    # ---- masked ------------------------------------------------------------------------------

    def receive(self, notes: Secrets, sealed: Mapping[str, str]) -> Secrets:
        """Open and note the shares in ``sealed`` (by sender) for this client."""
        # A second set of sharers would put other masks on the same update.
        if notes.seeds:
            if set(sealed) != set(notes.seeds):
                _refuse("a second set of sharers in one aggregation", "the first one")
            return notes
        cards = {card.vendor: card for card in notes.cards}
        if not set(sealed) <= set(cards) or self.vendor not in sealed:
            _refuse("shares of others than the clients on the list", "also this site's own")
        self._check_enough(len(sealed))
        seeds, mask_keys = {}, {}
        private = bytes.fromhex(notes.share_private)
        for sender, text in sealed.items():
            names = sender, self.vendor
            try:
                key = share_encryption_key(private, cards[sender].share_key, notes.listed, *names)
                plain = unseal(text, key, _about(notes.listed, *names))
            except ValueError as error:
                _refuse(f"shares of {sender!r} that cannot be opened ({error})", "what it sent")
            seeds[sender] = plain[:SECRET_BYTES].hex()
            mask_keys[sender] = plain[SECRET_BYTES:].hex()
        return notes.model_copy(update={"seeds": seeds, "mask_keys": mask_keys})

    def commit_to(self, notes: Secrets, values: Residues) -> Secrets:
        """Note the hash of the update that is masked, and refuse to mask a second one."""
        digest = hashlib.sha256(values.tobytes()).hexdigest()
        # Two updates under one mask would reveal their difference.
        if notes.masked not in ("", digest):
            _refuse("a second update to mask in one aggregation", "the first one")
        return notes.model_copy(update={"masked": digest})

    def mask(self, notes: Secrets, values: Residues) -> None:
        """Mask ``values`` in place: y = x + m(seed) + Σ ± m(pair), over the sharers."""
        add_mask(values, self_mask_key(bytes.fromhex(notes.seed), notes.listed, self.vendor))
        private = bytes.fromhex(notes.mask_private)
        for card in notes.cards:
            if card.vendor != self.vendor and card.vendor in notes.seeds:
                key = pair_mask_key(private, card.mask_key, notes.listed, self.vendor, card.vendor)
                add_mask(values, key, pair_sign(self.vendor, card.vendor))

    # ---- confirm -----------------------------------------------------------------------------

    def confirm(self, notes: Secrets, survivors: Iterable[str]) -> Secrets:
        """Note the clients whose masked updates the server claims to have received."""
        names = tuple(sorted(survivors))
        if notes.survivors:
            if notes.survivors != names:
                _refuse("a second set of survivors in one aggregation", "the first one")
            return notes
        # Unmasking needs shares of every survivor's seed, so survivors must be sharers.
        if len(set(names)) != len(names) or not {self.vendor} <= set(names) <= set(notes.seeds):
            _refuse("survivors that are not the sharers, or some of them", "this site among them")
        self._check_enough(len(names))
        return notes.model_copy(update={"survivors": names})

    def confirmation(self, notes: Secrets) -> str:
        """Return this client's signature of the survivors that it has noted."""
        return self.keys.sign(self._statement(notes, self.vendor))

    # ---- unmask ------------------------------------------------------------------------------

    def release(self, notes: Secrets, confirmations: Mapping[str, str]) -> dict[str, str]:
        """Return one share for each sharer: of a survivor's seed, or of a lost client's mask key.

        ``confirmations`` has signatures by vendor; at least the threshold of them must be valid for
        the survivors that this client has noted.
        """
        if not notes.survivors:
            _refuse("a request for shares", "that this site has confirmed the survivors")
        agreeing = [
            vendor
            for vendor, signature in confirmations.items()
            if vendor in notes.survivors
            and self.keys.verify(vendor, self._statement(notes, vendor), signature)
        ]
        # A majority: without clients that sign twice, no other set can have as many.
        self._check_enough(len(agreeing))
        # Never both shares of one peer: with both, the server could unmask a single update.
        return {
            vendor: notes.seeds[vendor] if vendor in notes.survivors else notes.mask_keys[vendor]
            for vendor in notes.sharers
        }

    def _statement(self, notes: Secrets, vendor: str) -> bytes:
        return survivors_statement(
            vendor, notes.context, notes.listed, notes.sharers, notes.survivors
        )

    def _check_enough(self, count: int) -> None:
        if count < self.threshold:
            _refuse(f"{count} clients that agree", f"{self.threshold} at least")


def _about(listed: str, sender: str, recipient: str) -> bytes:
    return "\n".join((listed, sender, recipient)).encode()


def _refuse(found: str, expected: str) -> NoReturn:
    raise MessageRefused(
        found, expected, "look into the server that sent it", MessageRefused.INCONSISTENT
    )
