"""Whether a site obeys a message: a pure comparison of the envelope with the site's own view.

A SuperLink can start any run; a site need not obey it.
"""

from __future__ import annotations

from dataclasses import dataclass

from strategies.errors import MessageRefused
from strategies.protocol.messages import Envelope
from strategies.protocol.quorum import Refusal, owner


@dataclass(frozen=True)
class View:
    """What a site knows: its federation, the last term in its ledger, who may serve the next.

    ``federation`` is the edition that decides the next term, ``others`` are the hashes of those
    that the site knows besides.  ``attempt`` is the highest attempt at the next term that it has
    granted.
    """

    federation: str
    head_term: int
    ranking: tuple[str, ...]
    attempt: int
    others: frozenset[str] = frozenset()


def check_sender(envelope: Envelope, view: View, sender: str | None = None) -> None:
    """Raise :class:`MessageRefused` for another federation's message, or one in a false name.

    ``sender`` is the vendor on whose SuperLink the message lay; a simulation does not know it.
    """
    if envelope.federation not in {view.federation, *view.others}:
        raise _another_federation()
    if sender is not None and envelope.server != sender:
        raise _refused(
            f"a message of {sender!r} in the name of {envelope.server!r}",
            "the sender's own name",
            MessageRefused.SERVER,
        )


def check_envelope(
    envelope: Envelope, view: View, any_term: bool = False, sender: str | None = None
) -> None:
    """Raise :class:`MessageRefused` unless the envelope fits ``view``.

    ``any_term`` allows other terms than the site's next one: for the messages by which a site that
    has missed terms is found, or a stored record is acknowledged again.
    """
    check_sender(envelope, view, sender)
    is_next = envelope.term == view.head_term + 1
    if envelope.federation != view.federation and (is_next or not any_term):
        raise _another_federation()
    if not is_next:
        if any_term:
            return
        raise _refused(f"term {envelope.term}", f"term {view.head_term + 1}", MessageRefused.TERM)
    if envelope.attempt < max(view.attempt, 0):
        raise _refused(
            f"attempt {envelope.attempt}", f"{view.attempt} or higher", MessageRefused.ATTEMPT
        )
    expected = owner(envelope.attempt, view.ranking)
    if envelope.server != expected:
        raise _refused(f"server {envelope.server!r}", f"{expected!r}", MessageRefused.SERVER)


def _another_federation() -> MessageRefused:
    return _refused(
        "another federation's hash", "this site's federation", MessageRefused.FEDERATION
    )


def _refused(found: str, expected: str, code: str) -> MessageRefused:
    return MessageRefused(
        found, expected, "give every site the same federation file and let it catch up", code
    )


MAX_ATTEMPTS_AHEAD = 1000


def require_near(attempt: int, granted: int) -> None:
    """Raise :class:`MessageRefused` for an attempt that no succession of servers leads to."""
    if attempt > max(granted, 0) + MAX_ATTEMPTS_AHEAD:
        raise MessageRefused(
            f"attempt {attempt} after attempt {granted}",
            f"at most {MAX_ATTEMPTS_AHEAD} more",
            "look into the site that sent it",
            MessageRefused.ATTEMPT,
        )


def require_vote(reason: Refusal | None) -> None:
    """Raise :class:`MessageRefused` for a vote that must not be given."""
    if reason == "outvoted":
        raise MessageRefused(
            "an attempt below the one that this site has granted",
            "a higher one",
            "nothing: the next vendor in the ranking serves",
            MessageRefused.ATTEMPT,
        )
    if reason == "forgetful":
        raise MessageRefused(
            "a vote asked of a site that has lost its state",
            "a site that remembers its promises",
            "nothing: it votes again after the next committed term",
            MessageRefused.NO_VOTE,
        )
    if reason == "two-outcomes":
        raise MessageRefused(
            "a second record under one attempt",
            "one outcome an attempt",
            "look into the server that sent both",
            MessageRefused.NO_VOTE,
        )
