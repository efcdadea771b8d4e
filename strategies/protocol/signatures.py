"""Statements that vendors sign with their Ed25519 keys, and how to sign and verify them.

A simulation is one process of one user and has no keys: it uses :class:`NoKeys`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from strategies.errors import MessageRefused
from strategies.protocol.quorum import has_quorum
from strategies.protocol.records import (
    Committed,
    Edition,
    Grant,
    LogAnchor,
    Proposal,
    RunOrder,
    TermRecord,
    canonical_json,
)


class Keys(Protocol):
    """Signs as one vendor, and verifies the signatures of all vendors of the roster."""

    def sign(self, statement: bytes) -> str:
        """Return this vendor's signature in hexadecimal digits."""
        ...

    def verify(self, vendor: str, statement: bytes, signature: str) -> bool:
        """Return whether ``vendor`` has signed ``statement``."""
        ...

    def at(self, edition: Edition) -> Keys:
        """Return keys that verify with the public keys of another edition of the roster."""
        ...


class NoKeys:
    """Signs nothing and accepts every signature: for a simulation, where one user runs all."""

    def sign(self, statement: bytes) -> str:
        """Return an empty signature."""
        return ""

    def verify(self, vendor: str, statement: bytes, signature: str) -> bool:
        """Return True."""
        return True

    def at(self, edition: Edition) -> Keys:
        """Return this object."""
        return self


class VendorKeys:
    """A vendor's own private key and the public keys of the roster (64 hexadecimal digits each)."""

    def __init__(self, private: Ed25519PrivateKey | None, public: Mapping[str, str]) -> None:
        self._private = private
        self._public = {
            vendor: Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
            for vendor, key in public.items()
        }

    def sign(self, statement: bytes) -> str:
        """Return this vendor's signature (hexadecimal); raises ValueError without a private key."""
        if self._private is None:
            raise ValueError("these keys can verify but not sign")
        return self._private.sign(statement).hex()

    def verify(self, vendor: str, statement: bytes, signature: str) -> bool:
        """Return whether ``vendor`` has signed ``statement``."""
        try:
            self._public[vendor].verify(bytes.fromhex(signature), statement)
        # An unknown vendor, malformed hexadecimal digits, or a wrong signature.
        except (KeyError, ValueError, InvalidSignature):
            return False
        return True

    def at(self, edition: Edition) -> Keys:
        """Return keys that sign with the same key and verify with the edition's public keys."""
        # Not strict: an edition of a simulation has no keys, and then nothing verifies.
        return VendorKeys(self._private, dict(zip(edition.roster, edition.keys, strict=False)))


# ---- statements ------------------------------------------------------------------------------

# Every statement names its kind ("says"), so that a signature of one kind never counts as another.


def record_statement(record: TermRecord) -> bytes:
    """Return the statement that the server that made ``record`` signs."""
    return canonical_json({"says": "record", "hash": record.hash})


def grant_statement(federation: str, term: int, grant: Grant) -> bytes:
    """Return the statement that a vendor signs when it grants an attempt."""
    plain = grant.model_dump(exclude={"signature"})
    return canonical_json({"says": "grant", "federation": federation, "term": term} | plain)


def acceptance_statement(
    vendor: str, record: TermRecord, attempt: int, log: LogAnchor | None = None
) -> bytes:
    """Return the statement that a vendor signs after it has stored ``record`` under ``attempt``.

    ``log`` is its message log at that moment.  Two acceptances that differ in it alone are one
    vote.
    """
    plain = {"says": "accepted", "vendor": vendor, "hash": record.hash, "attempt": attempt}
    # Older versions signed without it, and their records must stay valid.
    return canonical_json(plain | ({"log": log.model_dump()} if log is not None else {}))


def federation_statement(vendor: str, federation: str) -> bytes:
    """Return the statement that a vendor signs when it has compared the hash ``federation``."""
    return canonical_json({"says": "federation", "vendor": vendor, "hash": federation})


def order_statement(order: RunOrder) -> bytes:
    """Return the statement that a vendor signs when it orders a run."""
    return canonical_json({"says": "run"} | order.model_dump(exclude={"signature"}))


# ---- signing ---------------------------------------------------------------------------------


def sign_proposal(record: TermRecord, keys: Keys) -> Proposal:
    """Return ``record`` signed with ``keys``, which must be those of its server."""
    return Proposal(record=record, signature=keys.sign(record_statement(record)))


def sign_grant(federation: str, term: int, grant: Grant, keys: Keys) -> Grant:
    """Return a signed copy of ``grant``."""
    return grant.model_copy(
        update={"signature": keys.sign(grant_statement(federation, term, grant))}
    )


def sign_order(order: RunOrder, keys: Keys) -> RunOrder:
    """Return a signed copy of ``order``."""
    return order.model_copy(update={"signature": keys.sign(order_statement(order))})


# ---- verifying -------------------------------------------------------------------------------


def check_proposal(proposal: Proposal, keys: Keys) -> None:
    """Check that its server has signed a proposed record; raises :class:`MessageRefused`."""
    record = proposal.record
    if not keys.verify(record.server, record_statement(record), proposal.signature):
        raise forged(f"a record of term {record.term} that {record.server!r} has not signed")


def is_signed(federation: str, term: int, grant: Grant, keys: Keys) -> bool:
    """Return whether its vendor has signed ``grant`` in a term of an edition."""
    return keys.verify(grant.vendor, grant_statement(federation, term, grant), grant.signature)


def check_committed(committed: Committed, edition: Edition, keys: Keys) -> None:
    """Check that enough vendors have accepted a record; raises :class:`MessageRefused`."""
    record, certificate = committed.record, committed.certificate
    check_proposal(Proposal(record=record, signature=certificate.proposal), keys)
    accepted = certificate.acceptances
    for vendor, signature in accepted.items():
        # One that is not genuine has no weight, and could hide a genuine one that shows a lie.
        log = certificate.logs.get(vendor)
        statement = acceptance_statement(vendor, record, certificate.attempt, log)
        if not keys.verify(vendor, statement, signature):
            raise forged(f"an acceptance that {vendor!r} has not signed in term {record.term}")
    # Nobody has signed for it, so anything could stand there; and every site keeps it for ever.
    if not certificate.logs.keys() <= accepted.keys():
        raise forged(f"a message log without an acceptance in term {record.term}")
    if not has_quorum(accepted, edition.roster, edition.quorum):
        raise forged(f"a record of term {record.term} with {len(accepted)} valid acceptances")


def check_order(order: RunOrder, keys: Keys) -> None:
    """Check that a vendor has ordered the run; raises :class:`MessageRefused`."""
    if not keys.verify(order.vendor, order_statement(order), order.signature):
        raise forged(f"an order that {order.vendor!r} has not signed")


def forged(found: str) -> MessageRefused:
    """Return the error for what lacks a valid signature."""
    return MessageRefused(
        found,
        "valid signatures of this roster's vendors, of a quorum where it is one that decides",
        "give every site the same federation file; if they all have it, look into who sent this",
        MessageRefused.SIGNATURE,
    )
