"""A record is proposed, and a vote counts, only with grants that oblige the server to it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from strategies.errors import MessageRefused
from strategies.protocol.proof import check_proof, check_vote
from strategies.protocol.records import Edition, Grant, Proposal
from strategies.protocol.signatures import VendorKeys, sign_grant, sign_proposal
from tests.support.records import FEDERATION, make_record

ROSTER = ("a", "b", "c")
EDITION = Edition(federation=FEDERATION, roster=ROSTER)
PRIVATE = {vendor: Ed25519PrivateKey.generate() for vendor in ROSTER}
PUBLIC = {vendor: key.public_key().public_bytes_raw().hex() for vendor, key in PRIVATE.items()}
KEYS = {vendor: VendorKeys(key, PUBLIC) for vendor, key in PRIVATE.items()}
Level = tuple[Grant, ...]


def made(attempt: int, *proof: Level) -> Proposal:
    """Return a proposal of the record that the owner of ``attempt`` has made under it."""
    record = make_record(2, parent="p" * 64)
    record = record.model_copy(update={"attempt": attempt, "server": ROSTER[attempt % 3]})
    return Proposal(record=record, proof=proof)


def grants(attempt: int, by: str = "ab", **named: tuple[int, Proposal]) -> Level:
    """Return grants of ``attempt``; ``named`` has what a vendor says it has accepted, and when."""
    found = []
    for vendor in by:
        grant = Grant(vendor=vendor, attempt=attempt)
        if vendor in named:
            at, proposal = named[vendor]
            grant = grant.model_copy(
                update={"accepted_attempt": at, "accepted": proposal.record.hash}
            )
        found.append(sign_grant(FEDERATION, 2, grant, KEYS[vendor]))
    return tuple(found)


def refused(proposal: Proposal, attempt: int) -> str:
    """Return the code of the refusal."""
    with pytest.raises(MessageRefused) as caught:
        check_proof(proposal, attempt, EDITION, ROSTER, KEYS["c"])
    return caught.value.code


ELECTED, FOURTH = made(0), made(4)


@pytest.mark.parametrize(
    ("proposal", "attempt"),
    [
        (ELECTED, 0),
        (made(4, grants(4)), 4),
        (made(1, grants(4)), 4),  # its own, made under an earlier attempt
        (made(0, grants(1, a=(0, ELECTED))), 1),
        (made(0, grants(5, b=(1, ELECTED)), grants(1, "ac", a=(0, ELECTED))), 5),
        (made(4, grants(8, b=(4, FOURTH)), grants(4)), 8),
    ],
)
def test_proven(proposal: Proposal, attempt: int) -> None:
    check_proof(proposal, attempt, EDITION, ROSTER, KEYS["c"])


SIGNATURE, RECORD = MessageRefused.SIGNATURE, MessageRefused.RECORD


@pytest.mark.parametrize(
    ("proposal", "attempt", "code"),
    [
        (made(4), 4, SIGNATURE),
        (made(4, grants(4, "a")), 4, SIGNATURE),
        (made(4, (grants(4, "a") * 3)), 4, SIGNATURE),
        (made(4, grants(3)), 4, SIGNATURE),
        (made(5, grants(4)), 4, RECORD),  # another vendor's, though nothing obliges to it
        (made(4, grants(4, a=(0, ELECTED))), 4, RECORD),
        (made(4, grants(4), grants(1)), 4, RECORD),
        # A vendor names a record of its own making, without grants for it.
        (made(4, grants(8, b=(4, FOURTH))), 8, SIGNATURE),
        # … or with grants that obliged it to another one.
        (made(4, grants(8, b=(4, FOURTH)), grants(4, a=(0, ELECTED))), 8, RECORD),
        (made(4, grants(8, b=(8, FOURTH)), grants(8)), 8, RECORD),
        (made(4, grants(4, b=(0, FOURTH))), 4, RECORD),
        # Two records under one attempt: whoever proposed both must not choose between them.
        (made(0, grants(8, a=(4, ELECTED), b=(4, FOURTH)), grants(4)), 8, RECORD),
    ],
)
def test_not_proven(proposal: Proposal, attempt: int, code: str) -> None:
    assert refused(proposal, attempt) == code


def test_byzantine_federation_of_four_needs_three_grants() -> None:
    edition = Edition(federation=FEDERATION, roster=(*ROSTER, "d"), byzantine=True)
    ranking, record = ROSTER, made(4).record
    for by, enough in (("ab", False), ("abc", True)):
        proposal = Proposal(record=record, proof=(grants(4, by),))
        if enough:
            check_proof(proposal, 4, edition, ranking, KEYS["c"])
        else:
            with pytest.raises(MessageRefused):
                check_proof(proposal, 4, edition, ranking, KEYS["c"])


def test_vote_needs_its_own_signature_and_the_proof_of_what_it_names() -> None:
    (free,) = grants(8, "b")
    (named,) = grants(8, "b", b=(4, FOURTH))
    keys = KEYS["c"]
    check_vote(free, None, 2, EDITION, ROSTER, keys)
    accepted = sign_proposal(FOURTH.record, KEYS[FOURTH.record.server])
    accepted = accepted.model_copy(update={"proof": (grants(4),)})
    check_vote(named, accepted, 2, EDITION, ROSTER, keys)
    for grant, accepted in (
        (free.model_copy(update={"vendor": "a"}), None),
        (free, FOURTH),
        (named, None),
        (named, FOURTH),
        (named, made(4, grants(4, "b"))),
        (named, made(1, grants(4))),
    ):
        with pytest.raises(MessageRefused):
            check_vote(grant, accepted, 2, EDITION, ROSTER, keys)


def test_vote_that_names_a_record_without_its_servers_signature_is_none() -> None:
    """Attempt 0 needs no grants, so there the signature is all that stands against an invention."""
    (named,) = grants(8, "b", b=(0, ELECTED))
    signed = sign_proposal(ELECTED.record, KEYS[ELECTED.record.server])
    check_vote(named, signed, 2, EDITION, ROSTER, KEYS["c"])
    by_another = sign_proposal(ELECTED.record, KEYS["b"])
    for invented in (ELECTED, by_another):
        with pytest.raises(MessageRefused):
            check_vote(named, invented, 2, EDITION, ROSTER, KEYS["c"])
    with pytest.raises(MessageRefused):
        check_vote(named, signed, 3, EDITION, ROSTER, KEYS["c"])
