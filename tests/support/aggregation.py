"""Clients and a server of secure aggregation in memory: no messages, no files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from strategies.protocol.secure_nouns import Context, KeyCard, threshold_of
from strategies.protocol.signatures import VendorKeys
from strategies.secure_aggregation.client import Client, Secrets, begin
from strategies.secure_aggregation.quantising import Residues
from strategies.secure_aggregation.server import Unmasking

SERVER = "server"
PHASES = ("keys", "shares", "masked", "confirm", "unmask")


def context(**fields: object) -> Context:
    """Return the context of an aggregation; ``fields`` replace parts of it."""
    plain = {
        "federation": "f" * 64,
        "term": 3,
        "attempt": 0,
        "server": SERVER,
        "round": 3,
        "model": "a" * 64,
        "session": "0" * 32,
    }
    return Context.model_validate(plain | fields)


def vendor_keys(vendors: Collection[str]) -> dict[str, VendorKeys]:
    """Return every vendor's signing key, with the public keys of all."""
    private = {vendor: Ed25519PrivateKey.generate() for vendor in vendors}
    public = {v: key.public_key().public_bytes_raw().hex() for v, key in private.items()}
    return {vendor: VendorKeys(private[vendor], public) for vendor in vendors}


@dataclass
class Aggregation:
    """Clients c0…, a server, and what the server sees."""

    count: int
    context: Context = field(default_factory=context)
    fewest: int = 1

    def __post_init__(self) -> None:
        names = tuple(f"c{n}" for n in range(self.count))
        self.roster = (SERVER, *names)
        keys = vendor_keys(self.roster)
        self.clients = {v: Client(v, self.roster, keys[v], self.fewest) for v in names}
        self.notes: dict[str, Secrets] = {v: begin(self.context) for v in names}
        self.cards: tuple[KeyCard, ...] = ()
        self.sealed: dict[str, dict[str, str]] = {}
        self.masked: dict[str, Residues] = {}
        self.signatures: dict[str, str] = {}
        self.released: dict[str, dict[str, str]] = {}

    @property
    def threshold(self) -> int:
        """How many clients must stay."""
        return threshold_of(len(self.roster), self.fewest)

    def run(
        self,
        inputs: Mapping[str, Residues],
        lost: Callable[[str, str], bool] = lambda phase, vendor: False,
    ) -> Residues:
        """Return the sum; ``lost`` says from which phase on a vendor does not answer any more."""
        here = list(self.clients)

        def stay(phase: str) -> list[str]:
            here[:] = [vendor for vendor in here if not lost(phase, vendor)]
            return here

        self.advertise(stay("keys"))
        self.share(stay("shares"))
        self.mask(inputs, stay("masked"))
        self.confirm(stay("confirm"))
        self.release(stay("unmask"))
        return self.unmasking().total(self.masked)

    def advertise(self, vendors: Collection[str]) -> None:
        """Gather keys."""
        self.cards = tuple(self.clients[v].card(self.notes[v]) for v in vendors)

    def share(self, vendors: Collection[str]) -> None:
        """Gather sealed shares."""
        for vendor in vendors:
            self.notes[vendor] = self.clients[vendor].share(self.notes[vendor], self.cards)
            self.sealed[vendor] = self.notes[vendor].sealed

    def mask(self, inputs: Mapping[str, Residues], vendors: Collection[str]) -> None:
        """Gather masked updates."""
        for vendor in vendors:
            self.receive(vendor)
            self.masked[vendor] = inputs[vendor].copy()
            self.notes[vendor] = self.clients[vendor].commit_to(self.notes[vendor], inputs[vendor])
            self.clients[vendor].mask(self.notes[vendor], self.masked[vendor])

    def receive(self, vendor: str) -> None:
        """Hand a client the shares that are for it."""
        shares = {sender: sent[vendor] for sender, sent in self.sealed.items()}
        self.notes[vendor] = self.clients[vendor].receive(self.notes[vendor], shares)

    def confirm(self, vendors: Collection[str]) -> None:
        """Gather signatures of the survivors."""
        for vendor in vendors:
            self.notes[vendor] = self.clients[vendor].confirm(self.notes[vendor], self.masked)
            self.signatures[vendor] = self.clients[vendor].confirmation(self.notes[vendor])

    def release(self, vendors: Collection[str]) -> None:
        """Gather opened shares."""
        for vendor in vendors:
            notes = self.notes[vendor]
            self.released[vendor] = self.clients[vendor].release(notes, self.signatures)

    def unmasking(self) -> Unmasking:
        """Return what the server has gathered."""
        return Unmasking(
            self.context,
            self.threshold,
            self.cards,
            frozenset(self.sealed),
            frozenset(self.masked),
            self.released,
        )


def random_inputs(vendors: Collection[str], size: int, seed: int = 0) -> dict[str, Residues]:
    """Return a vector of any integers for every vendor."""
    rng = np.random.default_rng(seed)
    return {v: rng.integers(0, 2**32, size, dtype=np.uint32) for v in vendors}
