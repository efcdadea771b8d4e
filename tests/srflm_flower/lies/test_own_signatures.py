"""A liar signs again what is its own, so that no lie is refused merely for an old signature."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from strategies.protocol.messages import Envelope
from strategies.protocol.secure_nouns import KeyCard
from strategies.protocol.signatures import VendorKeys
from strategies.secure_aggregation.keys import card_statement
from strategies.secure_aggregation.messages import ShareSecrets
from tests.srflm_flower.lies.own_signatures import OwnSignatures

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEYS = VendorKeys(PRIVATE, {"a": PRIVATE.public_key().public_bytes_raw().hex()})
FEDERATION, KEY = "f" * 64, "5e" * 32


def test_keys_of_a_sum_are_signed_again_for_the_sum_that_the_lie_names() -> None:
    # The other nouns of a liar's own are in the table of what a site may take.
    envelope = Envelope(federation=FEDERATION, term=2, attempt=0, server="b")
    own, other = (
        KeyCard(vendor=vendor, share_key=KEY, mask_key=KEY, commitment=KEY, signature="old")
        for vendor in "ab"
    )
    asked = ShareSecrets(
        envelope=envelope, round=2, model="m", session="5e" * 16, keys=(own, other)
    )
    signed = OwnSignatures("a", KEYS, FEDERATION, FEDERATION, 2).signed(asked)
    statement = card_statement(asked.context, own)
    assert KEYS.verify("a", statement, signed.keys[0].signature)
    assert signed.keys[1] == other, "nobody signs for others"
