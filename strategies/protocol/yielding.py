"""A server that cannot do its own part yields its attempt, and tells the other vendors.  Pure.

This says when to stand in, and nothing else: no promise changes, and a vendor can yield only its
own attempts.  Who has not heard it waits for the time-outs.  So does a site of an older version: it
has no function for this kind of message, so Flower answers with an error and the site does nothing.
(All sites run one bundle, so a federation of two versions would refuse the whole run anyway.)
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from strategies.errors import CODE, NO_REPLY, MessageRefused
from strategies.protocol.admission import View, check_envelope
from strategies.protocol.messages import Envelope, Request
from strategies.protocol.records import Absence
from strategies.protocol.signatures import Keys, forged
from strategies.protocol.signed_answers import failure_statement

YIELD = "query.yield"
KINDS = (YIELD,)

MENDED_BY_OPENING: Final = frozenset(
    {
        MessageRefused.TERM,
        MessageRefused.ATTEMPT,
        MessageRefused.SERVER,
        MessageRefused.PARENT,
        MessageRefused.NO_ORDER,
    }
)
"""Codes of refusals that may end once the server has opened the term and updated the sites."""


class YieldAttempt(Request):
    """From the server of an attempt at the open term: it does not go on with that attempt.

    ``phase`` and ``code`` say where and why its own site has failed or refused, or, in "commit",
    that the others' guards have refused its model.  ``signature`` is the vendor's, as of any
    failure (:mod:`strategies.protocol.signed_answers`).
    """

    phase: Literal["open", "aggregate", "finetune", "commit"]
    code: str = Field(pattern=f"^{CODE}$", examples=["SRFLM-D1"])
    signature: str = Field(max_length=128)

    @property
    def absence(self) -> Absence:
        """The failure as a term record has it."""
        return Absence(
            vendor=self.envelope.server,
            phase=self.phase,
            code=self.code,
            attempt=self.envelope.attempt,
            signature=self.signature or None,
        )


def must_yield(lost: Absence) -> bool:
    """Return whether a lost server yields its attempt, or else tries it again."""
    # Its site's view has changed: another vendor serves already, or the term is over.
    if lost.code in MENDED_BY_OPENING:
        return False
    # Its own node may not be connected yet, as after a start; nothing of it has failed.
    return (lost.phase, lost.code) != ("open", NO_REPLY)


def signed_yield(envelope: Envelope, lost: Absence, keys: Keys) -> YieldAttempt:
    """Return the message by which the server of ``envelope`` yields; ``keys`` are its own."""
    statement = failure_statement(envelope, envelope.server, lost.phase, lost.code)
    plain = {"envelope": envelope, "phase": lost.phase, "code": lost.code}
    return YieldAttempt.model_validate(plain | {"signature": keys.sign(statement)})


def check_yield(told: YieldAttempt, view: View, keys: Keys) -> None:
    """Check that an attempt at the open term is the sender's own, and that it has signed.

    Raises :class:`strategies.errors.MessageRefused`.  Who the sender is was checked before.
    """
    envelope = told.envelope
    check_envelope(envelope, view)
    statement = failure_statement(envelope, envelope.server, told.phase, told.code)
    if not keys.verify(envelope.server, statement, told.signature):
        raise forged(f"a yielded attempt that {envelope.server!r} has not signed")
